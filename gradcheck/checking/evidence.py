"""From a wrong block to a named cause: corrections of the claim that agree with the oracle along several directions."""

from collections.abc import Sequence

import numpy as np
from msgspec.structs import replace

from gradcheck.checking.probe import Prober
from gradcheck.diagnosis.corrections import BETTER, CLEAR, DIRECTIONS, Diagnosis, Known, causes, clipped_at, ordered
from gradcheck.errors import GradcheckError
from gradcheck.foundation.arrays import Array, dot
from gradcheck.verdict.findings import Finding, Verdict
from gradcheck.verdict.heat import Heat, cells

MAPS = 100  # evaluations after which no further block is mapped. Chosen, not derived.
GRID = (4, 6)  # cells of a map, each of which takes a cheap probe
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


def mapped(prober: Prober, findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Where in each wrong block the error sits, by a cheap probe of each cell of a grid, while the budget lasts."""
    stop = prober.evaluations + MAPS
    return tuple(
        replace(finding, heat=_heat(prober, finding.name))
        if finding.verdict in (Verdict.WRONG, Verdict.INEXACT)
        and finding.name in prober.scale
        and finding.name not in prober.claim.defects
        and prober.evaluations < stop
        else finding
        for finding in findings
    )


def _heat(prober: Prober, name: str) -> Heat:
    (v,) = prober.draw([name], FIRST).direction.values()
    if v.size < 2:
        return ()
    probes = (
        [prober.again(prober.line({name: np.where(mask, v, 0.0)}), prober.quick) for mask in row]
        for row in cells(v.shape, *GRID)
    )
    return tuple(tuple(abs(probe.residual) / probe.bound if probe.bound else np.inf for probe in row) for row in probes)


def _precise(prober: Prober, name: str, known: Sequence[Known]) -> list[Diagnosis]:
    """Whether the same code in long double is right."""
    if np.finfo(np.longdouble).eps == np.finfo(float).eps:
        return []
    try:
        found = prober.claim.precise().get(name)
    except GradcheckError:
        return []
    if found is None or found.dtype != np.longdouble or not np.isfinite(found).all():
        return []
    claimed = prober.claim.gradient[name]
    off = [abs(dot(claimed, k.v) - k.slope) for k in known]
    right = all(
        abs(float(np.sum(found * k.v)) - k.slope) <= max(k.bound, e / BETTER) for k, e in zip(known, off, strict=True)
    )
    right &= any(e > CLEAR * k.bound for k, e in zip(known, off, strict=True))
    return [Diagnosis(name, "unstable", {"precision": "long double"})] if right else []


def _causes(prober: Prober, finding: Finding) -> list[Diagnosis]:
    """Every cause that explains the whole difference, simplest first."""
    name, claim = finding.name, prober.claim
    known = [_known(prober, name, FIRST + i) for i in range(DIRECTIONS)] if claim.gradient[name].any() else []
    found = causes(name, claim.gradient, claim.point[name], known) or _of_entries(prober, finding)
    return ordered(found or _precise(prober, name, known) or _small(finding))


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
    return []


def _small(finding: Finding) -> list[Diagnosis]:
    """Nothing else explains it, and a rounded constant would be that far off."""
    return [Diagnosis(finding.name, "constants", {"error": finding.error})] if finding.verdict is Verdict.INEXACT else []


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
            found = [*(Diagnosis(name, "stops-below", {"above": names[depth]}) for name in names[:depth]), *found]
    return tuple(found)
