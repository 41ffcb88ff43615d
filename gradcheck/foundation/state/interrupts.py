"""^C at any moment: whatever is just being taken or put back comes first, and the interrupt right after.

Python raises what a signal's handler raises between any two instructions, also in the middle of an ``__exit__`` that puts
something back, or before its first line. While a check runs the handler is ours: in an ``__enter__`` or ``__exit__`` it
waits, and is asked again a moment later. So nobody's context manager is broken off, neither ours nor a framework's.
"""

import _thread
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import CodeType, FrameType, TracebackType
from typing import Any, Generic, TypeVar

from gradcheck.foundation.calling import called

T = TypeVar("T")

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGALRM") if hasattr(signal, name))
SOON = 0.001  # seconds until a signal that had to wait is asked again
PATIENCE = 1.0  # seconds that a context manager of somebody else's may take: more is work, which ^C is there to stop

_open: set[CodeType] = {called.__code__}
_shut: set[CodeType] = set()
_F = TypeVar("_F", bound=Callable[..., Any])


def interruptible(function: _F) -> _F:
    """Where it is at work a signal may be handled, whatever is around it: it calls somebody else's code, or waits."""
    _open.add(function.__code__)
    return function


def _undivided(function: _F) -> _F:
    """A signal that comes while it is at work waits until it has ended."""
    _shut.add(function.__code__)
    return function


class Kept(ABC, Generic[T]):
    """Something that is changed for the length of a ``with`` block, and put back whatever happens in it."""

    @abstractmethod
    def take(self) -> T:
        """Remember what there is, then change it; what is returned is the block's."""

    @abstractmethod
    def put_back(self) -> None:
        """As it was; also where `take` was not done."""

    @_undivided
    def __enter__(self) -> T:
        try:
            return self.take()
        except BaseException:
            self.put_back()
            raise

    @_undivided
    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.put_back()


class Guard:
    """Around a whole check: in the main thread its signals are handled by us; in others there are none.

    An interrupt that was raised and has not come out of the work, because it met a ``__del__``, or code of C that makes
    another exception of it, is raised at the end.
    """

    def __init__(self) -> None:
        self._found: dict[int, Callable[[int, FrameType | None], Any]] = {}
        self._waiting: dict[int, float] = {}
        self._lock = threading.RLock()  # the handler may come in between
        self._raised: BaseException | None = None
        self._asked_again, self._over = False, False

    @_undivided
    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            try:
                self._install()
            except BaseException:
                self._remove()
                raise

    @_undivided
    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._remove()
        for number in self._waiting:
            self._found[number](number, None)
        if self._raised is not None and (error is None or isinstance(error, Exception)):
            raise self._raised from error

    def _install(self) -> None:
        for number in SIGNALS:
            found = signal.getsignal(number)
            if callable(found):
                self._found[number] = found
                try:
                    signal.signal(number, self._handle)
                except ValueError:  # not the main interpreter: no signals here
                    del self._found[number]

    def _remove(self) -> None:
        """The handlers that were found are in force again; what still waits then is all that comes."""
        with self._lock:
            self._over = True
        if self._asked_again:  # what was sent just before is handled now, by us, who know that it is nothing new
            signal.pthread_sigmask(signal.SIG_BLOCK, ())
        for number, found in self._found.items():
            signal.signal(number, found)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if _may_not(frame, patient=now - self._waiting.get(number, now) < PATIENCE):
            self._wait(number, now)
            return
        with self._lock:
            self._waiting.pop(number, None)
        try:
            self._found[number](number, frame)
        except BaseException as raised:
            self._raised = raised
            raise

    def _wait(self, number: int, now: float) -> None:
        with self._lock:
            self._waiting.setdefault(number, now)
            if not self._over:
                self._asked_again = True
                # Not by `threading`, whose locks the interrupted code may hold.
                _thread.start_new_thread(self._ask_again, (number,))

    def _ask_again(self, number: int) -> None:
        time.sleep(SOON)
        with self._lock:
            if number in self._waiting and not self._over:
                signal.pthread_kill(threading.main_thread().ident or 0, number)


def _may_not(frame: FrameType | None, patient: bool) -> bool:
    """Whether something is being taken or put back there: by us, or by others as long as one is ``patient``."""
    while frame is not None and frame.f_code not in _open:
        if frame.f_code in _shut or (patient and frame.f_code.co_name in ("__enter__", "__exit__")):
            return True
        frame = frame.f_back
    return False
