"""The Autograd build: only forwards are written here; HIPS Autograd differentiates them.

Where one of its own rules overflows or loses the dtype, a primitive with a ``defvjp`` of ours replaces it, and says
why.
"""

from collections.abc import Callable, Mapping
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd.core import backward_pass
from autograd.extend import VJPNode, defvjp, primitive, vspace
from autograd.tracer import getval, new_box, trace_stack
from scipy.special import expit

from gradcheck.errors import BackendError
from gradcheck.foundation.arrays import Array
from gradcheck.network import layers as ly
from gradcheck.network import losses as ls
from gradcheck.network.batch import Batch, Parameters
from gradcheck.network.network import Network, by_layer, is_weight

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


def leaky_relu(layer: ly.LeakyReLU, z: Any) -> Any:
    """One operation, the slopes being constants to Autograd."""
    slopes: Array = np.where(getval(z) > 0, 1.0, layer.slope)
    return slopes.astype(z.dtype, copy=False) * z


def elu(layer: ly.ELU, z: Any) -> Any:
    negative = where_positive(getval(z) <= 0, z)  # expm1 of a large positive number would overflow, where or not
    return where_positive(getval(z) > 0, z) + layer.alpha * anp.expm1(negative)


def gelu(layer: ly.GELU, z: Any) -> Any:
    if layer.approximate == "tanh":
        return 0.5 * z * (1 + tanh(float(np.sqrt(2 / np.pi)) * (z + 0.044715 * z * z * z)))
    from autograd.scipy.special import erf  # here: it imports SciPy's statistics and integration, for half a second

    return 0.5 * z * (1 + erf(z * float(np.sqrt(0.5))))


def dense(layer: ly.Dense, parameters: Mapping[str, Any], x: Any) -> Any:
    z = anp.matmul(x, parameters["weight"].T)  # the rules of anp.dot go through tensordot, which costs 8 us a product
    return z + parameters["bias"] if layer.bias else z


ACTIVATIONS: dict[type[ly.Layer], Callable[[Any, Any], Any]] = {
    ly.Arctan: lambda _, z: anp.arctan(z),
    ly.Tanh: lambda _, z: tanh(z),
    ly.Sigmoid: lambda _, z: sigmoid(z),
    ly.ReLU: lambda _, z: where_positive(getval(z) > 0, z),
    ly.LeakyReLU: leaky_relu,
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
    """A network as one function of its parameters, differentiated by Autograd.

    Every parameter is a root of the trace, so that Autograd's backward pass ends in it. Its `value_and_grad` would have one
    root, the dict of all: each lookup in a dict is an operation, whose rule makes zeros of every parameter and adds to them.
    """

    # How that was checked: medians of interleaved calls, float64, one thread, batches of 256 (400 for 2-15-1), dense layers
    # each followed by arctan, with the dict and `anp.dot` against this: 784-512-512-1 19.8 and 18.6 ms, twenty layers of 256
    # 60.0 and 48.0 ms, 64-128-128-1 2.1 and 1.4 ms, 2-15-1 0.57 and 0.29 ms.
    def __init__(self, network: Network) -> None:
        self.network = network
        missing = [kind.__name__ for kind in map(type, network.layers) if kind not in LAYERS]
        missing += [type(network.loss).__name__] if type(network.loss) not in LOSSES else []
        if missing:
            raise BackendError(f"the autograd build has no forward for {', '.join(missing)}")
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
        for (forward, layer), own in zip(self._layers, by_layer(parameters, len(self._layers)), strict=True):
            x = forward(layer, own, x)
        return _mean(self.network, parameters, x, batch.targets)


def _root(name: str, found: dict[str, Array]) -> Any:
    """A node without parents, which keeps the gradient that arrives at it."""

    def arrive(gradient: Array) -> tuple[()]:
        found[name] = gradient
        return ()

    root = VJPNode.new_root()
    root.vjp = arrive
    return root


def _mean(network: Network, parameters: Mapping[str, Any], outputs: Any, targets: Array) -> Any:
    each = LOSSES[type(network.loss)](network.loss, outputs, targets)
    # A sum times a Python float: the gradient of anp.mean promotes float32.
    mean = anp.sum(each) * (1.0 / each.size)
    if network.weight_decay:
        decayed = sum(anp.sum(parameters[name] ** 2) for name in parameters if is_weight(name))
        mean = mean + network.weight_decay / 2 * decayed
    return mean


def build(network: Network) -> AutogradModel:
    """Build a network with Autograd."""
    return AutogradModel(network)
