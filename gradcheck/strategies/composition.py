"""Networks over the whole table of layers: vectors, sequences, images and tokens, blocks in blocks, tied parameters."""

from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from math import prod
from typing import TypeAlias

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from gradcheck.errors import DescriptionError
from gradcheck.foundation.describe import join
from gradcheck.network import layers as ly
from gradcheck.network import losses as ls
from gradcheck.network.layers.blocks import shapes_through
from gradcheck.network.network import Network
from gradcheck.strategies.architectures import EMPTY, LOSSES, is_ours
from gradcheck.strategies.arguments import choices, rarely, whole

# Largest sides of a sample: (features,), (length, width), (channels, height, width), (length,).
SAMPLES: dict[str, ly.Shape] = {"vector": (8,), "sequence": (6, 8), "image": (3, 6, 6), "tokens": (6,)}
ROWS: tuple[type[ly.Layer], ...] = tuple(row for row in ly.LAYERS.values() if is_ours(row))
NESTED = 2  # blocks in blocks
STATE, WEIGHTS = 128, 400  # numbers of one output, and of one layer's parameters, so that a case is verified in moments
FLAT = 64  # entries that a dense head may have as its input
OWN = 5  # times as often as an activation, for what fits no vector
TIED = 6  # one layer in so many is one that came before, where it fits

Rows: TypeAlias = tuple[type[ly.Layer], ...]


def composed_networks(
    *,
    kinds: Sequence[str] = tuple(SAMPLES),
    layers: Sequence[type[ly.Layer]] = ROWS,
    losses: Sequence[ls.Loss] = LOSSES,
    max_depth: int = 5,
    max_width: int = 8,
) -> st.SearchStrategy[Network]:
    """Networks of any layers: what `Layer.examples` offers for the shape at hand, blocks of it, and a dense head.

    Shrinks toward one vector of one entry and no layer.

    Parameters
    ----------
    kinds : sequence of {"vector", "sequence", "image", "tokens"}
        What a sample may be. Where ``layers`` are chosen, those kinds that none of them fits are left out.
    layers : sequence of type
        Rows of the table of layers; dense layers, and an embedding for tokens, are drawn besides. By default all of ours. A
        third party adds its own: ``(*ROWS, Mine)``.
    losses : sequence of Loss
    max_depth : int
        Largest number of layers, blocks counted as one, before the head.
    max_width : int
        Largest side of a sample.

    Raises
    ------
    InvalidArgument
        At once, with the argument's name and value.
    """
    max_depth = whole("max_depth", max_depth, at_least=0)
    max_width = whole("max_width", max_width, at_least=1)
    kinds = choices("kinds", kinds, str, at_least=1)
    rows: Rows = choices("layers", layers, type, at_least=1)
    for kind in kinds:
        if kind not in SAMPLES:
            raise InvalidArgument(f"kinds={kinds!r} must be a choice of {', '.join(map(repr, SAMPLES))}")
    for row in rows:
        if not issubclass(row, ly.Layer):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidArgument(f"layers={layers!r} must hold kinds of Layer, got {row!r}")
    fitting = [kind for kind in kinds if any(_fits(row, kind) for row in rows if not issubclass(row, ly.Activation))]
    chosen = choices("losses", losses, ls.Loss, at_least=1)
    return _networks(fitting or kinds, tuple(dict.fromkeys((ly.Dense, *rows))), chosen, max_depth, max_width)


def _fits(row: type[ly.Layer], kind: str) -> bool:
    sample = SAMPLES[kind]
    return bool(_first(row, sample) or _examples(row, (*sample, 4)) if kind == "tokens" else _examples(row, sample))


@lru_cache(4096)
def _examples(row: type[ly.Layer], inputs: ly.Shape) -> tuple[ly.Layer, ...]:
    """Small layers of this kind for real inputs of this shape."""
    return tuple(layer for layer in row.examples(inputs) if layer.vocabulary is None and _is_small(layer, inputs))


@lru_cache(4096)
def _first(row: type[ly.Layer], inputs: ly.Shape) -> tuple[ly.Layer, ...]:
    """The same for indices."""
    return tuple(layer for layer in row.examples(inputs) if layer.vocabulary is not None and _is_small(layer, inputs))


def _is_small(layer: ly.Layer, inputs: ly.Shape) -> bool:
    with suppress(DescriptionError):
        outputs = layer.output_shape(inputs)
        return prod(outputs) <= STATE and sum(map(prod, layer.parameter_shapes(inputs).values())) <= WEIGHTS
    return False


@st.composite
def _networks(
    draw: st.DrawFn, kinds: Sequence[str], rows: Rows, losses: Sequence[ls.Loss], max_depth: int, max_width: int
) -> Network:
    kind = draw(st.sampled_from(kinds))
    inputs = tuple(draw(st.integers(1, min(side, max_width))) for side in SAMPLES[kind])
    layers, shapes, named = list[ly.Layer](), [inputs], draw(st.booleans())
    if kind == "tokens":
        found = [layer for row in rows for layer in _first(row, inputs)] or ly.Embedding.examples(inputs)
        layers.append(draw(st.sampled_from(found)))
        shapes.append(layers[0].output_shape(inputs))
    for _ in range(draw(st.integers(0, max_depth))):
        ties = _ties(layers, shapes, named) if ly.Tied in rows else []
        tied = ties and rarely(draw, TIED)
        layers.append(draw(st.sampled_from(ties)) if tied else draw(_layers(shapes[-1], rows, NESTED, same=False)))
        shapes.append(layers[-1].output_shape(shapes[-1]))
    layers += draw(_heads(shapes[-1]))
    each = zip(layers, shapes_through(layers, inputs), strict=False)
    if not any(layer.parameter_shapes(shape) for layer, shape in each) and not rarely(draw, EMPTY):
        layers.append(ly.Dense(1))
    names = tuple(_names(layers)) if named else ()
    decay = draw(st.sampled_from([0.0, 0.5]))
    return Network(inputs, tuple(layers), draw(st.sampled_from(losses)), decay, names)


@st.composite
def _layers(draw: st.DrawFn, inputs: ly.Shape, rows: Rows, deep: int, *, same: bool) -> ly.Layer:
    """A layer, or block, for inputs of this shape; of the same shape where that is asked for."""
    found = {row: _examples(row, inputs) for row in rows}
    if same:
        found = {row: tuple(each for each in few if each.output_shape(inputs) == inputs) for row, few in found.items()}
        dense = (ly.Dense(inputs[-1]), ly.Dense(inputs[-1], bias=False))
        found[ly.Dense] = tuple(layer for layer in dense if _is_small(layer, inputs))
    if not any(found.values()):
        found[ly.Identity] = (ly.Identity(),)
    plain = [row for row, few in found.items() if few]
    blocks = [row for row in rows if deep and (row is ly.Residual or (row is ly.Sequential and not same))]
    # Activations are half of the table, and met in every flat network; what knows images or sequences alone is met in none.
    often = [row for row in (*plain, *blocks) if not issubclass(row, ly.Activation)]
    seldom = [row for row in plain if not _examples(row, (inputs[-1],))]
    row = draw(st.sampled_from([*plain, *blocks, *often, *seldom * OWN]))
    if row is ly.Residual:
        return _block(draw, ly.Residual, _returning(draw, inputs, rows, deep - 1))
    if row is ly.Sequential:
        return _block(draw, ly.Sequential, _chain(draw, inputs, rows, deep - 1))
    return draw(st.sampled_from(found[row]))


def _returning(draw: st.DrawFn, inputs: ly.Shape, rows: Rows, deep: int) -> list[ly.Layer]:
    """Layers one after the other that return what has the shape of their input; perhaps wider or narrower between."""
    layers = draw(st.lists(_layers(inputs, rows, deep, same=True), min_size=1, max_size=2))
    widths = [units for units in (1, 2 * inputs[-1]) if _is_small(ly.Dense(units), inputs)]
    if widths and draw(st.booleans()):
        units = draw(st.sampled_from(widths))
        between = draw(st.lists(_layers((*inputs[:-1], units), rows, 0, same=True), max_size=1))
        layers += [ly.Dense(units), *between, ly.Dense(inputs[-1])]
    return layers


def _chain(draw: st.DrawFn, inputs: ly.Shape, rows: Rows, deep: int) -> list[ly.Layer]:
    layers = list[ly.Layer]()
    for _ in range(draw(st.integers(1, 3))):
        layers.append(draw(_layers(inputs, rows, deep, same=False)))
        inputs = layers[-1].output_shape(inputs)
    return layers


def _block(draw: st.DrawFn, row: type[ly.Block], layers: Sequence[ly.Layer]) -> ly.Block:
    """Its layers have numbers, or names; a single one may lend the block its parameters."""
    names = [(), tuple(_names(layers)), *([("",)] if len(layers) == 1 else [])]
    return row(tuple(layers), draw(st.sampled_from(names)))


def _names(layers: Sequence[ly.Layer]) -> list[str]:
    return [f"{type(layer).__name__.lower()}{index}" for index, layer in enumerate(layers)]


def _ties(layers: Sequence[ly.Layer], shapes: Sequence[ly.Shape], named: bool) -> list[ly.Layer]:
    """Layers that came before, with the same parameters, as far as they fit here; and an embedding turned round."""
    names = _names(layers) if named else list(map(str, range(len(layers))))
    found, inputs = list[ly.Layer](), shapes[-1]
    for name, layer, before in zip(names, layers, shapes, strict=False):
        own = layer.parameter_shapes(before)
        if not own or not inputs:
            continue
        if isinstance(layer, ly.Embedding) and layer.width == inputs[-1]:
            found.append(ly.Tied(ly.Dense(layer.symbols, bias=False), (("weight", join(name, "weight")),)))
        elif layer.vocabulary is None and _is_small(layer, inputs) and layer.parameter_shapes(inputs) == own:
            pairs = tuple((each, join(name, each)) for each in own)
            found += [ly.Tied(layer, chosen) for chosen in dict.fromkeys((pairs, pairs[:1]))]
    return found


@st.composite
def _heads(draw: st.DrawFn, inputs: ly.Shape) -> list[ly.Layer]:
    """What makes outputs of it: nothing, a dense layer at every place, or one of them all."""
    dense = ly.Dense(draw(st.integers(1, 4)))
    flat: list[list[ly.Layer]] = [[ly.Flatten(), dense]] * (len(inputs) > 1 and prod(inputs) <= FLAT)
    return draw(st.sampled_from([[dense], [], *flat]))
