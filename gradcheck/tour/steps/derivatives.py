r"""Autograd by itself: six derivatives of one function, and the gradient of a quadratic form.

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
from typing import Any, NamedTuple, TypeAlias, cast

import autograd.numpy as anp
import numpy as np
from autograd import elementwise_grad, grad
from autograd.extend import defvjp, primitive
from numpy.polynomial import Polynomial

from gradcheck.checking.checker import check
from gradcheck.foundation.arithmetic import UNIT
from gradcheck.foundation.arrays import Array
from gradcheck.tour.pictures import Curve, Panel, curves
from gradcheck.tour.step import Result, Table
from gradcheck.tour.tour import Tour
from gradcheck.verdict.findings import Verdict

ORDERS = 6
PER_ORDER = 8
SIZES = range(1, 17)  # of the quadratic forms


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


# By x as it is; by y, and for exp(-x), with a plus in place of the minus.
Rule: TypeAlias = Callable[[Any, Any, Any], Callable[[Any], Any]]
ABOVE_AND_BELOW: tuple[Rule, Rule] = (
    lambda _value, _x, y: lambda g: quotient(g, y),
    lambda _value, x, y: lambda g: quotient(g * x, y**2),
)
quotient: Any = primitive(cast("Any", _quotient))
exponential = primitive(lambda x: np.exp(-x))
defvjp(quotient, *cast("Any", ABOVE_AND_BELOW))
defvjp(exponential, lambda value, _x: lambda g: g * value)


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
    below, claimed = repeated(order - 1), repeated(order)
    values, allowed = claimed(x), bound(x, order)
    errors = np.abs(values - exact(x, order))
    worst = float(np.max(errors / allowed))

    def loss(p: Array) -> float:
        return float(np.sum(below(p)))

    verdict = check(loss, claimed, x[::4]).verdict
    return Derivative(order, values, float(errors.max()), float(allowed.max()), worst, verdict)


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
    picture = curves("tanh(x/2) and its first six derivatives.", Panel("x (no unit)", "derivative (no unit)", lines))
    numbers = {f"ratio_{each.order}": each.ratio for each in found} | {"correct": correct}
    return Result(headline, numbers, (picture,), _table(found), ratio <= 1 and correct == ORDERS, detail)


def _table(found: list[Derivative]) -> Table:
    columns = ("order", "largest error", "largest bound", "the same in u", "worst error / bound", "gradcheck.check")
    rows = [
        (str(order), f"{error:.1e}", f"{limit:.1e}", f"{limit / UNIT:,.0f}", f"{ratio:.2g}", verdict)
        for order, _, error, limit, ratio, verdict in found
    ]
    return Table(columns, rows)


def quadratic(_tour: Tour) -> Result:
    """The gradient of u^T M u / 2 is M u, bit by bit, where both ways through M add up in the same order.

    Autograd adds M u / 2 and M^T (u / 2), and halves are exact; what follows from that is said in the detail.
    """
    rng = np.random.default_rng(0)
    real, whole = ([_drawn(rng, n, whole=whole) for n in SIZES] for whole in (False, True))
    ordered = [_difference(form, *pair) for pair in real]
    blas, exactly = ([_difference(form_by_blas, *pair) for pair in each] for each in (real, whole))
    ratio = max(each / _allowed(*pair) for each, pair in zip(blas, real, strict=True))
    m, u = real[2]
    asymmetric = _difference(form, m + np.diag([m[0, 1] * 1e-9, 0.0], 1), u)
    upto = next((n for n, each in zip(SIZES, ordered, strict=True) if each), SIZES.stop) - 1
    rows = [(f"{n} x {n}", *(f"{each:.1e}" for each in row)) for n, *row in zip(SIZES, ordered, blas, exactly, strict=True)]
    columns = ("M, symmetric", "real, summed in order", "real, by BLAS", "whole numbers, by BLAS")
    headline = f"difference {ordered[2]:g} at 3 x 3; by BLAS {max(blas):.1e} at most, for whole numbers {max(exactly):g}"
    detail = (
        f"Exactly 0 where M is symmetric to the last bit and either no sum is rounded (whole numbers, a diagonal), or rows "
        f"and columns are summed in the same order: here up to {upto} x {upto}. BLAS orders them differently: {ratio:.2g} "
        f"of the bound (n + 1) u |M| |u|, at most. One entry off by 1e-9 makes the difference {asymmetric:.1e}: the "
        f"gradient is (M + M^T) u / 2."
    )
    numbers = {"difference": ordered[2], "whole": max(exactly), "blas_ratio": ratio, "not_symmetric": asymmetric}
    held = ordered[2] == 0 and max(exactly) == 0 and asymmetric > 0 and ratio <= 1
    return Result(headline, numbers, table=Table(columns, rows), held=held, detail=detail)


def form(m: Array, u: Any) -> Any:
    """u^T M u / 2, each sum in the order of the index."""
    return anp.sum(0.5 * u * anp.sum(m * u, axis=1))


def form_by_blas(m: Array, u: Any) -> Any:
    """The same as products of matrices."""
    return 0.5 * u @ (m @ u)


def _drawn(rng: np.random.Generator, n: int, *, whole: bool) -> tuple[Array, Array]:
    m, u = rng.standard_normal((n, n)), rng.standard_normal(n)
    m, u = (np.round(9 * m), np.round(9 * u)) if whole else (m, u)
    return m + m.T, u


def _difference(f: Callable[[Array, Any], Any], m: Array, u: Array) -> float:
    product = np.sum(m * u, axis=1) if f is form else m @ u
    return float(np.max(np.abs(grad(partial(f, m))(u) - product)))


def _allowed(m: Array, u: Array) -> float:
    return float(np.max((len(u) + 1) * UNIT * 2 * (np.abs(m) @ np.abs(u))))
