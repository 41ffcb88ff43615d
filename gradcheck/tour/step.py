"""What a step of the tour is, and what it hands back."""

from collections.abc import Callable
from typing import Any, NamedTuple

from gradcheck.tour.tour import Tour


class Picture(NamedTuple):
    """What is drawn when there is something to draw with.

    Attributes
    ----------
    caption : str
        What is to be seen, for whoever does not see it as well.
    draw : callable
        From matplotlib's ``pyplot`` to a figure.
    """

    caption: str
    draw: Callable[[Any], Any]


class Table(NamedTuple):
    """Rows of text; the first cell names its row."""

    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]


class Result(NamedTuple):
    """What a step has found.

    Attributes
    ----------
    headline : str
        What matters, in one line.
    numbers : dict of str to float
        The same for machines.
    held : bool
        Whether what the step claims is so.
    detail : str
        What else there is to say, in sentences.
    """

    headline: str
    numbers: dict[str, float]
    pictures: tuple[Picture, ...] = ()
    table: Table | None = None
    held: bool = True
    detail: str = ""


class Skipped(Exception):
    """Why a step has nothing to do."""


class Step(NamedTuple):
    """A row of the tour.

    Attributes
    ----------
    formula : str
        HTML.
    run : callable
        Raises `LibraryNotInstalled` or `BackendNotInstalled` where something is missing, `Skipped` where nothing is to do.
    """

    name: str
    title: str
    formula: str
    run: Callable[[Tour], Result]
