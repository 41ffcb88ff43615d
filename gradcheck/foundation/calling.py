"""Calling somebody else's functions: whatever they raise becomes one sentence."""

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from gradcheck.errors import CallFailed, GradcheckError, shortened

F = TypeVar("F", bound=Callable[..., Any])
HOME = Path(__file__).parents[1]


def one_line(text: object) -> str:
    """Its words, whatever stood between them; what is long is shortened, and what cannot be had is said to be so."""
    try:
        words = str.__str__(str(text))
    except Exception as error:
        words = f"({type(text).__name__} without a text: its __str__ raises {type(error).__name__})"
    return shortened(" ".join(words.split()))


def raised(error: BaseException) -> str:
    """``raised ValueError: its message (mine.py:12)``; the place is left out where it is in code of ours."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    file = Path(frame.filename)
    where = "" if file.is_relative_to(HOME) else f" ({file.name}:{frame.lineno})"
    kind = one_line(name_of(type(error))) or "an exception"
    return f"raised {kind}: {one_line(error) or 'without a message'}{where}"


def called(f: Callable[..., Any], what: str, *args: Any, **kwargs: Any) -> Any:
    """The result of a user's function.

    Raises
    ------
    CallFailed
        Where it raises, with ``what`` it is called in front; errors of ours pass as they are.
    """
    try:
        return f(*args, **kwargs)
    except GradcheckError:
        raise
    except Exception as error:
        raise CallFailed(f"{what} {raised(error)}") from error


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
