# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# (JAX's own annotations are partial.)
"""The second derivative of a JAX function: that of its gradient, by the arguments and the cotangents, in either mode."""

from collections.abc import Mapping
from copy import copy
from functools import partial
from typing import Any

import jax
from jax.extend.core import jaxpr_as_fun
from msgspec.structs import replace

from gradcheck.adapters.contract.breaches import shortly
from gradcheck.adapters.jax.derivatives import Derivatives, JaxFunction, typed
from gradcheck.adapters.jax.traces import all_within, rewritten
from gradcheck.adapters.leaves import draw
from gradcheck.adapters.numbers import arrays_of, dtype_of
from gradcheck.candidates.precision import Arithmetic
from gradcheck.checking.checker import checked
from gradcheck.errors import CallFailed
from gradcheck.foundation.validation import Asked
from gradcheck.foundation.wording import enumerated
from gradcheck.report import Report
from gradcheck.verdict.causes import Cause
from gradcheck.verdict.findings import Finding, Verdict

NAME = "second derivative"  # of the finding that says that there is none
BACKENDS = {mode: f"{mode} over reverse" for mode in ("reverse", "forward")}
STOPPED = "stop_gradient cuts it off, and without that it is right"
VALUES = "numbers are taken out of the trace, as float() does: {}"
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
        self._make_quick(len(self.point))
        self.cotangents = draw(arrays_of(self.call(typed(self.cast(self.point)))), self.seed + 1)

    def call(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        """The gradient by every argument."""
        outputs, pull = jax.vjp(self.first.call, {name: arrays[name] for name in self.first.point})
        return pull({name: arrays[held].astype(outputs[name].dtype) for held, name in self.held.items()})[0]

    def unstopped(self) -> JaxFunction | None:
        """The same where no ``stop_gradient`` stops anything; None where there is none."""
        trace = jax.make_jaxpr(self.call)(typed(self.cast(self.point)))
        if not any(line.primitive.name == "stop_gradient" for each in all_within(trace.jaxpr) for line in each.eqns):
            return None
        other, names = copy(self), sorted(self.first.point)
        open_ = jaxpr_as_fun(trace.replace(jaxpr=rewritten(trace.jaxpr, _without_stops)))

        def call(arrays: Mapping[str, Any]) -> dict[str, Any]:
            return dict(zip(names, open_(*(arrays[name] for name in sorted(arrays))), strict=True))

        other.call = call
        other._make_quick()
        return other


def second_order(
    function: JaxFunction, arithmetic: Arithmetic, first: Report, modes: tuple[str, ...], asked: Asked
) -> list[Report]:
    """A report for each of the modes over reverse mode; ``first`` is what that was found to be."""
    derivative = FirstDerivative(function)
    arithmetic = arithmetic._replace(narrow=None, nearest=derivative.nearest if arithmetic.nearest else None)
    asked = asked._replace(dtype=None)
    reports = [_judged(derivative, arithmetic, mode, asked) for mode in modes]
    return [_beside(report, first).labelled(BACKENDS[mode]) for mode, report in zip(modes, reports, strict=True)]


def _judged(derivative: FirstDerivative, arithmetic: Arithmetic, mode: str, asked: Asked) -> Report:
    try:
        if mode == "forward":
            moving = Derivatives(derivative, asked.seed)
            return checked(moving.moved, moving.forward, moving.origin, asked)[0]
        report, _ = checked(derivative.loss, derivative.gradient, derivative.point, asked, arithmetic=arithmetic)
    except CallFailed as failed:
        return _none(derivative, f"{BACKENDS[mode]}, it {shortly(failed)}")
    hidden = _hidden(derivative, arithmetic, report, asked) if report.wrong and asked.diagnose else {}
    others = tuple(each for each in report.diagnoses if each.name not in hidden)
    causes = (Cause.HIDES_SECOND_ORDER.of(name, how=how, remedy=REMEDY) for name, how in hidden.items())
    return replace(report, diagnoses=(*others, *causes))


def _none(derivative: FirstDerivative, said: str) -> Report:
    """A loud error is no wrong derivative, and no right one: what was asked for is not there."""
    names = list(derivative.point)
    findings = [Finding(name=name, backend="", verdict=Verdict.UNSUPPORTED, reason=said) for name in names]
    whole = Finding(
        name=NAME, backend="", verdict=Verdict.UNRESOLVED, reason=f"of {enumerated(names)} there is none: {said}"
    )
    return Report(title="", findings=(*findings, whole))


def _hidden(derivative: FirstDerivative, arithmetic: Arithmetic, report: Report, asked: Asked) -> dict[str, str]:
    """Wrong blocks whose second derivative the first backward pass hides, and how."""
    unexplained = report.wrong - {each.name for each in report.diagnoses if each.cause != Cause.ZERO}
    try:
        other = derivative.unstopped()
    except Exception as error:
        return dict.fromkeys(sorted(unexplained), VALUES.format(shortly(error)))
    if other is None:
        return {}
    plain, _ = checked(derivative.loss, other.gradient, derivative.point, asked._replace(diagnose=False), arithmetic)
    return dict.fromkeys(sorted(report.wrong - plain.wrong), STOPPED)


def _without_stops(line: Any) -> Any:
    return line.replace(primitive=jax.lax.copy_p, params={}) if line.primitive.name == "stop_gradient" else line


def _beside(report: Report, first: Report) -> Report:
    """What its findings mean where the first derivative is wrong, of which it is the derivative."""
    if not first.wrong:
        return report
    return replace(report, findings=tuple(map(partial(_said_of, sorted(first.wrong)), report.findings)))


def _said_of(off: list[str], finding: Finding) -> Finding:
    first = f"the first derivative is wrong in {enumerated(off)}"
    agrees = finding.verdict in (Verdict.CORRECT, Verdict.INEXACT)
    said = f"{first}, which it is the derivative of" if agrees else f"{first}, and it is not the derivative of that either"
    return replace(finding, reason=f"{said}: {finding.reason}" if finding.reason else said)


def _cotangent(output: str) -> str:
    """``"cotangent"`` of a single output, ``"cotangent.loss"`` of a named one."""
    return "cotangent" if output == "output" else f"cotangent.{output}"
