"""What NumPy's functions do to numbers under noise, those that are no ufuncs and do not come apart into them."""

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple, cast

import numpy as np

from gradcheck.comparison.shaken.running import (
    NAMES,
    Run,
    counts,
    during,
    floats,
    is_narrower,
    is_shaken,
    nested,
    plain,
)
from gradcheck.foundation.arrays import Array

# Their results are copies of what they were given, or choices, which are looked at by themselves.
COPIES = frozenset(
    (
        *("where", "select", "choose", "take", "compress", "extract", "diag", "diagonal", "diagflat", "tile"),
        *("repeat", "pad", "roll", "rot90", "flip", "fliplr", "flipud", "block", "concatenate", "stack", "vstack"),
        *("hstack", "dstack", "column_stack", "broadcast_to", "broadcast_arrays", "meshgrid", "real", "imag"),
        *("transpose", "moveaxis", "rollaxis", "rollaxis", "swapaxes", "triu", "tril", "take_along_axis"),
        *("nan_to_num", "insert", "delete", "append", "resize", "ravel", "reshape", "squeeze", "expand_dims"),
        *("atleast_1d", "atleast_2d", "atleast_3d", "split", "array_split", "hsplit", "vsplit", "dsplit", "unstack"),
        *("matrix_transpose", "zeros_like", "ones_like", "empty_like", "full_like", "copy", "piecewise", "copyto"),
        *("putmask", "place", "put", "put_along_axis", "fill_diagonal", "require"),
        *NAMES,
    )
)
ONE = frozenset(("numpy.linalg", "numpy.fft"))  # modules whose functions are compiled, or drop the class of what they get


class Call(NamedTuple):
    """A function and what it was called with."""

    func: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


Whole = Callable[..., Any]


def applied(run: Run, func: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any], whole: Whole) -> Any:
    """Its result; ``whole`` is NumPy's own, which calls what the function is made of."""
    call = Call(func, args, kwargs)
    if func in SUMS:
        return _as_sum(run, call, SUMS[func](*args, **{name: each for name, each in kwargs.items() if name != "out"}))
    if func.__module__ in ONE:
        return _as_sum(run, call, _longest(call))
    if run.lifted and any(is_narrower(kwargs.get("dtype"), each.dtype) for each in _operands(call)):
        kwargs = {name: each for name, each in kwargs.items() if name != "dtype"}
    found = whole(func, types, args, kwargs)
    if func.__name__ not in COPIES and _lost(found):
        return _as_sum(run, call, _longest(call))
    with during(None):
        return _settled(run, found)


def _settled(run: Run, found: Any) -> Any:
    """Whole numbers and truth values as they are chosen."""
    return nested(lambda each: run.choices.taken(np.asarray(each))[()] if counts(each) else each, found)


def _lost(found: Any) -> bool:
    """Whether something in a result has been made from arrays that were stripped of their class."""
    if isinstance(found, tuple | list):
        return any(map(_lost, cast("list[Any]", found)))
    return floats(found) and not is_shaken(found)


def _as_sum(run: Run, call: Call, n: int) -> Any:
    """As one operation, whose result is made of sums of n terms."""

    def off(value: Any) -> Any:
        return run.noise.factor(plain(value), n) if is_shaken(value) else value

    def rounded(value: Any) -> Any:
        return (
            run.noise.total(np.asarray(value), n)[() if isinstance(value, np.generic) else ...] if floats(value) else value
        )

    out = call.kwargs.get("out")
    given = {name: each for name, each in call.kwargs.items() if name != "out"}
    with during(None):
        found = _settled(run, nested(rounded, call.func(*nested(off, call.args), **nested(off, given))))
        if out is not None:
            plain(out)[...] = plain(found)
    return found if out is None else out


def _operands(call: Call) -> list[Array]:
    """All arrays that a function was called with."""
    found: list[Array] = []

    def seen(value: Any) -> None:
        if isinstance(value, np.ndarray):
            found.append(cast("Array", value))

    nested(seen, (list(call.args), call.kwargs))
    return found


def _longest(call: Call) -> int:
    """The longest axis of any operand: what a function that nobody knows may add up."""
    return max((size for operand in _operands(call) for size in operand.shape), default=1)


def _last(a: Any, b: Any, *_: Any, **__: Any) -> int:
    return np.shape(a)[-1] if np.ndim(a) and np.ndim(b) else 1


def _one(*_: Any) -> int:
    return 1


def _all(a: Any, b: Any) -> int:
    return int(np.size(a))


def _contracted(a: Any, b: Any, axes: Any = 2) -> int:
    shape = np.shape(a)
    if isinstance(axes, int):
        return prod(shape[len(shape) - axes :])
    return prod(shape[int(axis)] for axis in np.atleast_1d(axes[0]))


def _summed(subscripts: Any, *operands: Any, **_: Any) -> int:
    """The product of the sizes that do not come in the result."""
    if not isinstance(subscripts, str) or "." in subscripts:
        return max((max(np.shape(operand), default=1) for operand in (subscripts, *operands) if np.ndim(operand)), default=1)
    given, arrow, kept = subscripts.replace(" ", "").partition("->")
    if not arrow:
        kept = "".join(label for label in given if given.count(label) == 1)
    labels = zip(given.split(","), operands, strict=True)
    sizes = {label: size for names, operand in labels for label, size in zip(names, np.shape(operand), strict=True)}
    return prod(size for label, size in sizes.items() if label not in kept)


def _overlapping(a: Any, v: Any, *_: Any, **__: Any) -> int:
    return min(int(np.size(a)), int(np.size(v)))


def _in_one_bin(x: Any, weights: Any = None, minlength: int = 0) -> int:
    counts: Array = np.bincount(plain(x))
    return int(counts.max(initial=1))


SUMS: dict[Any, Callable[..., int]] = {
    np.dot: _last,
    np.inner: _last,
    np.vdot: _all,
    np.outer: _one,
    np.kron: _one,
    np.tensordot: _contracted,
    np.einsum: _summed,
    np.convolve: _overlapping,
    np.correlate: _overlapping,
    np.bincount: _in_one_bin,
}
