"""Functions of a single entry: ``function(layer, parameters, z)``, without parameters."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy.special import erfc

from gradcheck.foundation.arrays import Array
from gradcheck.network import layers as ly
from gradcheck.network.reference.functions import positive_part, sigmoid, softplus
from gradcheck.network.reference.meaning import apply


def gelu(layer: ly.GELU, _: Mapping[str, Array], z: Array) -> Array:
    if layer.approximate == "tanh":
        # (1 + tanh(x)) / 2 is sigmoid(2 x); 0.044715 is part of the definition (Hendrycks and Gimpel 2016).
        return z * sigmoid(2 * np.sqrt(2 / np.pi).item() * (z + 0.044715 * z * z * z))
    return z * erfc(-z / np.sqrt(2).item()) / 2


ACTIVATIONS: dict[type[ly.Activation], Callable[[Any, Mapping[str, Array], Array], Array]] = {
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
