"""What is seen while a campaign runs: how far it is, how fast, what was found, the worst error, the time left."""

import time
from collections import Counter
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from gradcheck.campaign.run import Progress as Course


class Live:
    """A line on the terminal that is written anew; nothing where standard error is no terminal."""

    def __init__(self, counts: Mapping[str, int], examples: int, seconds: float) -> None:
        self.counts, self.seconds, self.worst, self.begun = Counter(counts), seconds, 0.0, time.monotonic()
        self.new = 0
        columns = [
            SpinnerColumn(),
            BarColumn(20),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        ]
        console = Console(stderr=True)
        self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._progress.add_task("drawing", total=examples or seconds)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()

    def watch(self, course: Course) -> None:
        """After every commit."""
        self.counts.update(record.verdict for record in course.records)
        self.new += len(course.records)
        self.worst = max([self.worst, *(ratio for record in course.records for ratio in record.ratios.values())])
        spent = time.monotonic() - self.begun
        verdicts = ", ".join(f"{count} {verdict}" for verdict, count in self.counts.most_common())
        rate = f"{self.new / spent:.0f}/s  {verdicts}  worst error {self.worst:.2g} bounds"
        self.say(rate if self.new else "drawing")
        self._progress.update(self._task, completed=min(spent, self.seconds) if self.seconds else self._done(course))

    def say(self, what: str) -> None:
        """What is going on."""
        self._progress.update(self._task, description=what)

    def _done(self, course: Course) -> float:
        """Examples over, as far as judging goes."""
        return course.drawn - course.waiting
