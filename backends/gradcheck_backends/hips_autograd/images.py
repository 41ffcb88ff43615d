"""Layers of images (n, channels, height, width), by their windows (n, channels, kernel * kernel, rows, columns)."""

from collections.abc import Mapping
from itertools import product
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd.extend import defvjp, primitive
from autograd.tracer import getval

from gradcheck.foundation.arrays import Array
from gradcheck.network import layers as ly


def _places(shape: tuple[int, ...], kernel: int, stride: int, dilation: int) -> list[tuple[Any, ...]]:
    """For each entry of a window where all windows have it, in images of this shape."""
    rows, columns = ((length - dilation * (kernel - 1) - 1) // stride * stride + 1 for length in shape[2:])
    offsets = product(range(0, dilation * kernel, dilation), repeat=2)
    return [np.s_[:, :, top : top + rows : stride, left : left + columns : stride] for top, left in offsets]


@primitive
def windows(x: Array, kernel: int, stride: int, dilation: int) -> Array:
    """One slice of the images for each entry of a window: Autograd's rules for slices would add them one entry at a time."""
    return np.stack([x[place] for place in _places(x.shape, kernel, stride, dilation)], axis=2)


def _windows_vjp(_: Array, x: Array, kernel: int, stride: int, dilation: int) -> Any:
    def vjp(g: Array) -> Array:
        found = np.zeros(x.shape, g.dtype)
        for entry, place in enumerate(_places(x.shape, kernel, stride, dilation)):
            found[place] += g[:, :, entry]
        return found

    return vjp


defvjp(windows, _windows_vjp, argnums=(0,))


@primitive
def padded(x: Array, padding: int, fill: float = 0.0) -> Array:
    """The images with a border: Autograd's rule for np.pad knows another form of its arguments."""
    around = (padding, padding)
    return np.pad(x, ((0, 0), (0, 0), around, around), constant_values=fill)


def _padded_vjp(_: Array, x: Array, padding: int) -> Any:
    height, width = x.shape[2:]

    def vjp(g: Array) -> Array:
        return g[:, :, padding : padding + height, padding : padding + width]

    return vjp


defvjp(padded, _padded_vjp, argnums=(0,))


def conv2d(layer: ly.Conv2d, parameters: Mapping[str, Any], x: Any) -> Any:
    """Each sample's windows, group by group, times the weights."""
    columns = windows(padded(x, layer.padding), layer.kernel, layer.stride, layer.dilation)
    n, *_, rows, width = columns.shape
    columns = anp.reshape(columns, (n, layer.groups, -1, rows * width))
    weight = anp.reshape(parameters["weight"], (layer.groups, layer.channels // layer.groups, -1))
    z = anp.reshape(anp.matmul(weight, columns), (n, layer.channels, rows, width))
    return z + anp.reshape(parameters["bias"], (-1, 1, 1)) if layer.bias else z


def max_pool2d(layer: ly.MaxPool2d, _: Mapping[str, Any], x: Any) -> Any:
    """The entries by a constant choice, the first of equals; a border of 0 is never chosen."""
    outside = padded(getval(x), layer.padding, -np.inf)
    largest = windows(outside, layer.kernel, layer.step, 1).argmax(axis=2)
    chosen = np.arange(layer.kernel**2)[:, None, None] == largest[:, :, None]
    return anp.sum(windows(padded(x, layer.padding), layer.kernel, layer.step, 1) * chosen, axis=2)


LAYERS = {ly.Conv2d: conv2d, ly.MaxPool2d: max_pool2d}
