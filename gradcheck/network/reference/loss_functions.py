"""Losses, each for the network's outputs ``z`` and the targets ``y``."""

from collections.abc import Callable
from typing import Any

import numpy as np

from gradcheck.foundation.arrays import Array
from gradcheck.network import losses as ls
from gradcheck.network.reference.activations import log1p, positive_part, softplus
from gradcheck.network.reference.meaning import losses


def cross_entropy(_: ls.CrossEntropy, z: Array, y: Array) -> Array:
    top = np.argmax(np.real(z), axis=-1)[..., None]
    largest = np.take_along_axis(z, top, axis=-1)
    others = np.exp(z - largest)
    np.put_along_axis(others, top, 0, axis=-1)  # its exp is 1; log1p keeps what log(1 + tiny) would round away
    return (largest - np.take_along_axis(z, y[..., None], axis=-1))[..., 0] + log1p(others.sum(axis=-1))


def huber(loss: ls.Huber, z: Array, y: Array) -> Array:
    d = z - y
    size = np.where(np.real(d) > 0, d, -d)
    return np.where(np.real(size) <= loss.delta, d * d / 2, loss.delta * (size - loss.delta / 2))


LOSSES: dict[type[ls.Loss], Callable[[Any, Array, Array], Array]] = {
    ls.Logistic: lambda _, z, y: softplus(-y * z),
    ls.BinaryCrossEntropy: lambda _, z, y: y * softplus(-z) + (1 - y) * softplus(z),
    ls.CrossEntropy: cross_entropy,
    ls.MSE: lambda _, z, y: (z - y) * (z - y),
    ls.Huber: huber,
    ls.Hinge: lambda _, z, y: positive_part(1 - y * z),
}
for kind, function in LOSSES.items():
    losses.register(kind, function)
