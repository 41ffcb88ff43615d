"""Losses, each for the network's outputs ``z`` and the targets ``y``."""

import numpy as np

from gradcheck.foundation.arrays import Array
from gradcheck.network import losses as ls
from gradcheck.network.reference.functions import log1p, positive_part, softplus
from gradcheck.network.reference.meaning import losses


@losses.register
def _(_loss: ls.Logistic, z: Array, y: Array) -> Array:
    return softplus(-y * z)


@losses.register
def _(_loss: ls.BinaryCrossEntropy, z: Array, y: Array) -> Array:
    return y * softplus(-z) + (1 - y) * softplus(z)


@losses.register
def _(_loss: ls.CrossEntropy, z: Array, y: Array) -> Array:
    top = np.argmax(np.real(z), axis=1)[:, None]
    largest = np.take_along_axis(z, top, axis=1)
    others = np.exp(z - largest)
    np.put_along_axis(others, top, 0, axis=1)  # its exp is 1; log1p keeps what log(1 + tiny) would round away
    return (largest - np.take_along_axis(z, y[:, None], axis=1))[:, 0] + log1p(others.sum(axis=1))


@losses.register
def _(_loss: ls.MSE, z: Array, y: Array) -> Array:
    return (z - y) * (z - y)


@losses.register
def _(loss: ls.Huber, z: Array, y: Array) -> Array:
    d = z - y
    size = np.where(np.real(d) > 0, d, -d)
    return np.where(np.real(size) <= loss.delta, d * d / 2, loss.delta * (size - loss.delta / 2))


@losses.register
def _(_loss: ls.Hinge, z: Array, y: Array) -> Array:
    return positive_part(1 - y * z)
