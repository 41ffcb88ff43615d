"""A failing case made smaller part by part: layers, units, inputs and samples are left out, numbers become 0, 1 or integers.

Hypothesis shrinks the decisions by which a case was drawn; where fewer units would shift all decisions behind them, it stops
early. Here the case itself is taken apart, greedily, until no single step leaves it failing.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

import msgspec
import numpy as np

from gradcheck.campaign.shrinking.dismantling import smaller_layers, without_layers
from gradcheck.campaign.shrinking.parts import Parts, choices, plainer, simpler
from gradcheck.cases.case import Case, Given
from gradcheck.errors import GradcheckError
from gradcheck.network.layers import Dense, Layer
from gradcheck.network.losses import Targets
from gradcheck.network.reference import forward


def reduced(case: Case, fails: Callable[[Case], bool]) -> Case:
    """The smallest failing case that single steps lead to; the case itself where none does."""
    best, parts = case, Parts(case.network, case.parameters, *case.batch, case.dtype)
    while step := next((step for step in _steps(parts) if fails(step[0])), None):
        best, parts = step
    return best


def _steps(parts: Parts) -> Iterator[tuple[Case, Parts]]:
    for smaller in _smaller(parts):
        with suppress(GradcheckError):  # what is left fits together no longer
            data = Given.of({"inputs": smaller.inputs, "targets": smaller.targets})
            yield Case(smaller.network, data=data, init=Given.of(smaller.parameters), dtype=smaller.dtype), smaller


def is_small(case: Case) -> bool:
    """At most two layers that have parameters, blocks as one, no side longer than two, and two samples."""
    network = case.network
    sides = [side for shape in network.shapes for side in shape]
    return max(sum(map(bool, network.wiring)), *sides, len(case.batch.inputs)) <= 2


def _smaller(parts: Parts) -> Iterator[Parts]:
    """Every case that is one step smaller, the largest steps first."""
    flat = parts.network.flat and not parts.network.names
    if flat:
        for index in range(len(parts.network.layers)):
            yield from _without_layer(parts, index)
    else:
        yield from without_layers(parts)
    for kept in choices(len(parts.inputs)):
        yield parts._replace(inputs=parts.inputs[kept], targets=parts.targets[kept])
    if flat:
        for index in range(-1, len(parts.network.layers)):
            yield from _narrower(parts, index)
            yield from _square(parts, index)
    else:
        yield from smaller_layers(parts)
    yield from plainer(parts)
    if flat:
        yield from _without_biases(parts)
    yield from simpler(parts)


def _without_layer(parts: Parts, index: int) -> Iterator[Parts]:
    """A layer left out; what stands behind a dense one takes its inputs in place of its units, in turn."""
    (inputs, *_), (units, *_) = parts.network.shapes[index : index + 2]
    layers = (*parts.network.layers[:index], *parts.network.layers[index + 1 :])
    named = [(*name.split("."), values) for name, values in parts.parameters.items()]
    own = {f"{int(i) - (int(i) > index)}.{name}": values for i, name, values in named if int(i) != index}
    left = _cut_behind(parts._replace(parameters=own), _dense_from(layers, index), [i % units for i in range(inputs)])
    with suppress(GradcheckError):  # a layer that wants another shape
        yield left.described(layers=layers)


def _narrower(parts: Parts, index: int) -> Iterator[Parts]:
    """Fewer units of a layer, or inputs."""
    for kept, fewer in _fewer(parts, index):
        yield fewer
        behind = _dense_from(parts.network.layers, index + 1)
        if behind is not None and len(kept) == 1:
            yield from _carrying(parts, fewer, behind, kept[0])


def _square(parts: Parts, index: int) -> Iterator[Parts]:
    """What shows only where a layer has as many units as inputs, or as there are samples, keeps as many of either."""
    if index < 0:
        return
    (inputs, *_), (units, *_) = parts.network.shapes[index : index + 2]
    below = max((i for i in range(index) if isinstance(parts.network.layers[i], Dense)), default=-1)
    for kept, fewer in _fewer(parts, index):
        if units == len(parts.inputs):
            yield fewer._replace(inputs=fewer.inputs[kept], targets=fewer.targets[kept])
        if units == inputs:
            yield _cut_behind(_cut(fewer, below, kept), index, kept)


def _fewer(parts: Parts, index: int) -> Iterator[tuple[list[int], Parts]]:
    """Units of a dense layer that are kept, or for index -1 inputs; with what the next one, or the loss, has of them."""
    if index < 0 or isinstance(parts.network.layers[index], Dense):
        behind = _dense_from(parts.network.layers, index + 1)
        for kept in choices(parts.network.shapes[index + 1][0]):
            yield kept, _cut_behind(_cut(parts, index, kept), behind, kept)


def _dense_from(layers: Sequence[Layer], start: int) -> int | None:
    return next((i for i, layer in enumerate(layers) if i >= start and isinstance(layer, Dense)), None)


def _carrying(parts: Parts, cut: Parts, behind: int, kept: int) -> Iterator[Parts]:
    """The one unit that is left weighs as much as all did, for the first sample: what needs large numbers keeps them."""
    state, name = forward(parts.network, parts.parameters, parts.inputs)[behind][0], f"{behind}.weight"
    if state[kept]:
        yield cut.put(name, (parts.parameters[name] @ state / state[kept])[:, None])


def _cut(parts: Parts, index: int, kept: list[int]) -> Parts:
    if index < 0:
        return parts.described(inputs=(len(kept),))._replace(inputs=parts.inputs[:, kept])
    layers = list(parts.network.layers)
    layers[index] = msgspec.structs.replace(layers[index], units=len(kept))
    own = {name: values[kept] for name, values in parts.parameters.items() if name.startswith(f"{index}.")}
    return parts.described(layers=tuple(layers))._replace(parameters={**parts.parameters, **own})


def _cut_behind(parts: Parts, behind: int | None, kept: list[int]) -> Parts:
    if behind is not None:
        return parts.put(f"{behind}.weight", parts.parameters[f"{behind}.weight"][:, kept])
    if parts.network.loss.targets is Targets.CLASSES:
        return parts._replace(targets=np.minimum(parts.targets, len(kept) - 1))
    return parts._replace(targets=parts.targets[:, kept])


def _without_biases(parts: Parts) -> Iterator[Parts]:
    for index, layer in enumerate(parts.network.layers):
        if isinstance(layer, Dense) and layer.bias:
            layers = list(parts.network.layers)
            layers[index] = msgspec.structs.replace(layer, bias=False)
            parameters = {name: value for name, value in parts.parameters.items() if name != f"{index}.bias"}
            yield parts.described(layers=tuple(layers))._replace(parameters=parameters)
