"""The Autograd build: only forwards are written here; HIPS Autograd differentiates them.

Where one of its own rules overflows or loses the dtype, a primitive with a ``defvjp`` of ours replaces it, and says
why.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import value_and_grad
from autograd.extend import defvjp, primitive
from autograd.scipy.special import erf
from autograd.tracer import getval
from scipy.special import expit

from gradcheck.arrays import Array
from gradcheck.errors import BackendError
from gradcheck.network import layers as ly
from gradcheck.network import losses as ls
from gradcheck.network.network import Network, is_weight, layer_parameters
from gradcheck.protocol import Batch, Parameters

# Autograd's rule for tanh is g / cosh(z)^2, which overflows from |z| = 711 on (355 once squared).
tanh = primitive(np.tanh)
defvjp(tanh, lambda a, z: lambda g: g * (1 - a * a))

# Written as a quotient, 1 / (1 + exp(-z)) would overflow on one side.
sigmoid = primitive(expit)
defvjp(sigmoid, lambda a, z: lambda g: g * (a * (1 - a)))

# log(1 + exp(z)) overflows, and the gradient of logaddexp(0, z) promotes float32.
softplus = primitive(lambda z: np.logaddexp(z, z.dtype.type(0)))
defvjp(softplus, lambda a, z: lambda g: g * expit(z))


def where_positive(condition: Any, z: Any) -> Any:
    """``z`` where the condition holds, else 0: ``anp.where`` promotes float32 gradients, ``anp.maximum`` shares a tie."""
    return getval(condition) * z


def elu(layer: ly.ELU, z: Any) -> Any:
    negative = where_positive(getval(z) <= 0, z)  # expm1 of a large positive number would overflow, where or not
    return where_positive(getval(z) > 0, z) + layer.alpha * anp.expm1(negative)


def gelu(layer: ly.GELU, z: Any) -> Any:
    if layer.approximate == "tanh":
        return 0.5 * z * (1 + tanh(float(np.sqrt(2 / np.pi)) * (z + 0.044715 * z * z * z)))
    return 0.5 * z * (1 + erf(z * float(np.sqrt(0.5))))


def dense(layer: ly.Dense, parameters: Mapping[str, Any], x: Any) -> Any:
    z = anp.dot(x, parameters["weight"].T)
    return z + parameters["bias"] if layer.bias else z


ACTIVATIONS: dict[type[ly.Layer], Callable[[Any, Any], Any]] = {
    ly.Arctan: lambda _, z: anp.arctan(z),
    ly.Tanh: lambda _, z: tanh(z),
    ly.Sigmoid: lambda _, z: sigmoid(z),
    ly.ReLU: lambda _, z: where_positive(getval(z) > 0, z),
    ly.LeakyReLU: lambda layer, z: where_positive(getval(z) > 0, z) + layer.slope * where_positive(getval(z) <= 0, z),
    ly.ELU: elu,
    ly.GELU: gelu,
    ly.SiLU: lambda _, z: z * sigmoid(z),
    ly.Softplus: lambda _, z: softplus(z),
    ly.Identity: lambda _, z: z,
}


def cross_entropy(_: ls.CrossEntropy, z: Any, y: Array) -> Any:
    shifted = z - getval(z).max(axis=1, keepdims=True)
    return anp.log(anp.sum(anp.exp(shifted), axis=1)) - shifted[np.arange(len(y)), y]


def huber(loss: ls.Huber, z: Any, y: Array) -> Any:
    d = z - y
    inside, sign = np.abs(getval(d)) <= loss.delta, np.sign(getval(d))
    return where_positive(inside, 0.5 * d * d) + where_positive(~inside, loss.delta * (sign * d - 0.5 * loss.delta))


def hinge(_: ls.Hinge, z: Any, y: Array) -> Any:
    margin = 1 - y * z
    return where_positive(getval(margin) > 0, margin)


LOSSES: dict[type[ls.Loss], Callable[[Any, Any, Array], Any]] = {
    ls.Logistic: lambda _, z, y: softplus(-y * z),
    ls.BinaryCrossEntropy: lambda _, z, y: y * softplus(-z) + (1 - y) * softplus(z),
    ls.CrossEntropy: cross_entropy,
    ls.MSE: lambda _, z, y: (z - y) ** 2,
    ls.Huber: huber,
    ls.Hinge: hinge,
}

LAYERS: dict[type[ly.Layer], Callable[[Any, Mapping[str, Any], Any], Any]] = {
    ly.Dense: dense,
    **{kind: (lambda layer, _, z, rho=rho: rho(layer, z)) for kind, rho in ACTIVATIONS.items()},
}


class AutogradModel:
    """A network as one function of its parameters, differentiated by Autograd."""

    def __init__(self, network: Network) -> None:
        self.network = network
        missing = [kind.__name__ for kind in map(type, network.layers) if kind not in LAYERS]
        missing += [type(network.loss).__name__] if type(network.loss) not in LOSSES else []
        if missing:
            raise BackendError(f"the autograd build has no forward for {', '.join(missing)}")
        self._value_and_grad = value_and_grad(partial(_loss, network))

    def loss(self, parameters: Parameters, batch: Batch) -> float:
        """Mean loss of the batch, weight decay included."""
        return float(_loss(self.network, dict(parameters), batch))

    def loss_and_gradients(self, parameters: Parameters, batch: Batch) -> tuple[float, dict[str, Array]]:
        """The loss and its gradients, by parameter name."""
        if not parameters:  # Autograd warns where there is nothing to differentiate by
            return self.loss(parameters, batch), {}
        value, gradients = self._value_and_grad(dict(parameters), batch)
        return float(value), gradients


def _loss(network: Network, parameters: dict[str, Any], batch: Batch) -> Any:
    x = batch.inputs
    for index, layer in enumerate(network.layers):
        x = LAYERS[type(layer)](layer, layer_parameters(parameters, index), x)
    each = LOSSES[type(network.loss)](network.loss, x, batch.targets)
    # A sum times a Python float: the gradient of anp.mean promotes float32.
    mean = anp.sum(each) * (1.0 / each.size)
    if network.weight_decay:
        decayed = sum(anp.sum(parameters[name] ** 2) for name in parameters if is_weight(name))
        mean = mean + network.weight_decay / 2 * decayed
    return mean


def build(network: Network) -> AutogradModel:
    """Build a network with Autograd."""
    return AutogradModel(network)
