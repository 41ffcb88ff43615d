# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# (JAX's own annotations are partial.)
"""What ``stop_gradient`` cuts off: which wrong blocks are right where it stops nothing."""

from collections.abc import Mapping
from copy import copy
from typing import Any

import jax
from jax.extend.core import jaxpr_as_fun
from msgspec.structs import replace

from gradcheck.adapters.jax.derivatives import JaxFunction, judged, typed
from gradcheck.adapters.jax.quick import same
from gradcheck.adapters.jax.traces import all_within, rewritten
from gradcheck.candidates.precision import Arithmetic
from gradcheck.foundation.validation import Asked
from gradcheck.report import Report
from gradcheck.verdict.causes import Cause

WHY = "stop_gradient cuts it off, and without that the gradient is right"
REMEDY = "take stop_gradient away; or, where it is meant, hand in what it stops as a constant that the function closes over"


def explained(function: JaxFunction, report: Report, arithmetic: Arithmetic, asked: Asked) -> Report:
    """With what is stopped as the cause where that is why a block is wrong."""
    names = cut_off(function, report, arithmetic, asked)
    causes = tuple(Cause.PATH_LOST.of(name, why=WHY, remedy=REMEDY) for name in sorted(names))
    return replace(report, diagnoses=(*(each for each in report.diagnoses if each.name not in names), *causes))


def cut_off(function: JaxFunction, report: Report, arithmetic: Arithmetic, asked: Asked) -> frozenset[str]:
    """These blocks; none where a function cannot be traced, or causes are not asked for."""
    if not report.wrong or not asked.diagnose:
        return frozenset()
    try:
        other = _unstopped(function)
    except Exception:  # values decide in Python, or NumPy computes
        return frozenset()
    if other is None or same(other.gradient(other.point), function.gradient(function.point)):  # a maximum taken off, mostly
        return frozenset()
    plain = judged(other, arithmetic._replace(narrow=None), asked._replace(diagnose=False))
    return frozenset(report.wrong - plain.wrong)


def _unstopped(function: JaxFunction) -> JaxFunction | None:
    """The function that its trace is where nothing stops gradients; None where nothing does anyway."""
    point = typed(function.cast(function.point))
    trace, shapes = jax.make_jaxpr(function.call, return_shape=True)(point)
    if not any(line.primitive.name == "stop_gradient" for each in all_within(trace.jaxpr) for line in each.eqns):
        return None
    opened, outputs = jaxpr_as_fun(trace.replace(jaxpr=rewritten(trace.jaxpr, _without_stop))), jax.tree.structure(shapes)

    def call(arrays: Mapping[str, Any]) -> dict[str, Any]:
        return jax.tree.unflatten(outputs, opened(*jax.tree.leaves(dict(arrays))))

    other = copy(function)
    other.call = call
    other.make_quick()
    return other


def _without_stop(line: Any) -> Any:
    return line.replace(primitive=jax.lax.copy_p, params={}) if line.primitive.name == "stop_gradient" else line
