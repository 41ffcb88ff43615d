"""Rounding errors of a layer, on the way up and on the way back, and of the loss (see `rounding`)."""

from functools import partial, singledispatch

import numpy as np
from scipy.special import expit, logsumexp

from gradcheck.foundation.arrays import Array, zeros
from gradcheck.network import layers as ly
from gradcheck.network import losses as ls
from gradcheck.network import reference
from gradcheck.network.analysis import calculus
from gradcheck.network.analysis.calculus import Cotangent, Uncertain, tolerance_of
from gradcheck.network.analysis.kinks import freedom, through_factor, through_product, through_slope
from gradcheck.network.batch import Parameters
from gradcheck.network.operations import unregistered
from gradcheck.network.reference.tangents import activation_slopes, derivative, stepped


@singledispatch
def forward_errors(layer: ly.Layer, parameters: Parameters, x: Uncertain, u: float) -> Uncertain:
    """Output of a layer with its variance."""
    raise unregistered("analysis.layer_rounding.forward_errors", layer)


@forward_errors.register
def _(layer: ly.Activation, parameters: Parameters, z: Uncertain, u: float) -> Uncertain:
    a = reference.apply(layer, parameters, z.value)
    own = a**2 + calculus.value_rounding(layer.cancellation, z.value) ** 2
    here, tolerance = activation_slopes(layer, z.value), tolerance_of(z, u)
    near = freedom(layer.kinks, z.value, tolerance).any(axis=0)
    most = calculus.steepest(partial(activation_slopes, layer), z.value, here, tolerance, also=near)
    return Uncertain(a, most**2 * z.variance + own)


def through_activation(layer: ly.Activation, z: Uncertain, g: Cotangent, free: Array, u: float) -> Cotangent:
    """The gradient at an activation's input, given the one at its output and what kinks leave free in its slope."""
    slopes, tolerance, at = activation_slopes(layer, z.value), tolerance_of(z, u), partial(activation_slopes, layer)
    most = calculus.steepest(at, z.value, slopes, tolerance, also=free.any(axis=0))
    bent = calculus.bend(at, z.value, slopes, tolerance, layer.kinks, u)
    own = calculus.slope_rounding(layer.cancellation, z.value, slopes, bent, u)
    value = g.value * slopes
    spread = most**2 * g.variance + g.value**2 * (bent**2 * z.variance + own**2)
    return Cotangent(value, spread + value**2, through_slope(g.kinks, g.value, slopes, free))


@forward_errors.register
def _(layer: ly.Dense, parameters: Parameters, x: Uncertain, u: float) -> Uncertain:
    z = reference.apply(layer, parameters, x.value)
    variance = (x.variance + x.value**2) @ (parameters["weight"] ** 2).T + z**2
    variance *= calculus.accumulated(x.value.shape[1])
    return Uncertain(z, variance + parameters["bias"] ** 2 if layer.bias else variance)


@singledispatch
def backward_errors(
    layer: ly.Layer, parameters: Parameters, x: Uncertain, g: Cotangent
) -> tuple[Cotangent, dict[str, Cotangent]]:
    """Gradients at a layer's input and of its parameters, given the one at its output, ``g``."""
    raise unregistered("analysis.layer_rounding.backward_errors", layer)


@backward_errors.register
def _(layer: ly.Dense, parameters: Parameters, x: Uncertain, g: Cotangent) -> tuple[Cotangent, dict[str, Cotangent]]:
    weight, spread = parameters["weight"], g.variance + g.value**2
    below = g.value @ weight
    down = Cotangent(
        below, calculus.accumulated(len(weight)) * (spread @ weight**2 + below**2), through_product(g.kinks, weight)
    )
    return down, of_dense(layer, x, g)


def of_dense(layer: ly.Dense, x: Uncertain, g: Cotangent) -> dict[str, Cotangent]:
    """Gradients of its parameters."""
    product, spread = g.value.T @ x.value, g.variance + g.value**2
    variance = spread.T @ x.value**2
    if x.variance.any():
        variance += (g.value**2).T @ x.variance
    variance += product**2
    sums = calculus.accumulated(len(x.value))
    own = {
        "weight": Cotangent(
            product, variance if sums == 1 else sums * variance, through_product(np.swapaxes(g.kinks, 1, 2), x.value)
        )
    }
    if layer.bias:
        total = g.value.sum(axis=0)
        own["bias"] = Cotangent(total, sums * (spread.sum(axis=0) + total**2), g.kinks.sum(axis=1))
    return own


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
    return total, Uncertain(gradient / n, (moved + own**2 + gradient**2) / n**2), zeros((3, *p.shape))


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
