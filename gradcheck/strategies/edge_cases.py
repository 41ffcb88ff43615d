"""What breaks backprop and chance never meets: zeros, kinks, dead and saturated layers, extreme sizes, equal samples.

Each changes parameters or batch of a network; it draws what it needs and leaves alone what it does not apply to.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
from hypothesis import strategies as st

from gradcheck.foundation.arrays import Array
from gradcheck.network import layers as ly
from gradcheck.network import reference
from gradcheck.network.losses import Targets
from gradcheck.network.network import Network, is_weight, layers_with

FACTORS = (1e12, 1e-12, 1e4, 16.0)
SATURATED = 50.0  # tanh and sigmoid are 1 to rounding from 20 and 40 on
LOGITS = 1e4
# On a kink, within the rounding of float32, and within what finite differences step over.
DISTANCES = (0.0, 1e-8, -1e-8, 1e-9, -1e-9, 1e-12, -1e-12, 1e-4, -1e-4)


class Draft(NamedTuple):
    """A case in the making; arrays in float64, changed in place."""

    network: Network
    parameters: dict[str, Array]
    inputs: Array
    targets: Array

    def states(self) -> list[Array]:
        """The inputs and the output of every layer."""
        with np.errstate(all="ignore"):
            return reference.forward(self.network, self.parameters, self.inputs)


EdgeCase: TypeAlias = Callable[[st.DrawFn, Draft, str], None]


def zero_weights(draw: st.DrawFn, draft: Draft, _dtype: str) -> None:
    """Every weight 0, or every parameter."""
    biases_too = draw(st.booleans())
    for name, value in draft.parameters.items():
        if biases_too or is_weight(name):
            value *= 0.0  # keeps the sign


def rescaled(draw: st.DrawFn, draft: Draft, _dtype: str) -> None:
    """One parameter, or one entry of it, as large or small as nobody expects."""
    if draft.parameters:
        _some_part(draw, draft)[...] *= draw(st.sampled_from(FACTORS))


def subnormal(draw: st.DrawFn, draft: Draft, dtype: str) -> None:
    """One parameter, or one entry of it, below the smallest normal number."""
    if draft.parameters:
        part = _some_part(draw, draft)
        part[...] = np.clip(part, -1, 1) * (float(np.finfo(dtype).tiny) / 16)


def dead_layer(draw: st.DrawFn, draft: Draft, _dtype: str) -> None:
    """A layer that hands nothing but negative numbers to what comes next."""
    layer = _biased(draw, draft)
    if layer is not None:
        highest = np.max(_by_unit(draft.network, layer, draft.states()[layer + 1]), axis=0)
        draft.parameters[draft.network.wiring[layer]["bias"]] -= np.ceil(np.maximum(highest, 0)) + 1


def near_a_kink(draw: st.DrawFn, draft: Draft, _dtype: str) -> None:
    """One pre-activation of one sample on a kink, or so near that rounding may put it on either side."""
    layer = _biased(draw, draft)
    if layer is None:
        return
    z = _by_unit(draft.network, layer, draft.states()[layer + 1])
    place, unit = draw(st.integers(0, len(z) - 1)), draw(st.integers(0, z.shape[1] - 1))
    at = draw(st.sampled_from(_kinks(draft, layer, place, unit)))
    bias = draft.parameters[draft.network.wiring[layer]["bias"]]
    bias[unit] += at + draw(st.sampled_from(DISTANCES)) - z[place, unit]


def saturated_layer(draw: st.DrawFn, draft: Draft, _dtype: str) -> None:
    """A layer with weights whose largest output is 50."""
    layers = layers_with(draft.network, "weight")
    if layers:
        _enlarge(draft, draw(st.sampled_from(layers)), SATURATED)


def extreme_logits(_draw: st.DrawFn, draft: Draft, _dtype: str) -> None:
    """A last layer with weights whose largest output is 1e4."""
    for layer in layers_with(draft.network, "weight")[-1:]:
        _enlarge(draft, layer, LOGITS)


def equal_samples(_draw: st.DrawFn, draft: Draft, _dtype: str) -> None:
    """Every sample the first one, its target included."""
    draft.inputs[...] = draft.inputs[0]
    draft.targets[...] = draft.targets[0]


def equal_entries(_draw: st.DrawFn, draft: Draft, _dtype: str) -> None:
    """Every entry of the inputs the first one: a blank image, a sequence of one token."""
    draft.inputs[...] = draft.inputs.flat[0]


def equal_targets(_draw: st.DrawFn, draft: Draft, _dtype: str) -> None:
    """Every target the first one."""
    draft.targets[...] = draft.targets[0]


EDGE_CASES: tuple[EdgeCase, ...] = (
    *(zero_weights, rescaled, subnormal, dead_layer, near_a_kink, saturated_layer, extreme_logits),
    *(equal_samples, equal_targets),
    near_a_kink,  # twice as often: this is where conventions differ
    *(extreme_logits, extreme_logits),  # most of these end in something that saturates
)
WITH_PLACES: tuple[EdgeCase, ...] = (*EDGE_CASES, equal_entries)


def edge_cases_of(network: Network) -> tuple[EdgeCase, ...]:
    """Those to choose from; where a sample has places, they may all be alike."""
    return EDGE_CASES if network.flat else WITH_PLACES


def _biased(draw: st.DrawFn, draft: Draft) -> int | None:
    """A layer with a bias for each of its outputs, those behind which something has a kink first."""
    network = draft.network
    biased = layers_with(network, "bias")
    layers = [index for index in biased if _is_of_units(draft, index)]
    layers.sort(key=lambda index: not _joints_behind(network, index))
    return draw(st.sampled_from(layers)) if layers else None


def _is_of_units(draft: Draft, layer: int) -> bool:
    outputs = draft.network.shapes[layer + 1]
    return draft.parameters[draft.network.wiring[layer]["bias"]].shape == (outputs[_axis(draft.network, layer)],)


def _axis(network: Network, layer: int) -> int:
    """Along which axis of one output a layer's units lie."""
    return 0 if isinstance(network.layers[layer], ly.Conv2d | ly.BatchNorm) else -1


def _by_unit(network: Network, layer: int, values: Array) -> Array:
    """A layer's outputs, or what belongs to them, with a row for each place of each sample and a column for each unit."""
    axis = _axis(network, layer) + (1 if _axis(network, layer) >= 0 else 0)
    moved = np.moveaxis(values, axis, -1)
    return moved.reshape(-1, moved.shape[-1])


def _joints_behind(network: Network, layer: int) -> tuple[float, ...]:
    """Where the layer that comes next joins two formulas."""
    behind = network.layers[layer + 1 : layer + 2]
    return behind[0].joints if behind and isinstance(behind[0], ly.Activation) else ()


def _kinks(draft: Draft, layer: int, place: int, unit: int) -> tuple[float, ...]:
    """Outputs of a layer at which what comes next joins two formulas: an activation, or the loss."""
    network = draft.network
    if layer + 1 < len(network.layers):
        return _joints_behind(network, layer) or (0.0,)
    if network.loss.targets is Targets.CLASSES:
        return (0.0,)
    y = float(_by_unit(network, layer, draft.targets)[place, unit])
    signs = network.loss.targets is Targets.SIGNS
    return tuple(y * joint if signs else y + joint for joint in network.loss.joints) or (0.0,)


def _enlarge(draft: Draft, layer: int, largest: float) -> None:
    """Multiply weight and bias so that the largest output has this size; leave zeros."""
    size = float(np.max(np.abs(draft.states()[layer + 1])))
    if 0 < size < np.inf:
        for own, name in draft.network.wiring[layer].items():
            if own in ("weight", "bias"):
                draft.parameters[name] *= largest / size


def _some_part(draw: st.DrawFn, draft: Draft) -> Array:
    """A view of one parameter or of one entry of it."""
    array = draft.parameters[draw(st.sampled_from(list(draft.parameters)))]
    if draw(st.booleans()):
        index = draw(st.integers(0, array.size - 1))
        return array.reshape(-1)[index : index + 1]
    return array
