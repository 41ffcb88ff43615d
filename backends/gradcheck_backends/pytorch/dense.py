"""Dense layers, which torch calls linear."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from gradcheck.network import layers as ly

LAYERS: dict[type[ly.Layer], Callable[[Any, ly.Shape], nn.Module]] = {
    ly.Dense: lambda layer, inputs: nn.Linear(inputs[0], layer.units, bias=layer.bias, device="meta"),
}
FUNCTIONS: dict[type[nn.Module], Callable[..., Tensor]] = {nn.Linear: F.linear}
"""Of modules with parameters: a function of the input and of these, in the module's order."""
