"""The model: one compiled function of parameters, inputs and targets, in the precision of the arrays."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import numpy as np

from gradcheck.errors import Unsupported
from gradcheck.foundation.arrays import Array
from gradcheck.network.batch import Batch, Parameters
from gradcheck.network.layers import Layer
from gradcheck.network.network import Network, by_layer, is_weight
from gradcheck_backends.jax import activations, dense
from gradcheck_backends.jax.losses import LOSSES

library: Any = jax  # half of its types are unknown
LAYERS: dict[type[Layer], Callable[[Any, Mapping[str, Any], Any], Any]] = {**dense.LAYERS, **activations.LAYERS}


class JaxModel:
    """A network, compiled at its first call, and again where shapes or dtypes change."""

    # How it was checked that nothing is lost: the compiled function with arrays that are JAX's already, waiting for its
    # results, against a whole call (medians of interleaved calls, float64, one core): 784-512-512-1 23.9 and 24.0 ms, twenty
    # layers of 256 51.3 and 52.0 ms, 64-128-128-1 1.5 and 1.8 ms, 2-15-1 0.14 and 0.23 ms: what NumPy's arrays cost at JAX's
    # door.
    def __init__(self, network: Network) -> None:
        for row, rules in (*((layer, LAYERS) for layer in network.layers), (network.loss, LOSSES)):
            if type(row) not in rules:
                raise Unsupported(f"the jax build has no rule for {type(row).__name__}")
        loss = partial(_loss, network)
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


def _loss(network: Network, parameters: Mapping[str, Any], x: Any, y: Any) -> Any:
    for layer, own in zip(network.layers, by_layer(network, parameters), strict=True):
        x = LAYERS[type(layer)](layer, own, x)
    mean = LOSSES[type(network.loss)](network.loss, x, y).mean()
    if network.weight_decay:
        decayed = sum((w * w).sum() for name, w in parameters.items() if is_weight(name))
        mean = mean + network.weight_decay / 2 * decayed
    return mean
