"""Evidence from a reference that is known entry by entry: what speaks for a cause of what a candidate has wrong."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np

from gradcheck.candidates.answer import Defect
from gradcheck.comparison.explainers import (
    arguments,
    arithmetic,
    contributions,
    cotangents,
    delta,
    dependence,
    eps,
    factors,
    lines,
    memory,
    multiples,
    slabs,
    together,
)
from gradcheck.comparison.explainers.subject import Subject
from gradcheck.comparison.judging import judged
from gradcheck.comparison.levels import COARSE
from gradcheck.comparison.measured import Measured
from gradcheck.diagnosis.engine import OFF
from gradcheck.diagnosis.references import Precise, Reference, ReferenceEvidence
from gradcheck.foundation.arrays import zeros
from gradcheck.verdict.bounds import Allowance
from gradcheck.verdict.findings import Diagnosis, Finding, Verdict

Look = Callable[[Subject], Iterator[Diagnosis]]
# Those that cost nothing first; what costs evaluations looks at what is unexplained, but for cotangents.
LOOKS: tuple[Look, ...] = (
    arithmetic.explain,
    slabs.explain,
    memory.explain,
    factors.explain,
    cotangents.explain,
    lines.explain,
    contributions.explain,
    delta.explain,
    eps.explain,
    arguments.explain,
    multiples.explain,
    together.explain,
    dependence.explain,
    arithmetic.outputs,
)


def evidence(measured: Measured, findings: Sequence[Finding], troubles: Mapping[str, Defect]) -> ReferenceEvidence:
    """Of the blocks that are off and have a form; of each in float32 where it is wrong there as well, which shows more."""
    names = [each.name for each in findings if each.verdict in OFF and each.name not in troubles]
    shown = {name: _showing(measured, name) for name in names}
    subject = Subject(measured, shown, {each.name: each.verdict for each in findings})
    references = {name: Reference(each.reference, each.bound) for name, each in subject.blocks.items()}
    centre = measured.centre
    return ReferenceEvidence(
        claims={name: shown.get(name, measured).furthest(name) for name in centre if measured.comparable(name)},
        point={name: measured.pair.given.point.get(name, np.zeros_like(centre[name])) for name in centre},
        troubles=troubles,
        counts=(),
        thorough=True,
        references=references,
        allowed={name: Allowance(bound, zeros(bound.shape), value, value) for name, (value, bound) in references.items()},
        dtype="float64" if measured.held == "float64" else "float32",
        seed=measured.seed,
        precise=Precise("float32", dict),
        looks=[partial(_looked, subject, look) for look in LOOKS],
        layered=False,
        formats={name: shown.get(name, measured).pair.formats[name] for name in centre},
    )


def _showing(measured: Measured, name: str) -> Measured:
    wide = measured.in_float32 if measured.held in COARSE else None
    return wide if wide is not None and judged(wide, name).verdict is Verdict.WRONG else measured


def _looked(subject: Subject, look: Look, found: ReferenceEvidence) -> Iterator[Diagnosis]:
    return look(subject)
