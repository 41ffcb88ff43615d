"""A forward and a backward pass with everything on the way, where mistakes can be made in it, and what one is."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from gradcheck.foundation.arrays import Array
from gradcheck.network.batch import Batch, Parameters
from gradcheck.network.layers import Layer
from gradcheck.network.losses import Loss
from gradcheck.network.network import Network, by_layer
from gradcheck_backends.manual.blocks import forward
from gradcheck_backends.manual.nested import NestedModel, decayed
from gradcheck_backends.manual.rules import LayerPullback

# Layers away that an input can be mixed up with this one's: those further off are no likelier, and trying all of them costs
# the cube of the depth. At 2 or 1e9 no cause of the tests changed.
NEAR = 16

NONE: Mapping[str, Any] = MappingProxyType({})


class Trace:
    """One pass of the manual build; samples in rows, as people write them.

    ``inputs`` are those of every layer, and last the network's output; ``top`` is the gradient there, and ``gradients`` are
    the right ones, by parameter name.
    """

    def __init__(self, network: Network, parameters: Parameters, batch: Batch) -> None:
        self.network, self.parameters, self.batch = network, parameters, batch
        self.model = NestedModel(network)
        self.inputs, self.pullbacks = [batch.inputs], list[LayerPullback]()
        for layer, own in zip(network.layers, by_layer(network, parameters), strict=True):
            output, (pullback,) = forward((layer,), (own,), self.inputs[-1])
            self.inputs.append(output)
            self.pullbacks.append(pullback)
        self.top: Array = self.model.loss_rule(network.loss, self.inputs[-1], batch.targets)[1]()
        self.gradients = decayed(network, parameters, self.model.backward(self.top, self.pullbacks))

    @cached_property
    def above(self) -> list[Array]:
        """The gradient at the output of every layer."""
        found = [self.top]
        for pullback in reversed(self.pullbacks[1:]):
            found.insert(0, pullback(found[0])[0])
        return found

    def part(self, index: int) -> Layer | Loss:
        """A layer, or the loss, which comes after the last."""
        return self.network.layers[index] if index < len(self.network.layers) else self.network.loss

    def name(self, index: int) -> str:
        """How a report calls it."""
        where = f"layers[{index}]" if index < len(self.network.layers) else "the loss"
        return f"{where} ({type(self.part(index)).__name__})"

    def named(self, index: int, own: Mapping[str, Array]) -> dict[str, Array]:
        """Gradients of a layer's parameters by the names that these have in the network, with what weight decay adds."""
        wires = self.network.wiring[index] if own else NONE
        return decayed(self.network, self.parameters, {wires[name]: gradient for name, gradient in own.items()})


@dataclass(frozen=True)
class Step:
    """Where a mistake can be made: one layer of a pass, or the loss, which comes after the last."""

    trace: Trace
    index: int
    g: Array
    """The gradient at its output."""

    @property
    def x(self) -> Array:
        """What enters here."""
        return self.trace.inputs[self.index]

    @property
    def name(self) -> str:
        """As a report calls it."""
        return self.trace.name(self.index)

    def others(self) -> Iterator[tuple[str, int, Array]]:
        """What could be taken for what enters here, nearest first: its name in a report, layers above, and the array."""
        inputs = self.trace.inputs
        near = range(max(0, self.index - NEAR), min(len(inputs), self.index + NEAR + 1))
        for k in sorted(near, key=lambda k: abs(k - self.index)):
            if k != self.index and inputs[k].shape == self.x.shape and not np.array_equal(inputs[k], self.x):
                last = k == len(self.trace.network.layers)
                yield "the network's output" if last else f"the input of {self.trace.name(k)}", k - self.index, inputs[k]


class Mistake(NamedTuple):
    """One way to get a backward pass wrong: a `gradcheck.diagnosis.library.Mistake`, and what it does to the pass.

    ``below`` is the gradient handed down, None where that is right, ``own`` holds gradients of the layer's own parameters
    that are wrong, and ``habit`` is what mistakes of one kind in several layers have in common.
    """

    cause: str
    layer: int
    why: str
    remedy: str
    evidence: Mapping[str, Any] = NONE
    below: Array | None = None
    own: Mapping[str, Array] = NONE
    habit: str = ""


Row: TypeAlias = Callable[[Any, Step], Iterator[Mistake]]
Table: TypeAlias = Mapping[type[Layer | Loss], tuple[Row, ...]]
"""For kinds of layers and losses, and what derives from them: ``row(layer or loss, step) -> mistakes``."""
