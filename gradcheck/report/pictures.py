"""Heat maps for a page: coloured cells, each with the power of ten of its error in units of its bound."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from gradcheck.report.heatmap import LIMITS, Map, heat_map, shade
from gradcheck.verdict.findings import Finding

RANGES = (f"{low:g} to {high:g} bounds" for low, high in pairwise(LIMITS))
SHADES = (
    *((f"h{level}", said) for level, said in enumerate(("within its bound", *RANGES, f"above {LIMITS[-1]:g}"))),
    ("hx", "no number"),
)
Shade = tuple[str, str, str]  # of a cell: the class of its colour, what it says, and what a pointer is told


class Grid(NamedTuple):
    """Rows of cells, and what these show; names of columns and rows where they have any."""

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
