"""Charts of counts: columns over an axis. What is in them; a page draws them by the macros of ``charts.html``."""

from typing import NamedTuple

STEPS = (1, 2, 5)


class Column(NamedTuple):
    """From start to end along the axis, and as high as it has cases.

    ``said`` is for a pointer and for a screen reader, ``kind`` the class of its colour, and the label stands above it.
    """

    start: float
    end: float
    cases: int
    said: str
    kind: str = "bar"
    label: str = ""


class Chart(NamedTuple):
    """What is drawn; the label is for who cannot see it.

    ``axis`` says what lies along it, with its unit; ticks are places along it, and what is written there. ``most`` is the
    largest count of all charts that are compared, and a line crosses the chart at the limit.
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
