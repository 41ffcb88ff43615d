"""Layers made of layers, and what joins them.

The layers of a block are applied in order. A parameter of one is called by the layer's name in the block and its own name in
the layer, with a dot between, as PyTorch's ``state_dict`` has it: ``"1.weight"``, or ``"norm.weight"`` where the layer has a
name. Under the name ``""`` a layer lends its parameters to the block, which calls them as the layer does.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from math import prod
from typing import Any, ClassVar, TypeVar, cast

import msgspec

from gradcheck.errors import DescriptionError
from gradcheck.foundation.describe import at, join
from gradcheck.foundation.wording import nearest, shown
from gradcheck.network.layers.base import Layer, Shape, Start

DEEPEST = 10_000  # layers of one block, which are verified in half a minute, 3 ms each; a choice
NESTED = 32  # blocks in blocks: some ten frames each, and a stack has a thousand; a choice

T = TypeVar("T")


class Block(Layer, frozen=True):
    """Layers applied in order. A mapping of layers by name may be given for both fields.

    Parameters
    ----------
    layers : tuple of Layer
    names : tuple of str
        Of the layers; by default their numbers.
    """

    layers: tuple[Layer, ...]
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        unpack(self)
        super().__post_init__()
        check_names(self)
        if nesting(self) > NESTED:
            raise DescriptionError(f"blocks in blocks {NESTED + 1} deep, at most {NESTED} can be verified", "layers")

    @property
    def vocabulary(self) -> int | None:
        return self.layers[0].vocabulary if self.layers else None

    def shapes(self, inputs: Shape) -> tuple[Shape, ...]:
        """Shape of one sample before the first layer and after each."""
        return shapes_through(self.layers, inputs)

    def output_shape(self, inputs: Shape) -> Shape:
        return self.shapes(inputs)[-1]

    def parameter_shapes(self, inputs: Shape) -> Mapping[str, Shape]:
        return gathered(self, inputs, lambda layer, shape: layer.parameter_shapes(shape))

    def tied(self, inputs: Shape) -> Mapping[str, tuple[str, Shape]]:
        return gathered(self, inputs, lambda layer, shape: layer.tied(shape))

    def starts(self, inputs: Shape) -> Mapping[str, Start]:
        return gathered(self, inputs, lambda layer, shape: layer.starts(shape))

    def least_samples(self, inputs: Shape) -> int:
        return least_samples(self, inputs)

    def numbers(self, inputs: Shape) -> int:
        return numbers(self, inputs)


class Sequential(Block, frozen=True):
    """The layers, one after the other."""

    @classmethod
    def examples(cls, inputs: Shape) -> Sequence[Layer]:
        return ()


class Residual(Block, frozen=True):
    """``x + f(x)``, f the layers one after the other, which return what has the shape of their input."""

    def output_shape(self, inputs: Shape) -> Shape:
        outputs = super().output_shape(inputs)
        if outputs != inputs:
            raise DescriptionError(f"expected an output of the shape of the input, {inputs}, got {outputs}", "layers")
        return outputs

    @classmethod
    def examples(cls, inputs: Shape) -> Sequence[Layer]:
        return ()


class Flatten(Layer, frozen=True):
    """All entries of a sample in a row."""

    couples_samples: ClassVar[bool | None] = False

    def output_shape(self, inputs: Shape) -> Shape:
        return (prod(inputs),)

    def parameter_shapes(self, inputs: Shape) -> Mapping[str, Shape]:
        return {}


class Tied(Layer, frozen=True):
    """A layer that uses parameters of others: ``Tied(Dense(65, bias=False), {"weight": "embedding.weight"})``.

    Parameters
    ----------
    layer : Layer
    parameters : mapping of str to str
        By their names in the layer: those of the network's parameters that they are. Gradients of all uses add up.
    """

    layer: Layer
    parameters: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        given: Any = self.parameters
        if isinstance(given, Mapping):
            pairs = cast("Mapping[Any, Any]", given).items()
            msgspec.structs.force_setattr(self, "parameters", tuple((own, other) for own, other in pairs))
        super().__post_init__()
        if nesting(self) > NESTED:
            raise DescriptionError(f"blocks in blocks {NESTED + 1} deep, at most {NESTED} can be verified", "layer")

    @property
    def vocabulary(self) -> int | None:
        return self.layer.vocabulary

    def output_shape(self, inputs: Shape) -> Shape:
        with at("layer"):
            return self.layer.output_shape(inputs)

    def parameter_shapes(self, inputs: Shape) -> Mapping[str, Shape]:
        lent = dict(self.parameters)
        return {name: shape for name, shape in self.layer.parameter_shapes(inputs).items() if name not in lent}

    def tied(self, inputs: Shape) -> Mapping[str, tuple[str, Shape]]:
        shapes = self.layer.parameter_shapes(inputs)
        for own, _ in self.parameters:
            if own not in shapes:
                raise DescriptionError(f"the layer has no such parameter, {nearest(own, shapes)}", f"parameters.{own}")
        return {own: (other, shapes[own]) for own, other in self.parameters} | dict(self.layer.tied(inputs))

    def starts(self, inputs: Shape) -> Mapping[str, Start]:
        return {name: start for name, start in self.layer.starts(inputs).items() if name not in dict(self.parameters)}

    def least_samples(self, inputs: Shape) -> int:
        return self.layer.least_samples(inputs)

    def numbers(self, inputs: Shape) -> int:
        return self.layer.numbers(inputs)

    @classmethod
    def examples(cls, inputs: Shape) -> Sequence[Layer]:
        return ()


def unpack(block: Any) -> None:
    """Layers by name, where they were given so, into ``layers`` and ``names``."""
    given: Any = block.layers
    if isinstance(given, Mapping):
        by_name = cast("Mapping[Any, Any]", given)
        if block.names:
            raise DescriptionError("the layers have names already, as keys of the mapping", "names")
        msgspec.structs.force_setattr(block, "names", tuple(by_name))
        msgspec.structs.force_setattr(block, "layers", tuple(by_name.values()))
    count = len(cast("Sized", given)) if isinstance(given, Sized) else 0
    if count > DEEPEST:  # before each of them is examined
        raise DescriptionError(f"{count:,} layers, at most {DEEPEST:,} can be verified", "layers")


def check_names(block: Any) -> None:
    """One for each layer, where there are any; no two are equal, but for the empty one."""
    if block.names and len(block.names) != len(block.layers):
        raise DescriptionError(f"{len(block.names)} names for {len(block.layers)} layers", "names")
    before = set[str]()
    for index, name in enumerate(block.names):
        check_name(name, f"names[{index}]")
        if name in before:
            raise DescriptionError(f"a second layer called {name!r}", f"names[{index}]")
        before |= {name} - {""}


def check_name(name: Any, path: str) -> None:
    """Refuse what is no part of a parameter's name."""
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_]*", name):
        raise DescriptionError(f"expected a name of letters, digits and underscores, got {shown(name)}", path)


def named(block: Any) -> Iterator[tuple[str, Layer]]:
    """The layers of a block, or network, with their names."""
    return zip(block.names or map(str, range(len(block.layers))), block.layers, strict=True)


def shapes_through(layers: Sequence[Layer], inputs: Shape) -> tuple[Shape, ...]:
    """Shape of one sample before the first layer and after each."""
    shapes: list[Shape] = [inputs]
    for index, layer in enumerate(layers):
        with at(f"layers[{index}]"):
            if index and layer.vocabulary is not None:
                raise DescriptionError("takes indices, and can only come first")
            shapes.append(layer.output_shape(shapes[-1]))
    return tuple(shapes)


def least_samples(block: Any, inputs: Shape) -> int:
    """How many samples the layers of a block, or network, need."""
    each = zip(block.layers, shapes_through(block.layers, inputs), strict=False)
    return max((layer.least_samples(shape) for layer, shape in each), default=1)


def numbers(block: Any, inputs: Shape) -> int:
    """How many numbers a sample takes in all of them, its input included."""
    each = zip(block.layers, shapes_through(block.layers, inputs), strict=False)
    return prod(inputs) + sum(layer.numbers(shape) for layer, shape in each)


def gathered(block: Any, inputs: Shape, of: Callable[[Layer, Shape], Mapping[str, T]]) -> dict[str, T]:
    """What every layer has of something, by names within the block."""
    found: dict[str, T] = {}
    for index, ((name, layer), shape) in enumerate(zip(named(block), shapes_through(block.layers, inputs), strict=False)):
        with at(f"layers[{index}]"):
            for own, value in of(layer, shape).items():
                if join(name, own) in found:
                    raise DescriptionError(f"a second parameter called {join(name, own)!r}")
                found[join(name, own)] = value
    return found


def parameters_of(parameters: Mapping[str, T], name: str) -> dict[str, T]:
    """Those of a block's parameters that its layer of this name knows, by their names in the layer."""
    if not name:
        return dict(parameters)
    return {own.removeprefix(f"{name}."): value for own, value in parameters.items() if own.startswith(f"{name}.")}


def nesting(layer: Layer) -> int:
    """How deep blocks lie in each other here: 0 for a layer that is none."""
    inner = layer.layers if isinstance(layer, Block) else (layer.layer,) if isinstance(layer, Tied) else ()
    return 1 + max(map(nesting, inner), default=0) if isinstance(layer, Block | Tied) else 0


def leaves(layers: Sequence[Layer]) -> Iterator[Layer]:
    """The layers that are no blocks, in the order in which they are applied."""
    for layer in layers:
        if isinstance(layer, Block):
            yield from leaves(layer.layers)
        elif isinstance(layer, Tied):
            yield from leaves((layer.layer,))
        else:
            yield layer
