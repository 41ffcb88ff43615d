"""Layers that subtract a mean and divide by a standard deviation."""

from collections.abc import Mapping
from typing import Any

import jax

from gradcheck.network import layers as ly
from gradcheck_backends.jax.rules import Rules

library: Any = jax  # half of its types are unknown
jnp = library.numpy


def layer_norm(layer: ly.LayerNorm, parameters: Mapping[str, Any], x: Any) -> Any:
    normal = (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + layer.eps)
    return normal * parameters["weight"] + parameters["bias"] if layer.affine else normal


def batch_norm(layer: ly.BatchNorm, parameters: Mapping[str, Any], x: Any) -> Any:
    """The channels last, the samples and places before them are what a mean is taken over."""
    last = jnp.moveaxis(x, 1, -1)
    over = tuple(range(last.ndim - 1))
    normal = (last - last.mean(over)) / jnp.sqrt(last.var(over) + layer.eps)
    affine = normal * parameters["weight"] + parameters["bias"] if layer.affine else normal
    return jnp.moveaxis(affine, -1, 1)


LAYERS: Rules = {ly.LayerNorm: layer_norm, ly.BatchNorm: batch_norm}
