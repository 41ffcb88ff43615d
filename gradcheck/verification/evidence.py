"""Evidence from a settled reference: what is known of one build whose gradients are not right."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np

from gradcheck.builds.protocol import Backend
from gradcheck.builds.registry import mistakes as library_of
from gradcheck.candidates.answer import Answer
from gradcheck.diagnosis import mistakes, samples
from gradcheck.diagnosis.corrections import MEAN
from gradcheck.diagnosis.library import MistakeLibrary
from gradcheck.diagnosis.references import Precise, Reference, ReferenceEvidence
from gradcheck.errors import GradcheckError
from gradcheck.foundation.arithmetic import held
from gradcheck.foundation.arrays import Array
from gradcheck.oracles.directions import signs
from gradcheck.verdict.findings import Diagnosis, Finding, Verdict
from gradcheck.verdict.settle import residual
from gradcheck.verification.answers import ask
from gradcheck.verification.arbiter import Settled
from gradcheck.verification.problem import Problem

# Parameters times samples up to which every cause that fits is listed, not the first. At 0 five more of 217 causes were
# wrong (means for sums); at 1e9 none changed.
THOROUGH = 1e6


def library(problem: Problem) -> MistakeLibrary | None:
    """The library of mistakes on this case, in double precision; None where a layer is unknown to it."""
    try:
        with np.errstate(all="ignore"):
            return library_of(problem.case.network, problem.parameters, problem.batch.astype(np.float64))
    except GradcheckError:
        return None


def evidence(
    settled: Settled, findings: Sequence[Finding], answer: Answer, backend: Backend, mistaken: MistakeLibrary | None
) -> ReferenceEvidence:
    """All that speaks for or against a cause of what one backend has wrong."""
    problem = settled.problem
    wrong = {finding.name for finding in findings if finding.verdict is Verdict.WRONG}
    off = wrong | {finding.name for finding in findings if finding.verdict is Verdict.INEXACT}
    names = [name for name in problem.given if name in off and name in answer.gradients and name not in answer.defects]
    references = {name: found for name in names if (found := _reference(settled, name, mistaken)) is not None}
    size = sum(value.size for value in problem.given.values()) * len(problem.batch.inputs)
    return ReferenceEvidence(
        claims=answer.gradients,
        point=problem.parameters,
        troubles={name: defect for name, defect in answer.defects.items() if name in wrong},
        counts=_counts(problem),
        thorough=size <= THOROUGH,
        references=references,
        allowed=problem.allowed,
        dtype=held(problem.arithmetic),
        seed=problem.seed,
        precise=_precise(problem, backend),
        looks=_looks(mistaken, problem.batch.targets) if mistaken is not None else (),
    )


def _looks(mistaken: MistakeLibrary, targets: Array) -> tuple[Callable[[ReferenceEvidence], Iterator[Diagnosis]], ...]:
    """Mistakes of the library, and samples that are left out or wrong."""
    return partial(mistakes.explain, library=mistaken), partial(samples.explain, library=mistaken, targets=targets)


def _reference(settled: Settled, name: str, mistaken: MistakeLibrary | None) -> Reference | None:
    """What the block should be and how well that is known; where every claim fell, the manual build's, if it stands."""
    allowed = settled.problem.allowed[name]
    if name in settled.gradients:
        reference, unseen = settled.gradients[name]
        return Reference(reference, unseen + allowed.rounding)
    gradient = mistaken.gradients.get(name) if mistaken is not None else None
    if gradient is None:
        return None
    v = signs(name, gradient.shape, settled.problem.seed)
    found = residual(settled.slope(name), v, gradient, allowed)
    return Reference(gradient, allowed.rounding + found.bound / np.abs(v)) if found.within else None


def _counts(problem: Problem) -> tuple[int, ...]:
    """What a mean may be over: samples, outputs of a sample, both."""
    n, outputs = len(problem.batch.inputs), int(np.prod(problem.case.network.shapes[-1]))
    counts = (n, n * outputs, *([outputs] if outputs >= MEAN else []))
    return tuple(dict.fromkeys(count for count in counts if count > 1))


def _precise(problem: Problem, backend: Backend) -> Precise:
    """The same build in the next wider precision."""
    narrow = held(problem.arithmetic) == "float32"
    precision = np.dtype(np.float64 if narrow else np.longdouble)

    def gradients() -> Mapping[str, Array]:
        parameters = {name: value.astype(precision) for name, value in problem.given.items()}
        return ask(backend, problem.case.network, parameters, problem.batch.astype(precision)).gradients

    return Precise("float64" if narrow else "long double", gradients)
