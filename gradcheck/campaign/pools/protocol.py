"""What a pool is: tasks run elsewhere, and a task is a function of this package and data."""

from collections.abc import Callable, Iterable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any, Protocol

from gradcheck.campaign.plan import Plan, Table
from gradcheck.campaign.results.record import Record
from gradcheck.foundation.calling import one_line


class Pool(Protocol):
    """Tasks that run elsewhere, as futures; what these raise is a `GradcheckError`."""

    jobs: int

    def run(self, function: Callable[..., Any], *args: Any) -> "Future[Any]":
        """Any task but judging."""
        ...

    def judge(self, plan: Plan, tables: list[Table]) -> "Iterable[Future[list[Record]]]":
        """Judge these cases, each exactly once; whatever a backend does to its process becomes a record."""
        ...

    def close(self) -> None:
        """Drop what waits, and end."""
        ...


def linked(task: "Future[Any]", answered: Callable[["Future[Any]"], Any]) -> "Future[Any]":
    """A future of what ``answered`` makes of a task that is done; to cancel it cancels the task and wakes who waits."""
    outcome: Future[Any] = Future()

    def cancel(_: "Future[Any]") -> None:
        if outcome.cancelled():
            task.cancel()
            outcome.set_running_or_notify_cancel()

    def done(_: "Future[Any]") -> None:
        with suppress(InvalidStateError):  # cancelled meanwhile
            try:
                value = answered(task)
            except Exception as error:
                outcome.set_exception(error)
            else:
                outcome.set_result(value)

    outcome.add_done_callback(cancel)
    task.add_done_callback(done)
    return outcome


def line(error: BaseException) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {one_line(error)}".removesuffix(": ")
