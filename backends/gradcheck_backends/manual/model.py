"""The chain rule: forward through the layers, and back through their pullbacks in reverse."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradcheck.errors import Unsupported
from gradcheck.foundation.arrays import Array
from gradcheck.network.batch import Batch, Parameters
from gradcheck.network.layers import Layer
from gradcheck.network.network import Network, is_weight, layer_shapes
from gradcheck_backends.manual import activations, dense
from gradcheck_backends.manual.buffers import Buffers, DType, Workspace, lowest_with_parameters
from gradcheck_backends.manual.losses import LOSSES
from gradcheck_backends.manual.rules import LayerPullback, LayerRule

LAYERS: dict[type[Layer], LayerRule] = {**dense.LAYERS, **activations.LAYERS}

SIZES = 4  # batch sizes whose workspaces are kept: full and last batch, of training and of validation


class ManualModel:
    """A network as a list of rules, looked up once, and workspaces, allocated once per batch size and dtype.

    A call takes a workspace out and puts it back, so that calls in several threads never share one.
    """

    def __init__(self, network: Network) -> None:
        for row, rules in (*((layer, LAYERS) for layer in network.layers), (network.loss, LOSSES)):
            if type(row) not in rules:
                raise Unsupported(f"the manual build has no rule for {type(row).__name__}")
        self.network = network
        self.rules = [LAYERS[type(layer)] for layer in network.layers]
        self.loss_rule = LOSSES[type(network.loss)]
        self.names = [{name: f"{index}.{name}" for name in own} for index, own in enumerate(layer_shapes(network))]
        self.lowest = lowest_with_parameters(network)
        self._idle: dict[tuple[int, DType], list[Workspace]] = {}

    def loss(self, parameters: Parameters, batch: Batch) -> float:
        """Mean loss of the batch, weight decay included."""
        idle, workspace = self._taken(parameters, batch)
        try:
            outputs, _ = self.forward(parameters, batch.inputs.T, workspace.buffers)
            mean, _ = self.loss_rule(self.network.loss, outputs.T, batch.targets)
            return float(mean + self._decay(parameters))
        finally:
            idle.append(workspace)

    def loss_and_gradients(
        self, parameters: Parameters, batch: Batch, *, reuse: bool = False
    ) -> tuple[float, dict[str, Array]]:
        """The loss and its gradients, by parameter name.

        With ``reuse`` the arrays are those of the last call with it, overwritten; else each call's gradients are its own.
        """
        idle, workspace = self._taken(parameters, batch)
        try:
            buffers = workspace.repeated if reuse else workspace.lend()
            outputs, pullbacks = self.forward(parameters, batch.inputs.T, buffers)
            mean, loss_pullback = self.loss_rule(self.network.loss, outputs.T, batch.targets)
            gradients = self.backward(loss_pullback().T, pullbacks)
        finally:
            idle.append(workspace)
        if self.network.weight_decay:
            for name in filter(is_weight, gradients):
                gradients[name] += self.network.weight_decay * parameters[name]
        return float(mean + self._decay(parameters)), {name: gradients[name] for name in parameters}

    def forward(self, parameters: Parameters, x: Array, buffers: Sequence[Buffers]) -> tuple[Array, list[LayerPullback]]:
        """The network's output, and the pullback of every layer; samples in columns."""
        pullbacks: list[LayerPullback] = []
        for layer, rule, names, own in zip(self.network.layers, self.rules, self.names, buffers, strict=True):
            x, pullback = rule(layer, {short: parameters[name] for short, name in names.items()}, x, own)
            pullbacks.append(pullback)
        return x, pullbacks

    def backward(self, g: Array, pullbacks: Sequence[LayerPullback]) -> dict[str, Array]:
        """From the gradient at the last output down through these layers: the gradients by parameter name."""
        gradients: dict[str, Array] = {}
        for index in range(len(pullbacks) - 1, self.lowest - 1, -1):
            g, own = pullbacks[index](g)
            for short, gradient in own.items():
                gradients[self.names[index][short]] = gradient
        return gradients

    # No context manager, whose 2 us are 7 % of a loss of 2-15-1.
    def _taken(self, parameters: Parameters, batch: Batch) -> tuple[list[Workspace], Workspace]:
        """A workspace that nobody uses, and the list to put it back to."""
        key = len(batch.inputs), np.result_type(batch.inputs, *parameters.values())
        idle = self._idle.get(key)
        if idle is None:
            while len(self._idle) >= SIZES:
                self._idle.pop(next(iter(self._idle)), None)
            idle = self._idle.setdefault(key, [])
        try:
            return idle, idle.pop()
        except IndexError:  # another thread may have been faster: asking first would not do
            return idle, Workspace(self.network, *key)

    def _decay(self, parameters: Mapping[str, Array]) -> Any:
        if not self.network.weight_decay:
            return 0.0
        return self.network.weight_decay / 2 * sum((w * w).sum() for name, w in parameters.items() if is_weight(name))
