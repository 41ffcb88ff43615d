"""What a network means: one plain forward, in any NumPy dtype (float32, float64, longdouble, complex).

This is what the oracles differentiate, so it has no backward, no buffers and no cleverness, and no backend may import
it. It survives the complex step ``Im f(x + ih) / h``: every branch is chosen by the real part, and no function is
used that is not analytic there (``abs``, ``maximum``, ``logaddexp``) or that loses a tiny imaginary part (``log(1 +
exp(z))``). The largest exponent that occurs is 0, so logits of 1e4 overflow nothing.

A third party's layer or loss adds a function with ``apply.register`` or ``losses.register``.
"""

from collections.abc import Mapping
from functools import singledispatch
from typing import Any

import numpy as np
from scipy.special import erfc

from gradcheck.foundation.arrays import Array
from gradcheck.network import layers as ly
from gradcheck.network import losses as ls
from gradcheck.network.network import Network, by_layer, is_weight


def loss(network: Network, parameters: Mapping[str, Array], inputs: Array, targets: Array) -> Any:
    """Loss of a batch, as a scalar of the dtype that parameters and inputs promote to.

    Parameters
    ----------
    parameters : mapping of str to array
        By ``state_dict`` name, shapes as `Network.parameter_shapes` says.
    inputs : array, shape (n, *network.inputs)
    targets : array, shape (n, *network.target_shape)
    """
    return of_outputs(network, parameters, forward(network, parameters, inputs)[-1], targets)


def of_outputs(network: Network, parameters: Mapping[str, Array], outputs: Array, targets: Array) -> Any:
    """The same where the network's outputs are known."""
    total = losses(network.loss, outputs, targets).mean()
    if network.weight_decay:
        decayed = sum((value * value).sum() for name, value in parameters.items() if is_weight(name))
        total = total + network.weight_decay / 2 * decayed
    return total


def forward(network: Network, parameters: Mapping[str, Array], inputs: Array) -> list[Array]:
    """The inputs and the output of every layer, each of shape (n, *shape)."""
    outputs = [inputs]
    for layer, own in zip(network.layers, by_layer(parameters, len(network.layers)), strict=True):
        outputs.append(apply(layer, own, outputs[-1]))
    return outputs


@singledispatch
def apply(layer: ly.Layer, parameters: Mapping[str, Array], x: Array) -> Array:
    """Output of one layer for a batch ``x`` of shape (n, *shape); a sample's depends on no other sample."""
    raise NotImplementedError(f"no reference forward for {type(layer).__name__}: add one with apply.register")


@apply.register
def _(layer: ly.Dense, parameters: Mapping[str, Array], x: Array) -> Array:
    z = x @ parameters["weight"].mT  # also of stacks: `gradcheck.network.reference.copies`
    return z + parameters["bias"] if layer.bias else z


@apply.register
def _(_layer: ly.Arctan, _parameters: Mapping[str, Array], z: Array) -> Array:
    return np.arctan(z)


@apply.register
def _(_layer: ly.Tanh, _parameters: Mapping[str, Array], z: Array) -> Array:
    return np.tanh(z)


@apply.register
def _(_layer: ly.Sigmoid, _parameters: Mapping[str, Array], z: Array) -> Array:
    return sigmoid(z)


@apply.register
def _(_layer: ly.ReLU, _parameters: Mapping[str, Array], z: Array) -> Array:
    return positive_part(z)


@apply.register
def _(layer: ly.LeakyReLU, _parameters: Mapping[str, Array], z: Array) -> Array:
    return np.where(np.real(z) > 0, z, layer.slope * z)


@apply.register
def _(layer: ly.ELU, _parameters: Mapping[str, Array], z: Array) -> Array:
    return np.where(np.real(z) > 0, z, layer.alpha * np.expm1(z - positive_part(z)))


@apply.register
def _(layer: ly.GELU, _parameters: Mapping[str, Array], z: Array) -> Array:
    if layer.approximate == "tanh":
        # (1 + tanh(x)) / 2 is sigmoid(2 x); 0.044715 is part of the definition (Hendrycks and Gimpel 2016).
        return z * sigmoid(2 * np.sqrt(2 / np.pi).item() * (z + 0.044715 * z * z * z))
    return z * erfc(-z / np.sqrt(2).item()) / 2


@apply.register
def _(_layer: ly.SiLU, _parameters: Mapping[str, Array], z: Array) -> Array:
    return z * sigmoid(z)


@apply.register
def _(_layer: ly.Softplus, _parameters: Mapping[str, Array], z: Array) -> Array:
    return softplus(z)


@apply.register
def _(_layer: ly.Identity, _parameters: Mapping[str, Array], z: Array) -> Array:
    return z


@singledispatch
def losses(loss: ls.Loss, z: Array, y: Array) -> Array:
    """Losses of which the network's loss is the mean: one for each entry of ``z``, or for each sample, samples first."""
    raise NotImplementedError(f"no reference for {type(loss).__name__}: add one with losses.register")


@losses.register
def _(_loss: ls.Logistic, z: Array, y: Array) -> Array:
    return softplus(-y * z)


@losses.register
def _(_loss: ls.BinaryCrossEntropy, z: Array, y: Array) -> Array:
    return y * softplus(-z) + (1 - y) * softplus(z)


@losses.register
def _(_loss: ls.CrossEntropy, z: Array, y: Array) -> Array:
    top = np.argmax(np.real(z), axis=1)[:, None]
    largest = np.take_along_axis(z, top, axis=1)
    others = np.exp(z - largest)
    np.put_along_axis(others, top, 0, axis=1)  # its exp is 1; log1p keeps what log(1 + tiny) would round away
    return (largest - np.take_along_axis(z, y[:, None], axis=1))[:, 0] + log1p(others.sum(axis=1))


@losses.register
def _(_loss: ls.MSE, z: Array, y: Array) -> Array:
    return (z - y) * (z - y)


@losses.register
def _(loss: ls.Huber, z: Array, y: Array) -> Array:
    d = z - y
    size = np.where(np.real(d) > 0, d, -d)
    return np.where(np.real(size) <= loss.delta, d * d / 2, loss.delta * (size - loss.delta / 2))


@losses.register
def _(_loss: ls.Hinge, z: Array, y: Array) -> Array:
    return positive_part(1 - y * z)


def positive_part(z: Array) -> Array:
    """``max(z, 0)``, slope 0 at 0."""
    return np.where(np.real(z) > 0, z, z.dtype.type(0)) if np.iscomplexobj(z) else np.maximum(z, 0)


def sigmoid(z: Array) -> Array:
    """``1 / (1 + exp(-z))``, from ``exp(-|z|)`` alone."""
    decay = np.exp(np.where(np.real(z) > 0, -z, z))
    return np.where(np.real(z) > 0, 1, decay) / (1 + decay)


def softplus(z: Array) -> Array:
    """``log(1 + exp(z))``, from ``exp(-|z|)`` alone."""
    return positive_part(z) + log1p(np.exp(np.where(np.real(z) > 0, -z, z)))


def log1p(x: Array) -> Array:
    """``log(1 + x)`` for x >= 0. NumPy's own rounds the real part of a tiny complex argument to 0."""
    return 2 * np.arctanh(x / (2 + x))
