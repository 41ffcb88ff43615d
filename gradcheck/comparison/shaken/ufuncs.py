"""What each universal function does to numbers under noise: copies, chooses, adds up, or rounds once."""

from collections.abc import Mapping
from math import prod
from typing import Any, cast

import numpy as np

from gradcheck.comparison.shaken.running import Run, floats, is_narrower
from gradcheck.foundation.arrays import Array

COPIES = frozenset(("negative", "positive", "conjugate", "copysign"))
STEPS = frozenset(("sign", "floor", "ceil", "rint", "trunc", "floor_divide", "heaviside", "spacing"))
LARGEST = {"maximum": np.greater_equal, "fmax": np.greater_equal, "minimum": np.less_equal, "fmin": np.less_equal}
FACTORS = frozenset(("matmul", "vecdot", "matvec", "vecmat"))

Operands = tuple[Any, ...]
Options = Mapping[str, Any]


def applied(run: Run, ufunc: Any, method: str, operands: Operands, out: Operands | None, options: Options) -> Any:
    """Its result; written to ``out`` where that is given."""
    given = _meant(run, options, operands)
    if method == "at":
        return _added_at(run, ufunc, *operands)
    found = _found(run, ufunc, method, operands, out, given)
    if out is not None:
        results = cast("Operands", found) if isinstance(found, tuple) else (found,)
        for target, each in zip(out, results, strict=True):
            np.copyto(target, each, casting="unsafe", where=given.get("where", True))
    return cast("Any", found)


def _meant(run: Run, options: Options, operands: Operands) -> dict[str, Any]:
    """The options that say something; a narrower format is not asked for."""
    idle: Any = {"initial": np._NoValue, "where": True, "dtype": None}  # pyright: ignore
    found = {name: value for name, value in options.items() if not (name in idle and value is idle[name])}
    if run.lifted and any(is_narrower(found.get("dtype"), operand.dtype) for operand in operands if floats(operand)):
        del found["dtype"]
    return found


def _found(run: Run, ufunc: Any, method: str, operands: Operands, out: Operands | None, options: dict[str, Any]) -> Any:
    name = ufunc.__name__
    if method == "reduce" and name in LARGEST and not options.keys() & {"initial", "where"}:
        return _largest_of(run, name, operands[0], **options)
    if method == "__call__" and name in LARGEST and not options:
        return _larger(run, name, *operands)
    if method == "__call__" and name in ("absolute", "fabs") and not options and np.asarray(operands[0]).dtype.kind == "f":
        return np.where(run.choices.taken(np.signbit(operands[0])), np.negative(operands[0]), operands[0])[()]  # pyright: ignore
    if method == "__call__" and name == "clip" and not options:
        return _clipped(run, *operands)
    n = _terms(name, method, operands, options)
    if name in FACTORS:
        operands = tuple(run.noise.factor(np.asarray(operand), n) for operand in operands)
    elif name in ("add", "subtract") and method not in ("__call__", "outer"):
        operands = (run.noise.term(np.asarray(operands[0]), n), *operands[1:])
    return _off(run, name, n, method, _plainly(ufunc, method, operands, out, options))


def _plainly(ufunc: Any, method: str, operands: Operands, out: Operands | None, options: dict[str, Any]) -> Any:
    """Without noise; what a mask leaves out is what stood there."""
    if out is not None and "where" in options:
        options = {**options, "out": tuple(map(np.copy, out)) if method == "__call__" else (np.copy(out[0]),)}
    return getattr(ufunc, method)(*operands, **options)


def _off(run: Run, name: str, n: int, method: str, found: Any) -> Any:
    """What was found as the arithmetic has it."""
    if isinstance(found, tuple):
        return tuple(_off(run, name, n, method, each) for each in cast("Operands", found))
    array = np.asarray(found)
    if array.dtype.kind in "biu" or name in STEPS:
        array = run.choices.taken(array)
    elif name in COPIES or (name in (*LARGEST, "absolute", "fabs", "clip")):
        return found
    elif name in FACTORS or (name in ("add", "subtract") and method not in ("__call__", "outer")):
        array = run.noise.total(array, n)
    else:
        array = run.noise.result(array, n**0.5)
    return array if isinstance(found, np.ndarray) else array[()]


def _terms(name: str, method: str, operands: Operands, options: Options) -> int:
    """How many numbers each entry of the result is made of."""
    first = np.asarray(operands[0])
    if name in FACTORS:
        return first.shape[-1]
    if method == "reduce":
        axis = options.get("axis", 0)
        axes = range(first.ndim) if axis is None else np.atleast_1d(axis)
        return prod(first.shape[a] for a in axes)
    if method == "accumulate":
        return first.shape[options.get("axis", 0)]
    if method == "reduceat":
        return -(-first.shape[options.get("axis", 0)] // max(1, len(operands[1])))
    return 1


def _larger(run: Run, name: str, a: Any, b: Any) -> Any:
    """One of both, which may be no number: that counts as the larger, or for ``fmax`` as the smaller."""
    first = LARGEST[name](a, b) | np.isnan(b if name.startswith("f") else a)
    return np.where(run.choices.taken(first), a, b)[()]  # pyright: ignore


def _clipped(run: Run, x: Any, low: Any, high: Any) -> Any:
    """What lies between, or an end."""
    place = run.choices.taken(np.where(np.greater(x, high), 2, np.where(np.less(x, low), 1, 0)))
    return np.choose(place, np.broadcast_arrays(x, low, high))[()]


def _largest_of(run: Run, name: str, x: Array, axis: Any = 0, keepdims: bool = False, dtype: Any = None) -> Any:
    """The entry at the place that is chosen."""
    axes = tuple(range(x.ndim)) if axis is None else tuple(int(a) % x.ndim for a in np.atleast_1d(axis)) if x.ndim else ()
    kept = [a for a in range(x.ndim) if a not in axes]
    rows = x.transpose(*kept, *axes).reshape(*(x.shape[a] for a in kept), prod(x.shape[a] for a in axes))
    by = np.argmax if name in ("maximum", "fmax") else np.argmin
    place = run.choices.taken(by(rows, axis=-1))
    found = np.take_along_axis(rows, place[..., None], -1)[..., 0]
    return np.expand_dims(found, axes) if keepdims else found[()]


def _added_at(run: Run, ufunc: Any, target: Array, index: Any, *values: Any) -> None:
    """Where an index comes several times, a sum."""
    counts = np.zeros(target.shape)
    np.add.at(counts, index, 1.0)
    n = int(counts.max(initial=1.0))
    if values and ufunc.__name__ in ("add", "subtract"):
        values = (run.noise.term(np.asarray(values[0]), n),)
    ufunc.at(target, index, *values)
    hit = counts > 0
    target[hit] = run.noise.total(target[hit], n) if ufunc.__name__ in ("add", "subtract") else run.noise.result(target[hit])
