"""The second derivative of a PyTorch function: its double backward, against differences of its first derivative."""

from contextlib import suppress

import numpy as np
from msgspec.structs import replace

from gradcheck.adapters.contract.breaches import shortly
from gradcheck.adapters.pytorch.arithmetic import arithmetic
from gradcheck.adapters.pytorch.checking import judged, with_outputs_alone
from gradcheck.adapters.pytorch.derivatives.first import FirstDerivative, refusing
from gradcheck.adapters.pytorch.derivatives.hidden import hiding
from gradcheck.adapters.pytorch.function import TorchFunction
from gradcheck.errors import CallFailed
from gradcheck.foundation.validation import Asked
from gradcheck.foundation.wording import enumerated
from gradcheck.oracles.directions import own_sizes, signs
from gradcheck.report import Report
from gradcheck.verdict import reasons
from gradcheck.verdict.causes import Cause
from gradcheck.verdict.findings import Finding, Verdict

BACKEND = "torch, second order"
NAME = "second derivative"  # of the finding that says that there is none
REMEDY = "write the backward pass of operations that record a graph, or use no second derivative of it"
# Roundoffs of the whole first derivative, in what it contributes. That of the correlation of two numbers, which
# is 1 wherever they lie, was 7 of them.
NOTHING = 100
NO_FIRST = "no second derivative was asked for: there is no first one"


def second_order(function: TorchFunction, first: Report, asked: Asked) -> Report:
    """What its second backward pass says of each block and cotangent; ``first`` is what the first one was found to be."""
    derivative = FirstDerivative(function)
    if not derivative.cotangents:
        return Report(title="", findings=(), notes=(NO_FIRST,))
    refused = _refused(derivative)
    kept = [name for name in derivative.blocks if name not in refused]
    report = _judged(derivative.of(kept), asked) if kept else Report(title="", findings=())
    if refused:
        report = _with_refusals(report, refused)
    findings = tuple(_beside(each, sorted(first.wrong)) for each in report.findings)
    notes = tuple(note if note in first.notes else f"second order: {note}" for note in report.notes)
    return replace(report, findings=findings, notes=notes).labelled(BACKEND)


def _judged(derivative: FirstDerivative, asked: Asked) -> Report:
    report = judged(derivative, asked)
    with suppress(CallFailed):
        report = with_outputs_alone(report, derivative, asked)
    report = _without_rounding(_without_what_is_of_no_account(report, derivative, asked), derivative)
    if decorated := refusing(derivative):
        silent = report.wrong
        rest = tuple(each for each in report.findings if each.name not in silent)
        known = tuple(each for each in report.diagnoses if each.name not in silent)
        return _with_refusals(replace(report, findings=rest, diagnoses=known), dict.fromkeys(sorted(silent), decorated))
    return _with_what_hides(report, hiding(derivative, report.wrong))


def _without_what_is_of_no_account(report: Report, derivative: FirstDerivative, asked: Asked) -> Report:
    """Where there is no slope, what is claimed within the accuracy of the whole is inexact: the first derivative is as well.

    Of a saturated function the second derivative is zero, and rounding of the first is all that there is of it.
    """
    if not report.wrong:
        return report
    sparing = judged(derivative, asked._replace(sparing=True, diagnose=False))
    spared = {each.name: each for each in sparing.findings if each.verdict is Verdict.INEXACT and each.name in report.wrong}
    findings = tuple(spared.get(each.name, each) for each in report.findings)
    known = tuple(each for each in report.diagnoses if each.name not in spared)
    return replace(report, findings=findings, diagnoses=known)


def _without_rounding(report: Report, derivative: FirstDerivative) -> Report:
    """A second derivative is zero where all of it is less than the first one is rounded by."""
    unit = NOTHING * arithmetic(derivative).unit
    doubted = {each.name for each in report.findings if each.verdict in (Verdict.WRONG, Verdict.UNRESOLVED)}
    nothing = {name for name in doubted if _is_nothing(derivative, name, unit * derivative.size())}
    findings = tuple(_zero(each.name, unit) if each.name in nothing else each for each in report.findings)
    known = tuple(each for each in report.diagnoses if each.name not in nothing)
    return replace(report, findings=findings, diagnoses=known)


def _is_nothing(derivative: FirstDerivative, name: str, floor: float) -> bool:
    """Whether neither what is claimed nor what a move of an eighth does is more."""
    point, here = derivative.point(), derivative.loss(derivative.point())
    claimed = np.abs(derivative.gradient(point)[name]) * own_sizes(point[name])
    if not np.max(claimed, initial=0.0) <= floor:
        return False
    for attempt in range(2):
        v = signs(name, point[name].shape, derivative.seed, attempt) * own_sizes(point[name]) / 8
        if not abs(derivative.loss({**point, name: point[name] + v}) - here) <= floor:
            return False
    return True


def _zero(name: str, unit: float) -> Finding:
    said = reasons.zero_to_rounding(unit)
    return Finding(name=name, backend="", verdict=Verdict.CORRECT, resolution=unit, block_resolution=unit, reason=said)


def _refused(derivative: FirstDerivative) -> dict[str, str]:
    """Blocks that a second backward pass raises for, and what; all of them, where it does for none alone."""
    said = _raised(derivative)
    if not said:
        return {}
    alone = {name: _raised(derivative.of([name])) for name in derivative.blocks}
    return {name: each for name, each in alone.items() if each} or dict.fromkeys(derivative.blocks, said)


def _raised(derivative: FirstDerivative) -> str:
    try:
        derivative.gradient(derivative.point())
    except CallFailed as failed:
        return f"the second backward pass {shortly(failed)}"
    return ""


def _with_refusals(report: Report, refused: dict[str, str]) -> Report:
    """A loud error is no wrong derivative, and no right one: what was asked for is not there."""
    names, why = list(refused), next(iter(refused.values()), "")
    findings = [Finding(name=name, backend="", verdict=Verdict.UNSUPPORTED, reason=said) for name, said in refused.items()]
    whole = Finding(name=NAME, backend="", verdict=Verdict.UNRESOLVED, reason=f"of {enumerated(names)} there is none: {why}")
    causes = (Cause.HIDES_SECOND_ORDER.of(name, how=said, remedy=REMEDY) for name, said in refused.items())
    return replace(report, findings=(*report.findings, *findings, whole), diagnoses=(*report.diagnoses, *causes))


def _with_what_hides(report: Report, hidden: dict[str, str]) -> Report:
    """In the place of what else would explain a block: where no path leads to it all is zero."""
    others = tuple(each for each in report.diagnoses if each.name not in hidden)
    causes = (Cause.HIDES_SECOND_ORDER.of(name, how=how) for name, how in hidden.items())
    return replace(report, diagnoses=(*others, *causes))


def _beside(finding: Finding, off: list[str]) -> Finding:
    """What a finding means where the first derivative is wrong, of which it is the derivative."""
    if not off or finding.verdict is Verdict.UNSUPPORTED:
        return finding
    first = f"the first derivative is wrong in {enumerated(off)}"
    agrees = finding.verdict in (Verdict.CORRECT, Verdict.INEXACT)
    said = f"{first}, which it is the derivative of" if agrees else f"{first}, and it is not the derivative of that either"
    return replace(finding, reason=f"{said}: {finding.reason}" if finding.reason else said)
