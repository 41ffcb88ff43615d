"""Layers of images, (channels, height, width)."""

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Annotated, ClassVar, TypeAlias

import msgspec

from gradcheck.errors import DescriptionError
from gradcheck.foundation.describe import at
from gradcheck.network.layers.base import Layer, Shape, Size, Start

Padding: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]


class Conv2d(Layer, frozen=True):
    """Cross-correlation with ``weight`` (channels, in / groups, kernel, kernel), as PyTorch's; ``bias`` (channels,)."""

    couples_samples: ClassVar[bool | None] = False
    channels: Size
    kernel: Size
    stride: Size = 1
    padding: Padding = 0
    dilation: Size = 1
    groups: Size = 1
    bias: bool = True

    def output_shape(self, inputs: Shape) -> Shape:
        channels, *size = _image(inputs, "conv2d")
        for name, count in (("its channels", self.channels), ("those of its input", channels)):
            if count % self.groups:
                raise DescriptionError(f"{self.groups} groups do not divide {name}, {count}", "groups")
        return (self.channels, *_windows(size, self.kernel, self.stride, self.padding, self.dilation))

    def parameter_shapes(self, inputs: Shape) -> Mapping[str, Shape]:
        weight: dict[str, Shape] = {"weight": (self.channels, inputs[0] // self.groups, self.kernel, self.kernel)}
        return weight | {"bias": (self.channels,)} if self.bias else weight

    def start(self, name: str, shape: Shape) -> Start:
        fans = super().start(name, shape).fans
        return Start(fans and (fans[0], fans[1] / self.groups))

    def numbers(self, inputs: Shape) -> int:
        outputs = self.output_shape(inputs)
        return prod(outputs) + inputs[0] * self.kernel**2 * prod(outputs[1:])

    @classmethod
    def examples(cls, inputs: Shape) -> Sequence[Layer]:
        if len(inputs) != 3:
            return ()
        all_of_it = inputs[0]
        tried = (
            *(cls(1, 1), cls(2, 3, padding=1), cls(3, 2, bias=False), cls(2, 2, stride=2, padding=1)),
            *(cls(2, 2, dilation=2), cls(2 * all_of_it, 3, padding=1, groups=all_of_it)),
        )
        return tuple(_fitting(tried, inputs))


class MaxPool2d(Layer, frozen=True):
    """The largest of each window, the first of equals; windows go on by ``stride``, so that by default no two overlap."""

    couples_samples: ClassVar[bool | None] = False
    kernel: Size
    stride: Size | None = None
    padding: Padding = 0

    @property
    def step(self) -> int:
        """The stride in force."""
        return self.stride or self.kernel

    def output_shape(self, inputs: Shape) -> Shape:
        channels, *size = _image(inputs, "max_pool2d")
        if 2 * self.padding > self.kernel:
            raise DescriptionError(f"more than half of the kernel, {self.kernel}: {self.padding}", "padding")
        return (channels, *_windows(size, self.kernel, self.step, self.padding, 1))

    def parameter_shapes(self, inputs: Shape) -> Mapping[str, Shape]:
        return {}

    def numbers(self, inputs: Shape) -> int:
        return (1 + self.kernel**2) * prod(self.output_shape(inputs))

    @classmethod
    def examples(cls, inputs: Shape) -> Sequence[Layer]:
        tried = (cls(1), cls(2), cls(3, stride=1, padding=1), cls(2, stride=1))
        return tuple(_fitting(tried, inputs)) if len(inputs) == 3 else ()


def _image(inputs: Shape, name: str) -> Shape:
    if len(inputs) != 3:
        raise DescriptionError(f"expected an image (channels, height, width) for {name}, got shape {inputs}")
    return inputs


def _windows(size: Sequence[int], kernel: int, stride: int, padding: int, dilation: int) -> tuple[int, ...]:
    """How many windows there are along each axis."""
    reach = dilation * (kernel - 1) + 1
    for length, axis in zip(size, ("high", "wide"), strict=True):
        if reach > length + 2 * padding:
            spread = f" dilated to {reach}" if dilation > 1 else ""
            padded = f" with a padding of {padding}" if padding else ""
            raise DescriptionError(f"{kernel}{spread} is larger than the image, {length} {axis}{padded}", "kernel")
    return tuple((length + 2 * padding - reach) // stride + 1 for length in size)


def _fitting(tried: Sequence[Layer], inputs: Shape) -> Iterator["Layer"]:
    for layer in tried:
        try:
            with at("examples"):
                layer.output_shape(inputs)
        except DescriptionError:
            continue
        yield layer
