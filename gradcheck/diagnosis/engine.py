"""From wrong blocks to named causes.

1. What was wrong before any arithmetic is its own cause, and so is a kink.
2. Corrections of the claim are held against the true slopes along several directions (`corrections`).
3. Further explainers are asked: a library of mistakes, single samples. Where time counts only while a block is unexplained.
4. A few entries may be all that is wrong.
5. A block that says too little by itself has the cause of others, where that fits.
6. What nothing explains may be right in a higher precision;
7. or the backward pass stops at a block;
8. or the error is as small as that of a rounded constant.

For each block the simplest cause comes first (`Cause`); one that most blocks have comes first wherever it fits.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from gradcheck.diagnosis.corrections import clipped_at, corrections
from gradcheck.diagnosis.evidence import Evidence
from gradcheck.verdict.causes import Cause, rank
from gradcheck.verdict.findings import Diagnosis, Finding, Verdict

# An error of this size may be that of a rounded constant. At 1e-8 ten constants off by 3e-8 and 3e-6 had no name; at 1e-2
# five errors of 1e-4 were called so.
SMALL = 1e-5
OFF = (Verdict.WRONG, Verdict.INEXACT)
RATIOS: dict[str, Callable[[Mapping[str, Any]], float]] = {
    Cause.SIGN: lambda _: -1.0,
    Cause.MISSING_MEAN: lambda evidence: evidence["n"],
    Cause.EXTRA_MEAN: lambda evidence: 1 / evidence["n"],
    Cause.FACTOR: lambda evidence: evidence.get("factor", np.nan),
}  # of a claim to the true gradient

Found: TypeAlias = dict[str, list[Diagnosis]]


def diagnose(evidence: Evidence, findings: Sequence[Finding]) -> tuple[Diagnosis, ...]:
    """Causes of all that is wrong, inexact or nonsmooth; a block that nothing explains has none."""
    troubled = {f.name for f in findings if f.name in evidence.troubles}
    off = {f.name: f for f in findings if f.verdict in OFF and f.name not in troubled and evidence.has_reference(f.name)}
    found: Found = {name: _corrected(evidence, name) for name in off}
    _ask_explainers(evidence, found)  # each costs many gradients
    for name, finding in off.items():
        found[name] += _of_entries(evidence, finding) if evidence.thorough or not found[name] else []
    _share(evidence, found)  # any number is some multiple of another, but hardly one that is known from other blocks
    for name, precision in evidence.right_in_higher_precision(_unexplained(found)).items():
        found[name].append(Cause.UNSTABLE.of(name, precision=precision))
    _stops_below(evidence, findings, found)
    for name in _unexplained(found):
        # Of a function the accuracy asked for says what is small; of a network every excess is wrong.
        if off[name].verdict is Verdict.INEXACT or (evidence.layered and off[name].error <= SMALL):
            found[name].append(Cause.CONSTANTS.of(name, error=off[name].error))
    return (*_before_arithmetic(evidence, findings), *_usual_first({name: ordered(each) for name, each in found.items()}))


def ordered(diagnoses: Sequence[Diagnosis]) -> list[Diagnosis]:
    """Simplest first, each cause once."""
    found: dict[tuple[str, str], Diagnosis] = {}
    for diagnosis in sorted(diagnoses, key=lambda each: rank(each.cause)):
        found.setdefault((diagnosis.name, diagnosis.cause), diagnosis)
    return list(found.values())


def _before_arithmetic(evidence: Evidence, findings: Sequence[Finding]) -> Iterator[Diagnosis]:
    for finding in findings:
        if finding.name in evidence.troubles:
            yield evidence.troubles[finding.name].cause.of(finding.name)
        elif finding.verdict is Verdict.NONSMOOTH and finding.slopes:
            yield Cause.KINK_CONVENTION.of(finding.name, slopes=list(finding.slopes))


def _corrected(evidence: Evidence, name: str, *, clear: bool = True) -> list[Diagnosis]:
    point, known, held = evidence.point[name], evidence.known(name), evidence.formats.get(name, "float64")
    convention = evidence.complex_blocks.get(name)
    return corrections(name, evidence.claims, point, known, evidence.counts, clear, held, convention)


def _ask_explainers(evidence: Evidence, found: Found) -> None:
    for explainer in evidence.explainers:
        if evidence.thorough or _unexplained(found):
            for diagnosis in explainer():
                found[diagnosis.name].append(diagnosis)


def _unexplained(found: Found) -> list[str]:
    return [name for name, each in found.items() if not each]


def _of_entries(evidence: Evidence, finding: Finding) -> list[Diagnosis]:
    """Of a few entries: one that is wrong, or several that stop at one value while the others are right."""
    name, claimed = finding.name, evidence.claims[finding.name]
    entry = evidence.only_entry(finding)
    if entry is not None:
        suspect = np.zeros(claimed.shape, bool)
        suspect[entry.index] = True
        if claimed.size == 1 or evidence.right_elsewhere(name, suspect):
            return [Cause.SINGLE_ENTRY.of(name, index=list(entry.index), reference=entry.reference)]
    if name in evidence.complex_blocks:
        return [*_of_parts(evidence, name)]
    limit = clipped_at(claimed)
    if limit is not None and evidence.right_elsewhere(name, np.abs(claimed) == limit):
        return [Cause.CLIPPED.of(name, limit=limit, entries=int(np.sum(np.abs(claimed) == limit)))]
    return []


def _of_parts(evidence: Evidence, name: str) -> Iterator[Diagnosis]:
    """Of complex numbers: one part that is zero everywhere while the other one is right."""
    for place, part in enumerate(("real", "imaginary")):
        lost = np.zeros(evidence.claims[name].shape, bool)
        lost[..., place] = True
        if not evidence.claims[name][lost].any() and evidence.right_elsewhere(name, lost):
            yield Cause.LEFT_OUT.of(name, part=part)


def _share(evidence: Evidence, found: Found) -> None:
    """A single number, or a block that is known coarsely, has the cause of others where it fits."""
    elsewhere = {d.cause: d.evidence for each in found.values() for d in reversed(each)}
    ratios = {cause: ratio(said) for cause, ratio in RATIOS.items() if (said := elsewhere.get(cause)) is not None}
    for name in _unexplained(found) if elsewhere else ():
        found[name] += [Diagnosis(name, str(c), elsewhere[c]) for c, r in ratios.items() if evidence.is_multiple(name, r)]
        found[name] += [d for d in _corrected(evidence, name, clear=False) if elsewhere.get(d.cause) == d.evidence]


def _stops_below(evidence: Evidence, findings: Sequence[Finding], found: Found) -> None:
    """Where all is right from the top down to a block and wrong below, it stops there: if that is zero, or unexplained."""
    correct = {finding.name for finding in findings if finding.verdict is Verdict.CORRECT}
    order = list(evidence.point)
    top = max((order.index(name) for name in found), default=-1)
    below, above = order[: top + 1], order[top + 1 :]
    if len(below) < 2 or not above or set(below) != found.keys() or not correct.issuperset(above):
        return
    zero = not any(evidence.claims[name].any() for name in below)
    split = evidence.layered and _layer(above[0]) == _layer(below[-1])  # within one layer nothing is handed on
    for name in below:
        if not split and (zero or (evidence.layered and not found[name])):
            why = f"all is right down to {above[0]} and {'zero' if zero else 'wrong'} from {below[-1]} down"
            found[name].insert(0, Cause.STOPS_BELOW.of(name, above=above[0], why=why))


def _layer(name: str) -> str:
    return name.rpartition(".")[0]


def _usual_first(found: Mapping[str, Sequence[Diagnosis]]) -> list[Diagnosis]:
    """Block by block; what comes first in most of them comes first wherever it fits."""
    first = Counter(each[0].cause for each in found.values() if each)
    usual = {cause for cause, count in first.items() if 2 * count > len(found)}
    return [diagnosis for each in found.values() for diagnosis in sorted(each, key=lambda d: d.cause not in usual)]
