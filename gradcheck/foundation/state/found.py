"""Each public check leaves as it was found what belongs to the whole process."""

import os
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar, copy_context
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np

from gradcheck.foundation.state.interrupts import Guard, Kept, interruptible

P = ParamSpec("P")
R = TypeVar("R")


_inside: ContextVar[bool] = ContextVar("gradcheck_inside", default=False)


def as_found(check: Callable[P, R]) -> Callable[P, R]:
    """A check that ^C may stop at any moment, and that leaves nothing behind but its report.

    It runs in a copy of the context: context variables that a function sets, of which NumPy's error state is one, are
    dropped with it. Of a check within a check the outer one sees to all that.
    """

    @wraps(check)
    @interruptible
    def function(*args: P.args, **kwargs: P.kwargs) -> R:
        if _inside.get():
            return check(*args, **kwargs)
        with Guard(), _Process():
            return copy_context().run(_quietly, check, *args, **kwargs)

    return function


def _quietly(check: Callable[..., R], *args: Any, **kwargs: Any) -> R:
    """What overflows is seen in the numbers."""
    _inside.set(True)
    np.seterr(all="ignore")
    return check(*args, **kwargs)


class _Process(Kept[None]):
    """Working directory, environment and filters of warnings, of which a function that is checked may change any.

    Where it imports a module for the first time, what that has set up for itself stays. Of a process there is one, so other
    threads than the main one leave it alone.
    """

    def __init__(self) -> None:
        self._is_ours = threading.current_thread() is threading.main_thread()
        self._folder: str | None = None

    def take(self) -> None:
        """All of it in a few microseconds."""
        with suppress(OSError):  # it may be gone
            self._folder = os.getcwd()
        self._modules, self._environment = len(sys.modules), dict(_ENVIRONMENT)
        self._filters, self._contents = warnings.filters, list(warnings.filters)

    def put_back(self) -> None:
        """What is not as it was."""
        if not self._is_ours:
            return
        with suppress(OSError):
            if self._folder and os.getcwd() != self._folder:
                os.chdir(self._folder)
        if self._modules == len(sys.modules):
            if self._environment != _ENVIRONMENT:
                self._put_environment_back()
            if warnings.filters is not self._filters or warnings.filters != self._contents:
                self._put_filters_back()

    def _put_environment_back(self) -> None:
        every: Any = os.environ
        for name in _ENVIRONMENT.keys() - self._environment.keys():
            del every[every.decodekey(name)]
        for name, value in self._environment.items():
            every[every.decodekey(name)] = every.decodevalue(value)

    def _put_filters_back(self) -> None:
        filters: Any = self._filters
        filters[:] = self._contents
        warnings.filters = filters


# As the system has it: decoding each of a hundred variables takes longer than all else that is looked at.
_ENVIRONMENT: Any = getattr(os.environ, "_data", os.environ)
