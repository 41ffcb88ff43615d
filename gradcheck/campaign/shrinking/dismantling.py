"""Networks of any layers made smaller: layers are left out, blocks give way to what is in them, options and sides shrink.

Whatever is behind a change keeps as much of its arrays as fits there: entries that are missing are those before, in turn.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar, cast

import msgspec
import numpy as np

from gradcheck.campaign.shrinking.parts import Parts
from gradcheck.errors import GradcheckError
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.describe import join
from gradcheck.network.layers import Block, Layer, Residual, Sequential, Shape, Tied
from gradcheck.network.layers.blocks import named, parameters_of
from gradcheck.network.losses import Targets
from gradcheck.network.network import Network, by_layer

L = TypeVar("L", bound=Layer)


class Part(NamedTuple):
    """A layer, what its parameters were called in the network that it comes from, and their values by its own names."""

    name: str
    layer: Layer
    values: Mapping[str, Array]


def without_layers(parts: Parts) -> Iterator[Parts]:
    """Without one layer, with a block's layers in its place, or with fewer of them; without names."""
    whole = _taken_apart(parts)
    if whole:
        yield from _joined(parts, whole[1:], inputs=parts.network.shapes[1])
    for index, part in enumerate(whole):
        yield from _joined(parts, [*whole[:index], *whole[index + 1 :]])
        for instead in _inside(part):
            yield from _joined(parts, [*whole[:index], *instead, *whole[index + 1 :]])
    if parts.network.names:
        yield from _joined(parts, whole, numbered=True)


def smaller_layers(parts: Parts) -> Iterator[Parts]:
    """With a smaller sample, or with a layer whose sizes are smaller and whose options are off."""
    whole, inputs = _taken_apart(parts), parts.network.inputs
    for axis, side in enumerate(inputs):
        for fewer in _fewer(side):
            yield from _joined(parts, whole, inputs=(*inputs[:axis], fewer, *inputs[axis + 1 :]))
    for size in sorted({*inputs, *(size for part in whole for size in _sizes(part.layer))} - {0, 1}):
        for fewer in _fewer(size):  # wherever it stands: what is added up has equal sides
            with suppress(GradcheckError):
                pieces = [part._replace(layer=_resized(part.layer, size, fewer)) for part in whole]
                yield from _joined(parts, pieces, inputs=_resized(inputs, size, fewer))
    for index, part in enumerate(whole):
        for layer in _plainer(part.layer):
            yield from _joined(parts, [*whole[:index], part._replace(layer=layer), *whole[index + 1 :]])


def _taken_apart(parts: Parts) -> list[Part]:
    each = zip(named(parts.network), by_layer(parts.network, parts.parameters), strict=True)
    return [Part(name, layer, values) for (name, layer), values in each]


def _inside(part: Part) -> Iterator[list[Part]]:
    """What may stand in place of a block or tied layer."""
    layer = part.layer
    if isinstance(layer, Tied):
        yield [part._replace(layer=layer.layer)]
    if isinstance(layer, Block):
        each = list(named(layer))
        if layer.names:
            values = [parameters_of(part.values, name) for name, _ in each]
            own = {join(str(index), own): value for index, few in enumerate(values) for own, value in few.items()}
            yield [Part(part.name, msgspec.structs.replace(layer, names=()), own)]
        yield [Part(join(part.name, name), inner, parameters_of(part.values, name)) for name, inner in each]
        for index in range(len(each)) if len(each) > 1 else ():
            names, layers = zip(*each[:index], *each[index + 1 :], strict=True)
            with suppress(GradcheckError):
                yield [part._replace(layer=msgspec.structs.replace(layer, layers=layers, names=names))]
    if isinstance(layer, Residual):
        yield [part._replace(layer=Sequential(layer.layers, layer.names))]


def _plainer(layer: L) -> Iterator[L]:
    """With one field smaller or off, however deep it lies."""
    for field in layer.__struct_fields__:
        for plain in _plainer_values(getattr(layer, field)):
            with suppress(GradcheckError):
                yield msgspec.structs.replace(layer, **{field: plain})


def _plainer_values(value: Any) -> Iterator[Any]:
    if isinstance(value, Layer):
        yield from _plainer(value)
    elif isinstance(value, tuple):
        values = cast("Sequence[Any]", value)
        for index, each in enumerate(values):
            yield from ((*values[:index], plain, *values[index + 1 :]) for plain in _plainer_values(each))
    elif value is True:
        yield False
    elif isinstance(value, int) and value:
        yield from (0, None, *_fewer(value))  # what a field does not take, it refuses


def _sizes(value: Any) -> Iterator[int]:
    """All whole numbers in a layer."""
    if isinstance(value, Layer):
        yield from _sizes(tuple(getattr(value, field) for field in value.__struct_fields__))
    elif isinstance(value, tuple):
        for each in cast("Sequence[Any]", value):
            yield from _sizes(each)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield value


def _resized(value: Any, size: int, fewer: int) -> Any:
    """With one whole number in place of another."""
    if isinstance(value, Layer):
        now = {field: _resized(getattr(value, field), size, fewer) for field in value.__struct_fields__}
        return msgspec.structs.replace(value, **now)
    if isinstance(value, tuple):
        return tuple(_resized(each, size, fewer) for each in cast("Sequence[Any]", value))
    return fewer if value == size and type(value) is int else value


def _fewer(count: int) -> list[int]:
    return [each for each in sorted({1, count // 2, count - 1}) if 0 < each < count]


def _joined(parts: Parts, pieces: Sequence[Part], *, inputs: Shape | None = None, numbered: bool = False) -> Iterator[Parts]:
    """The network of these layers; nothing where they do not fit."""
    before, inputs = parts.network, inputs or parts.network.inputs
    by_name = bool(before.names) and not numbered
    names = [piece.name.replace(".", "_") if by_name else str(index) for index, piece in enumerate(pieces)]
    now = {join(piece.name, own): join(name, own) for piece, name in zip(pieces, names, strict=True) for own in piece.values}
    with suppress(GradcheckError):
        layers = tuple(_retied(piece.layer, now) for piece in pieces)
        network = Network(inputs, layers, before.loss, before.weight_decay, tuple(names) if by_name else ())
        owned = {
            full: piece.values[own]
            for piece, name, wires in zip(pieces, names, network.wiring, strict=True)
            for own, full in wires.items()
            if full == join(name, own) and own in piece.values
        }
        shapes = network.parameter_shapes
        if owned.keys() == shapes.keys():
            parameters = {name: _cut(owned[name], shape) for name, shape in shapes.items()}
            yield Parts(network, parameters, _inputs(parts, network), _targets(parts, network), parts.dtype)


def _retied(layer: Layer, now: Mapping[str, str]) -> Layer:
    """With what it is tied to by its present name."""
    if isinstance(layer, Tied):
        return Tied(_retied(layer.layer, now), tuple((own, now.get(other, other)) for own, other in layer.parameters))
    if isinstance(layer, Block):
        return msgspec.structs.replace(layer, layers=tuple(_retied(each, now) for each in layer.layers))
    return layer


def _cut(values: Array, shape: Shape) -> Array:
    """The same entries as far as there are so many, then again from the first; in as many rows as are wanted."""
    if values.ndim != len(shape):
        return np.resize(values, shape)
    return values[np.ix_(*(np.arange(side) % max(there, 1) for side, there in zip(shape, values.shape, strict=True)))]


def _inputs(parts: Parts, network: Network) -> Array:
    inputs, symbols = _cut(parts.inputs, (len(parts.inputs), *network.inputs)), network.vocabulary
    return inputs.astype(np.float64) if symbols is None else np.clip(inputs, 0, symbols - 1).astype(np.int64)


def _targets(parts: Parts, network: Network) -> Array:
    targets = _cut(parts.targets, (len(parts.targets), *network.target_shape))
    return np.minimum(targets, network.shapes[-1][-1] - 1) if network.loss.targets is Targets.CLASSES else targets
