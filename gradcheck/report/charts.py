"""Charts of counts as pictures in a page: columns over an axis, drawn in SVG and coloured by the page's style."""

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
    """What is drawn, by the macro of ``charts.html``.

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

    @property
    def frame(self) -> dict[str, int]:
        """Where the drawing ends, and the axes within it."""
        return {"width": WIDTH, "height": HEIGHT, "left": LEFT, "right": WIDTH - RIGHT, "top": TOP, "base": HEIGHT - BOTTOM}

    @property
    def levels(self) -> list[int]:
        """Counts at which there are lines behind the columns; the lowest is the axis."""
        return levels(self.most)

    def x(self, place: float) -> float:
        """Of a place along the axis."""
        return LEFT + (WIDTH - LEFT - RIGHT) * place / self.length

    def y(self, count: float) -> float:
        """Of a count."""
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * count / max(self.most, 1)

    def height(self, count: int) -> float:
        """Of a column."""
        return max(self.y(0) - self.y(count), LEAST)


class Figure(NamedTuple):
    """A chart with a heading, and a line below that."""

    name: str
    said: str
    chart: Chart


def levels(most: int) -> list[int]:
    """Round numbers from 0 up to a count, four besides 0 at most."""
    steps = (step * 10**power for power in range(len(str(most)) + 1) for step in STEPS)
    step = next(step for step in steps if 4 * step >= most)
    return list(range(0, max(most, 1) + 1, step))
