"""What is seen while something runs: how far it is, and of a campaign how fast, what was found and the worst error."""

import time
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich import progress
from rich.console import Console

if TYPE_CHECKING:
    from gradcheck.campaign.run import Progress as Course


def line(*columns: progress.ProgressColumn, past: bool = True) -> progress.Progress:
    """A line on the terminal that is written anew; nothing where standard error is none. What is printed goes past it."""
    terminal = Console(stderr=True)
    return progress.Progress(
        *columns, console=terminal, transient=True, disable=not terminal.is_terminal, redirect_stdout=past
    )


def timed(*columns: progress.ProgressColumn) -> progress.Progress:
    """A bar, what is going on, the time that has passed and that is left."""
    what = progress.TextColumn("{task.description}", markup=False)
    return line(*columns, progress.BarColumn(20), what, progress.TimeElapsedColumn(), progress.TimeRemainingColumn())


class Live:
    """The line of a campaign."""

    def __init__(self, counts: Mapping[str, int], examples: int, seconds: float) -> None:
        self.counts, self.seconds, self.worst, self.begun = Counter(counts), seconds, 0.0, time.monotonic()
        self.new = 0
        self.line = timed(progress.SpinnerColumn())
        self._task = self.line.add_task("drawing", total=examples or seconds)

    def watch(self, course: "Course") -> None:
        """After every commit."""
        self.counts.update(record.verdict for record in course.records)
        self.new += len(course.records)
        self.worst = max([self.worst, *(ratio for record in course.records for ratio in record.ratios.values())])
        spent = time.monotonic() - self.begun
        verdicts = ", ".join(f"{count} {verdict}" for verdict, count in self.counts.most_common())
        rate = f"{self.new / spent:.0f}/s  {verdicts}  worst error {self.worst:.2g} bounds"
        self.say(rate if self.new else "drawing")
        done = min(spent, self.seconds) if self.seconds else course.drawn - course.waiting  # as far as judging goes
        self.line.update(self._task, completed=done)

    def say(self, what: str) -> None:
        """What is going on."""
        self.line.update(self._task, description=what)
