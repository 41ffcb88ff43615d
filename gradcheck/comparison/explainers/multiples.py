"""By what an argument was multiplied, where an output is what the reference gives at a multiple of it: a temperature.

The factor is fitted by Gauss-Newton steps in its logarithm. Where it is right nothing is left of the error, so that these
converge quadratically; where a step does not help there is no such factor.
"""

from collections.abc import Iterator
from math import exp

import numpy as np

from gradcheck.comparison.explainers.subject import Subject
from gradcheck.comparison.pair import Blocks, Inputs
from gradcheck.foundation.arrays import dot, norm
from gradcheck.verdict.causes import Cause
from gradcheck.verdict.findings import Diagnosis

STEPS = 8
LEAST = 4  # entries of an output: one number is what a reference gives at some multiple of nearly anything
# In the logarithm of the factor: of the difference, which is then off by as much, and at most in one step.
SMALL, LARGE = 1e-6, 1.0


def explain(subject: Subject) -> Iterator[Diagnosis]:
    """Of outputs that nothing else has explained: three evaluations for an argument of no effect, up to sixteen else."""
    for name in subject.outputs:
        for of in subject.given.point:
            if name in subject.open and subject.blocks[name].claimed.size >= LEAST:
                yield from _fitted(subject, name, of)


def _fitted(subject: Subject, name: str, of: str) -> Iterator[Diagnosis]:
    suspect, factor, before = subject.blocks[name], 1.0, np.inf
    for _ in range(STEPS):
        found, nearby = subject.at(_times(subject, of, factor)), subject.at(_times(subject, of, factor * exp(SMALL)))
        if found is None or nearby is None:
            return
        if suspect.is_claimed(found[name]):
            yield from subject.sayings(_handed_back(found, of, factor), Cause.SCALE, of=of, factor=factor)
            return
        left, slope = suspect.claimed - found[name], (nearby[name] - found[name]) / SMALL
        whole, off = dot(slope, slope), norm(left)
        if not whole or not np.isfinite(whole) or not off < before:
            return
        step, before = dot(slope, left) / whole, off
        factor *= exp(max(-LARGE, min(LARGE, step)))


def _times(subject: Subject, of: str, factor: float) -> Inputs:
    given = subject.given
    return given._replace(point={**given.point, of: factor * given.point[of]})


def _handed_back(found: Blocks, of: str, factor: float) -> Blocks:
    return {**found, of: factor * found[of]} if of in found else found
