"""The model of a flat network: forward through the layers, and back through their pullbacks in reverse."""

from collections import ChainMap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradcheck.foundation.arrays import Array
from gradcheck.network.batch import Batch, Parameters
from gradcheck.network.layers import Layer
from gradcheck.network.network import Network, is_weight
from gradcheck_backends.manual import dense
from gradcheck_backends.manual.blocks import LAYERS
from gradcheck_backends.manual.buffers import Buffers, DType, Workspace, lowest_with_parameters
from gradcheck_backends.manual.losses import LOSSES
from gradcheck_backends.manual.rules import LayerPullback, LayerRule, rule_of

# Activations are the same in both. A view: a rule that somebody enters later counts.
IN_COLUMNS: Mapping[type[Layer], LayerRule] = ChainMap(dense.IN_COLUMNS, LAYERS)

SIZES = 4  # batch sizes whose workspaces are kept: full and last batch, of training and of validation


class ManualModel:
    """A flat network as a list of rules, looked up once, and workspaces, allocated once per batch size and dtype.

    A call takes a workspace out and puts it back, so that calls in several threads never share one.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.rules = [rule_of(layer, IN_COLUMNS) for layer in network.layers]
        self.loss_rule = rule_of(network.loss, LOSSES)
        self.names = network.wiring
        self.lowest = lowest_with_parameters(network)
        self._idle: dict[tuple[int, DType], list[Workspace]] = {}

    def loss(self, parameters: Parameters, batch: Batch) -> float:
        """Mean loss of the batch, weight decay included."""
        idle, workspace = self._taken(parameters, batch)
        try:
            outputs, _ = self.forward(parameters, batch.inputs.T, workspace.buffers)
            mean, _ = self.loss_rule(self.network.loss, outputs.T, batch.targets)
            return float(mean + decay(self.network, parameters))
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
        return float(mean + decay(self.network, parameters)), {name: gradients[name] for name in parameters}

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


def decay(network: Network, parameters: Parameters) -> Any:
    """What weight decay adds to the loss."""
    if not network.weight_decay:
        return 0.0
    return network.weight_decay / 2 * sum((w * w).sum() for name, w in parameters.items() if is_weight(name))
