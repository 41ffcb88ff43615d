"""Which mistake of a library gives the claimed gradient to rounding, and spoils nothing that is right."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np

from gradcheck.diagnosis.corrections import corrections
from gradcheck.diagnosis.library import Changed, Mistake, MistakeLibrary
from gradcheck.diagnosis.references import ReferenceEvidence
from gradcheck.foundation.arrays import Array
from gradcheck.verdict.causes import Cause
from gradcheck.verdict.findings import Diagnosis

# Changed blocks, none of which it explains, after which a mistake is followed no further down: else the cost grows with the
# square of the depth. At 2 or 1e9 no cause of the tests changed.
FOLLOWED = 16


class Match(NamedTuple):
    """A mistake with what it gives, the blocks that it explains, and those that it spoils."""

    mistake: Mistake
    gradients: Mapping[str, Array]
    matched: set[str]
    spoiled: set[str]


def explain(evidence: ReferenceEvidence, library: MistakeLibrary) -> Iterator[Diagnosis]:
    """Mistakes that spoil nothing but what is wrong and give what is claimed of it; what explains most blocks first."""
    wrong = evidence.references.keys()
    if not wrong:
        return
    found = sorted(_matches(evidence, library), key=lambda each: -len(each.matched))
    for name in wrong:
        explaining = [each for each in found if name in each.matched]
        yield from (Diagnosis(name, each.mistake.cause, _said(each.mistake, library)) for each in explaining)
        for each in () if explaining else (each for each in found if name in each.spoiled):
            yield from _besides(evidence, name, each.gradients[name], each.mistake.why)


def _matches(evidence: ReferenceEvidence, library: MistakeLibrary) -> list[Match]:
    """One at a time, then habits; where time counts, up to the first that explains everything."""
    found, wrong = list[Match](), set(evidence.references)
    with np.errstate(all="ignore"):
        for candidates in (library.singly(), library.habits()):
            for mistake, changed in candidates:
                match = _match(evidence, library, mistake, changed)
                found += [match] if match else []
                if match and match.matched == wrong and not evidence.thorough:
                    return found
            if any(match.matched == wrong for match in found):
                return found
    return found


def _match(evidence: ReferenceEvidence, library: MistakeLibrary, mistake: Mistake, changed: Changed) -> Match | None:
    """Followed down from where it is made, up to the first block that is right and would be wrong with it."""
    wrong, gradients = evidence.references.keys(), dict[str, Array]()
    matched, spoiled = set[str](), set[str]()
    for name, gradient in changed:
        if _spoils(evidence, name, gradient, library.gradients[name]):
            if name not in wrong or (len(spoiled) >= FOLLOWED and not matched):
                return None
            spoiled.add(name)
        if name in wrong and evidence.is_claimed(name, gradient):
            matched.add(name)
        gradients[name] = gradient
    if not matched or not spoiled or _is_rather_of_the_layer(mistake, spoiled, wrong):
        return None
    return Match(mistake, gradients, matched, spoiled)


def _spoils(evidence: ReferenceEvidence, name: str, gradient: Array, right: Array) -> bool:
    return not bool(np.all(np.abs(right - gradient) <= evidence.tolerance(name, right)))


def _is_rather_of_the_layer(mistake: Mistake, spoiled: set[str], wrong: Any) -> bool:
    """A mean in place of a sum in the bias alone; where the weight is off too, the mean is elsewhere."""
    weight = f"{mistake.layer}.weight"
    return mistake.cause == str(Cause.MEAN_FOR_SUM) and weight in wrong and weight not in spoiled


def _said(mistake: Mistake, library: MistakeLibrary) -> dict[str, Any]:
    """What belongs to the cause, with the layer and the sentences."""
    layer = {"layer": library.name(mistake.layer), "kind": library.kind(mistake.layer)}
    return {**mistake.evidence, **layer, "why": mistake.why, "remedy": mistake.remedy}


def _besides(evidence: ReferenceEvidence, name: str, gradient: Array, why: str) -> Iterator[Diagnosis]:
    """A second mistake on top of one that explains other blocks."""
    known = evidence.slopes(name, gradient, evidence.tolerance(name, gradient))
    for diagnosis in corrections(name, evidence.claims, evidence.point[name], known, evidence.counts):
        yield msgspec.structs.replace(diagnosis, evidence={**diagnosis.evidence, "besides": why})
