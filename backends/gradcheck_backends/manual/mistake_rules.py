"""The table that the files of mistakes fill: for each kind of layer or loss the ways to get its pullback wrong."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np

from gradcheck.foundation.arrays import Array
from gradcheck.network.layers import Layer
from gradcheck.network.losses import Loss
from gradcheck_backends.manual.trace import Trace

NONE: Mapping[str, Any] = MappingProxyType({})


class Mistake(NamedTuple):
    """One way to get a backward pass wrong.

    Attributes
    ----------
    cause : str
        A stable identifier.
    layer : int
        Index of the layer whose pullback is wrong; the number of layers for the loss.
    why, remedy : str
        What the gradient then equals, and what to change, each as a clause.
    evidence : dict
        What else belongs to the cause.
    below : array, optional
        The gradient handed down; None where that is right.
    own : dict of str to array
        Gradients of the layer's own parameters that are wrong.
    habit : str
        What mistakes of one kind in several layers have in common; empty for what nobody repeats.
    """

    cause: str
    layer: int
    why: str
    remedy: str
    evidence: Mapping[str, Any] = NONE
    below: Array | None = None
    own: Mapping[str, Array] = NONE
    habit: str = ""


@dataclass(frozen=True)
class Step:
    """Where a mistake can be made: one layer of a pass, or the loss, which comes after the last.

    Attributes
    ----------
    trace : Trace
    index : int
    g : array
        The gradient at its output.
    """

    trace: Trace
    index: int
    g: Array

    @property
    def x(self) -> Array:
        """What enters here."""
        return self.trace.inputs[self.index]

    @property
    def name(self) -> str:
        """As a report calls it."""
        return self.trace.name(self.index)

    @property
    def slope(self) -> Array:
        """Of an activation: rho'(x)."""
        return self.trace.pullbacks[self.index](np.ones_like(self.g))[0]

    def others(self) -> Iterator[tuple[str, int, Array]]:
        """What could be taken for what enters here: how a report calls it, how many layers above, and the array."""
        for k in self.trace.alike(self.index):
            last = k == len(self.trace.network.layers)
            uses = "the network's output" if last else f"the input of {self.trace.name(k)}"
            yield uses, k - self.index, self.trace.inputs[k]


Row: TypeAlias = Callable[[Any, Step], Iterator[Mistake]]
R = TypeVar("R", bound=Row)
MISTAKES: dict[type[Layer | Loss], list[Row]] = {}


def mistakes_of(*kinds: type[Layer | Loss]) -> Callable[[R], R]:
    """Enter ``row(layer or loss, step) -> mistakes`` for these kinds and what derives from them."""

    def enter(row: R) -> R:
        for kind in kinds:
            MISTAKES.setdefault(kind, []).append(row)
        return row

    return enter


def mistakes_at(step: Step) -> Iterator[Mistake]:
    """Every mistake of the table that can be made there."""
    network = step.trace.network
    made = (*network.layers, network.loss)[step.index]
    with np.errstate(all="ignore"):
        for kind, rows in MISTAKES.items():
            if isinstance(made, kind):
                for row in rows:
                    yield from row(made, step)
