r"""Autograd by itself: six derivatives of one function.

The function is f(x) = (1 - exp(-x)) / (1 + exp(-x)) = tanh(x/2). With t = tanh(x/2), every derivative is a polynomial
in t: if f^(k) = P_k(t) then f^(k+1) = P_k'(t) (1 - t^2) / 2, from P_0(t) = t. The factor is computed as 1 / (2 cosh(x/2)^2),
which cancels nothing.

How far Autograd may be off: it differentiates the quotient and never simplifies, so its k-th derivative is a sum of terms
that cancel. T_k, the sum of their absolute values, is had from Autograd itself: the same function and the same rules with
every minus turned into a plus (`quotient`, `exponential`). Each order makes every term from one of the order before by
no more than 8 operations (dividing g by y costs one; g x / y^2 three; y^2 three; exp two), so a term has been rounded at
most 8 (k + 1) times, and to first order

    |error| <= 8 (k + 1) u T_k

and for the polynomial itself, whose coefficients are c, 4 (k + 1) u sum |c| / (2 cosh^2).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, cast

import autograd.numpy as anp
import numpy as np
from autograd import elementwise_grad
from autograd.extend import defvjp, primitive
from numpy.polynomial import Polynomial

from gradcheck.checking.checker import check
from gradcheck.foundation.arithmetic import UNIT
from gradcheck.foundation.arrays import Array
from gradcheck.tour.pictures import Curve, Panel, curves
from gradcheck.tour.step import Picture, Result, Table
from gradcheck.tour.tour import Tour
from gradcheck.verdict.findings import Verdict

ORDERS = 6
PER_ORDER = 8


def function(x: Any) -> Any:
    """(1 - exp(-x)) / (1 + exp(-x)), as Autograd sees it."""
    e = anp.exp(-x)
    return (1.0 - e) / (1.0 + e)


def repeated(order: int, f: Callable[[Any], Any] = function) -> Callable[[Any], Any]:
    """Autograd's derivative of this order."""
    for _ in range(order):
        f = elementwise_grad(f)
    return f


def polynomial(order: int) -> Polynomial:
    """P_k, by the recursion above."""
    p = Polynomial([0.0, 1.0])
    for _ in range(order):
        p = p.deriv() * Polynomial([0.5, 0.0, -0.5])
    return p


def exact(x: Array, order: int) -> Array:
    """The derivative of this order, 1 or more, to rounding."""
    return polynomial(order - 1).deriv()(np.tanh(x / 2)) / (2 * np.cosh(x / 2) ** 2)


def bound(x: Array, order: int) -> Array:
    """How far Autograd and `exact` may be apart, derived above."""
    sizes = np.abs(polynomial(order - 1).deriv().coef).sum() / (2 * np.cosh(x / 2) ** 2)
    return (order + 1) * UNIT * (PER_ORDER * terms(order)(x) + 4 * sizes)


def _quotient(x: Any, y: Any) -> Any:
    return x / y


def _exponential(x: Any) -> Any:
    return np.exp(-x)


# By x as it is; by y, and for exp(-x), with a plus in place of the minus.
def _above(_value: Any, _x: Any, y: Any) -> Callable[[Any], Any]:
    return lambda g: quotient(g, y)


def _below(_value: Any, x: Any, y: Any) -> Callable[[Any], Any]:
    return lambda g: quotient(g * x, y**2)


def _grown(value: Any, _x: Any) -> Callable[[Any], Any]:
    return lambda g: g * value


quotient: Any = primitive(cast("Any", _quotient))
exponential = primitive(_exponential)
RULES: tuple[Any, ...] = (_above, _below)
defvjp(quotient, *RULES)
defvjp(exponential, _grown)


def terms(order: int) -> Callable[[Any], Any]:
    """T_k: Autograd's derivative with nothing cancelled."""
    return repeated(order, lambda x: quotient(1.0 + exponential(x), 1.0 + exponential(x)))


class Derivative(NamedTuple):
    """One order: the largest error and the largest bound, the largest quotient of both, and what `gradcheck.check` says."""

    order: int
    values: Array
    error: float
    bound: float
    ratio: float
    verdict: Verdict


def derivative(order: int, x: Array) -> Derivative:
    """Against its formula, and as the gradient of the order below."""
    values, allowed = repeated(order)(x), bound(x, order)
    errors = np.abs(values - exact(x, order))
    worst = float(np.max(errors / allowed))
    return Derivative(order, values, float(errors.max()), float(allowed.max()), worst, _verdict(order, x))


def derivatives(tour: Tour) -> Result:
    """Each order against its formula and, as the gradient of the order below, by `gradcheck.check`."""
    x = np.linspace(-7, 7, 29 if tour.quick else 201)
    found = [derivative(order, x) for order in range(1, ORDERS + 1)]
    ratio, correct = max(each.ratio for each in found), sum(each.verdict is Verdict.CORRECT for each in found)
    in_all = f"{correct} of {ORDERS} correct by gradcheck.check"
    headline = f"orders 1 to {ORDERS}: worst error {ratio:.2g} of its bound, {in_all}"
    detail = (
        "The bound of order k is 8 (k + 1) u T: rounding, amplified by the terms of Autograd's expression, whose absolute "
        "values add up to T. They cancel, and there are more of them with each order."
    )
    lines = [Curve("f", x, function(x)), *(Curve(f"order {each.order}", x, each.values) for each in found)]
    panel = Panel("x (no unit)", "derivative (no unit)", lines)
    picture = Picture("tanh(x/2) and its first six derivatives.", partial(curves, panels=[panel]))
    numbers = {f"ratio_{each.order}": each.ratio for each in found} | {"correct": correct}
    return Result(headline, numbers, (picture,), _table(found), ratio <= 1 and correct == ORDERS, detail)


def _table(found: list[Derivative]) -> Table:
    columns = ("order", "largest error", "largest bound", "the same in u", "worst error / bound", "gradcheck.check")
    rows = [
        (str(order), f"{error:.1e}", f"{limit:.1e}", f"{limit / UNIT:,.0f}", f"{ratio:.2g}", verdict)
        for order, _, error, limit, ratio, verdict in found
    ]
    return Table(columns, rows)


def _verdict(order: int, x: Array) -> Verdict:
    below, claimed = repeated(order - 1), repeated(order)
    return check(lambda p: float(np.sum(below(p))), claimed, x[::4]).verdict
