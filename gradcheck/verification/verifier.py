"""The procedure of `gradcheck.verify`: a case x builds x oracles -> Report.

1. The case is made concrete (`problem`): what every build is given, how far rounding may put each entry of a correct
   one off, and two oracles that never see a build.
2. Every build is asked on copies, twice for its gradients and once for its loss (`answers`). What has not the form of an
   answer is wrong already; who says that he does not know such a network has no part in what follows.
3. The oracles settle a gradient for each block: every entry where that is cheap, else the claim of a build that they have
   examined (`arbiter`).
4. Losses are compared with the reference's and gradients with what was settled, entry by entry, in units of their bounds
   (`gradcheck.verdict.entrywise`). Where no claim stood, the wrong entries of each are looked for.
5. What is not right is held against corrections, a library of mistakes and single samples (`gradcheck.diagnosis`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any, cast

import msgspec
import numpy as np

from gradcheck.builds import registry
from gradcheck.builds.protocol import Backend
from gradcheck.candidates.answer import Answer
from gradcheck.cases.case import Case
from gradcheck.diagnosis.engine import diagnose
from gradcheck.foundation.arithmetic import COARSE, arithmetic_of
from gradcheck.foundation.arrays import Array, keep_memory, norm
from gradcheck.foundation.calling import theirs
from gradcheck.foundation.state.found import as_found
from gradcheck.foundation.validation import accuracy_of, seed_of
from gradcheck.network.analysis.rounding import ErrorBounds
from gradcheck.oracles.directions import own_sizes, scales, signs
from gradcheck.report import Report
from gradcheck.report.reproducer.recipe import reproducible
from gradcheck.verdict import reasons
from gradcheck.verdict.bounds import Allowance, Settlement
from gradcheck.verdict.causes import Cause
from gradcheck.verdict.entrywise import compare, place
from gradcheck.verdict.findings import Diagnosis, Finding, Verdict
from gradcheck.verdict.localize import Search, localize
from gradcheck.verdict.settle import residual
from gradcheck.verification.answers import ask
from gradcheck.verification.arbiter import Settled, settle
from gradcheck.verification.evidence import evidence, library
from gradcheck.verification.problem import Problem, posed

DEFAULT = ("manual", "autograd", "torch")


def _portable(argument: Any) -> Any:
    """Files of data and of backends by their absolute paths."""
    if isinstance(argument, Case):
        return argument.absolute()
    if isinstance(argument, list | tuple):
        return [registry.absolute(each) if isinstance(each, str) else each for each in cast("list[Any]", argument)]
    return argument


@as_found
@partial(reproducible, portable=_portable)
def verify(
    case: Case,
    backends: Iterable[str | Backend | Callable[..., Any]] = DEFAULT,
    *,
    accuracy: float = 0.0,
    seed: int = 0,
    every_entry: bool = False,
    device: str | None = None,
    arithmetic: str | None = None,
) -> Report:
    """Compare losses and gradients of every backend with each other and with derivatives that use no backpropagation.

    Parameters
    ----------
    case : Case
    backends : iterable of str, backend or function
        Registered names, ``module:attribute``, ``path/to/file.py:attribute``, or a function
        ``(network, parameters, batch) -> (loss, gradients)``.
    accuracy : float
        An excess over its bound that stays within this relative error is ``inexact``; by default every excess is ``wrong``.
    seed : int
        Of the random directions.
    every_entry : bool
        Hold every entry of every gradient against one of the oracle's own, whatever that costs; by default where it costs no
        more than 30 forward passes, else along random directions, and entry by entry where the backends disagree.
    device : str, optional
        Where the backends compute, all of which must take one: ``"cuda"``.
    arithmetic : {"float64", "float32", "tf32", "bfloat16"}, optional
        In which they compute and are judged, by default the case's dtype. Parameters and batch are first rounded to numbers
        that it has. In the last two a backend must be able to be told so, or be a bare function, which is taken at its word.

    Raises
    ------
    DescriptionError, DataError, BackendError
        Where there is nothing to verify. What a backend does wrong, or does not support, is a finding, never an exception.
    """
    keep_memory()
    accuracy, seed = accuracy_of(accuracy), seed_of(seed)
    judged = arithmetic_of(arithmetic or case.dtype)
    built = registry.resolve(backends, device=device, arithmetic=judged if judged in COARSE else None)
    problem = posed(case, accuracy, seed, judged)
    rounding = problem.bounds.rounding
    everybodys: dict[str, Answer] = {}
    for name, backend in built.items():
        with theirs(f"backend {name!r}"):
            everybodys[name] = ask(backend, case.network, problem.given, problem.batch, rounding)
    unsupported = [_unsupported(name, answer) for name, answer in everybodys.items() if answer.unsupported]
    answers = {name: answer for name, answer in everybodys.items() if not answer.unsupported}
    settled = settle(problem, _by_block(problem, answers), every_entry=every_entry)
    findings = [*unsupported, *_findings(settled, answers), *_nothing(problem, answers)]
    spent = problem.evaluations
    diagnoses = tuple(_diagnoses(settled, findings, answers, built))
    return Report(
        title=_title(problem),
        findings=tuple(findings),
        evaluations=spent,
        notes=(
            *_rests_on(unsupported, answers),
            *_dissent(findings),
            *_kinks(problem.bounds),
            *settled.notes,
            *_remarks(answers),
        ),
        diagnoses=diagnoses,
        diagnosis_evaluations=problem.evaluations - spent,
    )


def _unsupported(backend: str, answer: Answer) -> Finding:
    return Finding(name="network", backend=backend, verdict=Verdict.UNSUPPORTED, reason=answer.unsupported)


def _nothing(problem: Problem, answers: Mapping[str, Answer]) -> list[Finding]:
    """What there is to say where there is no gradient to judge."""
    if problem.given and answers:
        return []
    reason = reasons.NO_PARAMETERS if answers else reasons.NO_BUILD
    return [Finding(name="gradients", backend="-", verdict=Verdict.UNRESOLVED, reason=reason)]


def _rests_on(unsupported: Sequence[Finding], answers: Mapping[str, Answer]) -> list[str]:
    if not (unsupported and answers):
        return []
    absent = ", ".join(finding.backend for finding in unsupported)
    return [f"unsupported by {absent}: the verdict rests on {', '.join(answers)}"]


def _by_block(problem: Problem, answers: Mapping[str, Answer]) -> dict[str, dict[str, Array]]:
    return {
        name: {backend: answer.gradients[name] for backend, answer in answers.items() if name in answer.gradients}
        for name in problem.given
    }


def _findings(settled: Settled, answers: Mapping[str, Answer]) -> list[Finding]:
    """Loss first, then every parameter; what exists only in somebody's answer last."""
    problem = settled.problem
    strangers = {name for answer in answers.values() for name in answer.defects} - {"loss", *problem.given}
    findings = [_loss_finding(backend, answer, problem) for backend, answer in answers.items()]
    whole = cache(partial(_whole, settled))  # few blocks ask for it
    for name in (*problem.given, *sorted(strangers)):
        for backend, answer in answers.items():
            if name in answer.defects:
                bound = problem.bounds.rounding.get(name, np.zeros(()))
                findings.append(_defect(name, backend, answer, may_overflow=not np.isfinite(bound).all()))
            elif name in answer.gradients:
                findings.append(_gradient_finding(name, backend, answer.gradients[name], settled, whole))
    return findings


def _whole(settled: Settled) -> float:
    """What the whole gradient contributes, no entry moved further than it can be; 0 where that is next to nothing."""
    parameters = settled.problem.parameters
    known = {name: settlement.reference for name, settlement in settled.gradients.items()}
    size = norm(np.array([norm(g * scales(parameters[name], g)) for name, g in known.items()]))
    return size if settled.problem.limits.zero < size < np.inf else 0.0


def _defect(name: str, backend: str, answer: Answer, *, may_overflow: bool) -> Finding:
    """What cannot be compared is wrong, unless it overflowed where a correct build may."""
    defect = answer.defects[name]
    if may_overflow and defect.cause is Cause.NON_FINITE:
        return Finding(name=name, backend=backend, verdict=Verdict.UNRESOLVED, reason=reasons.excused(defect.sentence))
    return Finding(name=name, backend=backend, verdict=Verdict.WRONG, reason=defect.sentence)


def _loss_finding(backend: str, answer: Answer, problem: Problem) -> Finding:
    if "loss" in answer.defects:
        return _defect("loss", backend, answer, may_overflow=not np.isfinite(problem.bounds.loss))
    claimed = max(answer.losses, key=lambda loss: abs(loss - problem.loss))
    nothing = np.zeros(())
    allowed = Allowance(np.asarray(problem.bounds.loss), nothing, nothing, nothing)
    settled = Settlement(np.asarray(problem.loss), nothing)
    # A loss that is all but 0 is no news, however coarsely it is known: only gradients must be resolved.
    return compare("loss", backend, np.asarray(claimed), settled, allowed, problem.limits._replace(resolution=np.inf))


def _gradient_finding(name: str, backend: str, claimed: Array, settled: Settled, whole: Callable[[], float]) -> Finding:
    problem, settlement = settled.problem, settled.gradients.get(name)
    if settlement is None:
        return _localized(name, backend, claimed, settled)

    def each() -> Array | None:
        return whole() / own_sizes(problem.parameters[name]) if whole() else None

    finding = compare(name, backend, claimed, settlement, problem.allowed[name], problem.limits, each)
    if finding.verdict is not Verdict.NONSMOOTH:
        return finding
    worst = place(int(np.argmax(problem.allowed[name].kinks)), claimed.shape)
    left, right = problem.real.one_sided(name, worst, settlement.reference)
    return msgspec.structs.replace(finding, worst_index=worst, slopes=(left.value, right.value))


def _localized(name: str, backend: str, claimed: Array, settled: Settled) -> Finding:
    """No claim stood: compare with this claim itself, its wrong entries replaced by the oracle's."""
    problem = settled.problem
    located = localize(Search(name, claimed, problem.allowed[name], settled.slope(name), problem.seed))
    mended = claimed.copy()
    mended.flat[located.indices] = located.values
    found = Settlement(mended, np.zeros_like(mended))
    finding = compare(name, backend, claimed, found, problem.allowed[name], problem.limits)
    if located.indices and finding.verdict is Verdict.UNRESOLVED:  # no entry is known well enough
        return finding
    coarse = 0.0 if located.indices else _coarse(name, claimed, settled)
    if coarse > problem.limits.trusted:
        return msgspec.structs.replace(finding, verdict=Verdict.UNRESOLVED, reason=reasons.beyond_coarse_bound(coarse))
    reason = reasons.refuted(len(located.indices), claimed.size, complete=located.complete)
    return msgspec.structs.replace(finding, verdict=Verdict.WRONG, reason=reason)


def _coarse(name: str, claimed: Array, settled: Settled) -> float:
    """The rounding of a block along the direction that refutes it, in parts of what it contributes or of the error."""
    allowed, v = settled.problem.allowed[name], signs(name, claimed.shape, settled.problem.seed)
    off = abs(residual(settled.slope(name), v, claimed, allowed).value)
    return allowed.along(v) / max(norm(claimed * v), off)


def _diagnoses(
    settled: Settled, findings: Sequence[Finding], answers: Mapping[str, Answer], built: Mapping[str, Backend]
) -> Iterator[Diagnosis]:
    """Causes of everything that is not right, backend by backend."""
    suspects = {finding.backend for finding in findings if finding.verdict in (Verdict.WRONG, Verdict.INEXACT)}
    mistaken = library(settled.problem) if suspects else None
    for backend, answer in answers.items():
        own = [finding for finding in findings if finding.backend == backend]
        with theirs(f"backend {backend!r}"):
            known = evidence(settled, own, answer, built[backend], mistaken)
            yield from [msgspec.structs.replace(each, backend=backend) for each in diagnose(known, own)]


def _dissent(findings: list[Finding]) -> list[str]:
    """Who is the odd one out, for each block on which the backends are not all wrong."""
    notes: list[str] = []
    for name in dict.fromkeys(finding.name for finding in findings):
        here = [finding for finding in findings if finding.name == name]
        wrong = [finding.backend for finding in here if finding.verdict is Verdict.WRONG]
        right = [finding.backend for finding in here if finding.verdict is not Verdict.WRONG]
        if wrong and right:
            notes.append(f"{name}: {', '.join(wrong)} against {', '.join(right)} and the reference")
    return notes


def _kinks(bounds: ErrorBounds) -> list[str]:
    if not bounds.units:
        return []
    shown = "; ".join(bounds.units[:3]) + (f" and {len(bounds.units) - 3} more" if len(bounds.units) > 3 else "")
    return [f"on a kink, or within rounding of one: {shown}"]


def _remarks(answers: Mapping[str, Answer]) -> list[str]:
    return [f"{backend}: {note}" for backend, answer in answers.items() for note in answer.notes]


def _title(problem: Problem) -> str:
    case, network = problem.case, problem.case.network
    shaping = [shape for names, shape in zip(network.wiring, network.shapes[1:], strict=True) if names]
    widths = "-".join("x".join(map(str, shape)) for shape in (network.inputs, *shaping))
    count = sum(int(np.prod(shape)) for shape in network.parameter_shapes.values())
    data = case.data if isinstance(case.data, str) else "given data"
    return f"{widths}, {count} parameters, {len(problem.batch.inputs)} samples of {data}, {problem.arithmetic}"
