"""What a gradient must do at least, counted from the description: products, operations, bytes."""

import itertools
import math
from typing import Literal, NamedTuple

import msgspec

from gradcheck.errors import DescriptionError
from gradcheck.network.layers import Activation, Dense
from gradcheck.network.network import Network


class Step(msgspec.Struct, frozen=True):
    """A part of the floor: what it is, of which layer, and seconds."""

    layer: int
    what: str
    seconds: float


class Product(NamedTuple):
    """A product of matrices, (rows, inner) times (inner, columns), and the layer that needs it.

    ``forward`` is x W^T, ``weight`` g^T x, ``input`` g W.
    """

    layer: int
    kind: Literal["forward", "weight", "input"]
    rows: int
    inner: int
    columns: int

    @property
    def multiply_adds(self) -> int:
        """As the textbook does it."""
        return self.rows * self.inner * self.columns

    @property
    def stored(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Shapes of the factors as they lie in memory: x and W for x W^T, g and x for g^T x."""
        left = (self.inner, self.rows) if self.kind == "weight" else (self.rows, self.inner)
        return left, (self.columns, self.inner) if self.kind == "forward" else (self.inner, self.columns)


def products(network: Network, batch: int) -> list[Product]:
    """Of loss and gradient, in the order in which they are needed.

    The inputs of the network have no gradient, so the first dense layer has two products and each other has three.

    Raises
    ------
    DescriptionError
        Where a layer is more than a dense one on vectors or a function of an entry: what it costs is not known here.
    """
    dense = _dense(network)
    forward = [Product(layer, "forward", batch, features, units) for layer, features, units in dense]
    backward = [
        (Product(layer, "weight", units, batch, features), Product(layer, "input", batch, units, features))
        for layer, features, units in reversed(dense)
    ]
    return [*forward, *itertools.chain.from_iterable(backward)][:-1]


def multiply_adds(network: Network, batch: int) -> int:
    """Of all products of loss and gradient."""
    return sum(product.multiply_adds for product in products(network, batch))


def operations(network: Network, batch: int) -> int:
    """Multiply-adds, and one for each entry of a bias's addition and sum, of an activation, its slope and their product."""
    outputs = zip(network.layers, network.shapes[1:], strict=True)
    each = ((2 * layer.bias if isinstance(layer, Dense) else 3) * math.prod(shape) for layer, shape in outputs)
    return multiply_adds(network, batch) + batch * sum(each)


def memory(network: Network, batch: int, dtype: str) -> int:
    """Bytes of the gradients and of every layer's output: what a call makes. Parameters and inputs are there before."""
    outputs = sum(batch * math.prod(shape) for shape in network.shapes[1:])
    return (parameters(network) + outputs) * {"float64": 8, "float32": 4}[dtype]


def parameters(network: Network) -> int:
    """How many there are."""
    return sum(math.prod(shape) for shape in network.parameter_shapes.values())


def widths(network: Network) -> list[int]:
    """Inputs, and the units of every dense layer."""
    return [math.prod(network.inputs), *(units for _, _, units in _dense(network))]


def _dense(network: Network) -> list[tuple[int, int, int]]:
    """Index, features and units of every dense layer."""
    found: list[tuple[int, int, int]] = []
    for index, (layer, inputs) in enumerate(zip(network.layers, network.shapes, strict=False)):
        if isinstance(layer, Dense) and len(inputs) == 1:
            found.append((index, inputs[0], layer.units))
        elif not isinstance(layer, Activation):
            said = f"what {type(layer).__name__} costs at least for samples of shape {inputs} is not known"
            raise DescriptionError(said, f"layers[{index}]")
    return found
