"""Layers of images (n, channels, height, width), by their windows (n, channels, rows, columns, kernel, kernel)."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from gradcheck.foundation.arrays import Array
from gradcheck.network.layers import Conv2d, MaxPool2d
from gradcheck_backends.manual.buffers import NONE, Buffers
from gradcheck_backends.manual.rules import Gradients, LayerPullback


class Windows(NamedTuple):
    """Which entries of a padded image a window takes, and how far it goes on."""

    kernel: int
    stride: int
    padding: int
    dilation: int = 1

    def of(self, x: Array, fill: float = 0.0) -> Array:
        """The windows of all images, as a view."""
        around = (self.padding, self.padding)
        padded = np.pad(x, ((0, 0), (0, 0), around, around), constant_values=fill)
        reach = self.dilation * (self.kernel - 1) + 1
        every: Array = sliding_window_view(padded, (reach, reach), axis=(2, 3))
        return every[:, :, :: self.stride, :: self.stride, :: self.dilation, :: self.dilation]

    def folded(self, windows: Array, height: int, width: int) -> Array:
        """The transpose of that: the sum of what all windows say of each entry of the image."""
        n, channels, rows, columns = windows.shape[:4]
        p, s = self.padding, self.stride
        padded = np.zeros((n, channels, height + 2 * p, width + 2 * p), windows.dtype)
        for i in range(self.kernel):
            for j in range(self.kernel):
                top, left = i * self.dilation, j * self.dilation
                padded[:, :, top : top + s * rows : s, left : left + s * columns : s] += windows[..., i, j]
        return padded[:, :, p : p + height, p : p + width]


def conv2d(layer: Conv2d, parameters: Mapping[str, Array], x: Array, _: Buffers) -> tuple[Array, LayerPullback]:
    """One product of matrices a group: its weights times its windows as columns (im2col)."""
    windows = Windows(layer.kernel, layer.stride, layer.padding, layer.dilation)
    columns = windows.of(x).transpose(1, 4, 5, 0, 2, 3)
    entries, places = columns.shape[:3], columns.shape[3:]
    columns = columns.reshape(layer.groups, -1, np.prod(places))
    weight = parameters["weight"].reshape(layer.groups, layer.channels // layer.groups, -1)
    z = (weight @ columns).reshape(layer.channels, *places)
    if layer.bias:
        z += parameters["bias"][:, None, None, None]

    def pullback(g: Array) -> tuple[Array, Gradients]:
        rows = g.swapaxes(0, 1).reshape(*weight.shape[:2], -1)
        gradients = {"weight": (rows @ columns.swapaxes(1, 2)).reshape(parameters["weight"].shape)}
        if layer.bias:
            gradients["bias"] = g.sum(axis=(0, 2, 3))
        below = (weight.swapaxes(1, 2) @ rows).reshape(*entries, *places)
        return windows.folded(below.transpose(3, 0, 4, 5, 1, 2), *x.shape[2:]), gradients

    return z.swapaxes(0, 1), pullback


def max_pool2d(layer: MaxPool2d, _: Mapping[str, Array], x: Array, _buffers: Buffers) -> tuple[Array, LayerPullback]:
    windows = Windows(layer.kernel, layer.step, layer.padding)
    entries = windows.of(x, fill=-np.inf)
    shape, entries = entries.shape, entries.reshape(*entries.shape[:4], -1)
    largest = entries.argmax(axis=-1)[..., None]  # the first of equals

    def pullback(g: Array) -> tuple[Array, Mapping[str, Array]]:
        chosen = np.arange(entries.shape[-1], dtype=np.intp) == largest
        return windows.folded((g[..., None] * chosen).reshape(shape), *x.shape[2:]), NONE

    return np.take_along_axis(entries, largest, axis=-1)[..., 0], pullback


LAYERS = {Conv2d: conv2d, MaxPool2d: max_pool2d}
