"""Layers of images (n, channels, height, width)."""

from collections.abc import Mapping
from typing import Any

import jax

from gradcheck.network import layers as ly
from gradcheck_backends.jax.rules import Rules

library: Any = jax  # half of its types are unknown
jnp, lax = library.numpy, library.lax


def conv2d(layer: ly.Conv2d, parameters: Mapping[str, Any], x: Any) -> Any:
    steps, dilations, padding = (layer.stride,) * 2, (layer.dilation,) * 2, ((layer.padding,) * 2,) * 2
    options = {"rhs_dilation": dilations, "feature_group_count": layer.groups}
    z = lax.conv_general_dilated(x, parameters["weight"], steps, padding, **options)
    return z + parameters["bias"][:, None, None] if layer.bias else z


def max_pool2d(layer: ly.MaxPool2d, _: Mapping[str, Any], x: Any) -> Any:
    """By the place of the first of equals: the slope of ``max`` is shared by all of them."""
    around = (layer.padding,) * 2
    padded = jnp.pad(x, ((0, 0), (0, 0), around, around), constant_values=-jnp.inf)
    starts = (jnp.arange(0, size - layer.kernel + 1, layer.step) for size in padded.shape[2:])
    rows, columns = (start[:, None] + jnp.arange(layer.kernel) for start in starts)
    windows = padded[..., rows[:, None, :, None], columns[None, :, None, :]]
    windows = windows.reshape(*windows.shape[:-2], -1)
    return jnp.take_along_axis(windows, windows.argmax(-1, keepdims=True), axis=-1)[..., 0]


LAYERS: Rules = {ly.Conv2d: conv2d, ly.MaxPool2d: max_pool2d}
