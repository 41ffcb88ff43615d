"""Dense layers, which torch calls linear."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from gradcheck.network import layers as ly


def dense(layer: ly.Dense, inputs: ly.Shape) -> nn.Module:
    return nn.Linear(inputs[0], layer.units, bias=layer.bias, device="meta")


LAYERS = {ly.Dense: dense}
FUNCTIONS: dict[type[nn.Module], Callable[..., Tensor]] = {nn.Linear: F.linear}
"""Of modules with parameters: a function of the input and of these, in the module's order."""
