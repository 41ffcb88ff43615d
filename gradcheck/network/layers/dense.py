"""Layers with parameters of their own."""

from collections.abc import Mapping
from typing import ClassVar

from gradcheck.errors import DescriptionError
from gradcheck.network.layers.base import Layer, Shape, Size


class Dense(Layer, frozen=True):
    """``x W^T + b`` with ``weight`` (units, features) and ``bias`` (units,)."""

    couples_samples: ClassVar[bool | None] = False
    units: Size
    bias: bool = True

    def output_shape(self, inputs: Shape) -> Shape:
        if len(inputs) != 1:
            raise DescriptionError(f"expected an input of rank 1 for dense, got shape {inputs}")
        return (self.units,)

    def parameter_shapes(self, inputs: Shape) -> Mapping[str, Shape]:
        weight: dict[str, Shape] = {"weight": (self.units, *inputs)}
        return weight | {"bias": (self.units,)} if self.bias else weight
