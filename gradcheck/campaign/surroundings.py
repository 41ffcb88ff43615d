"""What a backend can change for the cases after its own, as far as it costs next to nothing to look."""

import gc
import locale
import os
import resource
import signal
import sys
import threading
import warnings
from collections.abc import Callable

import numpy as np

MODULES = ("builtins", "json", "math", "numpy", "numpy.linalg", "os", "time")  # and ours
HOOKS = ("excepthook", "unraisablehook", "displayhook", "breakpointhook", "stdin", "stdout", "stderr")
LIMITS = ("RLIMIT_NOFILE", "RLIMIT_AS", "RLIMIT_DATA", "RLIMIT_STACK", "RLIMIT_CPU", "RLIMIT_FSIZE")


def _files() -> object:
    return [(each.st_dev, each.st_ino) for each in map(os.fstat, range(3))]


def _children() -> object:
    """Whether there are any that run, or that nobody has waited for."""
    try:
        if hasattr(os, "waitid"):
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            return True
    except ChildProcessError:
        pass
    return False


def _signals() -> object:
    handlers = [signal.getsignal(number) for number in range(1, signal.SIGSYS + 1)]
    return handlers, signal.pthread_sigmask(signal.SIG_BLOCK, ()), signal.getitimer(signal.ITIMER_REAL)


def _interpreter() -> object:
    hooks = [getattr(sys, name) for name in HOOKS]
    return hooks, threading.excepthook, sys.gettrace(), sys.getrecursionlimit(), gc.isenabled(), warnings.filters[:]


LOOKS: tuple[Callable[[], object], ...] = (
    os.getcwd,
    lambda: dict(os.environ),
    lambda: sys.path[:],
    _files,
    lambda: [resource.getrlimit(getattr(resource, name)) for name in LIMITS if hasattr(resource, name)],
    _children,
    threading.enumerate,
    _signals,
    _interpreter,
    lambda: locale.setlocale(locale.LC_ALL),
    np.geterr,
    np.geterrcall,
    np.get_printoptions,
)


class Surroundings:
    """As they were when this was made."""

    def __init__(self) -> None:
        watched = [module for name, module in sys.modules.items() if name in MODULES or name.startswith("gradcheck.")]
        self._modules = [(vars(module), dict(vars(module))) for module in watched]
        self._found = [look() for look in LOOKS]

    def unchanged(self) -> bool:
        """Whether they still are, but for what modules have in addition."""
        try:
            kept = all(before.items() <= now.items() for now, before in self._modules)
            return kept and self._found == [look() for look in LOOKS]
        except BaseException:  # looking itself was changed, or an array is another one
            return False
