"""Where a pass computes: arrays allocated once for a batch size and dtype, and handed to each layer's rule as its `Buffers`.

Samples are columns here, (features, n): a bias is added along contiguous memory, and its gradient is one product with ones.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from math import prod
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias
from weakref import ref

import numpy as np

from gradcheck.foundation.arrays import Array
from gradcheck.network.layers import Activation, Shape
from gradcheck.network.network import Network, layer_shapes

DType: TypeAlias = "np.dtype[Any]"
# Bytes of gradients above which fresh memory costs more than looking who holds the old. Measured: in networks of 360 to 560
# KiB passes in fresh memory took between 17 % less time and 8 % more, in networks of 770 KiB and more 15 to 150 % more.
LARGE = 3 * 2**18
NONE: Mapping[str, Array] = MappingProxyType({})


class Buffers(NamedTuple):
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


NEW = Buffers()  # everything is allocated anew, and nothing is overwritten


class Workspace:
    """The buffers of all layers, for one batch size and dtype.

    Gradients are the caller's to keep. Large ones lie in memory that is used again once nobody holds them: fresh memory
    would cost a page fault for every 4 KiB. In a loop ``loss, g = model.loss_and_gradients(...)`` the last call's are still
    held in the next, so there are two such memories.
    """

    def __init__(self, network: Network, samples: int, dtype: DType) -> None:
        self.buffers = _buffers(network, samples, dtype)
        self._shapes, self._dtype = layer_shapes(network), dtype
        size = sum(prod(shape) for own in self._shapes for shape in own.values())
        self._memories = [_Memory(self._shapes, dtype) for _ in range(2)] if size * dtype.itemsize > LARGE else []

    def lend(self) -> list[Buffers]:
        """Buffers with arrays for gradients that nobody else holds; without any where there is no memory for them."""
        memory = next((memory for memory in self._memories if not any(map(_held, memory.lent))), None)
        return self.buffers if memory is None else self._with(memory.lend())

    @cached_property
    def repeated(self) -> list[Buffers]:
        """Buffers with the same arrays for gradients each time."""
        return self._with(_Memory(self._shapes, self._dtype).lend())

    def _with(self, gradients: Sequence[Mapping[str, Array]]) -> list[Buffers]:
        each = zip(self.buffers, gradients, strict=True)
        return [buffers._replace(gradients=own) if own else buffers for buffers, own in each]


class _Memory:
    """Memory for the gradients of all layers, and the arrays that it was last lent as."""

    def __init__(self, shapes: Sequence[Mapping[str, Shape]], dtype: DType) -> None:
        self._dtype, self._layers = dtype, len(shapes)
        self._places = [(index, name, shape) for index, own in enumerate(shapes) for name, shape in own.items()]
        self.lent: list[ref[Array]] = []

    # No arrays: a view refers to the array that owns the memory, and would not keep alive what was lent.
    @cached_property
    def _bytes(self) -> list[bytearray]:
        return [bytearray(prod(shape) * self._dtype.itemsize) for _, _, shape in self._places]

    def lend(self) -> list[dict[str, Array]]:
        """New arrays in this memory, by name for each layer."""
        gradients: list[dict[str, Array]] = [{} for _ in range(self._layers)]
        for (index, name, shape), memory in zip(self._places, self._bytes, strict=True):
            gradients[index][name] = np.ndarray(shape, self._dtype, memory)
        self.lent = [ref(array) for own in gradients for array in own.values()]
        return gradients


def _held(array: "ref[Array]") -> bool:
    """Whether anybody refers to a gradient, or to a view of it."""
    return array() is not None


def _buffers(network: Network, samples: int, dtype: DType) -> list[Buffers]:
    """Gradients go down through two arrays a width, which stay in the cache.

    A dense layer reads one and writes the other, and what acts on each entry stays in place.
    """
    widths = set(network.shapes)
    scratch, here, other = ({shape: np.empty((*shape, samples), dtype) for shape in widths} for _ in range(3))
    ones, lowest = np.ones(samples, dtype), lowest_with_parameters(network)
    buffers: list[Buffers] = []
    for index, layer in reversed(list(enumerate(network.layers))):
        if not isinstance(layer, Activation):
            here, other = other, here
        inputs, outputs = network.shapes[index : index + 2]
        out = np.empty((*outputs, samples), dtype)
        buffers.append(Buffers(out, scratch[inputs], here[inputs], NONE, ones, needed=index > lowest))
    return buffers[::-1]


def lowest_with_parameters(network: Network) -> int:
    """Index of the first layer that has any; the number of layers where none has."""
    shapes = layer_shapes(network)
    return next((index for index, own in enumerate(shapes) if any(map(prod, own.values()))), len(shapes))
