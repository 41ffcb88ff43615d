"""Arrays of NumPy under noise: what ordinary code does with them is off as a level of arithmetic has it."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from gradcheck.comparison.shaken import functions, ufuncs
from gradcheck.comparison.shaken.running import RUNNING, chosen, during, floats, is_narrower, is_scalar, nested, plain


class ShakenArray(np.ndarray[Any, Any]):
    """An ndarray whose operations are under the noise of the run that goes on.

    A subclass, since ordinary code takes an ndarray for granted: indexing, views and assignment are NumPy's own, compiled
    code finds its memory, and NumPy's and SciPy's functions that are written in Python come apart into ufuncs. Each of these
    is one operation here; what is compiled is one operation as a whole.

    What is lost: numbers that leave NumPy (``float(x)``, ``x.tolist()``, ``math.exp``) and arrays that compiled code returns
    keep the noise that they have, and operations among nothing but these are exact. Arrays that ``numpy.zeros`` and its
    like make are under noise where they are called by these names of the module (`gradcheck.comparison.shaken.made`).
    """

    __array_priority__: Any = 1000.0  # pyright: ignore[reportIncompatibleMethodOverride]

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        run = RUNNING.get()
        operands, targets = tuple(map(plain, inputs)), None if out is None else tuple(map(plain, out))
        if run is None:
            given = {} if targets is None else {"out": targets}
            return getattr(ufunc, method)(*operands, **given, **options)
        with during(None):
            found = ufuncs.applied(run, ufunc, method, operands, targets, options)
        if out is None:
            return shaken(found)
        return out[0] if len(out) == 1 else out

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        run = RUNNING.get()
        whole = super().__array_function__
        if run is None:
            return whole(func, types, args, kwargs)
        return shaken(functions.applied(run, func, types, args, kwargs, whole))

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
