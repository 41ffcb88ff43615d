"""Arrays of NumPy under noise: what ordinary code does with them is off as a level of arithmetic has it."""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple, TypeGuard, cast

import numpy as np

from gradcheck.comparison.noise import Choices, Noise
from gradcheck.foundation.arrays import Array


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


class ShakenArray(np.ndarray[Any, Any]):
    """An ndarray whose operations are under the noise of the run that goes on.

    A subclass, since ordinary code takes an ndarray for granted: indexing, views and assignment are NumPy's own, compiled
    code finds its memory, and NumPy's and SciPy's functions that are written in Python come apart into ufuncs. Each of these
    is one operation here; what is compiled is one operation as a whole.

    What is lost: numbers that leave NumPy (``float(x)``, ``x.tolist()``, ``math.exp``) and arrays that compiled code returns
    keep the noise that they have, and operations among nothing but these are exact. Arrays that ``numpy.zeros`` and its
    like make are under noise where they are called by these names of the module (`gradcheck.comparison.made_arrays`).
    """

    __array_priority__: Any = 1000.0  # pyright: ignore[reportIncompatibleMethodOverride]

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        from gradcheck.comparison.shaken_ufuncs import applied

        run = RUNNING.get()
        operands, targets = tuple(map(plain, inputs)), None if out is None else tuple(map(plain, out))
        if run is None:
            given = {} if targets is None else {"out": targets}
            return getattr(ufunc, method)(*operands, **given, **options)
        with during(None):
            found = applied(run, ufunc, method, operands, targets, options)
        if out is None:
            return shaken(found)
        return out[0] if len(out) == 1 else out

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        from gradcheck.comparison.shaken_functions import applied

        run = RUNNING.get()
        whole = super().__array_function__
        return whole(func, types, args, kwargs) if run is None else applied(run, func, types, args, kwargs, whole)

    def __getitem__(self, key: Any) -> Any:
        return _number(super().__getitem__(key))

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def astype(self, dtype: Any, *args: Any, **options: Any) -> Any:
        """To a narrower floating format it stays as it is; to whole numbers it is a choice."""
        run = RUNNING.get()
        if run is not None and run.lifted and is_narrower(dtype, self.dtype):
            return self.copy()
        found = super().astype(dtype, *args, **options)
        return found if run is None or found.dtype.kind not in "biu" else run.choices.taken(plain(found))

    def dot(self, b: Any, out: Any = None) -> Any:
        """As `numpy.dot`."""
        return np.dot(self, b) if out is None else np.dot(self, b, out=out)

    def argmax(self, *args: Any, **options: Any) -> Any:
        """A choice."""
        return chosen(plain(self).argmax(*args, **options))

    def argmin(self, *args: Any, **options: Any) -> Any:
        """A choice."""
        return chosen(plain(self).argmin(*args, **options))

    def argsort(self, *args: Any, **options: Any) -> Any:
        """A choice."""
        return chosen(plain(self).argsort(*args, **options))

    def argpartition(self, *args: Any, **options: Any) -> Any:
        """A choice."""
        return chosen(plain(self).argpartition(*args, **options))

    def searchsorted(self, v: Any, *args: Any, **options: Any) -> Any:
        """A choice."""
        return chosen(plain(self).searchsorted(plain(v), *args, **options))

    def nonzero(self) -> Any:
        """A choice."""
        return np.nonzero(chosen(plain(self) != 0))

    def round(self, decimals: Any = 0, out: Any = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """A choice."""
        return shaken(chosen(plain(self).round(decimals)))

    def sort(self, axis: int = -1, *args: Any, **options: Any) -> None:
        """In the order that is chosen."""
        own = plain(self)
        order = chosen(own.argsort(axis, kind="stable"))
        own[...] = np.take_along_axis(own, order, axis)

    def partition(self, kth: Any, axis: int = -1, *args: Any, **options: Any) -> None:
        """Sorted, which is more than is asked for."""
        self.sort(axis)


class ShakenNumber(ShakenArray):
    """What NumPy has scalars for, which nothing changes in place."""

    __hash__ = None  # pyright: ignore[reportAssignmentType]


def _anew(operation: str) -> Callable[[Any, Any], Any]:
    def method(self: Any, other: Any) -> Any:
        return getattr(np, operation)(self, other)

    return method


for _name, _operation in {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide", "floordiv": "floor_divide",
    "mod": "remainder", "pow": "power", "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor",
}.items():  # fmt: skip
    setattr(ShakenNumber, f"__i{_name}__", _anew(_operation))


def plain(value: Any) -> Any:
    """The same memory without noise."""
    return value.view(np.ndarray) if isinstance(value, ShakenArray) else value


def shaken(value: Any) -> Any:
    """What floats, under noise, in the same memory where it is an array; tuples and lists as nestings."""
    return nested(_shaken, value)


def _shaken(value: Any) -> Any:
    if type(value) is np.ndarray and floats(value):
        return value.view(ShakenArray)
    return _number(value)


def _number(value: Any) -> Any:
    return (
        np.ndarray.__new__(ShakenNumber, (), value.dtype, np.array(value)) if is_scalar(value) and floats(value) else value
    )


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
