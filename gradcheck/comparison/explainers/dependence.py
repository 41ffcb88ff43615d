"""What hangs on what: a candidate that reads what a mask hides, or does not read what it should.

One index of an argument is changed, and every entry of a block either changes with it or does not: of the reference exactly,
in float64; of the candidate beyond its bound, or not by a single bit.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from gradcheck.comparison.explainers.slabs import Slab
from gradcheck.comparison.explainers.subject import Subject
from gradcheck.comparison.pair import Inputs
from gradcheck.errors import GradcheckError
from gradcheck.foundation.arrays import Array
from gradcheck.oracles.directions import own_sizes, signs
from gradcheck.verdict.causes import Cause
from gradcheck.verdict.findings import Diagnosis

# Bounds by which the reference must change, for the candidate to change by a bit at least.
CLEAR = 4.0
# Times the inputs, where no softmax is saturated.
SMALL = 1 / 32
HALF = 0.5  # of the size of an entry, by which it is changed at most 0.75 times: its sign stays


class Changed(NamedTuple):
    """An argument from one index on, or at it alone."""

    of: str
    slab: Slab


def explain(subject: Subject) -> Iterator[Diagnosis]:
    """Of outputs that nothing else has explained: an evaluation for the last, middle and first index along each axis."""
    for of, x in subject.given.point.items():
        for axis, n in enumerate(x.shape):
            for index in dict.fromkeys((n - 1, n // 2, 0)) if n > 1 else ():
                if not subject.open.keys() & set(subject.outputs):
                    return
                yield from _asked(subject, Changed(of, Slab(axis, index, index, n)))


def _asked(subject: Subject, changed: Changed) -> Iterator[Diagnosis]:
    reference = subject.at(_at(subject, changed))
    for name in subject.open.keys() & set(subject.outputs) if reference is not None else ():
        suspect, does = subject.blocks[name], _change(subject, name, changed)
        if reference is None or does is None:
            continue
        with np.errstate(all="ignore"):
            should = np.abs(reference[name] - suspect.reference)
        seen = (should == 0) & (does > CLEAR * suspect.bound)
        unseen = (does == 0) & (should > CLEAR * suspect.bound)
        if unseen.any():
            unseen &= _still_unseen(subject, name, changed)
        if seen.any() or unseen.any():
            subject.explained.add(name)
            yield _said(subject, name, changed, seen, unseen)


def _still_unseen(subject: Subject, name: str, changed: Changed) -> Array:
    """Where the candidate does not change at small inputs, either: at others it may have been rounded off."""
    found = _change(subject, name, changed, SMALL)
    return np.zeros(subject.blocks[name].claimed.shape, bool) if found is None else found == 0


def _said(subject: Subject, name: str, changed: Changed, seen: Array, unseen: Array) -> Diagnosis:
    slab = changed.slab
    if not seen.any() and slab.last + 1 == slab.size and not _moves(subject, name, changed):
        slab = slab._replace(first=_start(subject, name, changed))
        if slab.tail:
            return Cause.MASKED_TAIL.of(name, first=slab.first, last=slab.last, axis=slab.axis, unread=changed.of)
        if slab.first:
            return Cause.LEFT_OUT.of(name, which=slab.said, axis=slab.axis, unread=changed.of)
    index = [int(i) for i in np.argwhere(seen if seen.any() else unseen)[0]]
    how = "and should not" if seen.any() else "and should"
    verb = "changes" if seen.any() else "does not change"
    return Cause.MASK.of(name, index=index, verb=verb, how=how, of=changed.of, which=slab.last, axis=slab.axis)


def _start(subject: Subject, name: str, changed: Changed) -> int:
    """From which index on an argument is not read, by bisection."""
    low, high = 0, changed.slab.first  # something is read from ``low`` on, nothing from ``high`` on
    if not _moves(subject, name, Changed(changed.of, changed.slab._replace(first=0))):
        return 0
    while high - low > 1:
        middle = (low + high) // 2
        moves = _moves(subject, name, Changed(changed.of, changed.slab._replace(first=middle)))
        low, high = (middle, high) if moves else (low, middle)
    return high


def _moves(subject: Subject, name: str, changed: Changed) -> bool:
    """Whether anything changes in the candidate."""
    found = _change(subject, name, changed)
    return found is None or bool(found.any())


def _change(subject: Subject, name: str, changed: Changed, times: float = 1.0) -> Array | None:
    """By how much each entry of the candidate does, at so many times the inputs; None where it has no answer."""
    pair = subject.shown[name].pair
    point = {each: times * x for each, x in subject.given.point.items()}
    try:
        before = subject.blocks[name].claimed
        if times != 1.0:
            before = pair.candidate(pair.nearest(subject.given._replace(point=point)))[name]
        after = pair.candidate(_at(subject, changed, times))[name]
    except GradcheckError:
        return None
    with np.errstate(all="ignore"):
        return np.abs(after - before)


def _at(subject: Subject, changed: Changed, times: float = 1.0) -> Inputs:
    x = subject.given.point[changed.of]
    moved = x + HALF * own_sizes(x) * signs(changed.of, x.shape, subject.measured.seed)
    point = {**subject.given.point, changed.of: np.where(changed.slab.mask(x.ndim), moved, x)}
    point = {name: times * array for name, array in point.items()}
    return subject.measured.pair.nearest(subject.given._replace(point=point))
