"""Activations a = rho(z)."""

import torch
from torch import Tensor, nn

from gradcheck.network import layers as ly
from gradcheck_backends.pytorch.rules import Modules


class Arctan(nn.Module):
    """``torch.arctan`` as a module; torch.nn has none."""

    def forward(self, z: Tensor) -> Tensor:
        return torch.arctan(z)


LAYERS: Modules = {
    ly.Arctan: lambda _, __: Arctan(),
    ly.Tanh: lambda _, __: nn.Tanh(),
    ly.Sigmoid: lambda _, __: nn.Sigmoid(),
    ly.ReLU: lambda _, __: nn.ReLU(),
    ly.LeakyReLU: lambda layer, _: nn.LeakyReLU(layer.slope),
    ly.ELU: lambda layer, _: nn.ELU(layer.alpha),
    ly.GELU: lambda layer, _: nn.GELU(layer.approximate),
    ly.SiLU: lambda _, __: nn.SiLU(),
    # Above its threshold torch takes the slope as 1; at the default of 20 that is 2e-9 off, at 40 it is exact.
    ly.Softplus: lambda _, __: nn.Softplus(threshold=40),
    ly.Identity: lambda _, __: nn.Identity(),
}
