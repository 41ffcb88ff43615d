"""Charts of counts: columns over an axis. What is in them; a page draws them by the macros of ``charts.html``."""

from typing import NamedTuple

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

    @property
    def levels(self) -> list[int]:
        """Counts at which there are lines behind the columns; the lowest is the axis."""
        return levels(self.most)


def levels(most: int) -> list[int]:
    """Round numbers from 0 up to a count, four besides 0 at most."""
    steps = (step * 10**power for power in range(len(str(most)) + 1) for step in STEPS)
    step = next(step for step in steps if 4 * step >= most)
    return list(range(0, max(most, 1) + 1, step))
