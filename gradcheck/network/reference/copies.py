"""The reference's loss at many points that differ in some parameters: one batch of copies instead of a forward each.

Samples mostly know nothing of each other, so k copies of n samples are one batch of k n samples to a layer that no parameter
was moved in. Where one was, or samples are coupled, the layer is applied copy by copy; below the first in which a parameter
was moved there is but one copy.
"""

from collections.abc import Collection, Mapping
from functools import singledispatch
from math import prod
from typing import Any, TypeAlias

import numpy as np

from gradcheck.foundation.arrays import Array
from gradcheck.network import layers as ly
from gradcheck.network.batch import Parameters
from gradcheck.network.network import Network, by_layer, is_weight
from gradcheck.network.reference import meaning

AT_ONCE = 2**14  # numbers in the widest state of all copies: what a cache holds. Measured, not derived.

Stacks: TypeAlias = Mapping[str, Array]
"""Values of some parameters by name, each of shape (k, *shape): one for each of k points."""


def losses(
    network: Network,
    parameters: Parameters,
    inputs: Array,
    targets: Array,
    stacks: Stacks,
    coupled: Collection[int] = (),
) -> Array:
    """`meaning.loss` at k points, of shape (k,). ``stacks`` holds one parameter at least, whose value is not used.

    ``coupled`` are the numbers of the layers that couple samples (`coupling`).
    """
    count = len(next(iter(stacks.values())))
    widest = max(map(prod, network.shapes))
    room = AT_ONCE // (len(inputs) * widest)
    if room < 2:
        points = ({**parameters, **{name: stack[i] for name, stack in stacks.items()}} for i in range(count))
        return np.array([meaning.loss(network, point, inputs, targets) for point in points])
    parts = ({name: stack[i : i + room] for name, stack in stacks.items()} for i in range(0, count, room))
    return np.concatenate([_losses(network, parameters, inputs, targets, part, coupled) for part in parts])


def forward(
    network: Network, parameters: Parameters, inputs: Array, stacks: Stacks, coupled: Collection[int] = ()
) -> list[Array]:
    """The inputs and the output of every layer, each of shape (k, n, *shape), or (1, n, *shape) where all copies are one."""
    states = [inputs[None]]
    each = (by_layer(network, arrays) for arrays in (parameters, stacks))
    for index, (layer, own, moved) in enumerate(zip(network.layers, *each, strict=True)):
        x = states[-1]
        if moved:
            states.append(each_copy(layer, own, moved, x))
        elif index in coupled:
            states.append(np.stack([meaning.apply(layer, own, copy) for copy in x]))
        else:
            states.append(_all_copies(layer, own, x))
    return states


def _losses(
    network: Network, parameters: Parameters, inputs: Array, targets: Array, stacks: Stacks, coupled: Collection[int]
) -> Array:
    z = forward(network, parameters, inputs, stacks, coupled)[-1]
    each = meaning.losses(network.loss, _joined(z), np.concatenate([targets] * len(z)))
    total = each.reshape(len(z), -1).mean(axis=1)
    if network.weight_decay:
        total = total + network.weight_decay / 2 * _squares(parameters, stacks)
    return total


def _squares(parameters: Parameters, stacks: Stacks) -> Any:
    moved = [(stack * stack).reshape(len(stack), -1).sum(axis=1) for name, stack in stacks.items() if is_weight(name)]
    still = [(value * value).sum() for name, value in parameters.items() if is_weight(name) and name not in stacks]
    return sum([*still, *moved])


def _all_copies(layer: ly.Layer, parameters: Parameters, x: Array) -> Array:
    outputs = meaning.apply(layer, parameters, _joined(x))
    return outputs.reshape(*x.shape[:2], *outputs.shape[1:])


def _joined(x: Array) -> Array:
    """All copies as one batch."""
    return x.reshape(-1, *x.shape[2:])


@singledispatch
def each_copy(layer: ly.Layer, parameters: Parameters, moved: Stacks, x: Array) -> Array:
    """Outputs of one layer with parameters of its own for each copy, for ``x`` of shape (k, n, *shape) or (1, n, *shape)."""
    points = [{**parameters, **dict(zip(moved, values, strict=True))} for values in zip(*moved.values(), strict=True)]
    xs = np.broadcast_to(x, (len(points), *x.shape[1:]))
    return np.stack([meaning.apply(layer, point, each) for point, each in zip(points, xs, strict=True)])


@each_copy.register
def _(layer: ly.Dense, parameters: Parameters, moved: Stacks, x: Array) -> Array:
    """Matrix products take stacks of matrices; a stack of biases must not be taken for a bias of each sample."""
    z = x.reshape(len(x), -1, x.shape[-1]) @ moved.get("weight", parameters["weight"]).mT
    if layer.bias:
        z = z + (moved["bias"][:, None] if "bias" in moved else parameters["bias"])
    return z.reshape(len(z), *x.shape[1:-1], -1)
