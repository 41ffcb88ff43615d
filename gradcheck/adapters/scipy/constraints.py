"""Constraints of a minimum: their Jacobians, and the Hessians that go with multipliers."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from gradcheck.adapters.scipy.given import Function, Sides, applied, as_matrix, ours, wrapped
from gradcheck.adapters.scipy.questions import Asking, First, Left, Second, missing
from gradcheck.errors import DataError
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.calling import called
from gradcheck.foundation.wording import shown
from gradcheck.oracles.directions import signs


def constrained(constraints: Any, x: Array, bounds: Sides | None) -> Asking:
    """Each constraint by its number: dicts as SLSQP and COBYLA take them, or SciPy's objects."""
    if constraints is None:
        return
    alone = isinstance(constraints, Mapping) or not np.iterable(constraints)
    several: list[Any] = [constraints] if alone else list(cast("Sequence[Any]", constraints))
    for number, each in enumerate(several):
        label = f"constraint {number}"
        if isinstance(each, Mapping):
            given = cast("Mapping[str, Any]", each)
            yield from _nonlinear(label, given.get("fun"), given.get("jac"), x, bounds, given.get("args", ()))
        elif hasattr(each, "A"):
            yield Left(label, "linear, nothing to check")
        elif hasattr(each, "fun") and hasattr(each, "lb"):
            pattern = getattr(each, "finite_diff_jac_sparsity", None)
            yield from _nonlinear(label, each.fun, each.jac, x, bounds, sparsity=pattern)
            yield from _second(label, each, x, bounds)
        else:
            raise DataError(f"{label}: expected a dict or one of SciPy's constraints, got {shown(each)}")


def _nonlinear(
    label: str, fun: Any, jac: Any, x: Array, bounds: Sides | None, args: Any = (), sparsity: Any = None
) -> Asking:
    if not callable(fun):
        raise DataError(f"{label}: fun: expected a function, got {shown(fun)}")
    if callable(jac):
        rest = wrapped(args)
        yield First(f"{label}: jac", applied(fun, rest), applied(jac, rest), x, bounds, sparsity)
    else:
        yield missing(f"{label}: jac", jac)


def _second(label: str, constraint: Any, x: Array, bounds: Sides | None) -> Asking:
    """``hess(x, v)`` is the Hessian of v . fun, for any v: one of entries of both signs and different sizes."""
    hess, label = constraint.hess, f"{label}: hess"
    if callable(hess) and callable(constraint.jac):
        v = signs("v", (np.size(called(constraint.fun, f"{label}: fun", x.copy())),), 0)
        yield Second(label, _combined(constraint.jac, v), applied(hess, (v,)), x, bounds)
    elif callable(hess):
        yield Left(label, "it is the derivative of jac, which is no function")
    elif isinstance(hess, str):
        yield missing(label, hess)


def _combined(jac: Function, v: Array) -> Function:
    """The gradient of v . fun."""

    def gradient(x: Array) -> Array:
        rows = as_matrix(jac(x))
        return np.asarray((rows.reshape(1, -1) if rows.ndim == 1 else rows).T @ v).reshape(x.shape)

    return ours(jac, gradient)
