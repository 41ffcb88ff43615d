"""Where training starts from, how often what it has trained is right, and how often it arrives."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from gradcheck.cases.case import Case, Given
from gradcheck.errors import DescriptionError
from gradcheck.foundation.arrays import Array
from gradcheck.network import reference
from gradcheck.network.batch import Batch, Parameters
from gradcheck.network.losses import Targets
from gradcheck.network.network import Network
from gradcheck.training.descent import train


def at_samples(case: Case) -> Case:
    """The case with every unit of its first layer centred at one of its samples.

    A bounded activation is steep near 0 only, so a unit separates samples where ``w x + b = 0`` passes between them.
    Weights of the first layer are standard normal, divided by the root of the number of features and by the deviation of
    each; ``b = -w x_i`` for a sample drawn at random. All other layers are those of ``init="glorot"``. Raises
    `DescriptionError` unless the first layer is dense and has a bias.
    """
    shapes = case.network.parameter_shapes
    units = shapes.get("0.bias", ())
    if shapes.get("0.weight") != (*units, *case.network.inputs) or len(units) != 1:
        raise DescriptionError("expected a dense layer with a bias", "layers[0]")
    parameters, inputs = replace(case, init="glorot", scale=1.0).parameters, case.batch.inputs
    rng = np.random.default_rng([case.seed, *b"at-samples"])
    deviations = inputs.std(axis=0)
    spread = np.where(deviations > 0, deviations, 1.0) * np.sqrt(inputs.shape[1])
    weight = rng.standard_normal(shapes["0.weight"]) / spread
    chosen = inputs[rng.integers(0, len(inputs), units)]
    first = {"0.weight": weight, "0.bias": -(weight * chosen).sum(axis=1)}
    return replace(case, init=Given.of({**parameters, **first}), scale=1.0)


# The tour's, the two that everybody knows, and two that came through from all of 60 seeds: `benchmarks/starts.py`.
STARTS: dict[str, Callable[[Case], Case]] = {
    "normal": lambda case: replace(case, init="normal", scale=1.0),
    "glorot": lambda case: replace(case, init="glorot", scale=1.0),
    "he": lambda case: replace(case, init="he", scale=1.0),
    "3 he": lambda case: replace(case, init="he", scale=3.0),
    "at samples": at_samples,
}


def outputs(network: Network, parameters: Parameters, inputs: Array) -> Array:
    """Of the last layer, samples first."""
    with np.errstate(all="ignore"):
        return reference.forward(network, parameters, inputs)[-1]


def accuracy(network: Network, parameters: Parameters, batch: Batch) -> float:
    """The fraction of samples whose class is that of their target: the sign of the output, or the largest of several.

    An output of 0 is on neither side. Where targets are probabilities, an output is a logit: its sign is held against the
    side of 1/2 on which the target is.
    """
    z, y = outputs(network, parameters, batch.inputs), batch.targets
    if network.loss.targets is Targets.CLASSES:
        return float((z.argmax(axis=-1) == y).mean())
    sides = np.sign(y - 0.5) if network.loss.targets is Targets.PROBABILITIES else np.sign(y)
    return float((np.sign(z) == sides).mean())


class Trials(NamedTuple):
    """Trainings from one start: for each seed the accuracy of the trained network on its own samples, and its last loss."""

    accuracies: tuple[float, ...]
    losses: tuple[float, ...]

    def reaching(self, least: float) -> int:
        """How many seeds end with this accuracy or a better one."""
        return sum(each >= least for each in self.accuracies)


def trials(case: Case, start: str, seeds: Iterable[int], iterations: int) -> Trials:
    """Train from a start of `STARTS` for every seed, of which data that is generated is drawn anew too."""
    accuracies: list[float] = []
    losses: list[float] = []
    for seed in seeds:
        here = STARTS[start](replace(case, seed=seed))
        history = train(here, iterations=iterations, record_every=max(iterations, 1))
        accuracies.append(accuracy(here.network, history.parameters, here.batch))
        losses.append(history.records[-1].loss)
    return Trials(tuple(accuracies), tuple(losses))
