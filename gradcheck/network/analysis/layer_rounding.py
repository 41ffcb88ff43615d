"""Rounding errors of one layer, on the way up and on the way back (see `gradcheck.network.analysis.rounding`)."""

from collections.abc import Mapping
from functools import partial, singledispatch

import numpy as np

from gradcheck.foundation.arrays import Array
from gradcheck.network import layers as ly
from gradcheck.network import reference
from gradcheck.network.analysis.calculus import (
    Cotangent,
    Uncertain,
    bend,
    slope_rounding,
    steepest,
    tolerance_of,
    value_rounding,
)
from gradcheck.network.analysis.kinks import freedom, through_product, through_slope
from gradcheck.network.operations import unregistered
from gradcheck.network.reference.derivatives import activation_slopes


@singledispatch
def forward_errors(layer: ly.Layer, parameters: Mapping[str, Array], x: Uncertain, u: float) -> Uncertain:
    """Output of a layer with its variance."""
    raise unregistered("analysis.layer_rounding.forward_errors", layer)


@forward_errors.register
def _(layer: ly.Activation, parameters: Mapping[str, Array], z: Uncertain, u: float) -> Uncertain:
    a = reference.apply(layer, parameters, z.value)
    own = a**2 + value_rounding(layer.cancellation, z.value) ** 2
    here, tolerance = activation_slopes(layer, z.value), tolerance_of(z, u)
    near = freedom(layer.kinks, z.value, tolerance).any(axis=0)
    most = steepest(partial(activation_slopes, layer), z.value, here, tolerance, also=near)
    return Uncertain(a, most**2 * z.variance + own)


def through_activation(layer: ly.Activation, z: Uncertain, g: Cotangent, free: Array, u: float) -> Cotangent:
    """The gradient at an activation's input, given the one at its output and what kinks leave free in its slope."""
    slopes, tolerance, at = activation_slopes(layer, z.value), tolerance_of(z, u), partial(activation_slopes, layer)
    most = steepest(at, z.value, slopes, tolerance, also=free.any(axis=0))
    bent = bend(at, z.value, slopes, tolerance, layer.kinks, u)
    own = slope_rounding(layer.cancellation, z.value, slopes, bent, u)
    value = g.value * slopes
    spread = most**2 * g.variance + g.value**2 * (bent**2 * z.variance + own**2)
    return Cotangent(value, spread + value**2, through_slope(g.kinks, g.value, slopes, free))


@forward_errors.register
def _(layer: ly.Dense, parameters: Mapping[str, Array], x: Uncertain, u: float) -> Uncertain:
    z = reference.apply(layer, parameters, x.value)
    variance = (x.variance + x.value**2) @ (parameters["weight"] ** 2).T + z**2
    return Uncertain(z, variance + parameters["bias"] ** 2 if layer.bias else variance)


@singledispatch
def backward_errors(
    layer: ly.Layer, parameters: Mapping[str, Array], x: Uncertain, g: Cotangent
) -> tuple[Cotangent, dict[str, Cotangent]]:
    """Gradients at a layer's input and of its parameters, given the one at its output, ``g``."""
    raise unregistered("analysis.layer_rounding.backward_errors", layer)


@backward_errors.register
def _(
    layer: ly.Dense, parameters: Mapping[str, Array], x: Uncertain, g: Cotangent
) -> tuple[Cotangent, dict[str, Cotangent]]:
    weight, spread = parameters["weight"], g.variance + g.value**2
    below = g.value @ weight
    down = Cotangent(below, spread @ weight**2 + below**2, through_product(g.kinks, weight))
    return down, of_dense(layer, x, g)


def of_dense(layer: ly.Dense, x: Uncertain, g: Cotangent) -> dict[str, Cotangent]:
    """Gradients of its parameters."""
    product, spread = g.value.T @ x.value, g.variance + g.value**2
    variance = spread.T @ x.value**2
    if x.variance.any():
        variance += (g.value**2).T @ x.variance
    variance += product**2
    own = {"weight": Cotangent(product, variance, through_product(np.swapaxes(g.kinks, 1, 2), x.value))}
    if layer.bias:
        total = g.value.sum(axis=0)
        own["bias"] = Cotangent(total, spread.sum(axis=0) + total**2, g.kinks.sum(axis=1))
    return own
