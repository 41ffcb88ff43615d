"""Autograd by itself: the gradient of a quadratic form."""

from collections.abc import Callable
from functools import partial
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import grad

from gradcheck.foundation.arithmetic import UNIT
from gradcheck.foundation.arrays import Array
from gradcheck.tour.step import Result, Table
from gradcheck.tour.tour import Tour

SIZES = range(1, 17)


def quadratic(_tour: Tour) -> Result:
    """The gradient of u^T M u / 2 is M u, bit by bit, where both ways through M add up in the same order.

    Autograd adds M u / 2 and M^T (u / 2). Halves are exact. So the difference is 0 where M is symmetric to the last bit, and
    its products are summed in the order of the index along rows and columns alike, or are whole numbers (or M is diagonal),
    so that no sum is rounded. BLAS orders the two differently; then n + 1 roundings of |M| |u| bound it.
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
