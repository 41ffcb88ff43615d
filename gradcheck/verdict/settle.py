"""Which gradient to believe: an oracle's for every entry where that is affordable, else a witness that it has examined.

Claims of several backends witness for each other entry by entry; the oracle probes whole blocks, and arbitrates the
entries that are disputed. A block where no claim survives has no reference, and is localised claim by claim.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np

from gradcheck.foundation.arrays import Array, dot
from gradcheck.oracles.directions import signs
from gradcheck.oracles.line import Estimate
from gradcheck.verdict.bounds import Allowance, Settlement

Slope: TypeAlias = Callable[[Array, Array], Estimate]
"""Oracle of one block: (direction, claimed gradient) -> derivative along the direction."""

PROBES = 2
ARBITRATED = 8


def by_witness(
    name: str, claims: Mapping[str, Array], allowed: Allowance, slope: Slope, seed: int, known: Sequence[Estimate] = ()
) -> Settlement | None:
    """The first claim that agrees with the oracle along random directions and wherever another such claim disagrees.

    None where every claim is refuted. ``known`` is what the oracle says along the first of these directions, where it was
    asked about many blocks at once.
    """
    unseen = np.full(allowed.rounding.shape, np.inf)
    standing = dict(claims)
    for attempt in range(PROBES):  # a wrong claim passes one direction by accident, hardly two
        v = signs(name, unseen.shape, seed, attempt)
        asked = partial(_said, known[attempt]) if attempt < len(known) else slope
        residuals = {backend: residual(asked, v, claim, allowed) for backend, claim in standing.items()}
        standing = {backend: claim for backend, claim in standing.items() if residuals[backend].within}
        for backend in standing:
            unseen = np.minimum(unseen, residuals[backend].bound / np.abs(v))
    standing = _arbitrate(standing, allowed, slope)
    return Settlement(next(iter(standing.values())), unseen) if standing else None


def _said(estimate: Estimate, _v: Array, _claim: Array) -> Estimate:
    return estimate


class Residual(NamedTuple):
    """What the oracle says beyond a claim along one direction, and how much of it is honest."""

    value: float
    bound: float

    @property
    def within(self) -> bool:
        """Whether the claim stands."""
        return abs(self.value) <= self.bound

    @property
    def seen(self) -> float:
        """The smallest change of the slope that would have been flagged, whatever its sign."""
        return self.bound + min(abs(self.value), self.bound)


def residual(slope: Slope, v: Array, claim: Array, allowed: Allowance) -> Residual:
    """Oracle minus claim along ``v``."""
    estimate = slope(v, claim)
    return Residual(estimate.value - dot(claim, v), estimate.bound + allowed.along(v))


def _arbitrate(standing: Mapping[str, Array], allowed: Allowance, slope: Slope) -> dict[str, Array]:
    """Drop the claims that the oracle refutes at the entries on which they differ most; first comes the nearest to it.

    One that is beyond its own bound by less than the oracle's may stand, and would be taken for the truth about the others.
    """
    if len(standing) < 2:
        return dict(standing)
    stacked = np.stack(list(standing.values()))
    with np.errstate(all="ignore"):
        dispute = np.ptp(stacked, axis=0) / (allowed.rounding + allowed.kinks)
    disputed = [i for i in np.argsort(-dispute, axis=None)[:ARBITRATED] if dispute.flat[i] > 1]
    for index in reversed(disputed):  # the worst last, which has the last word on the order
        v = np.zeros(dispute.shape)
        v.flat[index] = 1.0
        found = {name: residual(slope, v, claim, allowed) for name, claim in standing.items()}
        nearest = sorted((name for name in found if found[name].within), key=lambda name: abs(found[name].value))
        standing = {name: standing[name] for name in nearest}
    return dict(standing)
