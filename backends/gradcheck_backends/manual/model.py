"""The chain rule: forward through the layers, and back through their pullbacks in reverse."""

from typing import Any

from gradcheck.arrays import Array
from gradcheck.network.network import Network, is_weight, layer_parameters
from gradcheck.protocol import Batch, Parameters
from gradcheck_backends.manual import activations as activations
from gradcheck_backends.manual import dense as dense
from gradcheck_backends.manual import losses as losses
from gradcheck_backends.manual.rules import LAYER_RULES, LOSS_RULES, LayerPullback, LossRule, find


class ManualModel:
    """A network as a list of rules, looked up once."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.rules = [find(LAYER_RULES, layer) for layer in network.layers]
        self.loss_rule: LossRule = find(LOSS_RULES, network.loss)

    def loss(self, parameters: Parameters, batch: Batch) -> float:
        """Mean loss of the batch, weight decay included."""
        outputs, _ = self._forward(parameters, batch.inputs)
        mean, _ = self.loss_rule(self.network.loss, outputs, batch.targets)
        return float(mean + self._decay(parameters))

    def loss_and_gradients(self, parameters: Parameters, batch: Batch) -> tuple[float, dict[str, Array]]:
        """The loss and its gradients, by parameter name."""
        outputs, pullbacks = self._forward(parameters, batch.inputs)
        mean, loss_pullback = self.loss_rule(self.network.loss, outputs, batch.targets)
        gradients = backward(loss_pullback(), pullbacks)
        if self.network.weight_decay:
            for name in filter(is_weight, gradients):
                gradients[name] += self.network.weight_decay * parameters[name]
        return float(mean + self._decay(parameters)), {name: gradients[name] for name in parameters}

    def _forward(self, parameters: Parameters, x: Array) -> tuple[Array, list[LayerPullback]]:
        pullbacks: list[LayerPullback] = []
        for index, (layer, rule) in enumerate(zip(self.network.layers, self.rules, strict=True)):
            x, pullback = rule(layer, layer_parameters(parameters, index), x)
            pullbacks.append(pullback)
        return x, pullbacks

    def _decay(self, parameters: Parameters) -> Any:
        if not self.network.weight_decay:
            return 0.0
        return self.network.weight_decay / 2 * sum((w * w).sum() for name, w in parameters.items() if is_weight(name))


def backward(g: Array, pullbacks: list[LayerPullback]) -> dict[str, Array]:
    """From the gradient at the last output down through these layers: the gradients by parameter name."""
    gradients: dict[str, Array] = {}
    for index in reversed(range(len(pullbacks))):
        g, own = pullbacks[index](g)
        gradients |= {f"{index}.{name}": gradient for name, gradient in own.items()}
    return gradients


def build(network: Network) -> ManualModel:
    """Build a network by hand."""
    return ManualModel(network)
