"""Layers that subtract a mean and divide by a standard deviation."""

from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from gradcheck.network import layers as ly
from gradcheck_backends.pytorch.rules import Functions, Modules


def batch_norm(layer: ly.BatchNorm, inputs: ly.Shape) -> nn.Module:
    channels, *places = inputs
    kind = nn.BatchNorm2d if len(places) > 1 else nn.BatchNorm1d
    return kind(channels, layer.eps, affine=layer.affine, track_running_stats=False, device="meta")


def over_the_batch(eps: float, x: Tensor, *affine: Tensor) -> Tensor:
    return F.batch_norm(x, None, None, *affine, training=True, eps=eps)


def over_the_features(eps: float, x: Tensor, *affine: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], *affine, eps=eps)


LAYERS: Modules = {
    ly.LayerNorm: lambda layer, inputs: nn.LayerNorm(inputs[-1], layer.eps, layer.affine, device="meta"),
    ly.BatchNorm: batch_norm,
}
FUNCTIONS: Functions = {
    nn.LayerNorm: lambda module: partial(over_the_features, module.eps),
    nn.BatchNorm1d: lambda module: partial(over_the_batch, module.eps),
    nn.BatchNorm2d: lambda module: partial(over_the_batch, module.eps),
}
