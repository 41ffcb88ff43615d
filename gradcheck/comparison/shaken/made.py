"""Arrays that a reference makes itself: under noise like those that it is given, as long as it runs."""

import threading
from collections.abc import Callable
from functools import wraps
from typing import Any, cast

import numpy as np

from gradcheck.comparison.shaken.arrays import shaken
from gradcheck.comparison.shaken.running import NAMES, RUNNING, during, is_narrower, plain
from gradcheck.foundation.state.interrupts import Kept

WIDE = np.dtype(np.float64)


class MadeShaken(Kept[None]):
    """NumPy's functions that make arrays, where they are called as ``numpy.zeros``.

    A buffer of ``numpy.zeros`` that is filled with results would else be exact from there on, as would whatever
    ``numpy.asarray`` has been called with. Other threads get what they always get: they have no run.
    """

    _lock = threading.Lock()
    _count = 0
    _own: dict[str, Any] = {}  # noqa: RUF012 - the module's, of which there is one

    def __init__(self) -> None:
        self._taken = False

    def take(self) -> None:
        """Those that know of runs; once for whoever runs at the same time."""
        with MadeShaken._lock:
            self._taken = True
            MadeShaken._count += 1
            if MadeShaken._count == 1:
                MadeShaken._own = {name: getattr(np, name) for name in NAMES}
                for name, own in MadeShaken._own.items():
                    setattr(np, name, _making(own))

    def put_back(self) -> None:
        """NumPy's own."""
        with MadeShaken._lock:
            MadeShaken._count -= self._taken
            self._taken = False
            if MadeShaken._count == 0:
                for name, own in MadeShaken._own.items():
                    setattr(np, name, own)


def _making(own: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(own)
    def make(*args: Any, **kwargs: Any) -> Any:
        run = RUNNING.get()
        if run is None:
            return own(*args, **kwargs)
        if run.lifted:
            args = (*args[:1], *map(_wide, args[1:]))
            kwargs = {name: _wide(value) for name, value in kwargs.items()}
        with during(None):
            return shaken(own(*map(plain, args), **{name: plain(value) for name, value in kwargs.items()}))

    return make


def _wide(value: Any) -> Any:
    """Float64 in the place of a narrower format."""
    named = isinstance(value, str) and value.startswith(("float", "single", "half"))
    formats = named or isinstance(value, type | np.dtype)
    return WIDE if formats and is_narrower(value, WIDE) else cast("Any", value)
