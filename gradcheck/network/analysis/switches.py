"""How far the units of a network are from their kinks.

Below the first switch of a unit along a direction a piecewise function is one smooth piece, and extrapolation is valid.
"""

from collections.abc import Collection

import numpy as np

from gradcheck.foundation.arrays import Array
from gradcheck.network import layers as ly
from gradcheck.network import losses as ls
from gradcheck.network.analysis.nodes import Node
from gradcheck.network.analysis.passes import recorded
from gradcheck.network.analysis.tape import Tape
from gradcheck.network.batch import Parameters
from gradcheck.network.network import Network
from gradcheck.network.reference.copies import Stacks, forward


def distances(
    network: Network,
    parameters: Parameters,
    inputs: Array,
    targets: Array,
    stacks: Stacks,
    known: list[Array] | None = None,
    coupled: Collection[int] = (),
) -> Array:
    """How far every unit is from every joint of its activation, and every output from those of the loss.

    Signed, a row for each point, of length 0 for a network of smooth functions; of candidates for a maximum how far each is
    ahead. ``known`` are the inputs and the output of every layer where no parameter is moved; all else is as `copies.losses`
    takes it.
    """
    if not network.flat:
        return np.stack([_recorded(network, {**parameters, **point}, inputs, targets) for point in _points(stacks)])
    if not network.loss.joints and not any(isinstance(layer, ly.Activation) and layer.joints for layer in network.layers):
        return np.zeros((1, 0))
    with np.errstate(all="ignore"):
        here = None if stacks or known is None else [state[None] for state in known]
        states = here or forward(network, parameters, inputs, stacks, coupled)
    activations = [(layer, z) for layer, z in zip(network.layers, states, strict=False) if isinstance(layer, ly.Activation)]
    found = [z - joint for layer, z in activations for joint in layer.joints]
    found += _at_loss(network.loss, states[-1], targets)
    rows = [distance.reshape(len(distance), -1) for distance in found]
    return np.concatenate([np.broadcast_to(row, (len(states[-1]), row.shape[1])) for row in rows], axis=1)


def _points(stacks: Stacks) -> list[dict[str, Array]]:
    """The parameters that are moved, point by point."""
    if not stacks:
        return [{}]
    return [dict(zip(stacks, values, strict=True)) for values in zip(*stacks.values(), strict=True)]


def _recorded(network: Network, parameters: Parameters, inputs: Array, targets: Array) -> Array:
    tape = Tape(Node)
    with np.errstate(all="ignore"):
        _, outputs = recorded(tape, network, parameters, inputs)
        found = [distance for choice in tape.choices for distance in choice.distances]
        found += _at_loss(network.loss, outputs.value, targets)
    return np.concatenate([distance.ravel() for distance in found]) if found else np.zeros(0)


def _at_loss(loss: ls.Loss, z: Array, targets: Array) -> list[Array]:
    if not loss.joints:
        return []
    margin = z * targets if loss.targets is ls.Targets.SIGNS else np.abs(z - targets)
    return [margin - joint for joint in loss.joints]
