"""What each layer and loss is in torch.nn: an ``nn.Sequential``, whose ``state_dict`` gives our parameters their names."""

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gradcheck.errors import BackendError
from gradcheck.network import layers as ly
from gradcheck.network import losses as ls
from gradcheck.network.layers import Shape
from gradcheck.network.network import Network

Criterion: TypeAlias = Callable[[Tensor, Tensor], Tensor]


class Arctan(nn.Module):
    """``torch.arctan`` as a module; torch.nn has none."""

    def forward(self, z: Tensor) -> Tensor:
        return torch.arctan(z)


MODULES: dict[type[ly.Layer], Callable[[Any, Shape], nn.Module]] = {
    ly.Dense: lambda layer, inputs: nn.Linear(inputs[0], layer.units, bias=layer.bias, device="meta"),
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

LOSSES: dict[type[ls.Loss], Callable[[Any], Criterion]] = {
    # nn.SoftMarginLoss computes log(1 + exp(-y z)) as it stands and overflows.
    ls.Logistic: lambda _: lambda z, y: -F.logsigmoid(y * z).mean(),
    ls.BinaryCrossEntropy: lambda _: nn.BCEWithLogitsLoss(),
    ls.CrossEntropy: lambda _: nn.CrossEntropyLoss(),
    ls.MSE: lambda _: nn.MSELoss(),
    ls.Huber: lambda loss: nn.HuberLoss(delta=loss.delta),
    ls.Hinge: lambda _: lambda z, y: F.relu(1 - y * z).mean(),
}


def modules_of(network: Network) -> tuple[nn.Sequential, Criterion]:
    """The network without storage of its own, and its loss.

    Raises
    ------
    BackendError
        Where torch has no row for a layer or loss.
    """
    try:
        modules = [MODULES[type(row)](row, shape) for row, shape in zip(network.layers, network.shapes, strict=False)]
        return nn.Sequential(*modules), LOSSES[type(network.loss)](network.loss)
    except KeyError as missing:
        raise BackendError(f"the torch build has no module for {missing.args[0].__name__}") from None


def called(module: nn.Module) -> Callable[..., Tensor]:
    """The module as a function of its input and its parameters, in the order in which it has them."""
    return F.linear if isinstance(module, nn.Linear) else module
