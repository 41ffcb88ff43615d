"""A case made concrete: what the backends get, what bounds their rounding, and the oracles that decide."""

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import numpy as np

from gradcheck.cases.case import Case
from gradcheck.foundation.arithmetic import held, precision, representable
from gradcheck.foundation.arrays import Array
from gradcheck.network import reference
from gradcheck.network.analysis.kinks import distances
from gradcheck.network.analysis.rounding import ErrorBounds, error_bounds
from gradcheck.network.batch import Batch, Parameters
from gradcheck.network.reference import copies
from gradcheck.network.reference.tangents import Tangents
from gradcheck.oracles.piecewise import Point, RealDifferences
from gradcheck.verdict.compare import Allowance, Limits, Settlement
from gradcheck.verification.arbiter import Arbiter
from gradcheck.verification.evidence import Scene

# A check that could not have seen half of the digits go wrong does not say "correct": 100 sqrt(u). Where arithmetic is so
# coarse that this is more than the gradient itself: one that could not have seen a factor of 1.5. Chosen, not derived.
SEEING = {"float64": 1.1e-6, "float32": 2.5e-2, "tf32": 0.5, "bfloat16": 0.5}
# A bound on rounding is 100 roots of a variance, and rounding itself a few: this leaves ten. Chosen, not derived.
NOISE = 10


class Setting(NamedTuple):
    """A case made concrete: what the backends get, and what it is held against."""

    case: Case
    arithmetic: str
    batch: Batch
    given: dict[str, Array]
    loss: float
    bounds: ErrorBounds
    arbiter: Arbiter
    limits: Limits

    def scene(self, settled: Mapping[str, Settlement]) -> Scene:
        """What a diagnosis needs of it."""
        arbiter, case = self.arbiter, self.case
        dtype = held(self.arithmetic)
        return Scene(case.network, self.given, self.batch, dtype, arbiter.allowed, arbiter.slope, settled, arbiter.seed)


def concrete(case: Case, accuracy: float, seed: int, arithmetic: str, *, every_entry: bool) -> Setting:
    """Draw or read what the case describes, and bound what may be computed from it."""
    given = {name: representable(value, arithmetic) for name, value in case.parameters.items()}
    batch = Batch(*(representable(array, arithmetic) for array in case.batch))
    parameters = {name: value.astype(np.float64, copy=False) for name, value in given.items()}
    inputs, targets = batch.astype(np.float64)
    bounds = error_bounds(case.network, parameters, inputs, targets, arithmetic)
    allowed = {
        name: Allowance(bounds.rounding[name], bounds.exact[name], bounds.low[name], bounds.high[name])
        for name in parameters
    }
    own = precision("float64").u / precision(arithmetic).u
    tangents = Tangents(case.network, parameters, inputs, targets)
    point = _point(case, parameters, Batch(inputs, targets), tangents)
    real = RealDifferences(point, own * bounds.loss / NOISE)
    arbiter = Arbiter(tangents, real, allowed, own=own, seed=seed, every_entry=every_entry)
    return Setting(
        case,
        arithmetic,
        batch,
        given,
        point.origin,
        bounds,
        arbiter,
        Limits(accuracy, max(accuracy, SEEING[arithmetic]), float(np.finfo(held(arithmetic)).tiny)),
    )


def _point(case: Case, parameters: Parameters, batch: Batch, tangents: Tangents) -> Point:
    """One forward pass serves the loss, the tangents and the distances from kinks."""
    network, (inputs, targets) = case.network, batch
    with np.errstate(all="ignore"):
        origin = float(reference.of_outputs(network, parameters, tangents.states[-1], targets))
    return Point(
        loss=partial(reference.loss, network, inputs=inputs, targets=targets),
        losses=partial(copies.losses, network, parameters, inputs, targets),
        distances=partial(distances, network, parameters, inputs, targets, known=tangents.states),
        parameters=parameters,
        origin=origin,
        samples=len(inputs),
    )
