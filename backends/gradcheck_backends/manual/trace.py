"""The mistakes that people make in backpropagation, as a table over layers: what each does to the manual build.

A row is a function of a finished forward and backward pass and of one layer in it; it yields the ways in which the pullback
of that layer is got wrong. A diagnosis holds a claimed gradient against each; tests and benchmarks plant them.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias, TypeVar

import msgspec
import numpy as np

from gradcheck.foundation.arrays import Array
from gradcheck.network import layers as ly
from gradcheck.network import losses as ls
from gradcheck.network.batch import Batch, Parameters
from gradcheck.network.network import Network, is_weight, layer_parameters
from gradcheck_backends.manual.buffers import NEW
from gradcheck_backends.manual.model import ManualModel
from gradcheck_backends.manual.rules import Gradients, LayerPullback

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


class Trace:
    """A forward and a backward pass of the manual build, with everything on the way.

    Attributes
    ----------
    inputs : list of array
        Of every layer, and last the network's output.
    gradients : dict of str to array
        The right ones, by parameter name.
    """

    def __init__(self, network: Network, parameters: Parameters, batch: Batch) -> None:
        self.network, self.parameters, self.batch = network, parameters, batch
        self.model = ManualModel(network)
        self.inputs, self.pullbacks = [batch.inputs], list[LayerPullback]()
        for index, (layer, rule) in enumerate(zip(network.layers, self.model.rules, strict=True)):
            output, pullback = rule(layer, layer_parameters(parameters, index), self.inputs[-1].T, NEW)
            self.inputs.append(output.T)
            self.pullbacks.append(_in_rows(pullback))
        self.top: Array = self.model.loss_rule(network.loss, self.inputs[-1], batch.targets)[1]()
        self.gradients = self._decayed(self.model.backward(self.top, self.pullbacks))

    @cached_property
    def above(self) -> list[Array]:
        """The gradient at the output of every layer."""
        found = [self.top]
        for pullback in reversed(self.pullbacks[1:]):
            found.insert(0, pullback(found[0])[0])
        return found

    def with_mistake(self, mistake: Mistake) -> dict[str, Array]:
        """Gradients by name as the mistake makes them."""
        changed: Gradients = {f"{mistake.layer}.{name}": gradient for name, gradient in mistake.own.items()}
        if mistake.below is not None:
            changed |= self.model.backward(mistake.below, self.pullbacks[: mistake.layer])
        return {**self.gradients, **self._decayed(changed)}

    def mistakes(self) -> Iterator[Mistake]:
        """Every mistake of the table that this network offers an occasion for."""
        yield from _of(self.network.loss, LOSS_MISTAKES, self, len(self.network.layers))
        for index in reversed(range(len(self.network.layers))):
            yield from _of(self.network.layers[index], LAYER_MISTAKES, self, index)

    def habits(self) -> Iterator[tuple[Mistake, dict[str, Array]]]:
        """Mistakes made in every layer that offers the occasion, as a loop over layers makes them, and what they give."""
        counts = Counter(mistake.habit for mistake in self.mistakes() if mistake.habit)
        for habit in (habit for habit, count in counts.items() if count > 1):
            found = self._everywhere(habit)
            if found:
                yield found

    def _everywhere(self, habit: str) -> tuple[Mistake, dict[str, Array]] | None:
        view, gradients, met = copy(self), dict[str, Array](), list[Mistake]()
        view.above = list(self.above)
        g = self.top
        for i in reversed(range(len(self.network.layers))):
            view.above[i] = g
            rows = _of(self.network.layers[i], LAYER_MISTAKES, view, i)
            mistake = next((each for each in rows if each.habit == habit), None)
            g, own = self.pullbacks[i](g)
            if mistake is not None:
                met.append(mistake)
                g, own = g if mistake.below is None else mistake.below, {**own, **mistake.own}
            gradients |= {f"{i}.{name}": gradient for name, gradient in own.items()}
        if len(met) < 2:
            return None
        return met[-1]._replace(why=f"in {len(met)} layers alike: {met[-1].why}"), self._decayed(gradients)

    def of(self, batch: Batch) -> dict[str, Array]:
        """The gradient of another batch's mean loss, without weight decay."""
        plain = ManualModel(msgspec.structs.replace(self.network, weight_decay=0.0))
        return plain.loss_and_gradients(self.parameters, batch)[1]

    def name(self, index: int) -> str:
        """How a report calls a layer."""
        if index == len(self.network.layers):
            return f"the loss ({type(self.network.loss).__name__})"
        return f"layers[{index}] ({type(self.network.layers[index]).__name__})"

    def entering(self, index: int) -> str:
        """How a report calls what enters a layer."""
        return "the network's output" if index == len(self.network.layers) else f"the input of {self.name(index)}"

    def alike(self, index: int) -> Iterator[int]:
        """Inputs of other layers that have the shape of this one's, nearest first."""
        here = self.inputs[index]
        others = sorted((i for i in range(len(self.inputs)) if i != index), key=lambda i: abs(i - index))
        return (i for i in others if self.inputs[i].shape == here.shape and not np.array_equal(self.inputs[i], here))

    def _decayed(self, gradients: Mapping[str, Array]) -> dict[str, Array]:
        decay = self.network.weight_decay
        return {k: g + decay * self.parameters[k] if decay and is_weight(k) else g for k, g in gradients.items()}


def _in_rows(pullback: LayerPullback) -> LayerPullback:
    """The manual build has samples in columns, and the table of mistakes in rows, as people write them."""

    def in_rows(g: Array) -> tuple[Array, Mapping[str, Array]]:
        below, own = pullback(g.T)
        return below.T, own

    return in_rows


Row: TypeAlias = Callable[[Any, Trace, int], Iterator[Mistake]]
R = TypeVar("R", bound=Row)
LAYER_MISTAKES: dict[type[ly.Layer], list[Row]] = {}
LOSS_MISTAKES: dict[type[ls.Loss], list[Row]] = {}


def mistakes_of(*kinds: type[Any]) -> Callable[[R], R]:
    """Enter ``row(layer or loss, trace, index) -> mistakes`` for these kinds and what derives from them."""

    def enter(row: R) -> R:
        for kind in kinds:
            table: Any = LOSS_MISTAKES if issubclass(kind, ls.Loss) else LAYER_MISTAKES
            table.setdefault(kind, []).append(row)
        return row

    return enter


def _of(what: Any, table: Mapping[Any, list[Row]], trace: Trace, index: int) -> Iterator[Mistake]:
    with np.errstate(all="ignore"):
        for kind, rows in table.items():
            if isinstance(what, kind):
                for row in rows:
                    yield from row(what, trace, index)


def trace(network: Network, parameters: Parameters, batch: Batch) -> Trace:
    """A pass with the whole table at hand."""
    from gradcheck_backends.manual import mistake_rows as mistake_rows  # its rows enter themselves

    return Trace(network, parameters, batch)
