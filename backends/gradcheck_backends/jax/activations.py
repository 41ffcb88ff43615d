"""Activations a = rho(z)."""

from typing import Any

import jax

from gradcheck.network import layers as ly
from gradcheck_backends.jax.rules import Rules

library: Any = jax  # half of its types are unknown
jnp, nn = library.numpy, library.nn

LAYERS: Rules = {
    ly.Arctan: lambda _, __, z: jnp.arctan(z),
    ly.Tanh: lambda _, __, z: jnp.tanh(z),
    ly.Sigmoid: lambda _, __, z: nn.sigmoid(z),
    ly.ReLU: lambda _, __, z: nn.relu(z),
    ly.LeakyReLU: lambda layer, _, z: jnp.where(z > 0, z, layer.slope * z),  # nn.leaky_relu has slope 1 at 0
    ly.ELU: lambda layer, _, z: nn.elu(z, layer.alpha),
    ly.GELU: lambda layer, _, z: nn.gelu(z, approximate=layer.approximate == "tanh"),
    ly.SiLU: lambda _, __, z: nn.silu(z),
    ly.Softplus: lambda _, __, z: nn.softplus(z),
    ly.Identity: lambda _, __, z: z,
}
