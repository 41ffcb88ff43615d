"""Layers that subtract a mean and divide by a standard deviation: ``(x - mean) / sqrt(variance + eps) * weight + bias``."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Annotated, ClassVar

import msgspec

from gradcheck.errors import DescriptionError
from gradcheck.network.layers.base import Layer, Shape, Start


class _Normalization(Layer, frozen=True):
    eps: Annotated[float, msgspec.Meta(gt=0)] = 1e-5
    affine: bool = True

    def start(self, name: str, shape: Shape) -> Start:
        return Start(None, 1.0 if name == "weight" else 0.0)

    def output_shape(self, inputs: Shape) -> Shape:
        if not inputs:
            raise DescriptionError("expected an input of rank 1 or more, got a single number")
        return inputs

    def _affine(self, size: int) -> Mapping[str, Shape]:
        return {"weight": (size,), "bias": (size,)} if self.affine else {}


class LayerNorm(_Normalization, frozen=True):
    """Over the last axis, (features,), sample by sample; ``weight`` and ``bias`` (features,) where ``affine``."""

    couples_samples: ClassVar[bool | None] = False

    def parameter_shapes(self, inputs: Shape) -> Mapping[str, Shape]:
        return self._affine(inputs[-1])

    @classmethod
    def examples(cls, inputs: Shape) -> Sequence["LayerNorm"]:
        return (cls(), cls(affine=False), cls(eps=1e-3)) if inputs and inputs[-1] > 1 else ()


class BatchNorm(_Normalization, frozen=True):
    """Over the samples of a batch and all places, for each of the channels, which are the first axis of a sample.

    With the statistics of this batch, as in training; nothing is kept. ``weight`` and ``bias`` (channels,) where ``affine``.
    """

    couples_samples: ClassVar[bool | None] = True

    def parameter_shapes(self, inputs: Shape) -> Mapping[str, Shape]:
        return self._affine(inputs[0])

    def least_samples(self, inputs: Shape) -> int:
        return 2 if prod(inputs[1:]) == 1 else 1

    @classmethod
    def examples(cls, inputs: Shape) -> Sequence["BatchNorm"]:
        return (cls(), cls(affine=False), cls(eps=1e-3)) if inputs else ()
