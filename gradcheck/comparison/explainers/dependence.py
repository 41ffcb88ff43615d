"""What hangs on what: a candidate that reads what a mask hides, or does not read what it should.

One index of an argument is changed, and every entry of a block either changes with it or does not: of the reference exactly,
in float64; of the candidate beyond its bound, or not by a single bit.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from gradcheck.comparison.explainers.slabs import Slab
from gradcheck.comparison.explainers.subject import Subject, Suspect
from gradcheck.comparison.pair import Blocks, Inputs
from gradcheck.errors import GradcheckError
from gradcheck.foundation.arrays import Array
from gradcheck.oracles.directions import own_sizes, signs
from gradcheck.verdict.causes import Cause
from gradcheck.verdict.findings import Diagnosis

# Bounds by which the reference must change, for the candidate to change by a bit at least.
CLEAR = 4.0
HALF = 0.5  # of the size of an entry, by which it is changed at most 0.75 times: its sign stays


class Changed(NamedTuple):
    """An argument from one index on, or at it alone."""

    of: str
    slab: Slab


def explain(subject: Subject) -> Iterator[Diagnosis]:
    """Of what nothing else has explained: an evaluation for the last, middle and first index along each axis."""
    for of, x in subject.given.point.items():
        for axis, n in enumerate(x.shape):
            for index in dict.fromkeys((n - 1, n // 2, 0)) if n > 1 else ():
                if not subject.open:
                    return
                yield from _asked(subject, Changed(of, Slab(axis, index, index, n)))


def _asked(subject: Subject, changed: Changed) -> Iterator[Diagnosis]:
    at = _at(subject, changed)
    reference = subject.at(at)
    if reference is None:
        return
    for name, suspect in list(subject.open.items()):
        found = _candidate(subject, name, at)
        if found is None:
            continue
        with np.errstate(all="ignore"):
            should, does = np.abs(reference[name] - suspect.reference), np.abs(found[name] - suspect.claimed)
        unseen = (does == 0) & (should > CLEAR * suspect.bound)
        seen = (should == 0) & (does > CLEAR * suspect.bound)
        if seen.any() or unseen.any():
            subject.explained.add(name)
            yield _said(subject, name, changed, seen, unseen)


def _said(subject: Subject, name: str, changed: Changed, seen: Array, unseen: Array) -> Diagnosis:
    slab = changed.slab
    if not seen.any() and slab.last + 1 == slab.size and not _moved(subject, name, changed).any():
        start = _start(subject, name, changed)
        if start > 0:
            return Cause.MASKED_TAIL.of(name, first=start, last=slab.last, axis=slab.axis, unread=changed.of)
    there = seen if seen.any() else unseen
    index = [int(i) for i in np.argwhere(there)[0]]
    how = "and should not" if seen.any() else "and should"
    verb = "changes" if seen.any() else "does not change"
    return Cause.MASK.of(name, index=index, verb=verb, how=how, of=changed.of, which=slab.first, axis=slab.axis)


def _start(subject: Subject, name: str, changed: Changed) -> int:
    """From which index on an argument is not read, by bisection."""
    low, high = 0, changed.slab.first  # something is read from ``low`` on, nothing from ``high`` on
    if not _moved(subject, name, Changed(changed.of, changed.slab._replace(first=0))).any():
        return 0
    while high - low > 1:
        middle = (low + high) // 2
        moved = _moved(subject, name, Changed(changed.of, changed.slab._replace(first=middle))).any()
        low, high = (middle, high) if moved else (low, middle)
    return high


def _moved(subject: Subject, name: str, changed: Changed) -> Array:
    """Where the candidate changes."""
    found = _candidate(subject, name, _at(subject, changed))
    suspect: Suspect = subject.blocks[name]
    return np.ones(suspect.claimed.shape, bool) if found is None else found[name] != suspect.claimed


def _candidate(subject: Subject, name: str, at: Inputs) -> Blocks | None:
    try:
        return subject.shown[name].pair.candidate(at)
    except GradcheckError:
        return None


def _at(subject: Subject, changed: Changed) -> Inputs:
    x = subject.given.point[changed.of]
    moved = x + HALF * own_sizes(x) * signs(changed.of, x.shape, subject.measured.seed)
    point = {**subject.given.point, changed.of: np.where(changed.slab.mask(x.ndim), moved, x)}
    return subject.measured.pair.nearest(subject.given._replace(point=point))
