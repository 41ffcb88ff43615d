"""The PyTorch build: an ``nn.Sequential`` of ``torch.nn`` modules, whose ``state_dict`` gives our parameters their names."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from gradcheck.arrays import Array
from gradcheck.errors import BackendError
from gradcheck.network import layers as ly
from gradcheck.network import losses as ls
from gradcheck.network.layers import Shape
from gradcheck.network.network import Network, is_weight
from gradcheck.protocol import Batch, Parameters


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

LOSSES: dict[type[ls.Loss], Callable[[Any], Callable[[Tensor, Tensor], Tensor]]] = {
    # nn.SoftMarginLoss computes log(1 + exp(-y z)) as it stands and overflows.
    ls.Logistic: lambda _: lambda z, y: -F.logsigmoid(y * z).mean(),
    ls.BinaryCrossEntropy: lambda _: nn.BCEWithLogitsLoss(),
    ls.CrossEntropy: lambda _: nn.CrossEntropyLoss(),
    ls.MSE: lambda _: nn.MSELoss(),
    ls.Huber: lambda loss: nn.HuberLoss(delta=loss.delta),
    ls.Hinge: lambda _: lambda z, y: F.relu(1 - y * z).mean(),
}


class TorchModel:
    """A network as a module without storage of its own: parameters are passed in at each call."""

    def __init__(self, network: Network) -> None:
        self.network = network
        try:
            modules = [MODULES[type(row)](row, shape) for row, shape in zip(network.layers, network.shapes, strict=False)]
            self.criterion = LOSSES[type(network.loss)](network.loss)
        except KeyError as missing:
            raise BackendError(f"the torch build has no module for {missing.args[0].__name__}") from None
        self.module = nn.Sequential(*modules)

    def loss(self, parameters: Parameters, batch: Batch) -> float:
        """Mean loss of the batch, weight decay included."""
        with torch.no_grad():
            return self._loss(_tensors(parameters), batch).item()

    def loss_and_gradients(self, parameters: Parameters, batch: Batch) -> tuple[float, dict[str, Array]]:
        """The loss and its gradients, by parameter name."""
        tensors = _tensors(parameters)
        for tensor in tensors.values():
            tensor.requires_grad_()
        loss = self._loss(tensors, batch)
        gradients = torch.autograd.grad(loss, list(tensors.values())) if tensors else ()
        return loss.item(), {name: g.numpy() for name, g in zip(tensors, gradients, strict=True)}

    def _loss(self, tensors: dict[str, Tensor], batch: Batch) -> Tensor:
        outputs = functional_call(self.module, tensors, (_tensor(batch.inputs),))
        loss = self.criterion(outputs, _tensor(batch.targets))
        if self.network.weight_decay and tensors:
            decayed = torch.stack([t.square().sum() for name, t in tensors.items() if is_weight(name)]).sum()
            loss = loss + self.network.weight_decay / 2 * decayed
        return loss


def _tensor(array: Array) -> Tensor:
    """A tensor that shares the array's memory; it is only read."""
    return torch.from_numpy(array)  # pyright: ignore[reportUnknownMemberType] NumPy's generics are unknown to torch


def _tensors(parameters: Parameters) -> dict[str, Tensor]:
    return {name: _tensor(value) for name, value in parameters.items()}


def build(network: Network) -> TorchModel:
    """Build a network with PyTorch."""
    return TorchModel(network)
