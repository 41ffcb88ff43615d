"""Calling somebody else's functions: whatever they raise becomes one sentence, and whatever they end is known by name."""

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import lru_cache
from mmap import mmap
from typing import Any, TypeVar

from gradcheck.errors import CallFailed, GradcheckError, shortened

F = TypeVar("F", bound=Callable[..., Any])
HOME = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RUNNERS = ("_pytest", "hypothesis")  # packages whose exceptions speak to whoever runs the tests: skip, fail, assume
_called = mmap(-1, 256)  # what is called; a process that was forked shares it with the one that waits for it


def one_line(text: object) -> str:
    """Its words, whatever stood between them; what is long is shortened, and what cannot be had is said to be so."""
    try:
        words = str.__str__(str(text))
    except Exception as error:
        words = f"({type(text).__name__} without a text: its __str__ raises {type(error).__name__})"
    return shortened(" ".join(words.split()))


def raised(error: BaseException) -> str:
    """``raised ValueError: its message (mine.py:12)``; the place is left out where it is in code of ours."""
    from traceback import extract_tb  # with what it needs half of the time in which a command starts

    frame = extract_tb(error.__traceback__)[-1]
    ours = frame.filename.startswith(HOME + os.sep)
    where = "" if ours else f" ({os.path.basename(frame.filename)}:{frame.lineno})"
    kind = one_line(name_of(type(error))) or "an exception"
    return f"raised {kind}: {one_line(error) or 'without a message'}{where}"


def passes(error: BaseException) -> bool:
    """Whether it is nobody's mistake: an interrupt, or what a library of tests raises to end one."""
    packages = {str(kind.__module__).partition(".")[0] for kind in type(error).__mro__}
    return isinstance(error, KeyboardInterrupt) or not packages.isdisjoint(RUNNERS)


@contextmanager
def theirs(what: str = "") -> Generator[None]:
    """Around code of somebody else's, which is called ``what`` should it end this process; without, as what is around this.

    A process that it has forked off and that comes back from it ends here: there is one report.
    """
    found = _begin(what)
    try:
        yield
    finally:
        _end(*found)


def _begin(what: str) -> tuple[bytes, int]:
    found = _called[:], os.getpid()
    if what:
        _called[:] = _as_kept(what)
    return found


def _end(before: bytes, process: int) -> None:
    _called[:] = before
    if os.getpid() != process:
        os._exit(0)


@lru_cache(maxsize=100)
def _as_kept(what: str) -> bytes:
    return what.encode(errors="replace")[: len(_called)].ljust(len(_called), b"\0")


def being_called() -> str:
    """What code of somebody else's is called, here or in a process that was forked from this one and has ended in it."""
    return _called[:].rstrip(b"\0").decode(errors="replace")


def called(f: Callable[..., Any], what: str, *args: Any, **kwargs: Any) -> Any:
    """The result of a user's function.

    Raises
    ------
    CallFailed
        Where it raises, with ``what`` it is called in front; errors of ours pass as they are.
    """
    found = _begin(what)  # as `theirs`, without the cost of a context manager at each evaluation
    try:
        return f(*args, **kwargs)
    except GradcheckError:
        raise
    except BaseException as error:
        if passes(error):
            raise
        raise CallFailed(f"{what} {raised(error)}") from error
    finally:
        _end(*found)


def name_of(f: Any) -> str:
    """What a function is called, where it has a name worth telling."""
    try:
        name = str.__str__(str(getattr(f, "__name__", "")))
    except Exception:
        name = ""
    return "" if name == "<lambda>" else name


def guarded(f: Callable[..., Any], role: str) -> Callable[..., Any]:
    """The function, under its own name or that of its role; what it raises is one sentence."""
    name = name_of(f) or role

    def function(*args: Any) -> Any:
        return called(f, name, *args)

    return standing_for(function, f, name)


def standing_for(function: F, f: Callable[..., Any], name: str = "") -> F:
    """A function of ours in the place of a user's: under its name, and whoever asks what it reads is shown the user's."""
    function.__name__ = name or name_of(f) or type(f).__name__
    function.__wrapped__ = f  # pyright: ignore[reportFunctionMemberAccess]
    return function
