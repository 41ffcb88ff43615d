"""Layers that subtract a mean and divide by a standard deviation."""

from typing import Any

import numpy as np

from gradcheck.foundation.arrays import Array
from gradcheck.network import layers as ly
from gradcheck.network.batch import Parameters
from gradcheck.network.reference.meaning import apply


def standardized(x: Array, axes: tuple[int, ...], eps: float) -> Array:
    """``(x - mean) / sqrt(mean((x - mean)^2) + eps)`` over these axes."""
    d = x - x.mean(axis=axes, keepdims=True)
    return d / np.sqrt((d * d).mean(axis=axes, keepdims=True) + eps)


def scaled(layer: Any, parameters: Parameters, y: Array, shape: tuple[int, ...]) -> Array:
    """By weight and bias, each of one value for each channel."""
    return y * parameters["weight"].reshape(shape) + parameters["bias"].reshape(shape) if layer.affine else y


@apply.register
def _(layer: ly.LayerNorm, parameters: Parameters, x: Array) -> Array:
    return scaled(layer, parameters, standardized(x, (x.ndim - 1,), layer.eps), (-1,))


@apply.register
def _(layer: ly.BatchNorm, parameters: Parameters, x: Array) -> Array:
    places = tuple(range(2, x.ndim))
    return scaled(layer, parameters, standardized(x, (0, *places), layer.eps), (-1, *(1 for _ in places)))
