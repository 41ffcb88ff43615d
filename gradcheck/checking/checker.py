"""`check`: any loss with any gradient -> Report."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
from msgspec.structs import replace

from gradcheck.candidates.bounds import bounded, held_fast
from gradcheck.candidates.claim import Claim, examine
from gradcheck.candidates.complex_points import complex_charts, convention_of
from gradcheck.candidates.functions import TURNS, InPlace, Subject
from gradcheck.candidates.given import Off, in_given_dtype
from gradcheck.candidates.point import brought_notes, handed_on, held, point_of
from gradcheck.candidates.precision import Arithmetic, cast
from gradcheck.checking.dependence import brought_along, ignored, memories, reads_the_array_itself, refuse_if_all_is_ignored
from gradcheck.checking.evidence import ProbeEvidence
from gradcheck.checking.mapping import mapped
from gradcheck.checking.procedure import judge
from gradcheck.diagnosis.engine import diagnose as explained
from gradcheck.errors import DescriptionError, Interrupted
from gradcheck.foundation.state.found import as_found
from gradcheck.foundation.validation import Asked, two_functions
from gradcheck.report import Report
from gradcheck.report.reproducer.recipe import reproducible
from gradcheck.verdict import reasons
from gradcheck.verdict.causes import Cause
from gradcheck.verdict.findings import Finding, Verdict

FOLLOWED = "judged in float64, which the function follows"
NOT_THERE = "the loss does not depend on it"
IN_PLACE = "the loss reads this array and not its argument: it was moved in place"


@as_found
@reproducible
def check(
    loss: Callable[[Any], Any] | None = None,
    gradient: Callable[[Any], Any] | None = None,
    at: Any = None,
    *,
    value_and_gradient: Callable[[Any], Any] | None = None,
    bounds: Any = None,
    complex: str | None = None,
    accuracy: float = 1e-6,
    resolve: float = 1e-3,
    max_evaluations: int = 400,
    diagnose: bool = True,
    complex_step: bool = False,
    seed: int = 0,
    dtype: str | None = None,
) -> Report:
    """Whether ``gradient`` is the gradient of ``loss`` at a point.

    Parameters
    ----------
    loss : callable
        From a pytree like ``at`` to a real scalar.
    gradient : callable
        From a pytree like ``at`` to one of the same structure.
    at : pytree
        An array, a number, or any nesting of dict, list, tuple, dataclass and classes registered with optree, JAX or
        PyTorch. Leaves of whole numbers are handed on as they are, and named in `Report.unchecked`. A loss that ignores its
        argument and reads these very arrays is followed: they are moved in place, and are afterwards what they were.
    value_and_gradient : callable
        In place of the two: one function that returns both, as a pair.
    bounds : pair, optional
        (lower, upper), each a number, None, or of the structure of ``at``; SciPy's ``Bounds``; or for a vector SciPy's
        sequence of pairs. The functions are never called outside. Where coordinates lie on bounds, directions point inside
        for all of them at once. Those that both bounds hold are not moved, and named in `Report.unchecked`.
    complex : str, optional
        What the gradient by a complex z = x + i y is: ``"conjugate"``, dL/dx + i dL/dy, as PyTorch returns it, or
        ``"holomorphic-transpose"``, dL/dx - i dL/dy, as JAX and Autograd do. Complex leaves are then moved, each as a block
        of shape (..., 2): real parts at the last index 0, imaginary ones at 1.
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
    dtype : str, optional
        By default a point of float32 or float16 is judged in float64, where the functions follow, and the gradient in the
        dtype that was given is held against that. ``"as given"`` judges there only; ``"float64"``, ``"float32"`` and
        ``"float16"`` at the point in that dtype.

    Returns
    -------
    Report
        Of one finding for each block, named by its path: ``"encoder.0.weight"``; a bare array is called ``"x"``.

    Raises
    ------
    DataError
        Where two leaves of the point have one name, one holds numbers that are not moved (complex ones, objects of unknown
        classes), the gradient claims something for a leaf that is not moved, the loss is no number, or it does not depend
        on what it is given.
    DescriptionError
        Where ``accuracy``, ``resolve``, ``max_evaluations`` or ``seed`` is none, or the functions are not given.
    CallFailed
        Where a function raises.
    Interrupted
        A KeyboardInterrupt, on ^C; its ``report`` is what was known by then.
    """
    asked = Asked(accuracy, resolve, max_evaluations, diagnose, seed, dtype).checked()
    loss, gradient = two_functions(loss, gradient, value_and_gradient)
    if complex is not None and complex_step:
        raise DescriptionError("complex points are moved by real steps: leave out complex_step", "complex_step")
    subject = _subject(loss, gradient, at, asked.dtype, bounds, complex)
    return TURNS.in_turn(partial(_followed, subject, asked, complex_step), partial(memories, subject))


def _subject(
    loss: Callable[[Any], Any],
    gradient: Callable[[Any], Any],
    at: Any,
    dtype: str | None,
    bounds: Any,
    convention: str | None,
) -> Subject:
    """What is asked, with the charts that the point, its convention and its bounds demand."""
    named = None if convention is None else convention_of(convention)
    tree = cast(point_of(at, complex_too=named is not None), dtype)
    charts = complex_charts(tree.arrays, named)
    subject = Subject(loss, gradient, tree, dtype=dtype, charts=charts, complex_blocks=dict.fromkeys(charts, named or ""))
    if bounds is None:
        return subject
    tree, box, held_by_bounds, fast = bounded(tree, bounds)
    return subject._replace(tree=tree, box=box, charts={**charts, **held_by_bounds}, fast=fast)


def _followed(subject: Subject, asked: Asked, complex_step: bool) -> Report:
    """On copies; where the loss ignores them, and reads the user's own arrays, with these moved in place."""
    report, claim = _judged(subject, asked, complex_step)
    names = ignored(claim, report.findings)
    captured: list[str] = []
    with TURNS.of(memories(subject)) if names else nullcontext():
        captured = [name for name in names if reads_the_array_itself(subject, claim, name)]
        if captured:
            report, _ = _judged(subject._replace(place=InPlace), asked, complex_step)
    if not captured:
        refuse_if_all_is_ignored(claim, names)
    brought = brought_along(subject)
    return with_notes(
        report,
        (f"{name}: {IN_PLACE if name in captured else NOT_THERE}" for name in names),
        brought_notes(brought, "the loss"),
        unchecked=brought,
    )


def checked(
    loss: Callable[[Any], Any],
    gradient: Callable[[Any], Any],
    at: Any,
    asked: Asked,
    arithmetic: Arithmetic | None = None,
    bounds: Any = None,
    complex_blocks: Mapping[str, str] = {},
) -> tuple[Report, Claim]:
    """What `check` does, for functions of ours, which depend on what they are given; their arithmetic may be known.

    Of ``complex_blocks`` both parts lie along the last axis, in the point and in the gradient, which is (dL/dx, dL/dy); each
    has the convention in which the user's own gradient is meant (`gradcheck.candidates.complex_points`).
    """
    subject = _subject(loss, gradient, at, asked.dtype, bounds, None)._replace(complex_blocks=complex_blocks)
    return _judged(subject, asked, False, arithmetic)


def idle(claim: Claim, findings: Sequence[Finding]) -> Iterator[str]:
    """Notes on blocks that a function does not depend on, and whose claimed gradient is zero: right, and seldom meant."""
    wrong = {finding.name for finding in findings if finding.verdict is Verdict.WRONG}
    yield from (f"{name}: {NOT_THERE}" for name in ignored(claim, findings) if name not in wrong)


def _judged(
    subject: Subject, asked: Asked, complex_step: bool, arithmetic: Arithmetic | None = None
) -> tuple[Report, Claim]:
    claim = examine(subject, asked.seed, arithmetic)
    findings, prober, stopped = judge(claim, asked, complex_step)
    spent, diagnoses = prober.meter.spent, ()
    try:
        wanted = not asked.sparing or any(finding.verdict is Verdict.WRONG for finding in findings)
        if asked.diagnose and wanted and not stopped:
            diagnoses, findings = explained(ProbeEvidence(prober), findings), mapped(prober, findings)
    except KeyboardInterrupt:
        stopped = True
    report = Report(
        title=_title(claim),
        findings=findings,
        evaluations=spent,
        notes=(*prober.known.notes, *claim.beside.notes(), *handed_on(held(subject.tree)), *held_fast(subject.fast)),
        diagnoses=diagnoses,
        diagnosis_evaluations=prober.meter.spent - spent,
        unchecked=(*held(subject.tree), *subject.fast),
    )
    if stopped:
        raise Interrupted(report)
    return _in_given_dtype(report, claim, asked), claim


def _in_given_dtype(report: Report, claim: Claim, asked: Asked) -> Report:
    """The report with what is wrong in the dtype that was given, and not in float64."""
    narrow = claim.arithmetic.narrow
    if narrow is None or not np.isfinite(claim.loss):
        return report
    given = in_given_dtype(narrow, claim.loss, claim.again, claim.point, asked.seed)
    off = {name: one for name, one in given.off.items() if name not in report.wrong}
    findings = tuple(_off(each, off[each.name], narrow.dtype) if each.name in off else each for each in report.findings)
    diagnoses = (Cause.GIVEN_DTYPE.of(name, dtype=narrow.dtype, error=one.error) for name, one in off.items())
    report = replace(report, findings=findings, diagnoses=(*report.diagnoses, *diagnoses))
    return with_notes(report, filter(None, [FOLLOWED, given.note]))


def _off(finding: Finding, off: Off, dtype: str) -> Finding:
    reason = reasons.off_in_given_dtype(dtype, off.error)
    place = off.entry.index
    return replace(
        finding,
        verdict=Verdict.WRONG,
        error=off.error,
        bound=off.bound,
        worst_index=place,
        entries=(off.entry,),
        reason=reason,
    )


def with_notes(report: Report, *notes: Iterable[str], unchecked: Iterable[str] = ()) -> Report:
    """The same with more notes, each once, and more names of what was not looked at."""
    said = dict.fromkeys([*report.notes, *(note for group in notes for note in group)])
    return replace(report, notes=tuple(said), unchecked=(*report.unchecked, *unchecked))


def _title(claim: Claim) -> str:
    count = sum(value.size for value in claim.point.values())
    return f"{len(claim.point)} block{'s' if len(claim.point) != 1 else ''}, {count} parameter{'s' if count != 1 else ''}"
