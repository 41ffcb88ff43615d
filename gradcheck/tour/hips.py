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
from typing import Any, cast

import autograd.numpy as anp
import numpy as np
from autograd import elementwise_grad, grad
from autograd.extend import defvjp, primitive
from numpy.polynomial import Polynomial

import gradcheck
from gradcheck.foundation.arrays import Array
from gradcheck.tour.pictures import Curve, Panel, curves
from gradcheck.tour.step import Picture, Result, Table
from gradcheck.tour.workbench import U, Workbench
from gradcheck.verdict.findings import Verdict

ORDERS = 6
PER_ORDER = 8
SIZES = range(1, 17)


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
    return (order + 1) * U * (PER_ORDER * terms(order)(x) + 4 * sizes)


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


def derivatives(bench: Workbench) -> Result:
    """Each order against its formula and, as the gradient of the order below, by `gradcheck.check`."""
    x = np.linspace(-7, 7, 29 if bench.quick else 201)
    drawn: list[Curve] = [Curve("f", x, function(x))]
    rows: list[tuple[str, ...]] = []
    ratios: list[float] = []
    verdicts: list[Verdict] = []
    for order in range(1, ORDERS + 1):
        values, allowed = repeated(order)(x), bound(x, order)
        error = np.abs(values - exact(x, order))
        ratios.append(float(np.max(error / allowed)))
        verdicts.append(_verdict(order, x))
        drawn.append(Curve(f"order {order}", x, values))
        amplified = float(np.max(allowed)) / U
        rows.append(
            (
                f"{order}",
                f"{error.max():.1e}",
                f"{allowed.max():.1e}",
                f"{amplified:,.0f}",
                f"{ratios[-1]:.2g}",
                verdicts[-1],
            )
        )
    columns = ("order", "largest error", "largest bound", "the same in u", "worst error / bound", "gradcheck.check")
    correct = sum(verdict is Verdict.CORRECT for verdict in verdicts)
    figure = (
        f"orders 1 to {ORDERS}: worst error {max(ratios):.2g} of its bound, {correct} of {ORDERS} correct by gradcheck.check"
    )
    detail = (
        "The bound of order k is 8 (k + 1) u T: rounding, amplified by the terms of Autograd's expression, whose absolute "
        "values add up to T. They cancel, and there are more of them with each order."
    )
    panel = Panel("x (no unit)", "derivative (no unit)", drawn)
    picture = Picture("tanh(x/2) and its first six derivatives.", partial(curves, panels=[panel]))
    numbers = {f"ratio_{order}": ratio for order, ratio in enumerate(ratios, 1)} | {"correct": correct}
    return Result(figure, numbers, (picture,), Table(columns, rows), max(ratios) <= 1 and correct == ORDERS, detail)


def _verdict(order: int, x: Array) -> Verdict:
    below, claimed = repeated(order - 1), repeated(order)
    return gradcheck.check(lambda p: float(np.sum(below(p))), claimed, x[::4]).verdict


def quadratic(_bench: Workbench) -> Result:
    """The gradient of u^T M u / 2 is M u, bit by bit, where both ways through M add up in the same order.

    Autograd adds M u / 2 and M^T (u / 2). Halves are exact. So the difference is 0 where M is symmetric to the last bit, and
    its products are summed in the order of the index along rows and columns alike, or are whole numbers (or M is diagonal),
    so that no sum is rounded. BLAS orders the two differently; then n + 1 roundings of |M| |u| bound it.
    """
    rng = np.random.default_rng(0)
    real, whole = ([_drawn(rng, n, whole=whole) for n in SIZES] for whole in (False, True))
    ordered = [_difference(form, *drawn) for drawn in real]
    blas, exactly = ([_difference(form_by_blas, *drawn) for drawn in each] for each in (real, whole))
    ratio = max(each / _allowed(*drawn) for each, drawn in zip(blas, real, strict=True))
    m, u = real[2]
    crooked = _difference(form, m + np.diag([m[0, 1] * 1e-9, 0.0], 1), u)
    upto = next((n for n, each in zip(SIZES, ordered, strict=True) if each), SIZES.stop) - 1
    rows = [(f"{n} x {n}", *(f"{each:.1e}" for each in row)) for n, *row in zip(SIZES, ordered, blas, exactly, strict=True)]
    columns = ("M, symmetric", "real, summed in order", "real, by BLAS", "whole numbers, by BLAS")
    figure = f"difference {ordered[2]:g} at 3 x 3; by BLAS {max(blas):.1e} at most, for whole numbers {max(exactly):g}"
    detail = (
        f"Exactly 0 where M is symmetric to the last bit and either no sum is rounded (whole numbers, a diagonal), or rows "
        f"and columns are summed in the same order: here up to {upto} x {upto}. BLAS orders them differently: {ratio:.2g} "
        f"of the bound (n + 1) u |M| |u|, at most. One entry off by 1e-9 makes the difference {crooked:.1e}: the gradient "
        f"is (M + M^T) u / 2."
    )
    numbers = {"difference": ordered[2], "whole": max(exactly), "blas_ratio": ratio, "not_symmetric": crooked}
    held = ordered[2] == max(exactly) == 0 < crooked and ratio <= 1
    return Result(figure, numbers, table=Table(columns, rows), held=held, detail=detail)


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
    return float(np.max((len(u) + 1) * U * 2 * (np.abs(m) @ np.abs(u))))
