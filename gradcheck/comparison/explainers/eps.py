"""Whether an error falls as the inputs grow: so does that of an eps, which is beside squares or lengths of them.

An eps that is added to a square or a length of the inputs is a part of it that falls with the square or the first power of
their size. Candidate and reference are evaluated at a quarter, 4 and 16 times the inputs.
"""

from collections.abc import Iterator

import numpy as np

from gradcheck.comparison.explainers.subject import Subject
from gradcheck.comparison.measured import Measured
from gradcheck.comparison.pair import Inputs
from gradcheck.errors import GradcheckError
from gradcheck.foundation.arrays import rms
from gradcheck.verdict.causes import Cause
from gradcheck.verdict.findings import Diagnosis

TIMES = (0.25, 1.0, 4.0, 16.0)
# Times that the error falls at most where inputs are 4 times as large, by the square; and at least, by the first power, of
# which 1.8 is left between 1 and 4 where one eps of each kind is there.
MOST = 24.0
LEAST, LAST = 1.8, 3.0
# Smaller inputs may all be no more than the eps.
SMALLER = 1.5
# Of the size of a block. What is further off may fall because a softmax saturates (a second expert, forgotten).
SMALL = 0.1


def explain(subject: Subject) -> Iterator[Diagnosis]:
    """Of what nothing else has explained: three evaluations."""
    if not subject.open:
        return
    errors = [_errors(subject, times) for times in TIMES]
    if any(each is None for each in errors):
        return
    for name in list(subject.open):
        if np.sum(subject.blocks[name].wrong) == 1 < subject.blocks[name].claimed.size:
            continue  # an eps is beside what many entries have in common
        relative = [each[name] for each in errors if each is not None]
        suspect = subject.blocks[name]
        rounding = rms(suspect.bound) / (rms(suspect.reference) or 1.0)
        if _falls(relative, rounding):
            subject.explained.add(name)
            yield Cause.EPS.of(name, relative=[relative[1], relative[2]])


def _falls(relative: list[float], rounding: float) -> bool:
    smaller, given, larger, largest = relative
    steps = ((given, larger, LEAST), (larger, largest, LAST))
    down = all(after <= rounding or least <= before / after <= MOST for before, after, least in steps)
    grows = SMALLER if larger > rounding else LAST  # all that shows is then how it grows where inputs are smaller
    return given <= SMALL and down and smaller >= grows * given


def _errors(subject: Subject, times: float) -> dict[str, float] | None:
    """Relative to the block."""
    at = subject.measured.pair.nearest(
        Inputs({name: times * x for name, x in subject.given.point.items()}, subject.given.cotangents)
    )
    reference = subject.at(at)
    if reference is None:
        return None
    try:
        claims = {id(each): each.pair.candidate(at) for each in _distinct(subject)}
    except GradcheckError:
        return None
    found: dict[str, float] = {}
    for name, measured in subject.shown.items():
        size = rms(reference[name])
        with np.errstate(all="ignore"):
            off = rms(claims[id(measured)][name] - reference[name]) / size if size else np.inf
        found[name] = off if np.isfinite(off) else np.inf
    return found


def _distinct(subject: Subject) -> list[Measured]:
    return list({id(each): each for each in subject.shown.values()}.values())
