"""Charts of counts as pictures in a page: columns over an axis, drawn in SVG and coloured by the page's style."""

from collections.abc import Iterable, Iterator
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 360, 190
LEFT, RIGHT, TOP, BOTTOM = 38, 6, 24, 40  # margins for the axes and what they say
LEAST = 2.0  # height of a column that counts anything: one case in a million is to be seen
STEPS = (1, 2, 5)


class Column(NamedTuple):
    """A column of a chart.

    Attributes
    ----------
    start, end : float
        Along the axis.
    cases : int
        Its height.
    said : str
        What it shows, for a pointer and for a screen reader.
    kind : str
        Class of its colour.
    label : str
        Written above it.
    """

    start: float
    end: float
    cases: int
    said: str
    kind: str = "bar"
    label: str = ""


class Chart(NamedTuple):
    """What is drawn.

    Attributes
    ----------
    label : str
        What it is, for who cannot see it.
    axis : str
        What lies along it, with its unit.
    length : float
        Of the axis.
    columns : tuple of Column
    ticks : tuple of (float, str)
        Places along the axis, and what is written there.
    most : int
        The largest count of all charts that are compared.
    limit : float, optional
        Where a line crosses the chart.
    limit_label : str
    """

    label: str
    axis: str
    length: float
    columns: tuple[Column, ...]
    ticks: tuple[tuple[float, str], ...]
    most: int
    limit: float | None = None
    limit_label: str = ""

    def to_svg(self) -> str:
        """The picture."""
        parts = [*self._levels(), *map(self._column, self.columns), *self._ticks(), *self._limit()]
        return (
            f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(self.label)}">\n'
            f"{''.join(parts)}\n</svg>"
        )

    def _x(self, place: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * place / self.length

    def _y(self, count: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * count / max(self.most, 1)

    def _levels(self) -> Iterator[str]:
        """Lines behind the columns, with their counts; the lowest is the axis."""
        yield _text(LEFT, 12, "cases", "end")
        for level in levels(self.most):
            y = self._y(level)
            yield f'<line class="level" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            yield _text(LEFT - 5, y + 3.5, f"{level:,}", "end")

    def _column(self, column: Column) -> str:
        if not column.cases:
            return ""
        x, width = self._x(column.start), self._x(column.end) - self._x(column.start)
        height = max(self._y(0) - self._y(column.cases), LEAST)
        y = self._y(0) - height
        label = _text(x + width / 2, y - 4, column.label, "middle", "strong") if column.label else ""
        return (
            f'<rect class="{column.kind}" x="{x + 0.5:.1f}" y="{y:.1f}" width="{width - 1:.1f}" height="{height:.1f}">'
            f"<title>{escape(column.said)}</title></rect>{label}"
        )

    def _ticks(self) -> Iterator[str]:
        for place, label in self.ticks:
            yield _text(self._x(place), HEIGHT - BOTTOM + 14, label, "middle")
        yield _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, self.axis, "middle")

    def _limit(self) -> Iterator[str]:
        if self.limit is not None:
            x = self._x(self.limit)
            yield f'<line class="limit" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 6}" y2="{HEIGHT - BOTTOM + 4}"/>'
            yield _text(x + 3, TOP - 12, self.limit_label, "end")


def levels(most: int) -> list[int]:
    """Round numbers from 0 up to a count, four besides 0 at most."""
    steps = (step * 10**power for power in range(len(str(most)) + 1) for step in STEPS)
    step = next(step for step in steps if 4 * step >= most)
    return list(range(0, max(most, 1) + 1, step))


def side_by_side(figures: Iterable[tuple[str, str, str]]) -> str:
    """Pictures with a heading and a line below each, as many in a row as there is room for."""
    drawn = (
        f'<figure><figcaption>{escape(name)} <span class="soft">{escape(said)}</span></figcaption>{picture}</figure>'
        for name, said, picture in figures
    )
    return f'<div class="charts">{"".join(drawn)}</div>'


def _text(x: float, y: float, said: str, anchor: str, kind: str = "") -> str:
    with_class = f' class="{kind}"' if kind else ""
    return f'<text{with_class} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(said)}</text>'
