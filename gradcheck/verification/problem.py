"""A case made concrete: what the builds are given, what bounds their rounding, and the oracles that decide."""

from collections.abc import Mapping
from functools import partial
from math import inf
from typing import NamedTuple

import numpy as np

from gradcheck.cases.case import Case
from gradcheck.cases.sizes import verification_fits
from gradcheck.foundation.arithmetic import COARSE, held, precision, representable
from gradcheck.foundation.arrays import Array
from gradcheck.network.analysis.rounding import ErrorBounds, error_bounds
from gradcheck.network.analysis.switches import distances
from gradcheck.network.batch import Batch, Parameters
from gradcheck.network.reference import copies
from gradcheck.network.reference.meaning import loss, of_outputs
from gradcheck.network.reference.tangents import Tangents
from gradcheck.oracles.piecewise import Point, RealDifferences
from gradcheck.verdict.bounds import Allowance, Limits

# A check that could not have seen half of the digits go wrong does not say "correct": 100 sqrt(u). Where arithmetic is so
# coarse that this is more than the gradient itself: one that could not have seen a factor of 1.5. With 100 times less 127 of
# 600 correct ones more were unresolved; with 100 times more 17 of 600 faults were called correct.
SEEING = {"float64": 1.1e-6, "float32": 2.5e-2, "tf32": 0.5, "bfloat16": 0.5}
# Of an entry: a bound that is more is made of first-order changes that are no small ones any more, and accuses nobody.
TRUSTED = 1e-2
# Unit roundoffs of the whole gradient, and in coarse arithmetic no more than this of it: a block that contributes no more is
# zero, for all that rounding tells. As `gradcheck.check` has it.
ZERO = 1e3
NEXT_TO_NOTHING = 1e-3
# A bound on rounding is 100 roots of a variance, and rounding itself a few: this leaves ten. At 1 3% more evaluations, at
# 1000 2% fewer; no verdict of 1,200 changed.
NOISE = 10


class Problem(NamedTuple):
    """What is verified, and all that it is held against.

    Attributes
    ----------
    case : Case
    arithmetic : str
        In which the builds compute.
    given : dict of str to array
        The parameters that every build gets,
    batch : Batch
        and the samples: numbers that the arithmetic has.
    bounds : ErrorBounds
    allowed : dict of str to Allowance
        The same by block.
    limits : Limits
        What was asked for, and which bounds may accuse.
    tangents : Tangents
        Derivatives of the reference by complex step.
    real : RealDifferences
        The same by finite differences.
    seed : int
        Of random directions.
    own : float
        The reference's rounding relative to that of the builds: 1, or u64 / u32 where they compute in float32.
    """

    case: Case
    arithmetic: str
    given: dict[str, Array]
    batch: Batch
    bounds: ErrorBounds
    allowed: Mapping[str, Allowance]
    limits: Limits
    tangents: Tangents
    real: RealDifferences
    seed: int
    own: float

    @property
    def loss(self) -> float:
        """The reference's."""
        return self.real.point.origin

    @property
    def parameters(self) -> Parameters:
        """Those that are given, in float64."""
        return self.real.point.parameters

    @property
    def evaluations(self) -> int:
        """Of the loss, and of tangents, so far."""
        return self.real.meter.spent + self.tangents.evaluations


def posed(case: Case, accuracy: float, seed: int, arithmetic: str) -> Problem:
    """Draw or read what the case describes, and bound what may be computed from it."""
    verification_fits(case.network, case.generated)
    given = {name: representable(value, arithmetic) for name, value in case.parameters.items()}
    batch = Batch(*(representable(array, arithmetic) for array in case.batch))
    parameters = {name: value.astype(np.float64, copy=False) for name, value in given.items()}
    inputs, targets = wide = batch.astype(np.float64)
    bounds = error_bounds(case.network, parameters, inputs, targets, arithmetic)
    allowed = {
        name: Allowance(bounds.rounding[name], bounds.exact[name], bounds.low[name], bounds.high[name]) for name in given
    }
    tangents = Tangents(case.network, parameters, inputs, targets)
    own = precision("float64").u / precision(arithmetic).u
    real = RealDifferences(_point(case, parameters, wide, tangents), own * bounds.loss / NOISE)
    trusted = inf if case.network.flat or arithmetic in COARSE else TRUSTED
    tiny, nothing = float(np.finfo(held(arithmetic)).tiny), min(ZERO * precision(arithmetic).u, NEXT_TO_NOTHING)
    limits = Limits(accuracy, max(accuracy, SEEING[arithmetic]), tiny, trusted, nothing)
    return Problem(case, arithmetic, given, batch, bounds, allowed, limits, tangents, real, seed, own)


def _point(case: Case, parameters: Parameters, batch: Batch, tangents: Tangents) -> Point:
    """One forward pass serves the loss, the tangents and the distances from kinks."""
    network, (inputs, targets) = case.network, batch
    with np.errstate(all="ignore"):
        origin = float(of_outputs(network, parameters, tangents.states[-1], targets))
    return Point(
        loss=partial(loss, network, inputs=inputs, targets=targets),
        losses=partial(copies.losses, network, parameters, inputs, targets, coupled=tangents.coupled),
        distances=partial(distances, network, parameters, inputs, targets, known=tangents.states, coupled=tangents.coupled),
        parameters=parameters,
        origin=origin,
        samples=len(inputs),
    )
