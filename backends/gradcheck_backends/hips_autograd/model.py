"""The model: the network as one function of its parameters, differentiated by Autograd."""

from collections.abc import Callable, Mapping
from typing import Any

import autograd.numpy as anp
from autograd.core import backward_pass
from autograd.extend import VJPNode, vspace
from autograd.tracer import getval, new_box, trace_stack

from gradcheck.errors import Unsupported
from gradcheck.foundation.arrays import Array
from gradcheck.network.batch import Batch, Parameters
from gradcheck.network.layers import Layer
from gradcheck.network.network import Network, by_layer, is_weight
from gradcheck_backends.hips_autograd import activations, dense
from gradcheck_backends.hips_autograd.losses import LOSSES

LAYERS: dict[type[Layer], Callable[[Any, Mapping[str, Any], Any], Any]] = {**dense.LAYERS, **activations.LAYERS}


class AutogradModel:
    """A network, traced anew at each call.

    Every parameter is a root of the trace, so that Autograd's backward pass ends in it. Its `value_and_grad` would have one
    root, the dict of all: each lookup in a dict is an operation, whose rule makes zeros of every parameter and adds to them.
    """

    # How that was checked: medians of interleaved calls, float64, one thread, batches of 256 (400 for 2-15-1), dense layers
    # each followed by arctan, with the dict and `anp.dot` against this: 784-512-512-1 19.8 and 18.6 ms, twenty layers of 256
    # 60.0 and 48.0 ms, 64-128-128-1 2.1 and 1.4 ms, 2-15-1 0.57 and 0.29 ms.
    def __init__(self, network: Network) -> None:
        for row, rules in (*((layer, LAYERS) for layer in network.layers), (network.loss, LOSSES)):
            if type(row) not in rules:
                raise Unsupported(f"the autograd build has no rule for {type(row).__name__}")
        self.network = network
        self._layers = [(LAYERS[type(layer)], layer) for layer in network.layers]

    def loss(self, parameters: Parameters, batch: Batch) -> float:
        """Mean loss of the batch, weight decay included."""
        return float(self._loss(parameters, batch))

    def loss_and_gradients(self, parameters: Parameters, batch: Batch) -> tuple[float, dict[str, Array]]:
        """The loss and its gradients, by parameter name."""
        found: dict[str, Array] = {}
        with trace_stack.new_trace() as trace:
            roots = {name: new_box(value, trace, _root(name, found)) for name, value in parameters.items()}
            loss = self._loss(roots, batch)
        if roots:
            backward_pass(vspace(getval(loss)).ones(), loss._node)
        return float(getval(loss)), {name: found[name] for name in parameters}

    def _loss(self, parameters: Mapping[str, Any], batch: Batch) -> Any:
        x: Any = batch.inputs
        for (forward, layer), own in zip(self._layers, by_layer(self.network, parameters), strict=True):
            x = forward(layer, own, x)
        each = LOSSES[type(self.network.loss)](self.network.loss, x, batch.targets)
        # A sum times a Python float: the gradient of anp.mean promotes float32.
        mean = anp.sum(each) * (1.0 / each.size)
        if self.network.weight_decay:
            decayed = sum(anp.sum(parameters[name] ** 2) for name in parameters if is_weight(name))
            mean = mean + self.network.weight_decay / 2 * decayed
        return mean


def _root(name: str, found: dict[str, Array]) -> Any:
    """A node without parents, which keeps the gradient that arrives at it."""

    def arrive(gradient: Array) -> tuple[()]:
        found[name] = gradient
        return ()

    root = VJPNode.new_root()
    root.vjp = arrive
    return root
