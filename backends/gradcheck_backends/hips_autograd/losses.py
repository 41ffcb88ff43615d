"""The loss of each entry (of each token, for cross entropy), of outputs z and targets y; the model takes the mean."""

from collections.abc import Callable
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd.tracer import getval

from gradcheck.foundation.arrays import Array
from gradcheck.network import losses as ls
from gradcheck_backends.hips_autograd.primitives import softplus, zero_unless


def cross_entropy(_: ls.CrossEntropy, z: Any, y: Array) -> Any:
    shifted = z - getval(z).max(axis=-1, keepdims=True)
    return anp.log(anp.sum(anp.exp(shifted), axis=-1)) - shifted[(*np.indices(y.shape, sparse=True), y)]


def huber(loss: ls.Huber, z: Any, y: Array) -> Any:
    d = z - y
    inside, sign = np.abs(getval(d)) <= loss.delta, np.sign(getval(d))
    return zero_unless(inside, 0.5 * d * d) + zero_unless(~inside, loss.delta * (sign * d - 0.5 * loss.delta))


def hinge(_: ls.Hinge, z: Any, y: Array) -> Any:
    margin = 1 - y * z
    return zero_unless(getval(margin) > 0, margin)


LOSSES: dict[type[ls.Loss], Callable[[Any, Any, Array], Any]] = {
    ls.Logistic: lambda _, z, y: softplus(-y * z),
    ls.BinaryCrossEntropy: lambda _, z, y: y * softplus(-z) + (1 - y) * softplus(z),
    ls.CrossEntropy: cross_entropy,
    ls.MSE: lambda _, z, y: (z - y) ** 2,
    ls.Huber: huber,
    ls.Hinge: hinge,
}
