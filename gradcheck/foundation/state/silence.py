"""Warnings that one thread does not want to see.

`warnings.catch_warnings` exchanges the filters of all threads, and those who leave it in another order than they came change
them for good. Here one filter is put in front of them that holds for the threads that asked, and is taken out again.
"""

import re
import threading
import warnings
from typing import Any

from gradcheck.foundation.state.interrupts import Kept


class _Unwanted(type):
    """Every class of warnings is below its classes, in one thread."""

    def __init__(cls, *args: Any) -> None:
        super().__init__(*args)
        cls.thread = threading.get_ident()

    def __subclasscheck__(cls, subclass: type) -> bool:
        return threading.get_ident() == cls.thread


class Silence(Kept[None]):
    """No warnings of which the message begins so, in this thread."""

    def __init__(self, message: str = "") -> None:
        start = re.compile(message, re.IGNORECASE) if message else None
        self._filter: Any = ("ignore", start, _Unwanted("Unwanted", (Warning,), {}), None, 0)
        self._filters: Any = warnings.filters

    def take(self) -> None:
        """First of all filters."""
        self._filters.insert(0, self._filter)
        _changed()

    def put_back(self) -> None:
        """Out of the filters that are in force by now, too: somebody may have left a block of ``catch_warnings``."""
        for filters in (self._filters, warnings.filters):
            while self._filter in filters:
                filters.remove(self._filter)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
        _changed()


def _changed() -> None:
    """What was shown once is looked up anew."""
    getattr(warnings, "_filters_mutated", lambda: None)()
