# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# (JAX's own annotations are partial.)
"""The second derivative of a JAX function: that of its gradient, by the arguments and the cotangents, in either mode."""

from collections.abc import Callable, Collection, Mapping
from copy import copy
from functools import partial
from typing import Any

import jax
from msgspec.structs import replace

from gradcheck.adapters.contract.breaches import shortly
from gradcheck.adapters.jax.derivatives import JaxFunction, judged, judged_forward, lacks_forward, typed
from gradcheck.adapters.jax.stopped import cut_off
from gradcheck.adapters.leaves import draw
from gradcheck.adapters.numbers import arrays_of, dtype_of
from gradcheck.candidates.precision import Arithmetic
from gradcheck.errors import CallFailed
from gradcheck.foundation.validation import Asked
from gradcheck.foundation.wording import enumerated
from gradcheck.report import Report
from gradcheck.verdict.causes import Cause
from gradcheck.verdict.findings import Finding, Verdict

NAME = "second derivative"  # of the finding that says that there is none
BACKENDS = {mode: f"{mode} over reverse" for mode in ("reverse", "forward")}
STOPPED = "stop_gradient cuts it off, and without that it is right"
REMEDY = (
    "make the residuals of arguments and outputs, and the gradient of these and the cotangent, by JAX's operations and "
    "without stop_gradient"
)


class FirstDerivative(JaxFunction):
    """The gradient of a function, as a function of its arguments and of the cotangents."""

    def __init__(self, first: JaxFunction) -> None:  # pyright: ignore[reportMissingSuperCall] - it has all that the first has
        vars(self).update(vars(copy(first)))
        self.first, self.name = first, f"the gradient of {first.name}"
        outputs = first.outputs(first.cast(first.point))
        self.held = {_cotangent(name): name for name in outputs}
        self.point = {**first.point, **{name: first.cotangents[output] for name, output in self.held.items()}}
        self.given = {**first.given, **{name: dtype_of(outputs[output]) for name, output in self.held.items()}}
        self.point = {name: self.nearest(name, array) if self.as_given else array for name, array in self.point.items()}
        self.make_quick()
        self.cotangents = draw(arrays_of(self.call(typed(self.cast(self.point)))), self.seed + 1)

    def call(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        """The gradient by every argument."""
        outputs, pull = jax.vjp(self.first.call, {name: arrays[name] for name in self.first.point})
        return pull({name: arrays[held].astype(outputs[name].dtype) for held, name in self.held.items()})[0]


def second_order(
    function: JaxFunction, arithmetic: Arithmetic, first: Report, modes: tuple[str, ...] | None, asked: Asked
) -> list[Report]:
    """A report for each of the modes over reverse mode, by default those there are; ``first`` is what that one says."""
    derivative, notes = FirstDerivative(function), ()
    if modes is None:
        modes = ("reverse", "forward")
        if lacks_forward(derivative):
            modes, notes = ("reverse",), (f"{derivative.name} has no forward mode",)
    arithmetic = arithmetic._replace(narrow=None, nearest=derivative.nearest if arithmetic.nearest else None)
    ways = {"reverse": partial(judged, arithmetic=arithmetic), "forward": judged_forward}
    reports = {mode: _judged(derivative, ways[mode], BACKENDS[mode], asked) for mode in modes}
    hidden = {name for report in reports.values() for name in cut_off(derivative, report, arithmetic, asked)}
    found = [_beside(_hidden(report, hidden), first).labelled(BACKENDS[mode]) for mode, report in reports.items()]
    return [replace(report, notes=(*report.notes, *notes)) for report in found]


def _judged(derivative: FirstDerivative, way: Callable[..., Report], backend: str, asked: Asked) -> Report:
    try:
        return way(derivative, asked=asked)
    except CallFailed as failed:
        return _none(derivative, f"{backend}, it {shortly(failed)}")


def _hidden(report: Report, hidden: Collection[str]) -> Report:
    """With that in the place of what else would explain these blocks: where no path leads to one all is zero."""
    others = tuple(each for each in report.diagnoses if each.name not in hidden)
    causes = (Cause.HIDES_SECOND_ORDER.of(name, how=STOPPED, remedy=REMEDY) for name in sorted(report.wrong & set(hidden)))
    return replace(report, diagnoses=(*others, *causes))


def _none(derivative: FirstDerivative, said: str) -> Report:
    """A loud error is no wrong derivative, and no right one: what was asked for is not there."""
    names = list(derivative.point)
    findings = [Finding(name=name, backend="", verdict=Verdict.UNSUPPORTED, reason=said) for name in names]
    whole = Finding(name=NAME, backend="", verdict=Verdict.UNRESOLVED, reason=f"of {enumerated(names)} there is none")
    return Report(title="", findings=(*findings, whole))


def _beside(report: Report, first: Report) -> Report:
    """What its findings mean where the first derivative is wrong, of which it is the derivative."""
    if not first.wrong:
        return report
    said = f"the first derivative is wrong in {enumerated(sorted(first.wrong))}"
    findings = tuple(_said_of(said, finding) for finding in report.findings)
    return replace(report, findings=findings, notes=(*report.notes, f"second order: {said}, which it is the derivative of"))


def _said_of(first: str, finding: Finding) -> Finding:
    agrees = finding.verdict in (Verdict.CORRECT, Verdict.INEXACT)
    said = f"{first}, which it is the derivative of" if agrees else f"{first}, and it is not the derivative of that either"
    return replace(finding, reason=f"{said}: {finding.reason}" if finding.reason else said)


def _cotangent(output: str) -> str:
    """``"cotangent"`` of a single output, ``"cotangent.loss"`` of a named one."""
    return "cotangent" if output == "output" else f"cotangent.{output}"
