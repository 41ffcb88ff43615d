"""A worker process of the local pool: how it starts, what it does for a task, and that it ends with its parent."""

import os
import signal
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from multiprocessing import parent_process
from multiprocessing.context import SpawnContext, SpawnProcess
from threading import Lock, Thread
from typing import Any

from gradcheck.builds import registry
from gradcheck.campaign.judging.judge import judge_to_json
from gradcheck.campaign.plan import Plan, Table
from gradcheck.errors import BackendError
from gradcheck.foundation.processes import LOADING, time_limit

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
