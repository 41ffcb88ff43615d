"""Where a block is wrong, if that is at some indices along one axis and nowhere else: its tail, a row, a head."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from gradcheck.comparison.explainers.subject import Subject, Suspect
from gradcheck.foundation.arrays import Array, norm
from gradcheck.verdict.causes import Cause
from gradcheck.verdict.findings import Diagnosis

# Of the indices along an axis: what is wrong in more of them is wrong everywhere but in a part.
MOST = 0.75


class Slab(NamedTuple):
    """Indices ``first`` to ``last`` along an axis of ``size``."""

    axis: int
    first: int
    last: int
    size: int

    @property
    def tail(self) -> bool:
        """Whether it is what is left of a last block: several indices up to the end, or what is beyond a full block."""
        if self.last + 1 < self.size or not self.first:
            return False
        return block_end(self.first) if self.first == self.last else self.size - self.first <= self.first

    @property
    def said(self) -> str:
        """In words."""
        return f"index {self.first}" if self.first == self.last else f"indices {self.first} to {self.last}"

    def mask(self, ndim: int) -> Array:
        """True within, to be broadcast."""
        indices = np.arange(self.size).reshape([-1 if axis == self.axis else 1 for axis in range(ndim)])
        return (self.first <= indices) & (indices <= self.last)


def block_end(index: int) -> bool:
    """Whether a block may end before an index: at a power of two, or a multiple of 8."""
    return index > 1 and (index & (index - 1) == 0 or index % 8 == 0)


def explain(subject: Subject) -> Iterator[Diagnosis]:
    """One slab of each block; no evaluation."""
    for name, suspect in subject.blocks.items():
        slab = slab_of(suspect)
        if slab is not None and (suspect.claimed.size == 1 or suspect.wrong.sum() > 1 or _zero(suspect, slab)):
            yield _said(subject, name, suspect, slab)  # of one wrong entry it is said which


def slab_of(suspect: Suspect) -> Slab | None:
    """The thinnest that holds all wrong entries, if there is one."""
    wrong = suspect.wrong
    found = [slab for axis in range(wrong.ndim) if (slab := _along(suspect, wrong, axis)) is not None]
    return min(found, key=lambda slab: (slab.last + 1 - slab.first) / slab.size, default=None)


def _along(suspect: Suspect, wrong: Array, axis: int) -> Slab | None:
    there = wrong.any(axis=tuple(other for other in range(wrong.ndim) if other != axis))
    indices = np.flatnonzero(there)
    if not indices.size or indices.size == there.size:
        return None
    slab = Slab(axis, int(indices[0]), int(indices[-1]), int(there.size))
    whole = indices.size == slab.last + 1 - slab.first or _zero(suspect, slab)
    return slab if whole and slab.last + 1 - slab.first <= MOST * slab.size else None


def _zero(suspect: Suspect, slab: Slab) -> bool:
    """Whether nothing is claimed there to speak of."""
    there = np.broadcast_to(slab.mask(suspect.claimed.ndim), suspect.claimed.shape)
    return norm(suspect.claimed[there]) <= norm(suspect.bound[there])


def _said(subject: Subject, name: str, suspect: Suspect, slab: Slab) -> Diagnosis:
    zero = _zero(suspect, slab)
    tail = slab.tail and (zero or slab.first < slab.last)  # one that is wrong may be so for any reason
    if zero or tail:
        subject.explained.add(name)
    if tail:
        how = "zero" if zero else "wrong"
        return Cause.MASKED_TAIL.of(name, first=slab.first, last=slab.last, axis=slab.axis, how=how)
    if zero:
        return Cause.LEFT_OUT.of(name, which=slab.said, axis=slab.axis)
    return Cause.REGION.of(name, where=f"{slab.said} along axis {slab.axis}")
