"""What goes on in a run under noise, as its arrays and their functions know it; and what kinds of values there are."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple, TypeGuard, cast

import numpy as np

from gradcheck.comparison.noise import Choices, Noise
from gradcheck.foundation.arrays import Array

NAMES = (
    *("zeros", "ones", "empty", "full", "array", "asarray", "asanyarray", "ascontiguousarray", "asfortranarray", "eye"),
    *("identity", "linspace", "arange"),
)
"""Functions of NumPy that make arrays."""


class Run(NamedTuple):
    """One run of a reference: its noise, its choices, and whether what it makes narrower stays as wide as it is."""

    noise: Noise
    choices: Choices
    lifted: bool = True


RUNNING: ContextVar[Run | None] = ContextVar("gradcheck_shaken", default=None)


@contextmanager
def during(run: Run | None) -> Generator[None]:
    """Arrays are under the noise of this run; under none at all where operations are taken apart."""
    token = RUNNING.set(run)
    try:
        yield
    finally:
        RUNNING.reset(token)


def plain(value: Any) -> Any:
    """An array in the same memory without noise."""
    return value.view(np.ndarray) if is_shaken(value) else value


def is_shaken(value: Any) -> bool:
    """Whether it is an array under noise: nobody else's class is among those of a run."""
    return isinstance(value, np.ndarray) and type(cast("Any", value)) is not np.ndarray


def nested(f: Callable[[Any], Any], value: Any) -> Any:
    """A nesting of tuples, lists and dictionaries with every leaf mapped."""
    if isinstance(value, dict):
        return {name: nested(f, each) for name, each in cast("dict[Any, Any]", value).items()}
    if isinstance(value, tuple | list):
        kind = cast("Any", type(value))  # pyright: ignore[reportUnknownArgumentType]
        parts = [nested(f, each) for each in cast("list[Any]", value)]
        return kind(*parts) if hasattr(kind, "_fields") else kind(parts)
    return f(value)


def floats(value: Any) -> TypeGuard[Array]:
    """Whether it is an array or scalar of NumPy of real or complex numbers."""
    return isinstance(value, np.ndarray | np.generic) and cast("Any", value).dtype.kind in "fc"


def is_scalar(value: Any) -> bool:
    """Whether it is a scalar of NumPy, of whatever."""
    return isinstance(value, np.generic)


def counts(value: Any) -> TypeGuard[Array]:
    """Whether it is one of whole numbers or truth values."""
    return isinstance(value, np.ndarray | np.generic) and cast("Any", value).dtype.kind in "biu"


def chosen(choice: Any) -> Any:
    """As the run has it."""
    run = RUNNING.get()
    if run is None:
        return choice
    with during(None):
        return run.choices.taken(np.asarray(choice))[()]


def is_narrower(dtype: Any, own: Any) -> bool:
    """Whether it is a floating format with fewer digits."""
    try:
        asked = np.dtype(dtype)
    except TypeError:
        return False
    return asked.kind == "f" and own.kind in "fc" and asked.itemsize < own.itemsize
