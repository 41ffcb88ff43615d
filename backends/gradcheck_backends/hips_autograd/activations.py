"""Activations a = rho(z)."""

from collections.abc import Callable, Mapping
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd.tracer import getval

from gradcheck.foundation.arrays import Array
from gradcheck.network import layers as ly
from gradcheck_backends.hips_autograd.primitives import sigmoid, softplus, tanh, zero_unless


def leaky_relu(layer: ly.LeakyReLU, _: Mapping[str, Any], z: Any) -> Any:
    """One operation, the slopes being constants to Autograd."""
    slopes: Array = np.where(getval(z) > 0, 1.0, layer.slope)
    return slopes.astype(z.dtype, copy=False) * z


def elu(layer: ly.ELU, _: Mapping[str, Any], z: Any) -> Any:
    negative = zero_unless(getval(z) <= 0, z)  # expm1 of a large positive number would overflow, where or not
    return zero_unless(getval(z) > 0, z) + layer.alpha * anp.expm1(negative)


def gelu(layer: ly.GELU, _: Mapping[str, Any], z: Any) -> Any:
    if layer.approximate == "tanh":
        return 0.5 * z * (1 + tanh(float(np.sqrt(2 / np.pi)) * (z + 0.044715 * z * z * z)))
    from autograd.scipy.special import erf  # here: it imports SciPy's statistics and integration, for half a second

    return 0.5 * z * (1 + erf(z * float(np.sqrt(0.5))))


LAYERS: dict[type[ly.Layer], Callable[[Any, Mapping[str, Any], Any], Any]] = {
    ly.Arctan: lambda _, __, z: anp.arctan(z),
    ly.Tanh: lambda _, __, z: tanh(z),
    ly.Sigmoid: lambda _, __, z: sigmoid(z),
    ly.ReLU: lambda _, __, z: zero_unless(getval(z) > 0, z),
    ly.LeakyReLU: leaky_relu,
    ly.ELU: elu,
    ly.GELU: gelu,
    ly.SiLU: lambda _, __, z: z * sigmoid(z),
    ly.Softplus: lambda _, __, z: softplus(z),
    ly.Identity: lambda _, __, z: z,
}
