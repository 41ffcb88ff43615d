"""Attention between the places of a sequence, (n, length, width)."""

from math import sqrt

import numpy as np

from gradcheck.foundation.arrays import Array
from gradcheck.network import layers as ly
from gradcheck.network.batch import Parameters
from gradcheck.network.layers.attention import BASE
from gradcheck.network.layers.blocks import parameters_of
from gradcheck.network.reference.dense import affine
from gradcheck.network.reference.meaning import apply
from gradcheck.network.reference.primitives import softmax


@apply.register
def _(layer: ly.Attention, parameters: Parameters, x: Array) -> Array:
    """Heads in front of places: q (n, heads, length, size), and k, v repeated for the heads that share them."""
    n, length, width = x.shape
    size = width // layer.heads
    each = (affine(parameters_of(parameters, name), x) for name in ("query", "key", "value"))
    q, k, v = (z.reshape(n, length, -1, size).transpose(0, 2, 1, 3) for z in each)
    if layer.rope:
        q, k = turned(q), turned(k)
    shared = np.repeat(np.arange(layer.heads // layer.groups), layer.groups)
    k, v = k[:, shared], v[:, shared]
    seen = np.tri(length, dtype=bool) if layer.causal else True
    y = softmax(q @ k.mT * (1 / sqrt(size)), keep=seen) @ v
    return affine(parameters_of(parameters, "output"), y.transpose(0, 2, 1, 3).reshape(n, length, width))


def turned(x: Array) -> Array:
    """Entries i and i + s/2 of place t as a point of the plane, turned by the angle t * 10000^(-2 i / s)."""
    length, size = map(int, x.shape[-2:])
    angles = np.outer(np.arange(length), BASE ** (-2 * np.arange(size // 2) / size))
    cos, sin = (table.astype(np.finfo(x.dtype).dtype) for table in (np.cos(angles), np.sin(angles)))
    first, second = x[..., : size // 2], x[..., size // 2 :]
    return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
