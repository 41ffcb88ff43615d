"""A failing case made smaller part by part: layers, units, inputs and samples are left out, numbers become 0, 1 or integers.

Hypothesis shrinks the decisions by which a case was drawn; where fewer units would shift all decisions behind them, it stops
early. Here the case itself is taken apart, greedily, until no single step leaves it failing.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from gradcheck.cases.case import Case, Given
from gradcheck.errors import GradcheckError
from gradcheck.foundation.arrays import Array
from gradcheck.network.layers import Dense, Layer
from gradcheck.network.losses import Targets
from gradcheck.network.network import Network
from gradcheck.network.reference import forward


class Parts(NamedTuple):
    """A case written out: what can be left out of it."""

    network: Network
    parameters: dict[str, Array]
    inputs: Array
    targets: Array
    dtype: Any

    def case(self) -> Case:
        """Put together again."""
        data = Given.of({"inputs": self.inputs, "targets": self.targets})
        return Case(self.network, data=data, init=Given.of(self.parameters), dtype=self.dtype)


def reduced(case: Case, fails: Callable[[Case], bool]) -> Case:
    """The smallest failing case that single steps lead to; the case itself where none does."""
    best, parts = case, Parts(case.network, case.parameters, *case.batch, case.dtype)
    while (step := next((smaller for smaller in _smaller(parts) if _fails(smaller, fails)), None)) is not None:
        best, parts = step.case(), step
    return best


def _fails(parts: Parts, fails: Callable[[Case], bool]) -> bool:
    try:
        case = parts.case()
    except GradcheckError:  # what is left fits together no longer
        return False
    return fails(case)


def is_small(case: Case) -> bool:
    """At most two dense layers of at most two units, and two samples."""
    dense = [layer for layer in case.network.layers if isinstance(layer, Dense)]
    widest = max([*case.network.inputs, *(layer.units for layer in dense)])
    return max(len(dense), widest, len(case.batch.inputs)) <= 2


def _smaller(parts: Parts) -> Iterator[Parts]:
    """Every case that is one step smaller, the largest steps first."""
    for index in range(len(parts.network.layers)):
        yield from _without_layer(parts, index)
    for kept in _choices(len(parts.inputs)):
        yield parts._replace(inputs=parts.inputs[kept], targets=parts.targets[kept])
    for index in range(-1, len(parts.network.layers)):
        yield from _narrower(parts, index)
        yield from _square(parts, index)
    yield from _plainer(parts)
    for name in parts.parameters:
        for values in _simpler(parts.parameters[name]):
            yield parts._replace(parameters={**parts.parameters, name: values})
    yield from (parts._replace(inputs=values) for values in _simpler(parts.inputs))
    yield from (parts._replace(targets=values) for values in _simpler(parts.targets))


def _without_layer(parts: Parts, index: int) -> Iterator[Parts]:
    """A layer left out; what stands behind a dense one takes its inputs in place of its units, in turn."""
    network, (inputs, units) = parts.network, (parts.network.shapes[index][0], parts.network.shapes[index + 1][0])
    layers = (*network.layers[:index], *network.layers[index + 1 :])
    own = [name.partition(".") for name in parts.parameters]
    moved = {f"{int(i) - (int(i) > index)}.{name}": f"{i}.{name}" for i, _, name in own if int(i) != index}
    parameters = {new: parts.parameters[old] for new, old in moved.items()}
    left = parts._replace(network=Network(network.inputs, (), network.loss), parameters=parameters)
    left = _cut_behind(left, _dense_from(layers, index), [i % units for i in range(inputs)])
    try:
        yield left._replace(network=msgspec.structs.replace(network, layers=layers))
    except GradcheckError:  # a layer that wants another shape
        return


def _narrower(parts: Parts, index: int) -> Iterator[Parts]:
    """Units of a dense layer left out, or for index -1 inputs; with what the next dense layer, or the loss, had of them."""
    if index >= 0 and not isinstance(parts.network.layers[index], Dense):
        return
    behind = _dense_from(parts.network.layers, index + 1)
    for kept in _choices(parts.network.shapes[index + 1][0]):
        cut = _cut_behind(_cut(parts, index, kept), behind, kept)
        yield cut
        if behind is not None and len(kept) == 1:
            yield from _carrying(parts, cut, behind, kept[0])


def _square(parts: Parts, index: int) -> Iterator[Parts]:
    """What shows only where a layer has as many units as inputs, or as there are samples, keeps as many of either."""
    if index < 0 or not isinstance(parts.network.layers[index], Dense):
        return
    layers, (inputs, units) = parts.network.layers, (parts.network.shapes[index][0], parts.network.shapes[index + 1][0])
    behind, below = _dense_from(layers, index + 1), [i for i in range(index) if isinstance(layers[i], Dense)]
    for kept in _choices(units):
        fewer = _cut_behind(_cut(parts, index, kept), behind, kept)
        if units == len(parts.inputs):
            yield fewer._replace(inputs=fewer.inputs[kept], targets=fewer.targets[kept])
        if units == inputs:
            yield _cut_behind(_cut(fewer, below[-1] if below else -1, kept), index, kept)


def _dense_from(layers: Sequence[Layer], start: int) -> int | None:
    return next((i for i, layer in enumerate(layers) if i >= start and isinstance(layer, Dense)), None)


def _carrying(parts: Parts, cut: Parts, behind: int, kept: int) -> Iterator[Parts]:
    """The one unit that is left weighs as much as all did, for the first sample: what needs large numbers keeps them."""
    states = forward(parts.network, parts.parameters, parts.inputs)
    name, one = f"{behind}.weight", states[behind][0, kept]
    if one:
        weight = (parts.parameters[name] @ states[behind][0] / one)[:, None]
        yield cut._replace(parameters={**cut.parameters, name: weight})


def _cut(parts: Parts, index: int, kept: list[int]) -> Parts:
    network, parameters = parts.network, dict(parts.parameters)
    if index < 0:
        return parts._replace(network=msgspec.structs.replace(network, inputs=(len(kept),)), inputs=parts.inputs[:, kept])
    layers = list(network.layers)
    layers[index] = msgspec.structs.replace(layers[index], units=len(kept))
    for name in (f"{index}.weight", f"{index}.bias"):
        if name in parameters:
            parameters[name] = parameters[name][kept]
    return parts._replace(network=msgspec.structs.replace(network, layers=tuple(layers)), parameters=parameters)


def _cut_behind(parts: Parts, behind: int | None, kept: list[int]) -> Parts:
    if behind is not None:
        name = f"{behind}.weight"
        return parts._replace(parameters={**parts.parameters, name: parts.parameters[name][:, kept]})
    if parts.network.loss.targets is Targets.CLASSES:
        return parts._replace(targets=np.minimum(parts.targets, len(kept) - 1))
    return parts._replace(targets=parts.targets[:, kept])


def _choices(count: int) -> Iterator[list[int]]:
    """What may be kept of so many: one, two that are neighbours, half, all but one."""
    found = [[i] for i in range(count)] if count > 1 else []
    found += [[i, i + 1] for i in range(count - 1)] if count > 2 else []
    found += [list(range(count // 2)), list(range(count // 2, count))] if count > 4 else []
    return iter(found + ([[i for i in range(count) if i != left] for left in range(count)] if count > 3 else []))


def _plainer(parts: Parts) -> Iterator[Parts]:
    """Without weight decay, without a bias, in double precision."""
    network = parts.network
    if network.weight_decay:
        yield parts._replace(network=msgspec.structs.replace(network, weight_decay=0.0))
    if parts.dtype != "float64":
        yield parts._replace(dtype="float64")
    for index, layer in enumerate(network.layers):
        if isinstance(layer, Dense) and layer.bias:
            layers = (*network.layers[:index], msgspec.structs.replace(layer, bias=False), *network.layers[index + 1 :])
            parameters = {name: value for name, value in parts.parameters.items() if name != f"{index}.bias"}
            yield parts._replace(network=msgspec.structs.replace(network, layers=layers), parameters=parameters)


def _simpler(values: Array) -> Iterator[Array]:
    """All entries, then each, as 0, as 1, as an integer: whatever is simpler than it was."""
    yield from (plain for plain in _plain(values) if _rank(plain).sum() < _rank(values).sum())
    for index in np.ndindex(values.shape):
        for plain in _plain(values[index]):
            if _rank(plain) < _rank(values[index]):
                changed = values.copy()
                changed[index] = plain
                yield changed


def _plain(values: Any) -> list[Any]:
    return [np.zeros_like(values), np.ones_like(values), np.round(values)]


def _rank(values: Array) -> Array:
    """0 before 1 before other integers before the rest."""
    return np.where(values == 0, 0, np.where(values == 1, 1, np.where(values == np.round(values), 2, 3)))
