"""Functions of several values and the matrix of their derivatives: residuals to be fitted, equations to be solved."""

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

from gradcheck.adapters.scipy.given import (
    Function,
    Sides,
    applied,
    as_matrix,
    ours,
    sides,
    split,
    transposed,
    unpacked,
    vector,
    wrapped,
)
from gradcheck.adapters.scipy.questions import Asking, First, missing
from gradcheck.errors import DataError
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.wording import shown

Given = Mapping[str, Any]


def residuals(given: Given) -> Asking:
    """Of `least_squares`, before loss and scales: these concern what SciPy makes of them."""
    x, args, kwargs = vector(given["x0"]), unpacked(given["args"]), given["kwargs"]
    f = applied(given["fun"], args, kwargs)
    jac, bounds, pattern = given["jac"], sides(given["bounds"], x), given["jac_sparsity"]
    if callable(jac):
        yield First("jac", f, applied(jac, args, kwargs), x, bounds, pattern)
    else:
        yield missing("jac", jac)
        yield from structure(f, x, bounds, pattern)


def structure(f: Function, x: Array, bounds: Sides | None, pattern: Any) -> Asking:
    """What SciPy's own differences are told of the matrix."""
    if pattern is not None:
        yield First("jac_sparsity", f, None, x, bounds, pattern)


def equations(given: Given) -> Asking:
    """Of `root`: the same as `fsolve`'s and `leastsq`'s, where ``jac=True`` stands for pairs."""
    options: Given = given["options"] or {}
    yield from _system(given, "fun", "jac", bool(options.get("col_deriv")))


def minpack(given: Given, fun: str = "func", jac: str = "Dfun") -> Asking:
    """Of `fsolve` and `leastsq`."""
    yield from _system(given, fun, jac, bool(given["col_deriv"]))


def _system(given: Given, fun: str, jac: str, columns: bool) -> Asking:
    x, args = vector(np.ravel(given["x0"])), wrapped(given["args"])
    f, derivative = split(given[fun], given[jac], args, jac)
    if derivative is None:
        yield missing(jac, given[jac], "a function" if jac != "jac" else "a function or True")
    else:
        yield First(jac, f, transposed(derivative) if columns else derivative, x)


def model(given: Given) -> Asking:
    """Of `curve_fit`: ``f(xdata, *parameters)`` and ``jac(xdata, *parameters)``; data and their errors come after them."""
    f, jac, options = given["f"], given["jac"], given["kwargs"]
    names, data = _parameters(f), _data(given)
    x = _start(given, len(names))
    if not callable(jac):
        yield missing("jac", jac)
        return
    value = ours(f, lambda p: np.asarray(f(data, *p)))
    matrix = ours(jac, lambda p: as_matrix(jac(data, *p)))
    matrix = transposed(matrix) if options.get("col_deriv") else matrix
    named = tuple(names[: x.size]) if len(names) >= x.size else ()
    yield First("jac", value, matrix, x, sides(given["bounds"], x), options.get("jac_sparsity"), named)


def _parameters(f: Any) -> list[str]:
    """What a model calls its parameters, as far as it gives them names."""
    if not callable(f):
        raise DataError(f"f: expected a function, got {shown(f)}")
    try:
        found = list(inspect.signature(f).parameters.values())[1:]
    except ValueError:  # of what is not written in Python
        return []
    return [each.name for each in found if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]


def _start(given: Given, count: int) -> Array:
    """``p0``; without, ones, or what lies inside the bounds, as SciPy starts."""
    if given["p0"] is not None:
        return vector(given["p0"], "p0")
    if not count:
        raise DataError("p0: expected the parameters at which to start: the model does not say how many there are")
    x = np.ones(count)
    lower, upper = sides(given["bounds"], x) or (x - np.inf, x + np.inf)
    between = np.where(np.isfinite(lower) & np.isfinite(upper), (lower + upper) / 2, x)
    between = np.where(np.isfinite(lower) & np.isinf(upper), lower + 1, between)
    return np.where(np.isinf(lower) & np.isfinite(upper), upper - 1, between)


def _data(given: Given) -> Any:
    """Where the model is evaluated: what is like an array is one, without what SciPy leaves out."""
    data = given["xdata"]
    if not isinstance(data, list | tuple | np.ndarray):
        return data
    array = np.asarray(data, float)
    if given["nan_policy"] != "omit":
        return array
    absent = np.isnan(array).any(axis=tuple(range(array.ndim - 1))) | np.isnan(np.asarray(given["ydata"], float))
    return array[..., ~absent]
