"""A question that is asked with a constant at some value, and its answer."""

from typing import NamedTuple

from detection_report import Row


class Sizes(NamedTuple):
    """How much is asked."""

    faults: int = 150
    correct: int = 820
    networks: int = 5
    seed: int = 0


class Reply(NamedTuple):
    """One question and its answer.

    ``truth`` is what should be said; where it is empty there is no one right answer, and only changes count. ``extra`` is a
    number besides.
    """

    subject: str
    truth: str
    said: str
    evaluations: int = 0
    extra: float = 0.0
    row: Row | None = None

    @property
    def kind(self) -> str:
        """By which like is counted with like."""
        if self.row is None:
            return self.truth
        size = f" of {self.row.size:.0e}" if self.row.subject.fault else ""
        return self.row.subject.kind.split(":" if size else "?")[0] + (" (fault)" if size else "")
