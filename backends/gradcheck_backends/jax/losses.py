"""The loss of each entry (of each sample, for cross entropy), of outputs z and targets y; the model takes the mean."""

from collections.abc import Callable
from typing import Any

import jax

from gradcheck.network import losses as ls

library: Any = jax  # half of its types are unknown
jnp, nn = library.numpy, library.nn


def cross_entropy(_: ls.CrossEntropy, z: Any, y: Any) -> Any:
    return -jnp.take_along_axis(nn.log_softmax(z), y[..., None], axis=-1)


def huber(loss: ls.Huber, z: Any, y: Any) -> Any:
    d = z - y
    return jnp.where(jnp.abs(d) <= loss.delta, 0.5 * d * d, loss.delta * (jnp.sign(d) * d - 0.5 * loss.delta))


LOSSES: dict[type[ls.Loss], Callable[[Any, Any, Any], Any]] = {
    ls.Logistic: lambda _, z, y: nn.softplus(-y * z),
    ls.BinaryCrossEntropy: lambda _, z, y: y * nn.softplus(-z) + (1 - y) * nn.softplus(z),
    ls.CrossEntropy: cross_entropy,
    ls.MSE: lambda _, z, y: (z - y) ** 2,
    ls.Huber: huber,
    ls.Hinge: lambda _, z, y: nn.relu(1 - y * z),
}
