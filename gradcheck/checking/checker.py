"""`check`: any loss with any gradient -> Report."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
from msgspec.structs import replace

from gradcheck.candidates.claim import Claim, examine
from gradcheck.candidates.functions import TURNS, InPlace, Subject
from gradcheck.candidates.given import Off, in_given_dtype
from gradcheck.candidates.point import brought_notes, handed_on, held
from gradcheck.candidates.precision import Arithmetic
from gradcheck.candidates.subjects import subject_of
from gradcheck.candidates.written import Written, as_written
from gradcheck.checking.dependence import brought_along, ignored, memories, reads_the_array_itself, refuse_if_all_is_ignored
from gradcheck.checking.evidence import ProbeEvidence
from gradcheck.checking.mapping import mapped
from gradcheck.checking.procedure import judge
from gradcheck.diagnosis.engine import diagnose as explained
from gradcheck.errors import DescriptionError, Interrupted
from gradcheck.foundation.arrays import Array
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
    loss: Callable[..., Any] | None = None,
    gradient: Callable[..., Any] | None = None,
    at: Any = None,
    *more: Any,
    value_and_gradient: Callable[..., Any] | None = None,
    args: Any = (),
    bounds: Any = None,
    along: Any = None,
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
        From a pytree like ``at`` to one of the same structure; a list of numbers may stand for an array.
    at : pytree
        An array, a number, or any nesting of dict, list, tuple, dataclass and classes registered with optree, JAX or
        PyTorch. A list of numbers is handed on as an array. Whole numbers beside floating ones are handed on as they are,
        and named in `Report.unchecked`; alone they are taken as floating. A loss that ignores its argument and reads these
        very arrays is followed: they are moved in place, and are afterwards what they were.
    *more : pytree
        Further arguments of both functions that are moved: ``check(loss, gradient, w, b)`` calls ``loss(w, b)``, and the
        gradient returns one for each, in a tuple. Blocks are named by the loss's parameters.
    value_and_gradient : callable
        In place of the two: one function that returns both, as a pair.
    args : tuple, optional
        Further arguments of both functions that are not moved, as SciPy hands them on.
    bounds : pair, optional
        (lower, upper), each a number, None, or of the structure of ``at``; SciPy's ``Bounds``; or for a vector SciPy's
        sequence of pairs. The functions are never called outside. Where coordinates lie on bounds, directions point inside
        for all of them at once. Those that both bounds hold are not moved, and named in `Report.unchecked`.
    along : str, callable or dict, optional
        The tangent space along which the gradient is meant: ``"symmetric"``, ``"skew"``, ``"lower"``, ``"upper"``,
        ``"simplex"`` (the sum stays), ``"sphere"``, ``"orthogonal"`` (orthonormal columns), or a function from any vector to
        a direction; of several blocks a dict by their names, the others being free. The loss is asked on that space only.
        Euclidean and Riemannian gradients agree along tangents, and are both right. Entries are those of the projected
        gradient: for ``"symmetric"`` the mean of g_ij and g_ji.
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
    subject = subject_of(as_written(loss, gradient, at, more, args), asked.dtype, bounds, complex, along)
    if subject.charts and complex_step:
        raise DescriptionError("it takes points that are free, real and held by no bounds: leave it out", "complex_step")
    return TURNS.in_turn(partial(_followed, subject, asked, complex_step), partial(memories, subject))


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
    scale: Mapping[str, Array] | None = None,
) -> tuple[Report, Claim]:
    """What `check` does, for functions of ours, which depend on what they are given.

    Their arithmetic may be known, and to what the errors of their entries are relative (``scale``). Of ``complex_blocks``
    both parts lie along the last axis, in the point and in the gradient, which is (dL/dx, dL/dy); each has the convention in
    which the user's own gradient is meant (`gradcheck.candidates.complex_points`).
    """
    subject = subject_of(Written(loss, gradient, at), asked.dtype, bounds)
    return _judged(subject._replace(complex_blocks=complex_blocks), asked, False, arithmetic, scale)


def idle(claim: Claim, findings: Sequence[Finding]) -> Iterator[str]:
    """Notes on blocks that a function does not depend on, and whose claimed gradient is zero: right, and seldom meant."""
    wrong = {finding.name for finding in findings if finding.verdict is Verdict.WRONG}
    yield from (f"{name}: {NOT_THERE}" for name in ignored(claim, findings) if name not in wrong)


def _judged(
    subject: Subject,
    asked: Asked,
    complex_step: bool,
    arithmetic: Arithmetic | None = None,
    scale: Mapping[str, Array] | None = None,
) -> tuple[Report, Claim]:
    claim = examine(subject, asked.seed, arithmetic)._replace(scale=scale)
    findings, prober, stopped, unnamed = judge(claim, asked, complex_step)
    spent, diagnoses = prober.meter.spent, ()
    try:
        wanted = not asked.sparing or any(finding.verdict is Verdict.WRONG for finding in findings)
        if asked.diagnose and wanted and not stopped:
            diagnoses, findings = explained(ProbeEvidence(prober, unnamed), findings), mapped(prober, findings, unnamed)
    except KeyboardInterrupt:
        stopped = True
    report = Report(
        title=_title(claim),
        findings=findings,
        evaluations=spent,
        notes=(
            *_unlooked(unnamed, asked),
            *prober.known.notes,
            *claim.beside.notes(),
            *handed_on(held(subject.tree)),
            *subject.notes,
        ),
        diagnoses=diagnoses,
        diagnosis_evaluations=prober.meter.spent - spent,
        unchecked=(*held(subject.tree), *subject.unchecked),
    )
    if stopped:
        raise Interrupted(report)
    return _in_given_dtype(report, claim, asked), claim


def _unlooked(unnamed: frozenset[str], asked: Asked) -> Iterator[str]:
    if unnamed:
        yield reasons.not_looked_for(len(unnamed), asked.max_evaluations)


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
