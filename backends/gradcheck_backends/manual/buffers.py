"""Where a pass computes: arrays allocated once per batch size, and handed to each layer's rule as its `Room`.

Samples are columns here, (features, n): a bias is added along contiguous memory, and its gradient is one product with ones.
"""

import sys
from collections.abc import Iterator, Mapping
from math import prod
from sys import getrefcount
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from gradcheck.foundation.arrays import Array
from gradcheck.network.layers import Activation
from gradcheck.network.network import Network

Kind: TypeAlias = "np.dtype[Any]"
LARGE = 2**18  # bytes of gradients, above which looking who holds them is worth it. Measured, not derived.
NONE: Mapping[str, Array] = MappingProxyType({})


class Room(NamedTuple):
    """What one layer may write to, each as NumPy's ``out``, (features, n): where it is None, NumPy allocates.

    Attributes
    ----------
    out : array, optional
        For the output. It holds until the next pass.
    scratch : array, optional
        Of the input's shape, for the pullback alone: other layers write to it too.
    below : array, optional
        For the gradient at the input. An activation may find the gradient at its output there, and overwrites it.
    gradients : dict of str to array
        For gradients of the layer's own parameters; what is missing is allocated, and then nobody overwrites it.
    ones : array, optional
        (n,): the product with it is the sum over samples.
    needed : bool
        Whether anything below has parameters, so that the gradient at the input is asked for.
    """

    out: Array | None = None
    scratch: Array | None = None
    below: Array | None = None
    gradients: Mapping[str, Array] = NONE
    ones: Array | None = None
    needed: bool = True


NEW = Room()  # everything is allocated anew, and nothing is overwritten


class Workspace:
    """The rooms of all layers, for one batch size and dtype.

    Gradients are handed out, and their arrays used again once nobody else holds them: fresh memory would cost a page fault
    for every 4 KiB. In a loop ``loss, g = model.loss_and_gradients(...)`` the last call's are still held in the next, so
    there are two sets.
    """

    def __init__(self, network: Network, samples: int, dtype: Kind) -> None:
        self.rooms = _rooms(network, samples, dtype)
        self._sets = [self._set(network, dtype) for _ in range(2)]
        self._large = sum(array.nbytes for room in self._sets[0] for array in room.gradients.values()) > LARGE

    def rooms_for_gradients(self, *, reuse: bool) -> list[Room]:
        """Rooms whose ``gradients`` may be written to: of the last call where ``reuse``, else such as nobody holds."""
        if reuse:
            return self._sets[0]
        if not self._large:
            return self.rooms
        return next((rooms for rooms in self._sets if not any(map(_held, rooms))), self.rooms)

    def _set(self, network: Network, dtype: Kind) -> list[Room]:
        return [room._replace(gradients=own) for room, own in zip(self.rooms, _gradients(network, dtype), strict=True)]


def _rooms(network: Network, samples: int, dtype: Kind) -> list[Room]:
    """Gradients go down through two arrays a width in turn, which stay in the cache.

    A dense layer reads one and writes the other, and what acts on each entry stays in place.
    """
    widths = set(network.shapes)
    scratch, *turns = ({shape: np.empty((*shape, samples), dtype) for shape in widths} for _ in range(3))
    ones, lowest = np.ones(samples, dtype), lowest_with_parameters(network)
    rooms: list[Room] = []
    turn = 0
    for index, layer in reversed(list(enumerate(network.layers))):
        turn ^= not isinstance(layer, Activation)
        inputs, outputs = network.shapes[index : index + 2]
        out = np.empty((*outputs, samples), dtype)
        rooms.insert(0, Room(out, scratch[inputs], turns[turn][inputs], NONE, ones, needed=index > lowest))
    return rooms


def _held(room: Room) -> bool:
    """Whether anybody else refers to one of the gradients, or to a view of it."""
    return any(getrefcount(array) > OURS for array in room.gradients.values())


def _ours() -> int:
    """References to an array as `_held` counts them, where nobody else has one."""
    return max(getrefcount(array) for array in {"": np.empty(0)}.values())


# Without a global lock counts are not exact, and arrays are never used twice.
OURS = _ours() if getattr(sys, "_is_gil_enabled", lambda: True)() else -1


def lowest_with_parameters(network: Network) -> int:
    """Index of the first layer that has any; the number of layers where none has."""
    counts = [sum(map(prod, own.values())) for own in _shapes(network)]
    return next((index for index, count in enumerate(counts) if count), len(counts))


def _gradients(network: Network, dtype: Kind) -> Iterator[dict[str, Array]]:
    for own in _shapes(network):
        yield {name: np.empty(shape, dtype) for name, shape in own.items()}


def _shapes(network: Network) -> Iterator[Mapping[str, tuple[int, ...]]]:
    for layer, inputs in zip(network.layers, network.shapes, strict=False):
        yield layer.parameter_shapes(inputs)
