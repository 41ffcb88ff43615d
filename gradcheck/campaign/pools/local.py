"""The processes of this machine as a pool: how one starts, what it does for a task, and that it ends with its parent."""

import os
import signal
import sys
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cached_property, partial
from importlib.machinery import ModuleSpec
from multiprocessing import parent_process
from multiprocessing.context import SpawnContext, SpawnProcess
from threading import Lock, Thread
from typing import Any

import msgspec

from gradcheck.builds import registry
from gradcheck.campaign.judging import judge_to_json, load_in_child, process_ended, timed_out
from gradcheck.campaign.plan import Plan, Table
from gradcheck.campaign.pools.protocol import PATIENCE, line, linked
from gradcheck.campaign.results.record import Record
from gradcheck.errors import BackendError, CallFailed, GradcheckError, LibraryNotInstalled
from gradcheck.foundation.processes import LOADING, exit_in_words, time_limit

GRACE = 5.0  # seconds past its limit after which a worker ends itself, should nobody have ended it
ZERO = 256  # stands for exit code 0, and is none
STARTING = Lock()

_refusals: list[BackendError] = []  # of this process


class Worker(SpawnProcess):
    """A process that does not import the caller's main module: a script without a guard would start its campaign again."""

    def start(self) -> None:
        """Start it, deaf to the interrupt of a terminal, which is the parent's affair."""
        with STARTING, _nameless_main(), _interrupts_blocked():
            super().start()

    @property
    def exitcode(self) -> int | None:
        """No worker ends by itself. Pebble takes 0 for an end that was planned, and would wait for its task in vain."""
        code = super().exitcode
        return ZERO if code == 0 else code


class Workers(SpawnContext):
    """What pebble starts its processes with."""

    Process = Worker


@contextmanager
def _nameless_main() -> Generator[None]:
    """A main module of this name is not imported by processes that start."""
    main = sys.modules["__main__"]
    spec, main.__spec__ = getattr(main, "__spec__", None), ModuleSpec("__main__", None)
    try:
        yield
    finally:
        main.__spec__ = spec


@contextmanager
def _interrupts_blocked() -> Generator[None]:
    """Processes inherit it, also those that workers start; a handler would be set too late for what they import first."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def begin(backends: tuple[str, ...]) -> None:
    """Before the first task: load the backends, so that no case pays for it."""
    os.dup2(2, 1)  # what backends print is no answer of the parent's
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # pebble's handler waits for C code to return
    Thread(target=_end_with_parent, daemon=True).start()
    with _fence(LOADING):
        try:
            registry.resolve(backends)
        except BackendError as error:
            _refusals.append(error)


def perform(function: Callable[..., Any], *args: Any) -> Any:
    """A task, in a process that has the backends."""
    if _refusals:
        raise _refusals[0]
    return function(*args)


def judged(plan: Plan, table: Table) -> bytes:
    """A case's record as JSON."""
    with _fence(plan.limit + GRACE):
        return judge_to_json(plan, table)


@contextmanager
def _fence(seconds: float) -> Generator[None]:
    """The end of a process that hangs where no thread can run, when nobody is left to kill it."""
    with open(os.devnull, "w") as nowhere, time_limit(seconds, nowhere):
        yield


def _end_with_parent() -> None:
    parent = parent_process()
    if parent:
        parent.join()
        os._exit(1)


class Local:
    """A process pool of this machine (pebble): each task has a time limit, and a dead worker costs its own task alone.

    Parameters
    ----------
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

    @cached_property
    def _broken(self) -> GradcheckError:
        """Why the pool broke: it does where all workers end before they have a task. Loading the backends again tells."""
        try:
            load_in_child(self._backends)
        except GradcheckError as error:
            return error
        return CallFailed("the processes of the pool ended without a task: were they killed?")

    def _failure(self, name: str, error: BaseException) -> GradcheckError:
        """In one line, for a campaign to end with."""
        from pebble import ProcessExpired

        if isinstance(error, GradcheckError):
            return error
        if isinstance(error, BrokenProcessPool):
            return self._broken
        if isinstance(error, ProcessExpired):
            return CallFailed(f"{name}: its process ended: {_exit_in_words(error)}")
        if isinstance(error, TimeoutError):
            return CallFailed(f"{name}: not finished within {PATIENCE:g} s")
        return CallFailed(f"{name}: {line(error)}")


def _exit_in_words(error: Any) -> str:
    return exit_in_words(0 if error.exitcode == ZERO else error.exitcode)
