"""The mistakes that people make in backpropagation, as a library that a diagnosis holds a claimed gradient against.

Where a mistake leaves the gradient right on this network (one sample, equal layers), nothing can match it: only wrong claims
are held against the library.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TypeAlias

import msgspec
import numpy as np

from gradcheck.foundation.arrays import Array
from gradcheck.network.batch import Batch, Parameters
from gradcheck.network.layers.blocks import leaves
from gradcheck.network.network import Network
from gradcheck_backends.manual import build
from gradcheck_backends.manual.buffers import lowest_with_parameters
from gradcheck_backends.manual.mistakes import activations, dense, losses
from gradcheck_backends.manual.mistakes.trace import Mistake, Step, Table, Trace
from gradcheck_backends.manual.rules import Gradients

TABLE: Table = {**dense.MISTAKES, **activations.MISTAKES, **losses.MISTAKES}
# Numbers in the contributions of all samples to a block, 160 MB; beyond it nobody looks. At 10 twelve of 217 causes (samples
# dropped) were lost, at 2e9 none gained.
MANY = 2e7
Made: TypeAlias = tuple[Mistake, Iterable[tuple[str, Array]]]


class Mistakes:
    """The mistakes that a network offers an occasion for: a `gradcheck.diagnosis.library.MistakeLibrary`."""

    def __init__(self, network: Network, parameters: Parameters, batch: Batch) -> None:
        self.trace = Trace(network, parameters, batch)
        self.gradients = self.trace.gradients
        self.lowest = lowest_with_parameters(network)
        uses = Counter(name for wires in network.wiring for name in wires.values())
        self.shared = any(count > 1 for count in uses.values())

    def name(self, layer: int) -> str:
        """How a report calls the layer of a mistake."""
        return self.trace.name(layer)

    def kind(self, layer: int) -> str:
        """Its class, by which the same mistake in other networks is known."""
        return type(self.trace.part(layer)).__name__

    def mistakes(self) -> Iterator[Mistake]:
        """Every one, from the loss down; none where a parameter has several uses, whose gradients add up."""
        if self.shared:
            return
        count = len(self.trace.pullbacks)
        yield from _mistakes_at(Step(self.trace, count, np.ones(())))
        for index in reversed(range(count)):
            yield from _mistakes_at(Step(self.trace, index, self.trace.above[index]))

    def with_mistake(self, mistake: Mistake) -> Iterator[tuple[str, Array]]:
        """What the mistake changes, by name; no further down than somebody looks."""
        yield from self.trace.named(mistake.layer, mistake.own).items()
        if mistake.below is None:
            return
        g = mistake.below
        for index in range(mistake.layer - 1, self.lowest - 1, -1):
            g, own = self.trace.pullbacks[index](g)
            yield from self.trace.named(index, own).items()

    def singly(self) -> Iterator[Made]:
        """Every mistake made in one layer, with what it changes."""
        return ((mistake, self.with_mistake(mistake)) for mistake in self.mistakes())

    def habits(self) -> Iterator[Made]:
        """Mistakes made in every layer that offers the occasion, as a loop over layers makes them."""
        lowest, counts = dict[str, Mistake](), Counter[str]()
        for mistake in self.mistakes():
            lowest[mistake.habit] = mistake
            counts[mistake.habit] += 1
        for habit, count in counts.items():
            if habit and count > 1:
                yield lowest[habit]._replace(why=f"in {count} layers alike: {lowest[habit].why}"), self._everywhere(habit)

    def _everywhere(self, habit: str) -> Iterator[tuple[str, Array]]:
        g = self.trace.top
        for index in reversed(range(len(self.trace.pullbacks))):
            mistakes = _mistakes_at(Step(self.trace, index, g))
            mistake = next((each for each in mistakes if each.habit == habit), None)
            g, own = self.trace.pullbacks[index](g)
            if mistake is not None:
                g, own = g if mistake.below is None else mistake.below, {**own, **mistake.own}
            yield from self.trace.named(index, own).items()

    def contributions(self) -> Gradients:
        """Of every sample to every block, a row each, without weight decay.

        Nothing where they would be too many, or where a sample alone means something else than one of the batch.
        """
        parameters, (inputs, targets) = self.trace.parameters, self.trace.batch
        n = len(inputs)
        coupled = any(layer.couples_samples for layer in leaves(self.trace.network.layers))
        if coupled or any(value.size * n > MANY for value in parameters.values()):
            return {}
        model = build(msgspec.structs.replace(self.trace.network, weight_decay=0.0))
        samples = (Batch(inputs[i : i + 1], targets[i : i + 1]) for i in range(n))
        each = [model.loss_and_gradients(parameters, sample)[1] for sample in samples]
        return {name: np.stack([gradients[name].ravel() for gradients in each]) for name in parameters}


def _mistakes_at(step: Step) -> Iterator[Mistake]:
    """Every mistake of the table that can be made there."""
    made = step.trace.part(step.index)
    with np.errstate(all="ignore"):
        for kind, rows in TABLE.items():
            if isinstance(made, kind):
                for row in rows:
                    yield from row(made, step)
