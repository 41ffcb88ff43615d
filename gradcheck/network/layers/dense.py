"""Layers that multiply by a matrix, or look up its rows."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from gradcheck.errors import DescriptionError
from gradcheck.network.layers.base import Layer, Shape, Size, Start


class Dense(Layer, frozen=True):
    """``x W^T + b`` along the last axis, with ``weight`` (units, features) and ``bias`` (units,)."""

    couples_samples: ClassVar[bool | None] = False
    units: Size
    bias: bool = True

    def output_shape(self, inputs: Shape) -> Shape:
        if not inputs:
            raise DescriptionError("expected an input of rank 1 or more for dense, got a single number")
        return (*inputs[:-1], self.units)

    def parameter_shapes(self, inputs: Shape) -> Mapping[str, Shape]:
        weight: dict[str, Shape] = {"weight": (self.units, inputs[-1])}
        return weight | {"bias": (self.units,)} if self.bias else weight

    @classmethod
    def examples(cls, inputs: Shape) -> Sequence["Dense"]:
        return (cls(1), cls(2), cls(3, bias=False), cls(5))


class Embedding(Layer, frozen=True):
    """Row ``x`` of ``weight`` (vocabulary, width) for each index x: from (...,) to (..., width)."""

    couples_samples: ClassVar[bool | None] = False
    symbols: Size
    width: Size

    @property
    def vocabulary(self) -> int | None:
        return self.symbols

    def output_shape(self, inputs: Shape) -> Shape:
        return (*inputs, self.width)

    def parameter_shapes(self, inputs: Shape) -> Mapping[str, Shape]:
        return {"weight": (self.symbols, self.width)}

    def start(self, name: str, shape: Shape) -> Start:
        """A row has entries of variance 1, as PyTorch draws them: nothing is summed over the symbols."""
        return Start((2.0, 0.0))

    @classmethod
    def examples(cls, inputs: Shape) -> Sequence["Embedding"]:
        return (cls(3, 2), cls(7, 4))
