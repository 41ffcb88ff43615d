"""Dense layers, which torch calls linear; rows of a table; and entries in a row."""

from torch import Tensor, nn
from torch.nn import functional as F

from gradcheck.network import layers as ly
from gradcheck_backends.pytorch.rules import Functions, Modules


def in_a_row(x: Tensor) -> Tensor:
    return x.reshape(len(x), -1)  # nn.Flatten wants an axis beside that of the samples


LAYERS: Modules = {
    ly.Dense: lambda layer, inputs: nn.Linear(inputs[-1], layer.units, bias=layer.bias, device="meta"),
    ly.Embedding: lambda layer, _: nn.Embedding(layer.symbols, layer.width, device="meta"),
    ly.Flatten: lambda _, __: nn.Flatten(),
}
FUNCTIONS: Functions = {
    nn.Linear: lambda _: F.linear,
    nn.Embedding: lambda _: F.embedding,
    nn.Flatten: lambda _: in_a_row,
}
