"""A function of one unknown, its first and its second derivative, as `root_scalar` and `newton` mean them."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import numpy as np

from gradcheck.adapters.scipy.given import Function, applied, between, ours, part, wrapped
from gradcheck.adapters.scipy.questions import Asking, First, Left, missing
from gradcheck.errors import DataError
from gradcheck.foundation.arrays import Array

ORDERS = ("fprime", "fprime2")


def root(given: Mapping[str, Any], fun: str = "f") -> Asking:
    """Each derivative against the one before it; with True the function returns them, too."""
    x, rest = _point(given), wrapped(given["args"])
    both = applied(given[fun], rest)
    together = next((name for name in reversed(ORDERS) if given[name] is True), "")
    count = ORDERS.index(together) + 2 if together else 1
    before: Function | None = part(both, 0, together, count) if together else both
    for order, name in enumerate(ORDERS, 1):
        if order < count:
            derivative = part(both, order, together, count)
        elif callable(given[name]):
            derivative = applied(given[name], rest)
        elif order == 1 or given[name]:
            derivative = None
            yield missing(name, given[name])
        else:
            return
        if derivative is not None and before is None:
            yield Left(name, "it is the derivative of fprime, which is no function")
        elif derivative is not None and before is not None:
            yield _question(name, before, derivative, x)
        before = derivative


def _question(name: str, f: Function, derivative: Function, x: Any) -> First:
    """In the complex plane by the real and imaginary parts; of many unknowns each has its own equation."""
    if np.iscomplexobj(x):
        f, derivative, x = _parts(f), _cauchy_riemann(derivative), np.array([x.real, x.imag])
    elif np.size(x) > 1:
        derivative = _diagonal(derivative)
    return First(name, f, derivative, x)


def _point(given: Mapping[str, Any]) -> Any:
    """``x0``; of a method that takes none, a place inside the bracket."""
    x0 = given.get("x0")
    if x0 is None and given.get("bracket") is not None:
        x0 = between(*given["bracket"][:2])
    array = np.asarray(x0)
    if array.dtype.kind not in "fiuc" or array.ndim > 1 or (array.ndim and array.dtype.kind == "c"):
        raise DataError(f"x0: expected a number, got {x0!r}")
    return array[()] if array.dtype.kind in "fc" else array.astype(float)[()]


def _parts(f: Callable[[Any], Any]) -> Function:
    def parts(x: Array) -> Array:
        value = complex(f(complex(*x)))
        return np.array([value.real, value.imag])

    return ours(f, parts)


def _cauchy_riemann(derivative: Callable[[Any], Any]) -> Function:
    """The derivatives of both parts by both parts: the product with a complex number."""

    def matrix(x: Array) -> Array:
        value = complex(derivative(complex(*x)))
        return np.array([[value.real, -value.imag], [value.imag, value.real]])

    return ours(derivative, matrix)


def _diagonal(derivative: Function) -> Function:
    diags_array = import_module("scipy.sparse").diags_array
    return ours(derivative, lambda x: diags_array(np.broadcast_to(derivative(x), x.shape)))
