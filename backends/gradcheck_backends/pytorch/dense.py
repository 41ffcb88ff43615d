"""Dense layers, which torch calls linear; rows of a table; and entries in a row."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gradcheck.network import layers as ly
from gradcheck_backends.pytorch.rules import Functions, Modules


def embedding(layer: ly.Embedding, _: ly.Shape) -> nn.Embedding:
    """Of no numbers: nn.Embedding draws its own, for which torch imports 800 modules where there is no storage, in 2 s."""
    numbers = torch.empty(layer.symbols, layer.width, device="meta")
    return nn.Embedding.from_pretrained(numbers, freeze=False)  # pyright: ignore[reportUnknownMemberType]


def in_a_row(x: Tensor) -> Tensor:
    return x.reshape(len(x), -1)  # nn.Flatten wants an axis beside that of the samples


LAYERS: Modules = {
    ly.Dense: lambda layer, inputs: nn.Linear(inputs[-1], layer.units, bias=layer.bias, device="meta"),
    ly.Embedding: embedding,
    ly.Flatten: lambda _, __: nn.Flatten(),
}
FUNCTIONS: Functions = {
    nn.Linear: lambda _: F.linear,
    nn.Embedding: lambda _: F.embedding,
    nn.Flatten: lambda _: in_a_row,
}
