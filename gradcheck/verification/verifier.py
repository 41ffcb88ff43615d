"""The hall: a case x backends x oracles -> Report.

Every backend's loss is compared with the reference's, every gradient entry with a settled gradient
(`gradcheck.verification.arbiter`), in units of bounds that rounding analysis derives (`gradcheck.network.analysis`).
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
import numpy as np

from gradcheck.builds import registry
from gradcheck.builds.protocol import Backend
from gradcheck.cases.case import Case
from gradcheck.diagnosis.engine import explain
from gradcheck.foundation.arithmetic import COARSE, arithmetic_of
from gradcheck.foundation.arrays import Array, keep_memory
from gradcheck.foundation.validation import accuracy_of, seed_of
from gradcheck.network.analysis.rounding import ErrorBounds
from gradcheck.report import Report
from gradcheck.report.reproducer.recipe import reproducible
from gradcheck.verdict.compare import Allowance, Settlement, compare, place
from gradcheck.verdict.findings import Finding, Verdict
from gradcheck.verdict.localize import Search, localize
from gradcheck.verification.answers import Answer, ask
from gradcheck.verification.problem import Setting, concrete

DEFAULT = ("manual", "autograd", "torch")


@reproducible
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
        Where there is nothing to verify. What a backend does wrong is a finding, never an exception.
    """
    keep_memory()
    accuracy, seed = accuracy_of(accuracy), seed_of(seed)
    judged = arithmetic_of(arithmetic or case.dtype)
    built = registry.resolve(backends, device=device, arithmetic=judged if judged in COARSE else None)
    setting = concrete(case, accuracy, seed, judged, every_entry=every_entry)
    answers = {name: ask(backend, case.network, setting.given, setting.batch) for name, backend in built.items()}
    settled = setting.arbiter.settle(
        {
            name: {backend: answer.gradients[name] for backend, answer in answers.items() if name in answer.gradients}
            for name in setting.given
        }
    )
    findings = _findings(setting, answers, settled) + ([] if setting.given else [NOTHING])
    spent = setting.arbiter.evaluations
    diagnoses = tuple(explain(setting.scene(settled), built, findings, answers))
    return Report(
        title=_title(setting),
        findings=tuple(findings),
        evaluations=spent,
        notes=(*_dissent(findings), *_kinks(setting.bounds), *setting.arbiter.notes, *_remarks(answers)),
        diagnoses=diagnoses,
        diagnosis_evaluations=setting.arbiter.evaluations - spent,
    )


NOTHING = Finding(
    name="gradients", backend="-", verdict=Verdict.UNRESOLVED, reason="the network has no parameters: there is no gradient"
)


def _findings(setting: Setting, answers: Mapping[str, Answer], settled: Mapping[str, Settlement]) -> list[Finding]:
    """Loss first, then every parameter; what exists only in somebody's answer last."""
    strangers = {name for answer in answers.values() for name in answer.defects} - {"loss", *setting.given}
    findings = [_loss_finding(backend, answer, setting) for backend, answer in answers.items()]
    for name in (*setting.given, *sorted(strangers)):
        for backend, answer in answers.items():
            if name in answer.defects:
                bound = setting.bounds.rounding.get(name, np.zeros(()))
                findings.append(_defect(name, backend, answer, may_overflow=not np.isfinite(bound).all()))
            elif name in answer.gradients:
                findings.append(_gradient_finding(name, backend, answer.gradients[name], setting, settled.get(name)))
    return findings


def _defect(name: str, backend: str, answer: Answer, *, may_overflow: bool) -> Finding:
    """What cannot be compared is wrong, unless it overflowed where a correct build may."""
    defect = answer.defects[name]
    excused = may_overflow and defect.cause == "non-finite"
    reason = defect.sentence + (", where a correct build may overflow" if excused else "")
    return Finding(name=name, backend=backend, verdict=Verdict.UNRESOLVED if excused else Verdict.WRONG, reason=reason)


def _loss_finding(backend: str, answer: Answer, setting: Setting) -> Finding:
    if "loss" in answer.defects:
        return _defect("loss", backend, answer, may_overflow=not np.isfinite(setting.bounds.loss))
    claimed = max(answer.losses, key=lambda loss: abs(loss - setting.loss))
    nothing = np.zeros(())
    allowed = Allowance(np.asarray(setting.bounds.loss), nothing, nothing, nothing)
    settled = Settlement(np.asarray(setting.loss), nothing)
    # A loss that is all but 0 is no news, however coarsely it is known: only gradients must be resolved.
    limits = setting.limits._replace(resolution=np.inf)
    return compare("loss", backend, np.asarray(claimed), settled, allowed, limits)


def _gradient_finding(name: str, backend: str, claimed: Array, setting: Setting, settled: Settlement | None) -> Finding:
    allowed = setting.arbiter.allowed[name]
    if settled is None:
        return _localized(name, backend, claimed, setting)
    finding = compare(name, backend, claimed, settled, allowed, setting.limits)
    if finding.verdict is not Verdict.NONSMOOTH:
        return finding
    worst = place(int(np.argmax(allowed.kinks)), claimed.shape)
    left, right = setting.arbiter.one_sided(name, worst, settled.reference)
    return msgspec.structs.replace(finding, worst_index=worst, slopes=(left.value, right.value))


def _localized(name: str, backend: str, claimed: Array, setting: Setting) -> Finding:
    """No claim stood: compare with this claim itself, its wrong entries replaced by the oracle's."""
    arbiter = setting.arbiter
    located = localize(Search(name, claimed, arbiter.allowed[name], arbiter.slope(name), arbiter.seed))
    mended = claimed.copy()
    mended.flat[located.indices] = located.values
    settled = Settlement(mended, np.zeros_like(mended))
    finding = compare(name, backend, claimed, settled, arbiter.allowed[name], setting.limits)
    count = f"{'' if located.complete else 'at least '}{len(located.indices)} of {claimed.size}"
    return msgspec.structs.replace(
        finding,
        verdict=Verdict.WRONG,
        reason=f"refuted by the oracle along a random direction; {count} entries found wrong",
    )


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


def _title(setting: Setting) -> str:
    case, network = setting.case, setting.case.network
    shaping = [
        shape for layer, shape in zip(network.layers, network.shapes[1:], strict=True) if layer.parameter_shapes(shape)
    ]
    widths = "-".join("x".join(map(str, shape)) for shape in (network.inputs, *shaping))
    count = sum(int(np.prod(shape)) for shape in network.parameter_shapes.values())
    data = case.data if isinstance(case.data, str) else "given data"
    return f"{widths}, {count} parameters, {len(setting.batch.inputs)} samples of {data}, {setting.arithmetic}"
