"""The processes of this machine as a pool."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import Any

import msgspec

from gradcheck.campaign.judging.judge import process_ended, timed_out
from gradcheck.campaign.judging.process import load_in_child
from gradcheck.campaign.plan import Plan, Table
from gradcheck.campaign.pools.protocol import PATIENCE, line, linked
from gradcheck.campaign.pools.workers import ZERO, Workers, begin, judged, perform
from gradcheck.campaign.results.record import Record
from gradcheck.errors import CallFailed, GradcheckError, LibraryNotInstalled
from gradcheck.foundation.processes import exit_in_words


class Local:
    """A process pool of this machine (pebble): each task has a time limit, and a dead worker costs its own task alone.

    Parameters
    ----------
    jobs : int
    backends : tuple of str
        Each worker loads them before its first task, so that no case pays for it. Where one cannot be had, every task
        raises `BackendError`.

    Raises
    ------
    LibraryNotInstalled
        Where pebble is absent.
    """

    def __init__(self, jobs: int, backends: tuple[str, ...] = ()) -> None:
        try:
            from pebble import ProcessPool
        except ImportError:
            raise LibraryNotInstalled("campaigns need pebble: pip install 'gradcheck[fuzz]'") from None
        self.jobs, self._backends = jobs, backends
        self._broken: GradcheckError | None = None
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # workers are the parallelism; read when they load their libraries
        self._pool = ProcessPool(max_workers=jobs, initializer=begin, initargs=(backends,), context=Workers())

    def run(self, function: Callable[..., Any], *args: Any) -> "Future[Any]":
        """In a worker."""
        return linked(self._scheduled(PATIENCE, function, *args), partial(self._ran, function.__name__))

    def judge(self, plan: Plan, tables: list[Table]) -> "Iterable[Future[list[Record]]]":
        """A task for each case."""
        for table in tables:
            yield linked(self._scheduled(plan.limit, judged, plan, table), partial(self._judged, plan, table))

    def close(self) -> None:
        """Stop the workers."""
        self._pool.stop()
        self._pool.join()

    def _scheduled(self, timeout: float, function: Callable[..., Any], *args: Any) -> "Future[Any]":
        try:
            return self._pool.schedule(perform, args=(function, *args), timeout=timeout)
        except RuntimeError:
            raise self._failure("a task", BrokenProcessPool()) from None

    def _ran(self, name: str, task: "Future[Any]") -> Any:
        error = task.exception()
        if error is not None:
            raise self._failure(name, error)
        return task.result()

    def _judged(self, plan: Plan, table: Table, task: "Future[Any]") -> list[Record]:
        """A record also where the task returned none, unless it raised what ends the campaign."""
        from pebble import ProcessExpired

        error = task.exception()
        if isinstance(error, TimeoutError):
            return [timed_out(table, plan.limit)]
        if isinstance(error, ProcessExpired):
            return [process_ended(table, _exit_in_words(error))]
        return [msgspec.json.decode(self._ran("a case", task), type=Record)]

    def _failure(self, name: str, error: BaseException) -> GradcheckError:
        """In one line, for a campaign to end with."""
        from pebble import ProcessExpired

        if isinstance(error, GradcheckError):
            return error
        if isinstance(error, BrokenProcessPool):
            self._broken = self._broken or _diagnosis(self._backends)
            return self._broken
        if isinstance(error, ProcessExpired):
            return CallFailed(f"{name}: its process ended: {_exit_in_words(error)}")
        if isinstance(error, TimeoutError):
            return CallFailed(f"{name}: not finished within {PATIENCE:g} s")
        return CallFailed(f"{name}: {line(error)}")


def _exit_in_words(error: Any) -> str:
    return exit_in_words(0 if error.exitcode == ZERO else error.exitcode)


def _diagnosis(backends: tuple[str, ...]) -> GradcheckError:
    """Why a pool broke: it does where all workers end before they have a task. Loading the backends once more tells."""
    try:
        load_in_child(backends)
    except GradcheckError as error:
        return error
    return CallFailed("the processes of the pool ended without a task: were they killed?")
