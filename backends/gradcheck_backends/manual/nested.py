"""The model of any network: samples in rows, layers in blocks, parameters with several uses."""

from collections.abc import Mapping, Sequence

from gradcheck.foundation.arrays import Array
from gradcheck.network.batch import Batch, Parameters
from gradcheck.network.network import Network, by_layer, is_weight
from gradcheck_backends.manual.blocks import backward, check, forward
from gradcheck_backends.manual.losses import LOSSES
from gradcheck_backends.manual.model import decay
from gradcheck_backends.manual.rules import LayerPullback, rule_of


class NestedModel:
    """A network as the chain of its layers' rules. Everything is allocated anew at each call."""

    def __init__(self, network: Network) -> None:
        check(network.layers)
        self.network = network
        self.loss_rule = rule_of(network.loss, LOSSES)

    def loss(self, parameters: Parameters, batch: Batch) -> float:
        """Mean loss of the batch, weight decay included."""
        outputs, _ = self.forward(parameters, batch.inputs)
        mean, _ = self.loss_rule(self.network.loss, outputs, batch.targets)
        return float(mean + decay(self.network, parameters))

    def loss_and_gradients(self, parameters: Parameters, batch: Batch) -> tuple[float, dict[str, Array]]:
        """The loss and its gradients, by parameter name."""
        outputs, pullbacks = self.forward(parameters, batch.inputs)
        mean, loss_pullback = self.loss_rule(self.network.loss, outputs, batch.targets)
        gradients = self.backward(loss_pullback(), pullbacks)
        return float(mean + decay(self.network, parameters)), decayed(self.network, parameters, gradients)

    def forward(self, parameters: Parameters, x: Array) -> tuple[Array, list[LayerPullback]]:
        """The network's output, and the pullback of every layer."""
        return forward(self.network.layers, by_layer(self.network, parameters), x)

    def backward(self, g: Array, pullbacks: Sequence[LayerPullback]) -> dict[str, Array]:
        """From the gradient at the output: the gradients by parameter name, those of all uses added up."""
        gradients: dict[str, Array] = {}
        for wires, own in zip(self.network.wiring, backward(g, pullbacks)[1], strict=True):
            for name, gradient in ((wires[short], gradient) for short, gradient in own.items()):
                gradients[name] = gradients[name] + gradient if name in gradients else gradient
        return gradients


def decayed(network: Network, parameters: Parameters, gradients: Mapping[str, Array]) -> dict[str, Array]:
    """The gradients, in the order of the parameters, with what weight decay adds."""
    found = {name: gradients[name] for name in parameters if name in gradients}
    for name in filter(is_weight, found if network.weight_decay else ()):
        found[name] = found[name] + network.weight_decay * parameters[name]
    return found
