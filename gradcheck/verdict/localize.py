"""Where a refuted claim is wrong: which entries, by a few probes, those with the largest error first.

One wrong entry among P is found by two probes: along random signs v, and along v_i (1 + i / P); the ratio of their
residuals is 1 + i / P, as far as their bounds let it be known. What is left of the block by that is tilted again, more
steeply, until one entry is left; it is then probed alone, and must explain everything.

Where there are several, parts are halved, of all parts that are refuted always the one whose residual is largest for its
size: an entry that is further off than the others stands out the more, the smaller the part. Slopes are linear in the
direction, so that of two halves one is probed and the other one is what is left of the whole, where that is clear.
"""

from heapq import heappop, heappush
from typing import NamedTuple, TypeAlias

import numpy as np

from gradcheck.foundation.arrays import Array, norm
from gradcheck.oracles.directions import signs
from gradcheck.verdict.bounds import Allowance
from gradcheck.verdict.findings import LISTED
from gradcheck.verdict.settle import Residual, Slope, residual

BUDGET = 256
CLEAR = 4  # bounds: what is left of a part by subtraction and is not this much need be probed itself
ROUNDS = 8  # of tilting; each leaves a hundredth where a probe knows its residual to two digits

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
    scale : array, optional
        To which the error of each entry is relative.
    plain : array, optional
        The direction whose parts are probed; by default one of random signs.
    fine : callable, optional
        The oracle for tilted directions, whose residuals must be known to as many digits as the block has entries.
    """

    def __init__(
        self,
        name: str,
        claim: Array,
        allowed: Allowance,
        slope: Slope,
        seed: int,
        scale: Array | None = None,
        plain: Array | None = None,
        fine: Slope | None = None,
    ) -> None:
        self.claim, self.allowed, self.slope, self.fine = claim, allowed, slope, fine or slope
        self.scale = np.ones(claim.size) if scale is None else scale.ravel()
        self.plain = signs(name, (claim.size,), seed, attempt=2) if plain is None else plain.ravel()
        self.spent = 0

    @property
    def everything(self) -> Part:
        """All entries."""
        return slice(0, self.claim.size)

    def probe(self, part: Part) -> Residual:
        """The residual of a part."""
        return self._residual(self.slope, part, 1.0)

    def tilted(self, part: Part) -> Residual:
        """The same where entry i of the part is moved by 1 + i / P times as much."""
        size = part.stop - part.start
        return self._residual(self.fine, part, 1 + np.arange(size, dtype=np.float64) / size)

    def _residual(self, slope: Slope, part: Part, tilt: Array | float) -> Residual:
        self.spent += 1
        v = np.zeros(self.claim.size)
        np.multiply(self.plain[part], tilt, out=v[part])
        return residual(slope, v.reshape(self.claim.shape), self.claim, self.allowed)

    def relative(self, part: Part, seen: Residual) -> float:
        """A part's residual for its size: the error of its entries, if all are off by as much."""
        size = norm(self.plain[part] * self.scale[part])
        return abs(seen.value) / size if size else 0.0

    def value(self, index: int, seen: Residual) -> float:
        """The oracle's value of a single entry that was probed alone."""
        return float(self.claim.flat[index]) + seen.value / float(self.plain[index])

    def bound(self, index: int, seen: Residual) -> float:
        """How far a correct claim may be from it."""
        return seen.bound / abs(float(self.plain[index]))


def localize(search: Search, budget: int = BUDGET, plain: Residual | None = None) -> Located:
    """The first few wrong entries of a block, those with the largest error first; ``plain`` is the whole's, if known."""
    plain = plain or search.probe(search.everything)
    if plain.within:
        return Located([], [], [], True)
    return _single(search, plain) or _largest_first(search, plain, budget)


def halves(part: Part) -> list[Part]:
    """The two halves of a part, the first of which may have one entry more."""
    middle = (part.start + part.stop + 1) // 2
    return [slice(part.start, middle), slice(middle, part.stop)]


def _single(search: Search, plain: Residual) -> Located | None:
    """The one wrong entry, if there is one and it explains everything."""
    part = search.everything
    for _ in range(ROUNDS):
        if part.stop - part.start <= 1:
            break
        part = _narrowed(search, part, plain)
    if part.stop - part.start != 1:
        return None
    alone = search.probe(part) if search.claim.size > 1 else plain
    # Two wrong entries can look like one between them: it must be wrong itself, and the rest right without it.
    if alone.within or not _left(plain, alone).within:
        return None
    return _one(search, part.start, alone)


def _narrowed(search: Search, part: Part, plain: Residual) -> Part:
    """Where in a part the only wrong entry lies; empty where that is nowhere."""
    size = part.stop - part.start
    tilted = search.tilted(part)
    # Of one wrong entry i both residuals are multiples of its error, in the ratio 1 + i / P.
    position = (tilted.value / plain.value - 1) * size
    doubt = (tilted.bound + 2 * plain.bound) / abs(plain.value) * size
    first, last = np.rint([position - doubt, position + doubt])
    nowhere = not (last >= 0 and first < size) or last - first > size / 2
    return slice(0, 0) if nowhere else slice(part.start + max(int(first), 0), part.start + min(int(last) + 1, size))


def _left(whole: Residual, part: Residual) -> Residual:
    """What a probe without a part would say."""
    return Residual(whole.value - part.value, whole.bound + part.bound)


def _one(search: Search, index: int, seen: Residual) -> Located:
    return Located([index], [search.value(index, seen)], [search.bound(index, seen)], True)


def _largest_first(search: Search, plain: Residual, budget: int) -> Located:
    found, parts = Located([], [], [], True), [(0.0, 0, search.everything.stop, plain)]
    while parts and search.spent < budget and len(found.indices) < LISTED:
        _, start, stop, seen = heappop(parts)
        if stop - start == 1:
            found.add(start, search.value(start, seen), search.bound(start, seen))
            continue
        for part, half in _halved(search, slice(start, stop), seen):
            if not half.within:
                heappush(parts, (-search.relative(part, half), part.start, part.stop, half))
    return found._replace(complete=not parts)


def _halved(search: Search, part: Part, seen: Residual) -> list[tuple[Part, Residual]]:
    """Both halves of a part; the second is probed where it is not clear, or a single entry, whose value is to be known."""
    first, second = halves(part)
    one = search.probe(first)
    other = _left(seen, one)
    if second.stop - second.start == 1 or not abs(other.value) > CLEAR * other.bound:
        other = search.probe(second)
    return [(first, one), (second, other)]
