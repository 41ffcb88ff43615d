"""From a wrong block to a named cause: corrections of the claim that agree with the oracle along several directions."""

from collections.abc import Sequence

import numpy as np

from gradcheck.arrays import Array, dot
from gradcheck.probe import Prober
from gradcheck.verdict.causes import Diagnosis, Known, causes, clipped_at
from gradcheck.verdict.findings import Finding, Verdict

DIRECTIONS = 4
FIRST = 10  # attempts before this one belong to the verdict


def diagnose(prober: Prober, findings: Sequence[Finding]) -> tuple[Diagnosis, ...]:
    """Causes of everything that is wrong, inexact or nonsmooth; a block that nothing explains has none."""
    trouble = prober.claim.doubts | prober.claim.defects
    found: list[Diagnosis] = []
    for finding in findings:
        if finding.name in trouble:
            found.append(Diagnosis(finding.name, trouble[finding.name].cause))
            continue
        if finding.verdict is Verdict.NONSMOOTH and finding.slopes:
            found.append(Diagnosis(finding.name, "kink-convention", {"slopes": list(finding.slopes)}))
        if finding.verdict in (Verdict.WRONG, Verdict.INEXACT):
            found += _causes(prober, finding)
    return _stops_below(prober, findings, found)


def _causes(prober: Prober, finding: Finding) -> list[Diagnosis]:
    """Every cause that explains the whole difference, simplest first."""
    name, claim = finding.name, prober.claim
    known = [_known(prober, name, FIRST + i) for i in range(DIRECTIONS)] if claim.gradient[name].any() else []
    return causes(name, claim.gradient, claim.point[name], known) or _of_entries(prober, finding)


def _known(prober: Prober, name: str, attempt: int) -> Known:
    probe = prober.probe([name], attempt, prober.large)
    v = probe.v[name]
    return Known(v, dot(prober.claim.gradient[name], v) + probe.residual, probe.bound)


def _of_entries(prober: Prober, finding: Finding) -> list[Diagnosis]:
    """Of a few entries: one that is wrong, or several that stop at one value while the others are right."""
    name = finding.name
    claimed = prober.claim.gradient[name]
    if len(finding.entries) == 1:
        entry = finding.entries[0]
        wrong = np.zeros(claimed.shape, bool)
        wrong[entry.index] = True
        if claimed.size == 1 or _right_elsewhere(prober, name, wrong):
            return [Diagnosis(name, "single-entry", {"index": list(entry.index), "reference": entry.reference})]
    limit = clipped_at(claimed)
    if limit is not None and _right_elsewhere(prober, name, np.abs(claimed) == limit):
        return [Diagnosis(name, "clipped", {"limit": limit, "entries": int(np.sum(np.abs(claimed) == limit))})]
    return [Diagnosis(name, "constants", {"error": finding.error})] if finding.verdict is Verdict.INEXACT else []


def _right_elsewhere(prober: Prober, name: str, suspects: Array) -> bool:
    """Whether a block is right but for some of its entries."""
    for attempt in range(2):
        (v,) = prober.draw([name], FIRST + DIRECTIONS + attempt).direction.values()
        probe = prober.again(prober.line({name: np.where(suspects, 0.0, v)}), prober.large)
        if not probe.within or not np.isfinite(probe.bound):
            return False
    return True


def _stops_below(prober: Prober, findings: Sequence[Finding], found: list[Diagnosis]) -> tuple[Diagnosis, ...]:
    """Where the first blocks are zero and all later ones are right, the backward pass stops between them."""
    zero = {diagnosis.name for diagnosis in found if diagnosis.cause == "zero"}
    names = [finding.name for finding in findings]
    verdicts = {finding.name: finding.verdict for finding in findings}
    depth = len(zero)
    if 1 < depth < len(names) and set(names[:depth]) == zero and verdicts[names[depth]] is Verdict.CORRECT:
        rest = {verdicts[name] for name in names[depth:]}
        if rest == {Verdict.CORRECT}:
            found = [*found, *(Diagnosis(name, "stops-below", {"above": names[depth]}) for name in names[:depth])]
    return tuple(found)
