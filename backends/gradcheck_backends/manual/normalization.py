"""Layers that take the mean off and divide by the standard deviation, both of some axes."""

from collections.abc import Mapping

import numpy as np

from gradcheck.foundation.arrays import Array
from gradcheck.network.layers import BatchNorm, LayerNorm
from gradcheck_backends.manual.buffers import Buffers
from gradcheck_backends.manual.rules import Gradients, LayerPullback


def layer_norm(layer: LayerNorm, parameters: Mapping[str, Array], x: Array, _: Buffers) -> tuple[Array, LayerPullback]:
    """Statistics over the last axis, along which weight and bias lie too."""
    last = x.ndim - 1
    return normalization(layer, parameters, x, (last,), kept=last)


def batch_norm(layer: BatchNorm, parameters: Mapping[str, Array], x: Array, _: Buffers) -> tuple[Array, LayerPullback]:
    """Statistics over all axes but the channels', along which weight and bias lie."""
    return normalization(layer, parameters, x, (0, *range(2, x.ndim)), kept=1)


def normalization(
    layer: LayerNorm | BatchNorm, parameters: Mapping[str, Array], x: Array, axes: tuple[int, ...], kept: int
) -> tuple[Array, LayerPullback]:
    """Statistics over ``axes``; weight and bias along the axis ``kept``."""
    centred = x - x.mean(axes, keepdims=True)
    deviation = np.sqrt((centred * centred).mean(axes, keepdims=True) + layer.eps)
    x_hat = centred / deviation

    def pullback_of_x_hat(g: Array) -> Array:
        return (g - g.mean(axes, keepdims=True) - x_hat * (g * x_hat).mean(axes, keepdims=True)) / deviation

    if not layer.affine:
        return x_hat, lambda g: (pullback_of_x_hat(g), {})
    weight, bias = (parameters[name].reshape(-1, *[1] * (x.ndim - 1 - kept)) for name in ("weight", "bias"))
    others = tuple(axis for axis in range(x.ndim) if axis != kept)

    def pullback(g: Array) -> tuple[Array, Gradients]:
        return pullback_of_x_hat(g * weight), {"weight": (g * x_hat).sum(others), "bias": g.sum(others)}

    return x_hat * weight + bias, pullback


LAYERS = {LayerNorm: layer_norm, BatchNorm: batch_norm}
