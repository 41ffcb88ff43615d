"""Functions of a single entry that survive the complex step.

Every branch is chosen by the real part, and no tiny imaginary part is lost.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import erfc

from gradcheck.foundation.arrays import Array
from gradcheck.network import layers as ly
from gradcheck.network.batch import Parameters
from gradcheck.network.reference.meaning import apply


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


def gelu(layer: ly.GELU, _: Parameters, z: Array) -> Array:
    if layer.approximate == "tanh":
        # (1 + tanh(x)) / 2 is sigmoid(2 x); 0.044715 is part of the definition (Hendrycks and Gimpel 2016).
        return z * sigmoid(2 * np.sqrt(2 / np.pi).item() * (z + 0.044715 * z * z * z))
    return z * erfc(-z / np.sqrt(2).item()) / 2


ACTIVATIONS: dict[type[ly.Activation], Callable[[Any, Parameters, Array], Array]] = {
    ly.Arctan: lambda _, __, z: np.arctan(z),
    ly.Tanh: lambda _, __, z: np.tanh(z),
    ly.Sigmoid: lambda _, __, z: sigmoid(z),
    ly.ReLU: lambda _, __, z: positive_part(z),
    ly.LeakyReLU: lambda layer, _, z: np.where(np.real(z) > 0, z, layer.slope * z),
    ly.ELU: lambda layer, _, z: np.where(np.real(z) > 0, z, layer.alpha * np.expm1(z - positive_part(z))),
    ly.GELU: gelu,
    ly.SiLU: lambda _, __, z: z * sigmoid(z),
    ly.Softplus: lambda _, __, z: softplus(z),
    ly.Identity: lambda _, __, z: z,
}
for kind, function in ACTIVATIONS.items():
    apply.register(kind, function)
