"""`check`: any loss with any gradient -> Report."""

from collections.abc import Callable
from typing import Any

from gradcheck.candidates.claim import Claim, examine
from gradcheck.checking.evidence import ProbeEvidence
from gradcheck.checking.mapping import mapped
from gradcheck.checking.procedure import judge
from gradcheck.diagnosis.engine import diagnose as explained
from gradcheck.errors import Interrupted
from gradcheck.foundation.validation import Asked, two_functions
from gradcheck.report import Report
from gradcheck.report.reproducer.recipe import reproducible


@reproducible
def check(
    loss: Callable[[Any], Any] | None = None,
    gradient: Callable[[Any], Any] | None = None,
    at: Any = None,
    *,
    value_and_gradient: Callable[[Any], Any] | None = None,
    accuracy: float = 1e-6,
    resolve: float = 1e-3,
    max_evaluations: int = 400,
    diagnose: bool = True,
    complex_step: bool = False,
    seed: int = 0,
) -> Report:
    """Whether ``gradient`` is the gradient of ``loss`` at a point.

    Parameters
    ----------
    loss : callable
        From a pytree like ``at`` to a real scalar.
    gradient : callable
        From a pytree like ``at`` to one of the same structure.
    at : pytree
        An array, a number, or any nesting of dict, list, tuple and dataclass of these. Leaves that are not floating are
        handed on as they are.
    value_and_gradient : callable
        In place of the two: one function that returns both, as a pair.
    accuracy : float
        Relative to the larger of an entry and its block's RMS: an error beyond its bound and within this is ``inexact``.
    resolve : float
        Relative, too: ``correct`` is said of a block only where an error of this size in any one entry would have been seen
        (where the loss computes with a roundoff of u, of 100 sqrt(u)). Finer errors are looked for while that is cheap.
    max_evaluations : int
        Of the loss, for a gradient that is right: about as many as may be spent on reaching ``resolve``. One that is not
        takes more, which name what is wrong.
    diagnose : bool
        Whether to look for causes, and where the error sits, once a block is found wrong.
    complex_step : bool
        Use the complex step, which resolves to rounding, if real differences vouch for it: ``loss`` must be analytic and
        take complex arrays. Where it is refused, a note says why.
    seed : int
        Of the random directions.

    Returns
    -------
    Report
        Of one finding for each block, named by its path: ``"encoder.0.weight"``; a bare array is called ``"x"``.

    Raises
    ------
    DataError
        Where two leaves of the point have one name, or the loss is no number.
    DescriptionError
        Where ``accuracy``, ``resolve``, ``max_evaluations`` or ``seed`` is none, or the functions are not given.
    CallFailed
        Where a function raises.
    Interrupted
        A KeyboardInterrupt, on ^C; its ``report`` is what was known by then.
    """
    asked = Asked(accuracy, resolve, max_evaluations, diagnose, seed).checked()
    loss, gradient = two_functions(loss, gradient, value_and_gradient)
    claim = examine(loss, gradient, at, asked.seed)
    findings, prober, stopped = judge(claim, asked, complex_step)
    spent, diagnoses = prober.meter.spent, ()
    try:
        if asked.diagnose and not stopped:
            diagnoses, findings = explained(ProbeEvidence(prober), findings), mapped(prober, findings)
    except KeyboardInterrupt:
        stopped = True
    report = Report(
        title=_title(claim),
        findings=findings,
        evaluations=spent,
        notes=prober.known.notes,
        diagnoses=diagnoses,
        diagnosis_evaluations=prober.meter.spent - spent,
    )
    if stopped:
        raise Interrupted(report)
    return report


def _title(claim: Claim) -> str:
    count = sum(value.size for value in claim.point.values())
    return f"{len(claim.point)} block{'s' if len(claim.point) != 1 else ''}, {count} parameters"
