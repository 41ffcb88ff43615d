"""Where in a block the error sits, as shades: what the cells of a map mean, in a terminal and on a page."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from rich.console import Console, ConsoleOptions
from rich.text import Text

from gradcheck.verdict.findings import Finding

LIMITS = (1.0, 1e1, 1e3, 1e6)  # of the shades, in units of the bound
BLOCKS, ASCII = "·░▒▓█", ".:+*#"
STYLES = ("dim", "yellow", "dark_orange", "red", "bold red")
UNKNOWN = "?"
RANGES = (f"{low:g} to {high:g} bounds" for low, high in pairwise(LIMITS))
SHADES = (
    *((f"h{level}", said) for level, said in enumerate(("within its bound", *RANGES, f"above {LIMITS[-1]:g}"))),
    ("hx", "no number"),
)
Shade = tuple[str, str, str]  # of a cell: the class of its colour, what it says, and what a pointer is told


def shade(error: float) -> int | None:
    """How dark a cell is, 0 to 4, by its error in units of its bound; None where that is not a number."""
    return None if math.isnan(error) else sum(error > limit for limit in LIMITS)


def ranges(size: int, parts: int) -> list[str]:
    """The indices of each part of an axis, as ``numpy.array_split`` cuts it."""
    small, larger = divmod(size, parts)
    starts = [part * small + min(part, larger) for part in range(parts + 1)]
    return [str(a) if b - a == 1 else f"{a}-{b - 1}" for a, b in pairwise(starts)]


class Map(NamedTuple):
    """A finding's map, with the ranges of indices that its rows and columns stand for.

    These are empty where they are not known; rows also where a vector has but one.
    """

    cells: tuple[tuple[float, ...], ...]
    rows: list[str]
    columns: list[str]
    caption: str


def heat_map(finding: Finding) -> Map | None:
    """The map of a finding; None where there is none, or but one cell."""
    down, across = len(finding.heat), max(map(len, finding.heat), default=0)
    if down * across < 2:
        return None
    shape = finding.shape
    if not shape:
        return Map(finding.heat, [], [], f"the block in {down} by {across} parts" if down > 1 else f"in {across} parts")
    first = shape[0] if len(shape) > 1 else 1
    rest = math.prod(shape) // first
    rows = ranges(first, down) if len(shape) > 1 else []
    words = [f"rows 0-{first - 1} down"] if down > 1 else []
    words.append(f"{'columns' if rows else 'entries'} {ranges(rest, 1)[0]} across{_each(rest, across)}")
    return Map(finding.heat, rows, ranges(rest, across), ", ".join(words))


def _each(size: int, parts: int) -> str:
    least, most = size // parts, -(-size // parts)
    if most == 1:
        return ""
    return f", {most} a cell" if least == most else f", {least} or {most} a cell"


class Picture(NamedTuple):
    """A map for a terminal, in the characters that it can show."""

    map: Map

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """A line for each row; each cell is two characters wide, to be about square."""
        yield Text(f"where ({self.map.caption}):")
        width = max(map(len, self.map.rows), default=0)
        for index, cells in enumerate(self.map.cells):
            margin = f"  {self.map.rows[index] if self.map.rows else '':>{width}}{' ' * bool(width)}"
            yield Text.assemble(margin, *(_cell(error, options) for error in cells))


class Legend:
    """What the shades of a `Picture` mean."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """One line."""
        within, *darker, darkest = ASCII if options.ascii_only else BLOCKS
        steps = [f"{mark} up to {limit:g}" for mark, limit in zip(darker, LIMITS[1:], strict=True)]
        said = [f"{within} within its bound", f"{steps[0]} bounds", *steps[1:], f"{darkest} beyond", f"{UNKNOWN} no number"]
        yield Text(f"shades: {', '.join(said)}", style="dim")


def _cell(error: float, options: ConsoleOptions) -> Any:
    level = shade(error)
    if level is None:
        return UNKNOWN * 2, STYLES[-1]
    return (ASCII if options.ascii_only else BLOCKS)[level] * 2, STYLES[level]


class Grid(NamedTuple):
    """A map for a page: rows of cells, and what these show; names of columns and rows where they have any."""

    label: str
    columns: Sequence[str]
    names: Sequence[str]
    rows: Sequence[Sequence[Shade]]


def grid(finding: Finding) -> Grid | None:
    """The map of a finding; None where there is none."""
    found = heat_map(finding)
    if found is None:
        return None
    rows = [[_shade(found, i, j, error) for j, error in enumerate(row)] for i, row in enumerate(found.cells)]
    return Grid(f"Where the error sits: {found.caption}", found.columns, found.rows, rows)


def _shade(found: Map, row: int, column: int, error: float) -> Shade:
    level = shade(error)
    title = f"{_place(found, row, column)}: {error:.2g} bounds"
    return f"h{'x' if level is None else level}", _decades(error), title


def _place(found: Map, row: int, column: int) -> str:
    """Which entries a cell holds."""
    if not found.columns:
        return f"part {row + 1}, {column + 1}" if len(found.cells) > 1 else f"part {column + 1}"
    across = f"{'column' if found.rows else 'entry'} {found.columns[column]}"
    return f"row {found.rows[row]}, {across}" if found.rows else across


def _decades(error: float) -> str:
    """The power of ten, rounded down; a dot within the bound."""
    if not math.isfinite(error):
        return "?" if math.isnan(error) else "∞"
    return str(math.floor(math.log10(error))) if error > 1 else "·"
