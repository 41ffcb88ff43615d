"""Attention between the places of a sequence."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gradcheck.network import layers as ly
from gradcheck.network.layers.attention import BASE
from gradcheck_backends.pytorch.rules import Modules


class Attention(nn.Module):
    """Four linear modules around torch's scaled dot products; nn.MultiheadAttention has one matrix for three of them."""

    def __init__(self, layer: ly.Attention, width: int) -> None:
        super().__init__()
        self.layer, self.size, narrow = layer, width // layer.heads, width // layer.groups
        for name, units in (("query", width), ("key", narrow), ("value", narrow), ("output", width)):
            self.add_module(name, nn.Linear(width, units, bias=layer.bias, device="meta"))

    def forward(self, x: Tensor, *tensors: Tensor) -> Tensor:
        each = len(tensors) // 4  # a weight, and a bias where there is one
        query, key, value, output = (tensors[start : start + each] for start in range(0, 4 * each, each))
        # From (n, length, heads * size) to (n, heads, length, size).
        q, k, v = (F.linear(x, *own).view(*x.shape[:2], -1, self.size).transpose(1, 2) for own in (query, key, value))
        q, k = (turned(q), turned(k)) if self.layer.rope else (q, k)
        k, v = (heads.repeat_interleave(self.layer.groups, dim=1) for heads in (k, v))
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=self.layer.causal)
        return F.linear(seen.transpose(1, 2).flatten(2), *output)


def turned(x: Tensor) -> Tensor:
    """By their place, pairs of entries of (..., length, size)."""
    length, half = x.shape[-2], x.shape[-1] // 2
    place, pair = (torch.arange(count, device=x.device, dtype=torch.float64) for count in (length, half))
    angle = torch.outer(place, BASE ** (-pair / half))
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


LAYERS: Modules = {ly.Attention: lambda layer, inputs: Attention(layer, inputs[-1])}
