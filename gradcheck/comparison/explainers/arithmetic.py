"""What the arithmetic of a candidate explains: a coarser one inside, or one that only the given dtype reaches."""

from collections.abc import Iterator

from gradcheck.comparison.explainers.subject import Subject
from gradcheck.comparison.judging import Block, as_if, judged, judged_in_float32
from gradcheck.comparison.levels import COARSE
from gradcheck.foundation.arrays import rms
from gradcheck.verdict.causes import Cause
from gradcheck.verdict.findings import Diagnosis, Verdict


def explain(subject: Subject) -> Iterator[Diagnosis]:
    """No evaluation that the verdict has not spent."""
    for name, suspect in subject.blocks.items():
        measured = subject.shown[name]
        if suspect.verdict is Verdict.WRONG and _right_in_float32(subject, name):
            off = rms(suspect.error) / (rms(suspect.reference) or 1.0)
            yield Cause.GIVEN_DTYPE.of(name, wider="float32", dtype=measured.held, error=off)
        elif judged(measured, name).verdict is Verdict.INEXACT:
            block = Block(measured, name)
            yield Cause.COARSE_ARITHMETIC.of(
                name, level=as_if(block), times=block.times(measured.best), best=measured.best.name
            )
            subject.explained.add(name)


def _right_in_float32(subject: Subject, name: str) -> bool:
    coarse = subject.shown[name] is subject.measured and subject.measured.held in COARSE
    found = judged_in_float32(subject.measured, name) if coarse else None
    return found is not None and found.verdict in (Verdict.CORRECT, Verdict.INEXACT)


def outputs(subject: Subject) -> Iterator[Diagnosis]:
    """Of gradients that nothing explains, where an output is wrong as well; the last of all looks."""
    wrong = [name for name in subject.outputs if subject.verdicts.get(name) is Verdict.WRONG]
    for name in list(subject.open) if wrong else ():
        if name in subject.given.point:
            yield Cause.OUTPUT_WRONG.of(name, output=wrong[0])
