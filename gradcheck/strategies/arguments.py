"""Arguments of strategies, refused at once with their name and value; and a chance."""

from collections.abc import Iterable
from typing import Any, TypeVar, cast

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

T = TypeVar("T")

DTYPES = ("float64", "float32")


def whole(name: str, value: int, *, at_least: int) -> int:
    """An integer that is large enough."""
    if not isinstance(value, int) or isinstance(value, bool) or value < at_least:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidArgument(f"{name}={value!r} must be an integer of at least {at_least}")
    return value


def several(given: object) -> tuple[Any, ...]:
    """What is in a sequence; what is in none, alone."""
    return tuple(cast("Iterable[Any]", given)) if isinstance(given, list | tuple | set | frozenset | range) else (given,)


def choices(name: str, values: Iterable[T], kind: type[T], *, at_least: int = 0) -> tuple[T, ...]:
    """A sequence of objects of one kind."""
    try:
        chosen = tuple(values)
    except TypeError:
        raise InvalidArgument(f"{name}={values!r} must be a sequence of {kind.__name__}") from None
    for value in chosen:
        if not isinstance(value, kind):
            raise InvalidArgument(f"{name}={values!r} must hold {kind.__name__} objects, got {value!r}")
    if len(chosen) < at_least:
        raise InvalidArgument(f"{name}={values!r} must not be empty")
    return chosen


def dtypes_of(dtypes: Iterable[str]) -> tuple[str, ...]:
    """A choice of the two."""
    chosen = (dtypes,) if isinstance(dtypes, str) else tuple(dtypes)
    if not chosen or not set(chosen) <= set(DTYPES):
        raise InvalidArgument(f"dtypes={dtypes!r} must be a choice of 'float64' and 'float32'")
    return chosen


def strategy(name: str, value: object) -> None:
    """Something to draw from."""
    if not isinstance(value, st.SearchStrategy):
        raise InvalidArgument(f"{name}={value!r} must be a strategy")


def rarely(draw: st.DrawFn, odds: int) -> bool:
    """True about once in so many draws; shrinks to False. Hypothesis prefers the ends of a range, which this is not."""
    return draw(st.integers(0, odds - 1)) == odds // 2
