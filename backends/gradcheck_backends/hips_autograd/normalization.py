"""Layers that take the mean off and divide by the standard deviation."""

from collections.abc import Mapping
from math import prod
from typing import Any

import autograd.numpy as anp

from gradcheck.network import layers as ly


def mean(x: Any, axes: tuple[int, ...]) -> Any:
    """A sum times a Python float: the gradient of anp.mean promotes float32."""
    return anp.sum(x, axis=axes, keepdims=True) * (1.0 / prod(x.shape[axis] for axis in axes))


def normalized(x: Any, axes: tuple[int, ...], eps: float) -> Any:
    centred = x - mean(x, axes)
    return centred / anp.sqrt(mean(centred * centred, axes) + eps)


def layer_norm(layer: ly.LayerNorm, parameters: Mapping[str, Any], x: Any) -> Any:
    x_hat = normalized(x, (x.ndim - 1,), layer.eps)
    return x_hat * parameters["weight"] + parameters["bias"] if layer.affine else x_hat


def batch_norm(layer: ly.BatchNorm, parameters: Mapping[str, Any], x: Any) -> Any:
    """Of all axes but the channels'."""
    x_hat = normalized(x, (0, *range(2, x.ndim)), layer.eps)
    if not layer.affine:
        return x_hat
    weight, bias = (anp.reshape(parameters[name], (-1, *[1] * (x.ndim - 2))) for name in ("weight", "bias"))
    return x_hat * weight + bias


LAYERS = {ly.LayerNorm: layer_norm, ly.BatchNorm: batch_norm}
