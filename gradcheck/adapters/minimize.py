"""The derivatives that ``scipy.optimize.minimize`` is given: jac, hess and hessp, with the meanings that it gives them."""

from collections.abc import Callable
from typing import Any, cast

import numpy as np

from gradcheck.adapters.leaves import name_of
from gradcheck.candidates.answer import described
from gradcheck.checking.checker import check
from gradcheck.checking.products import check_hvp
from gradcheck.errors import DataError
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.calling import standing_for
from gradcheck.foundation.validation import Asked, pair_of
from gradcheck.report import Report, joined


def check_scipy(fun: Callable[..., Any], x0: Any, jac: Any, hess: Any, hessp: Any, args: Any, asked: Asked) -> Report:
    """What `gradcheck.check_scipy` does."""
    name, x = name_of(fun), _point(x0)
    rest: tuple[Any, ...] = cast("tuple[Any, ...]", args) if isinstance(args, tuple) else (args,)
    gradient = _gradient(fun, jac, rest)
    reports = [check(_loss(fun, jac, rest), gradient, x, **asked.options).labelled("jac")]
    for label, given in (("hess", hess), ("hessp", hessp)):
        if given is not None:
            product = _product(label, given, rest)
            reports.append(check_hvp(gradient, product, x, **asked.options).labelled(label))
    return joined(f"{name}: {reports[0].title}", reports)


def _point(x0: Any) -> Array:
    x = np.atleast_1d(np.asarray(x0))
    if x.dtype.kind not in "fiu" or x.ndim != 1 or not x.size:
        raise DataError(f"x0: expected a vector of real numbers, got shape {x.shape} of {x.dtype}")
    return x if x.dtype.kind == "f" else x.astype(float)


def _loss(fun: Callable[..., Any], jac: Any, rest: tuple[Any, ...]) -> Callable[[Array], Any]:
    def loss(x: Array) -> Any:
        return _pair(fun, x, rest)[0] if jac is True else fun(x, *rest)

    return standing_for(loss, fun, name_of(fun))


def _gradient(fun: Callable[..., Any], jac: Any, rest: tuple[Any, ...]) -> Callable[[Array], Array]:
    if jac is not True and not callable(jac):
        raise DataError(f"jac: expected a function or True, got {jac!r}: SciPy's own differences leave nothing to check")

    def gradient(x: Array) -> Array:
        found: Any = _pair(fun, x, rest)[1] if jac is True else jac(x, *rest)
        array = np.asarray(found)
        return array.reshape(x.shape) if array.size == x.size else array  # (n, 1) and (1, n) pass in SciPy, too

    gradient.__name__ = name_of(fun if jac is True else jac)
    return gradient


def _pair(fun: Callable[..., Any], x: Array, rest: tuple[Any, ...]) -> tuple[Any, Any]:
    return pair_of(fun(x, *rest), f"{name_of(fun)}: jac=True")


def _product(label: str, given: Any, rest: tuple[Any, ...]) -> Callable[[Array, Array], Array]:
    if not callable(given):
        raise DataError(f"{label}: expected a function, got {given!r}: there is nothing of yours to check")

    def product(x: Array, p: Array) -> Array:
        if label == "hessp":
            return np.asarray(_shaped(label, given(x, p, *rest), x.shape))
        return np.asarray(_shaped(label, given(x, *rest), (x.size, x.size)) @ p).reshape(x.shape)

    product.__name__ = f"{label} ({name_of(given)})"
    return product


def _shaped(label: str, value: Any, shape: tuple[int, ...]) -> Any:
    """A matrix in any form, or a vector that may lie as a row or column; a nested list is a matrix, too."""
    found: Any = value if hasattr(value, "shape") else np.asarray(value)
    if len(shape) == 1 and found.size == shape[0]:
        return found.reshape(shape)
    if tuple(found.shape) != shape:
        raise DataError(f"{label} returned {described(value)}, expected shape {shape}")
    return found
