"""A second look: is an error that noise does not explain the same at other points, or is it rounding after all?

At points that share no mantissa with the given one, every rounding falls out otherwise, and a mistake does not. Each leaf
and each cotangent is multiplied by a factor of its own, at random between 31/32 and 1: conditioning stays, and so do signs,
zeros and positive domains. Points one roundoff away do not do: whole intervals of numbers are then still rounded the same
way (a rotary embedding was 700 scales off its own mean, bfloat16 sums in float32 6e4).
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np

from gradcheck.comparison.pair import Blocks, Inputs, Pair
from gradcheck.comparison.scales import RUNS, AboutMean, even
from gradcheck.foundation.arrays import Array

NEARBY = 1 / 32
# Where a softmax is saturated what it makes of a mistake is another thing already there. Nearer by it is not; but sums that
# are large beside what is added, as the logarithm of a total, are still rounded alike: three of 729 honest blocks on such
# data were accused by it. It is for errors that are more than a roundoff's reciprocal, in scales.
NEARER = 2.0**-10


class Seen(NamedTuple):
    """The error of a block over some points: its mean, and how much it varies."""

    mean: Array
    deviation: Array

    def systematic(self, scale: Array) -> Array:
        """The mean error of each entry in units of what rounding leaves open: its own deviation, or the scale.

        0 where an error has no size at one of the points.
        """
        with np.errstate(all="ignore"):
            found = np.abs(self.mean) / np.maximum(even(self.deviation), scale)
        return np.where(np.isfinite(found), found, 0.0)


def look(
    pair: Pair, centre: Callable[[Inputs], Blocks], first: Mapping[str, Array], seed: int, nearby: float = NEARBY
) -> dict[str, Seen]:
    """What becomes of the errors of some blocks, which are given for the point itself, at points so near.

    ``centre`` is what the reference says elsewhere.
    """
    spreads = {name: AboutMean(error) for name, error in first.items()}
    draws = np.random.default_rng([seed, 1])
    for run in range(RUNS + 1):
        errors = first
        if run:
            at = pair.nearest(Inputs(*(_scaled(arrays, draws, nearby) for arrays in pair.given)))
            errors = _errors(pair.candidate(at), centre(at), first)
        for name, spread in spreads.items():
            spread.add(errors[name])
    return {name: Seen(spread.mean, spread.size) for name, spread in spreads.items()}


def _errors(candidate: Blocks, reference: Blocks, names: Iterable[str]) -> dict[str, Array]:
    with np.errstate(all="ignore"):
        return {name: candidate[name] - reference[name] for name in names}


def _scaled(arrays: Mapping[str, Array], draws: np.random.Generator, nearby: float) -> dict[str, Array]:
    return {name: array * (1 - nearby * draws.random()) for name, array in arrays.items()}
