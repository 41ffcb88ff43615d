"""Attention between the places of a sequence, (length, width)."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import ClassVar

from gradcheck.errors import DescriptionError
from gradcheck.network.layers.base import Layer, Shape, Size

BASE = 10_000.0
"""Of the angles of `Attention.rope`: RoFormer's (Su et al. 2021)."""


class Attention(Layer, frozen=True):
    """Scaled dot products of several heads (Vaswani et al. 2017): softmax(q k^T / sqrt(width / heads)) v, of every head.

    From (length, width) to the same, with ``query``, ``key``, ``value`` and ``output``, each a dense layer.

    Parameters
    ----------
    heads : int
        A divisor of the width.
    kv_heads : int, optional
        Heads of keys and values, a divisor of ``heads``: each serves heads / kv_heads neighbouring heads of queries.
    causal : bool
        No place sees a later one.
    rope : bool
        Queries and keys are turned by their place t: of a head of size s the entries i and i + s / 2 by the angle
        t * 10000^(-2 i / s), as GPT-NeoX and Llama pair them.
    bias : bool
        Of all four dense layers.
    """

    couples_samples: ClassVar[bool | None] = False
    heads: Size = 1
    kv_heads: Size | None = None
    causal: bool = False
    rope: bool = False
    bias: bool = True

    @property
    def groups(self) -> int:
        """Heads of queries for one of keys and values."""
        return self.heads // (self.kv_heads or self.heads)

    def output_shape(self, inputs: Shape) -> Shape:
        if len(inputs) != 2:
            raise DescriptionError(f"expected a sequence (length, width) for attention, got shape {inputs}")
        width = inputs[1]
        if width % self.heads:
            raise DescriptionError(f"{self.heads} heads do not divide the width, {width}", "heads")
        if self.heads % (self.kv_heads or self.heads):
            raise DescriptionError(f"{self.kv_heads} do not divide the heads, {self.heads}", "kv_heads")
        if self.rope and width // self.heads % 2:
            raise DescriptionError(f"turns pairs of entries, and a head has {width // self.heads}", "rope")
        return inputs

    def parameter_shapes(self, inputs: Shape) -> Mapping[str, Shape]:
        width = inputs[1]
        narrow = width // self.heads * (self.kv_heads or self.heads)
        shapes: dict[str, Shape] = {}
        for name, units in (("query", width), ("key", narrow), ("value", narrow), ("output", width)):
            shapes[f"{name}.weight"] = (units, width)
            if self.bias:
                shapes[f"{name}.bias"] = (units,)
        return shapes

    def numbers(self, inputs: Shape) -> int:
        return 5 * prod(inputs) + 2 * self.heads * inputs[0] ** 2

    @classmethod
    def examples(cls, inputs: Shape) -> Sequence["Attention"]:
        if len(inputs) != 2:
            return ()
        width = inputs[1]
        found = [cls(), cls(causal=True, bias=False)]
        found += [cls(2, causal=True), cls(2, kv_heads=1)] if width % 2 == 0 else []
        found += [cls(2, causal=True, rope=True), cls(2, kv_heads=1, rope=True)] if width % 4 == 0 else []
        return tuple(found)
