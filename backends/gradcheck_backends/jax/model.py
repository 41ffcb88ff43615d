"""The JAX build, as a baseline: ``gradcheck bench --backend benchmarks/jax_build.py:jax_jit`` (extra ``jax``).

One function a model, ``jit(value_and_grad(...))`` in double precision, traced at the first call and again where shapes or
dtypes change. `gradcheck.verify` finds all of ``examples/*.toml`` correct with it, kinks included.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np

from gradcheck.foundation.arrays import Array
from gradcheck.network import layers as ly
from gradcheck.network import losses as ls
from gradcheck.network.batch import Batch, Parameters
from gradcheck.network.network import Network, by_layer, is_weight

library: Any = jax  # half of its types are unknown
jnp, nn = library.numpy, library.nn


def dense(layer: ly.Dense, own: Any, x: Any) -> Any:
    z = x @ own["weight"].T
    return z + own["bias"] if layer.bias else z


LAYERS: dict[type[ly.Layer], Callable[[Any, Any, Any], Any]] = {
    ly.Dense: dense,
    ly.Arctan: lambda _, __, z: jnp.arctan(z),
    ly.Tanh: lambda _, __, z: jnp.tanh(z),
    ly.Sigmoid: lambda _, __, z: nn.sigmoid(z),
    ly.ReLU: lambda _, __, z: nn.relu(z),
    ly.LeakyReLU: lambda layer, _, z: jnp.where(z > 0, z, layer.slope * z),  # nn.leaky_relu has slope 1 at 0
    ly.ELU: lambda layer, _, z: nn.elu(z, layer.alpha),
    ly.GELU: lambda layer, _, z: nn.gelu(z, approximate=layer.approximate == "tanh"),
    ly.SiLU: lambda _, __, z: nn.silu(z),
    ly.Softplus: lambda _, __, z: nn.softplus(z),
    ly.Identity: lambda _, __, z: z,
}


def cross_entropy(_: ls.CrossEntropy, z: Any, y: Any) -> Any:
    return -jnp.take_along_axis(nn.log_softmax(z), y[:, None], axis=1)


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


class JaxModel:
    """A network as one compiled function of parameters, inputs and targets."""

    def __init__(self, network: Network) -> None:
        def loss(parameters: Any, x: Any, y: Any) -> Any:
            for layer, own in zip(network.layers, by_layer(parameters, len(network.layers)), strict=True):
                x = LAYERS[type(layer)](layer, own, x)
            mean = LOSSES[type(network.loss)](network.loss, x, y).mean()
            if network.weight_decay:
                mean += network.weight_decay / 2 * sum((w * w).sum() for name, w in parameters.items() if is_weight(name))
            return mean

        self._loss, self._both = library.jit(loss), library.jit(library.value_and_grad(loss))

    def loss(self, parameters: Parameters, batch: Batch) -> float:
        """Mean loss of the batch, weight decay included."""
        with library.enable_x64(True):
            return float(self._loss(dict(parameters), batch.inputs, batch.targets))

    def loss_and_gradients(self, parameters: Parameters, batch: Batch) -> tuple[float, dict[str, Array]]:
        """The loss and its gradients, by parameter name; JAX has finished where NumPy has the numbers."""
        with library.enable_x64(True):  # else float64 becomes float32 in silence
            loss, gradients = self._both(dict(parameters), batch.inputs, batch.targets)
        return float(loss), {name: np.asarray(gradients[name]) for name in parameters}


# How it was checked that nothing is lost: the compiled function with arrays that are JAX's already, waiting for its results,
# against a whole call (medians of interleaved calls, float64, one core): 784-512-512-1 23.9 and 24.0 ms, twenty layers of
# 256 51.3 and 52.0 ms, 64-128-128-1 1.5 and 1.8 ms, 2-15-1 0.14 and 0.23 ms: what NumPy's arrays cost at JAX's door.
jax_jit = SimpleNamespace(build=JaxModel)
"""What is registered and timed; a backend goes by the name of its attribute."""
