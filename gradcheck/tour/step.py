"""What a step of the tour is, what it hands back, and what becomes of one after the other."""

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from gradcheck.errors import BackendNotInstalled, LibraryNotInstalled
from gradcheck.tour.pictures import Picture
from gradcheck.tour.tour import Tour


class Table(NamedTuple):
    """Rows of text; the first cell names its row."""

    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]


class Result(NamedTuple):
    """What a step has found: in one line, for machines, and what else there is to say in sentences (``detail``)."""

    headline: str
    numbers: dict[str, float]
    pictures: tuple[Picture, ...] = ()
    table: Table | None = None
    held: bool = True
    detail: str = ""


class Skipped(Exception):
    """Why a step has nothing to do."""


class Step(NamedTuple):
    """A row of the tour; its formula is HTML.

    To run it raises `LibraryNotInstalled` or `BackendNotInstalled` where something is missing, `Skipped` where there is
    nothing to do.
    """

    name: str
    title: str
    formula: str
    run: Callable[[Tour], Result]


class Outcome(NamedTuple):
    """What became of a step: its result and the pictures that were drawn, or why it was skipped."""

    number: int
    step: Step
    result: Result | None
    skipped: str
    seconds: float
    files: tuple[Path, ...] = ()

    @property
    def held(self) -> bool:
        """Whether what it claims is so; of what was skipped nothing is claimed."""
        return self.result is None or self.result.held

    @property
    def said(self) -> str:
        """In one line."""
        if self.result is None:
            return f"skipped: {self.skipped}"
        return self.result.headline if self.held else f"DOES NOT HOLD: {self.result.headline}"


def run(steps: Mapping[int, Step], tour: Tour, folder: Path, plot: Any) -> Iterator[Outcome]:
    """Every step by its number, as it is done; drawn by matplotlib's ``pyplot``, or not at all where that is None.

    Raises `OutputError` where a picture cannot be written.
    """
    for number, step in steps.items():
        began = time.perf_counter()
        result, skipped = None, ""
        try:
            result = step.run(tour)
        except (LibraryNotInstalled, BackendNotInstalled, Skipped) as reason:
            skipped = str(reason)
        files = _drawn(number, step, result, folder, plot) if result and plot else ()
        yield Outcome(number, step, result, skipped, time.perf_counter() - began, files)


def _drawn(number: int, step: Step, result: Result, folder: Path, plot: Any) -> tuple[Path, ...]:
    paths = tuple(folder / f"{number:02}-{step.name}-{index}.png" for index in range(1, len(result.pictures) + 1))
    for path, picture in zip(paths, result.pictures, strict=True):
        picture.save(plot, path)
    return paths
