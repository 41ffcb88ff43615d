"""Procedure 3: a candidate against a reference, block by block; from what was measured to a report."""

from collections.abc import Iterator, Sequence

from gradcheck.comparison.evidence import evidence
from gradcheck.comparison.levels import COARSE
from gradcheck.comparison.measured import Measured
from gradcheck.comparison.pair import Pair
from gradcheck.comparison.stated import Stated, stated
from gradcheck.diagnosis.engine import OFF, diagnose
from gradcheck.foundation.validation import Asked
from gradcheck.foundation.watching import Watch
from gradcheck.report import Report
from gradcheck.verdict.causes import Cause
from gradcheck.verdict.findings import Diagnosis, Finding

SPENT = "evaluations of the reference"
VOUCHES = "the reference vouches for what is right: an error of its own would not be seen"
WITHOUT_FLOAT64 = "the reference has no float64 path: the mean of its noise runs in {held} stands for it"


def compared(pair: Pair, asked: Asked) -> Report:
    """Whether a candidate is its reference, as far as its own arithmetic lets that be known."""
    watch = Watch()
    try:
        measured = Measured(pair, asked.seed, watch.say)
        found = [stated(measured, name, asked.accuracy) for name in measured.centre]
        evaluations = measured.evaluations
        diagnoses = _diagnoses(measured, found) if asked.diagnose else ()
    finally:
        watch.end()
    return Report(
        title=f"{pair.name}, seed {asked.seed}",
        findings=tuple(each.finding for each in found),
        evaluations=evaluations,
        notes=tuple(_notes(measured)),
        diagnoses=diagnoses,
        diagnosis_evaluations=measured.evaluations - evaluations,
        spent=SPENT,
        arithmetic=measured.held,
    )


def _diagnoses(measured: Measured, found: Sequence[Stated]) -> tuple[Diagnosis, ...]:
    findings: list[Finding] = [each.finding for each in found]
    if not any(finding.verdict in OFF for finding in findings):
        return ()
    troubles = {each.finding.name: each.defect for each in found if each.defect is not None}
    diagnoses = diagnose(evidence(measured, findings, troubles), findings)
    return tuple(sorted(diagnoses, key=lambda each: each.cause == str(Cause.OUTPUT_WRONG)))  # what may follow comes last


def _notes(measured: Measured) -> Iterator[str]:
    yield VOUCHES
    if measured.exact is None:
        yield WITHOUT_FLOAT64.format(held="float32" if measured.held in COARSE else measured.held)
