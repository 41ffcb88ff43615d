"""Where a refuted claim is wrong: which entries, by a few probes.

One wrong entry among P is found by two probes: along random signs v, and along v_i (1 + i / P); the ratio of their
residuals is 1 + i / P. It is then probed alone, and the rest without it. Where there are several, bisection: a part whose
residual is within its bound is left, any other is halved, about 2 log2(P) probes an entry.
"""

from typing import NamedTuple, TypeAlias

import numpy as np

from gradcheck.foundation.arrays import Array
from gradcheck.oracles.directions import signs
from gradcheck.verdict.bounds import Allowance
from gradcheck.verdict.findings import LISTED
from gradcheck.verdict.settle import Residual, Slope, residual

BUDGET = 256


Part: TypeAlias = "slice[int, int, None]"
"""Entries of a block that follow each other, by flat indices."""


class Located(NamedTuple):
    """Entries found wrong: flat indices, the oracle's values and their bounds; and whether the search ended in time."""

    indices: list[int]
    values: list[float]
    bounds: list[float]
    complete: bool

    def add(self, index: int, value: float, bound: float) -> None:
        """One more entry."""
        self.indices.append(index)
        self.values.append(value)
        self.bounds.append(bound)


class Search:
    """Probes of parts of one block.

    Parameters
    ----------
    claim : array
    allowed : Allowance
    slope : callable
        The oracle: (direction, claimed gradient) -> Estimate.
    lengths : array, optional
        How far each entry is to be moved.
    """

    def __init__(
        self, name: str, claim: Array, allowed: Allowance, slope: Slope, seed: int, lengths: Array | None = None
    ) -> None:
        self.claim, self.allowed, self.slope = claim, allowed, slope
        self.lengths = np.ones(claim.size) if lengths is None else lengths.ravel()
        self.plain = signs(name, (claim.size,), seed, attempt=2)
        self.plain *= self.lengths
        self.spent = 0

    @property
    def everything(self) -> Part:
        """All entries."""
        return slice(0, self.claim.size)

    def probe(self, part: Part, tilt: Array | float = 1.0, without: int | None = None) -> Residual:
        """The residual of a part, or of all but one of its entries, each moved by its length, tilted or not."""
        self.spent += 1
        v = np.zeros(self.claim.size)
        np.multiply(self.plain[part], tilt, out=v[part])
        if without is not None:
            v[without] = 0.0
        return residual(self.slope, v.reshape(self.claim.shape), self.claim, self.allowed)

    def value(self, index: int, seen: Residual) -> float:
        """The oracle's value of a single entry that was probed alone."""
        return float(self.claim.flat[index]) + seen.value / float(self.plain[index])

    def bound(self, index: int, seen: Residual) -> float:
        """How far a correct claim may be from it."""
        return seen.bound / abs(float(self.plain[index]))


def localize(search: Search, budget: int = BUDGET) -> Located:
    """The first few wrong entries of a block."""
    return _single(search) or _bisect(search, budget)


def _single(search: Search) -> Located | None:
    """The one wrong entry, if there is one and it explains everything."""
    everything = search.everything
    plain = search.probe(everything)
    if plain.within or search.claim.size == 1:
        return _one(search, 0, plain) if not plain.within else None
    tilt = np.arange(search.claim.size, dtype=np.float64)
    tilt /= search.claim.size
    tilt += 1
    tilted = search.probe(everything, tilt)
    del tilt
    # Of one wrong entry i both residuals are multiples of its error, in the ratio 1 + i / P.
    position = (tilted.value / plain.value - 1) * search.claim.size
    if not -0.5 < position < search.claim.size - 0.5:
        return None
    index = round(position)
    alone = search.probe(slice(index, index + 1))
    # Two wrong entries can look like one between them: it must be wrong itself, and the rest right without it.
    if alone.within or not search.probe(everything, without=index).within:
        return None
    return _one(search, index, alone)


def halves(part: Part) -> list[Part]:
    """The two halves of a part, the first of which may have one entry more."""
    middle = (part.start + part.stop + 1) // 2
    return [slice(part.start, middle), slice(middle, part.stop)]


def _one(search: Search, index: int, seen: Residual) -> Located:
    return Located([index], [search.value(index, seen)], [search.bound(index, seen)], True)


def _bisect(search: Search, budget: int) -> Located:
    parts = [search.everything]
    found = Located([], [], [], True)
    while parts and search.spent < budget and len(found.indices) < LISTED:
        part = parts.pop()
        seen = search.probe(part)
        if seen.within:
            continue
        if part.stop - part.start == 1:
            found.add(part.start, search.value(part.start, seen), search.bound(part.start, seen))
        else:
            parts += halves(part)
    return found._replace(complete=not parts)
