"""What is minimised: one number, its gradient and its Hessian, as `scipy.optimize.minimize` and its relatives mean them."""

from collections.abc import Mapping
from importlib import import_module
from inspect import signature
from typing import Any, NamedTuple

import numpy as np

from gradcheck.adapters.scipy.constraints import constrained
from gradcheck.adapters.scipy.given import applied, between, pairs, split, vector, wrapped
from gradcheck.adapters.scipy.questions import Asking, First, Left, Product, Second, as_gradient, missing
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.wording import shown


class Names(NamedTuple):
    """What a solver calls the function and its derivatives."""

    fun: str = "fun"
    jac: str = "jac"
    hess: str = "hess"
    hessp: str = "hessp"


NAMES = Names()


def minimised(given: Mapping[str, Any], names: Names = NAMES) -> Asking:
    """The derivatives of the objective, and those of its constraints."""
    x, rest = vector(given["x0"]), wrapped(given.get("args", ()))
    bounds = pairs(given.get("bounds"), x)
    fun, jac, hess, hessp = (given.get(name) for name in names)
    value, gradient = split(fun, jac, rest, names.jac)
    yield missing(names.jac, jac, "a function or True") if gradient is None else First(names.jac, value, gradient, x, bounds)
    for label, second, question in ((names.hess, hess, Second), (names.hessp, hessp, Product)):
        if callable(second) and gradient is not None:
            yield question(label, as_gradient(gradient), applied(second, rest), x, bounds)
        elif second is not None:
            yield Left(label, _no_second(second, names.jac))
    yield from constrained(given.get("constraints"), x, bounds)


def _no_second(second: Any, jac: str) -> str:
    if callable(second):
        return f"it is the derivative of {jac}, which is no function"
    return f"expected a function, got {shown(second)}: there is nothing of yours to check"


def paired(given: Mapping[str, Any], names: Names) -> Asking:
    """Of `fmin_l_bfgs_b` and `fmin_tnc`: without a gradient the function returns both, unless differences are asked for."""
    together = given[names.jac] is None and not given["approx_grad"]
    yield from minimised({**given, names.jac: True} if together else given, names)


def slsqp(given: Mapping[str, Any]) -> Asking:
    """Of `fmin_slsqp`, whose constraints are two functions, or lists of functions without derivatives."""
    yield from minimised(given, Names("func", "fprime"))
    x, rest = vector(given["x0"]), wrapped(given["args"])
    bounds = pairs(given["bounds"], x)
    for name in ("eqcons", "ieqcons"):
        f, jac = given[f"f_{name}"], given[f"fprime_{name}"]
        if f is not None and callable(jac):
            yield First(f"fprime_{name}", applied(f, rest), applied(jac, rest), x, bounds)
        elif f is not None or given[name]:
            yield missing(f"fprime_{name}", jac)


def around(given: Mapping[str, Any]) -> Asking:
    """Of solvers that call `minimize` on the way: derivatives come with what that is given, or with the constraints."""
    options: dict[str, Any] = given.get("options") or {}
    inner: dict[str, Any] = {key: options[key] for key in NAMES if key in options} | (given.get("minimizer_kwargs") or {})
    inner |= {key: given[key] for key in ("args", "bounds", "constraints") if given.get(key) not in (None, ())}
    bound = signature(import_module("scipy.optimize").minimize).bind(given["func"], _start(given), **inner)
    bound.apply_defaults()
    yield from minimised(bound.arguments)


def _start(given: Mapping[str, Any]) -> Array:
    """Where it starts; without, a place inside the bounds."""
    if given.get("x0") is not None:
        return vector(given["x0"])
    bounds = given["bounds"]
    count = np.size(bounds.lb) if hasattr(bounds, "lb") else len(bounds)
    lower, upper = pairs(bounds, np.zeros(count)) or (np.zeros(count), np.zeros(count))
    return between(lower, upper)
