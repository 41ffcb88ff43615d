"""Heat maps for a page: a table of coloured cells, each with its number, for eyes and for screen readers."""

import math
from html import escape
from itertools import pairwise

from gradcheck.report.heatmap import LIMITS, Map, shade


def heat_table(found: Map) -> str:
    """A map as a table; in each cell the decades by which the error exceeds its bound."""
    body = "\n".join(f"<tr>{_margin(found, i)}{_row(found, i)}</tr>" for i in range(len(found.cells)))
    label = f"Where the error sits: {escape(found.caption)}"
    return (
        f'<p class="soft">{label}</p>\n<div class="wide" role="region" tabindex="0" aria-label="{label}">'
        f'<table class="heat" aria-label="{label}">{_head(found)}<tbody>\n{body}\n</tbody></table></div>'
    )


def legend() -> str:
    """What the colours mean."""
    limits = [f"{limit:g}" for limit in LIMITS]
    words = ["within its bound", *(f"{low} to {high} bounds" for low, high in pairwise(limits)), f"above {limits[-1]}"]
    items = [f'<li><span class="h{level}"></span>{said}</li>' for level, said in enumerate(words)]
    return (
        f'<p class="soft">In the maps, the number in a cell is the power of ten of its error in units of the bound:</p>\n'
        f'<ul class="legend soft">{"".join(items)}<li><span class="hx"></span>no number</li></ul>'
    )


def _head(found: Map) -> str:
    """The columns' ranges, upright."""
    if not found.columns:
        return ""
    cells = "".join(f'<th scope="col"><span>{label}</span></th>' for label in found.columns)
    return f"<thead><tr>{'<td></td>' if found.rows else ''}{cells}</tr></thead>\n"


def _margin(found: Map, row: int) -> str:
    return f'<th scope="row">{found.rows[row]}</th>' if found.rows else ""


def _row(found: Map, row: int) -> str:
    return "".join(_cell(found, row, column, error) for column, error in enumerate(found.cells[row]))


def _cell(found: Map, row: int, column: int, error: float) -> str:
    level = shade(error)
    title = f"{_place(found, row, column)}: {error:.2g} bounds"
    return f'<td class="h{"x" if level is None else level}" title="{title}">{_decades(error)}</td>'


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
