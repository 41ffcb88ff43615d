"""Layers of images."""

from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from gradcheck.network import layers as ly
from gradcheck_backends.pytorch.rules import Functions, Modules


def conv2d(layer: ly.Conv2d, inputs: ly.Shape) -> nn.Conv2d:
    options = (layer.kernel, layer.stride, layer.padding, layer.dilation, layer.groups, layer.bias)
    return nn.Conv2d(inputs[0], layer.channels, *options, device="meta")


def convolved(module: nn.Conv2d) -> partial[Tensor]:
    options = {name: getattr(module, name) for name in ("stride", "padding", "dilation", "groups")}
    return partial(F.conv2d, **options)


LAYERS: Modules = {
    ly.Conv2d: conv2d,
    ly.MaxPool2d: lambda layer, _: nn.MaxPool2d(layer.kernel, layer.step, layer.padding),
}
FUNCTIONS: Functions = {nn.Conv2d: convolved}
