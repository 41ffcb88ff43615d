# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# pyright: reportUnknownMemberType=false
# (Rules that are one expression.)
"""The primitives of most traces in NumPy, which compiles nothing: JAX compiles each anew for every shape."""

from collections.abc import Callable, Mapping
from math import prod
from typing import Any, TypeAlias

import numpy as np
from scipy import special

from gradcheck.foundation.arrays import Array

Params: TypeAlias = Mapping[str, Any]
Rule: TypeAlias = Callable[..., Any]


def _reduced(ufunc: Any) -> Rule:
    return lambda params, x: ufunc.reduce(x, axis=tuple(params["axes"]))


def _broadcast(params: Params, x: Array) -> Array:
    shape = [1] * len(params["shape"])
    for axis, size in zip(params["broadcast_dimensions"], x.shape, strict=True):
        shape[axis] = size
    return np.broadcast_to(x.reshape(shape), params["shape"])


def _product(params: Params, a: Array, b: Array) -> Array:
    """Batch axes first, then those of the first operand, then those of the second."""
    (summed_a, summed_b), (batch_a, batch_b) = params["dimension_numbers"]
    own_a = [axis for axis in range(a.ndim) if axis not in (*summed_a, *batch_a)]
    own_b = [axis for axis in range(b.ndim) if axis not in (*summed_b, *batch_b)]
    batch, rows, columns = ([x.shape[axis] for axis in axes] for x, axes in ((a, batch_a), (a, own_a), (b, own_b)))
    n = prod(a.shape[axis] for axis in summed_a)
    left = a.transpose(*batch_a, *own_a, *summed_a).reshape(*batch, prod(rows), n)
    right = b.transpose(*batch_b, *summed_b, *own_b).reshape(*batch, n, prod(columns))
    return np.matmul(left, right).reshape(*batch, *rows, *columns)


def _slice(params: Params, x: Array) -> Array:
    strides = params["strides"] or (1,) * x.ndim
    return x[tuple(map(slice, params["start_indices"], params["limit_indices"], strides))]


def _selected(params: Params, which: Array, *cases: Array) -> Array:
    return np.where(which.astype(bool), cases[1], cases[0]) if len(cases) == 2 else np.choose(which, cases)


def _power(params: Params, x: Array) -> Array:
    return 1 / x ** -params["y"] if params["y"] < 0 else x ** params["y"]


def _counting(params: Params) -> Array:
    shape, axis = params["shape"], params["dimension"]
    column = np.arange(shape[axis], dtype=params["dtype"]).reshape([-1 if a == axis else 1 for a in range(len(shape))])
    return np.broadcast_to(column, shape)


def _cumulated(params: Params, x: Array) -> Array:
    x = np.flip(x, params["axis"]) if params["reverse"] else x
    found = np.cumsum(x, params["axis"])
    return np.flip(found, params["axis"]) if params["reverse"] else found


def _converted(params: Params, x: Array) -> Array:
    return x.astype(params["new_dtype"])


def _plain(f: Callable[..., Any]) -> Rule:
    return lambda _, *values: f(*values)


MOVING: dict[str, Rule] = {
    "broadcast_in_dim": _broadcast,
    "reshape": lambda params, x: x.reshape(params["new_sizes"]),
    "squeeze": lambda params, x: np.squeeze(x, tuple(params["dimensions"])),
    "transpose": lambda params, x: x.transpose(params["permutation"]),
    "slice": _slice,
    "concatenate": lambda params, *values: np.concatenate(values, params["dimension"]),
    "rev": lambda params, x: np.flip(x, tuple(params["dimensions"])),
    "select_n": _selected,
    "convert_element_type": _converted,
    "iota": _counting,
    **dict.fromkeys(("copy", "copy_p", "stop_gradient", "reduce_precision", "optimization_barrier"), _plain(lambda x: x)),
}
"""Of numbers of any kind."""

SAME = (
    "sign",
    "floor",
    "ceil",
    "square",
    "sqrt",
    "exp",
    "exp2",
    "log",
    "log1p",
    "expm1",
    "sin",
    "cos",
    "tanh",
    "abs",
    "add",
)
OTHERS = {
    **dict(
        zip(("add_any", "sub", "mul", "div", "neg"), (np.add, np.subtract, np.multiply, np.divide, np.negative), strict=True)
    ),
    **dict(zip(("max", "min", "pow", "atan2"), (np.maximum, np.minimum, np.power, np.arctan2), strict=True)),
    **dict(zip(("eq", "ne", "lt", "le"), (np.equal, np.not_equal, np.less, np.less_equal), strict=True)),
    **dict(zip(("gt", "ge", "is_finite"), (np.greater, np.greater_equal, np.isfinite), strict=True)),
    **dict(zip(("logistic", "erf", "erfc"), (special.expit, special.erf, special.erfc), strict=True)),
}

COMPUTING: dict[str, Rule] = {
    "dot_general": _product,
    "integer_pow": _power,
    "cumsum": _cumulated,
    "reduce_sum": _reduced(np.add),
    "reduce_prod": _reduced(np.multiply),
    "reduce_max": _reduced(np.maximum),
    "reduce_min": _reduced(np.minimum),
    "rsqrt": lambda _, x: 1 / np.sqrt(x),
    **{name: _plain(getattr(np, name)) for name in SAME},
    **{name: _plain(function) for name, function in OTHERS.items()},
}
"""Of floating numbers: NumPy divides whole ones otherwise, and warns where they overflow."""


def rule(name: str, values: list[Array]) -> Rule | None:
    """What NumPy does in the place of a primitive, if that is known of such numbers."""
    floating = bool(values) and all(value.dtype == np.float64 for value in values)
    return MOVING.get(name) or (COMPUTING.get(name) if floating else None)
