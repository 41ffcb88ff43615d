"""One step after the other: run, skipped where something is missing, drawn where there is something to draw with."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from gradcheck.errors import BackendNotInstalled, LibraryNotInstalled, OutputError
from gradcheck.tour.pictures import save_figure
from gradcheck.tour.step import Result, Skipped, Step
from gradcheck.tour.tour import Tour


class Outcome(NamedTuple):
    """What became of a step.

    Attributes
    ----------
    result : Result, optional
        None where it was skipped.
    skipped : str
        Why it was.
    files : tuple of path
        Its pictures, as far as they were drawn.
    """

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
    """Every step, as it is done.

    Parameters
    ----------
    steps : mapping of int to Step
        By number.
    plot : module, optional
        matplotlib's ``pyplot``, or None: then there are no pictures.

    Raises
    ------
    OutputError
        Where a picture cannot be written.
    """
    for number, step in steps.items():
        began = time.perf_counter()
        result, skipped = _result(step, tour)
        files = _drawn(number, step, result, folder, plot) if result and plot else ()
        yield Outcome(number, step, result, skipped, time.perf_counter() - began, files)


def _result(step: Step, tour: Tour) -> tuple[Result | None, str]:
    try:
        return step.run(tour), ""
    except (LibraryNotInstalled, BackendNotInstalled, Skipped) as reason:
        return None, str(reason)


def _drawn(number: int, step: Step, result: Result, folder: Path, plot: Any) -> tuple[Path, ...]:
    paths = tuple(folder / f"{number:02}-{step.name}-{index}.png" for index in range(1, len(result.pictures) + 1))
    try:
        for path, picture in zip(paths, result.pictures, strict=True):
            save_figure(plot, picture.draw(plot), path)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {error.strerror or error}") from None
    return paths
