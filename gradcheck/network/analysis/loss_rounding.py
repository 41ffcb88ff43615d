"""Rounding errors of the loss, and of its gradient at the network's outputs (see `rounding`)."""

from functools import partial, singledispatch

import numpy as np
from scipy.special import expit, logsumexp

from gradcheck.foundation.arrays import Array, zeros
from gradcheck.network import losses as ls
from gradcheck.network import reference
from gradcheck.network.analysis import calculus
from gradcheck.network.analysis.calculus import Uncertain
from gradcheck.network.analysis.kinks import freedom, through_factor
from gradcheck.network.reference.tangents import derivative, stepped


@singledispatch
def loss_errors(loss: ls.Loss, z: Uncertain, y: Array, tolerance: Array, u: float) -> tuple[Uncertain, Uncertain, Array]:
    """The mean loss, its gradient at ``z``, each with its variance, and what kinks may change in the gradient.

    This rule is for losses that act on each entry; one that does not registers its own.
    """
    each = reference.losses(loss, z.value, y)
    slopes = _slopes(loss, z.value, y)
    # At a minimum of 0 the slope is 0, and its change is all that rounding leaves of the loss.
    at = partial(_slopes, loss, y=y)
    most = calculus.steepest(at, z.value, slopes, tolerance, also=True)
    bent = calculus.bend(at, z.value, slopes, tolerance, loss.kinks, u)
    own = calculus.slope_rounding(loss.cancellation, z.value, slopes, bent, u) * np.minimum(np.abs(y), 1)
    mean = each.mean()
    spread = most**2 * z.variance + each**2 + calculus.value_rounding(loss.cancellation, z.value) ** 2
    total = Uncertain(mean, calculus.accumulated(z.value.size) * (spread.sum() / z.value.size**2 + mean**2))
    variance = bent**2 * z.variance + 2 * slopes**2 + own**2
    gradient = Uncertain(slopes / z.value.size, variance / z.value.size**2)
    return total, gradient, through_factor(freedom(loss.kinks, y * z.value, tolerance), y / z.value.size)


@loss_errors.register
def _(loss: ls.CrossEntropy, z: Uncertain, y: Array, tolerance: Array, u: float) -> tuple[Uncertain, Uncertain, Array]:
    shape, rows = z.value.shape, (-1, z.value.shape[-1])
    flat = Uncertain(z.value.reshape(rows), z.variance.reshape(rows))
    total, top = _of_rows(loss, flat, y.reshape(-1), tolerance.reshape(rows), u)
    return total, Uncertain(top.value.reshape(shape), top.variance.reshape(shape)), zeros((3, *shape))


def _of_rows(loss: ls.CrossEntropy, z: Uncertain, y: Array, tolerance: Array, u: float) -> tuple[Uncertain, Uncertain]:
    each, n = reference.losses(loss, z.value, y), len(y)
    gap = z.value - z.value.max(axis=1, keepdims=True)
    p = np.exp(gap)
    p /= p.sum(axis=1, keepdims=True)
    hot: Array = np.eye(p.shape[1])[y]
    others = 1 - np.eye(p.shape[1])
    rest = p @ others  # 1 - p without cancellation
    gradient = p * (1 - hot) - rest * hot
    mean = each.mean()
    wide = _carried(gap, p, tolerance, u)
    spread = ((np.abs(gradient) + wide) ** 2 * (z.variance + gap**2)).sum(axis=1) + each**2 + loss.cancellation.value**2
    total = Uncertain(mean, calculus.accumulated(n) * (spread.sum() / n**2 + mean**2))
    # dp_k = p_k ((1 - p_k) dz_k - sum of p_j dz_j over the others); the exponent z - max is itself rounded.
    exponent = z.variance + gap**2
    moved = p**2 * (rest**2 * exponent + (p**2 * exponent) @ others) + (wide / (calculus.SAFETY * u)) ** 2
    own = p * (1 - hot) + np.minimum(loss.cancellation.slope, calculus.SATURATED * rest / u) * hot
    return total, Uncertain(gradient / n, (moved + own**2 + gradient**2) / n**2)


def _carried(gap: Array, p: Array, tolerance: Array, u: float) -> Array:
    """How far a probability may be off where rounding carries a logit far: log(p / (1 - p)) moves by at most twice that."""
    reach = 2 * tolerance.max(axis=1, keepdims=True)
    far = (reach > calculus.FAR) & np.isfinite(reach)
    if not far.any():
        return np.zeros_like(p)
    others = np.where(np.eye(p.shape[1], dtype=bool), -np.inf, gap[:, None, :])
    odds = gap - logsumexp(others, axis=2)
    moved = np.maximum(expit(odds + reach) - p, p - expit(odds - reach))
    return np.where(far, calculus.coherence(reach / 2, p.size, u) * moved, 0.0)


def _slopes(loss: ls.Loss, z: Array, y: Array) -> Array:
    return derivative(reference.losses(loss, stepped(z), y))
