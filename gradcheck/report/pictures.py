"""Heat maps for a page: coloured cells, each with the power of ten of its error in units of its bound."""

import math
from itertools import pairwise

from gradcheck.report.heatmap import LIMITS, Map, shade
from gradcheck.report.page import Grid, Shade

RANGES = (f"{low:g} to {high:g} bounds" for low, high in pairwise(LIMITS))
SHADES = (
    *((f"h{level}", said) for level, said in enumerate(("within its bound", *RANGES, f"above {LIMITS[-1]:g}"))),
    ("hx", "no number"),
)


def grid(found: Map) -> Grid:
    """A map as cells."""
    rows = [[_shade(found, i, j, error) for j, error in enumerate(row)] for i, row in enumerate(found.cells)]
    return Grid(f"Where the error sits: {found.caption}", found.columns, found.rows, rows)


def _shade(found: Map, row: int, column: int, error: float) -> Shade:
    level = shade(error)
    title = f"{_place(found, row, column)}: {error:.2g} bounds"
    return Shade(f"h{'x' if level is None else level}", _decades(error), title)


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
