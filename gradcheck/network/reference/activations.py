"""Functions of a single entry."""

from collections.abc import Mapping

import numpy as np
from scipy.special import erfc

from gradcheck.foundation.arrays import Array
from gradcheck.network import layers as ly
from gradcheck.network.reference.functions import positive_part, sigmoid, softplus
from gradcheck.network.reference.meaning import apply


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
