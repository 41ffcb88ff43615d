"""Mean losses of outputs z and targets y, and under each its pullback: the gradient at z."""

import numpy as np
from scipy.special import expit

from gradcheck.foundation.arrays import Array
from gradcheck.network import losses as ls
from gradcheck_backends.manual.rules import LossResult, LossRule


def logistic(_: ls.Logistic, z: Array, y: Array) -> LossResult:
    margin = y * z
    e = np.exp(-np.abs(margin))
    each = np.log1p(e)  # log(1 + exp(-m)) = log(1 + exp(-|m|)) - min(m, 0)
    each -= np.minimum(margin, 0)

    def pullback() -> Array:
        g = np.exp(-np.maximum(margin, 0))  # 1 / (1 + exp(m)) = exp(-max(m, 0)) / (1 + exp(-|m|))
        g /= 1 + e
        g *= y
        g *= -1 / z.size
        return g

    return np.add.reduce(each, axis=None) / z.size, pullback


def binary_cross_entropy(_: ls.BinaryCrossEntropy, z: Array, y: Array) -> LossResult:
    return (y * log1pexp(-z) + (1 - y) * log1pexp(z)).mean(), lambda: (expit(z) - y) / z.size


def cross_entropy(loss: ls.CrossEntropy, z: Array, y: Array) -> LossResult:
    if z.ndim > 2:  # a row of logits for each token
        mean, of_rows = cross_entropy(loss, z.reshape(-1, z.shape[-1]), y.ravel())
        return mean, lambda: of_rows().reshape(z.shape)
    n = np.arange(len(y))
    shifted = z - z.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))

    def pullback() -> Array:
        g = np.exp(log_p)
        g[n, y] -= 1
        return g / len(y)

    return -log_p[n, y].mean(), pullback


def mse(_: ls.MSE, z: Array, y: Array) -> LossResult:
    d = z - y
    return (d * d).mean(), lambda: 2 * d / z.size


def huber(loss: ls.Huber, z: Array, y: Array) -> LossResult:
    d = z - y
    clipped = np.clip(d, -loss.delta, loss.delta)
    return (clipped * (d - clipped / 2)).mean(), lambda: clipped / z.size


def hinge(_: ls.Hinge, z: Array, y: Array) -> LossResult:
    margin = 1 - y * z
    return np.maximum(margin, 0).mean(), lambda: -y * (margin > 0) / z.size


def log1pexp(z: Array) -> Array:
    """``log(1 + exp(z))`` without overflow."""
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


LOSSES: dict[type[ls.Loss], LossRule] = {
    ls.Logistic: logistic,
    ls.BinaryCrossEntropy: binary_cross_entropy,
    ls.CrossEntropy: cross_entropy,
    ls.MSE: mse,
    ls.Huber: huber,
    ls.Hinge: hinge,
}
