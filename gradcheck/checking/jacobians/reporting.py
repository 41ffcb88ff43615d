"""From a function and what claims to be its Jacobian to a report."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from msgspec.structs import replace

from gradcheck.candidates.answer import is_another
from gradcheck.candidates.bounds import held_fast
from gradcheck.candidates.claim import REPEATS
from gradcheck.candidates.point import handed_on, held, point_of
from gradcheck.candidates.precision import cast
from gradcheck.checking.accusation import BACKEND
from gradcheck.checking.checker import with_notes
from gradcheck.checking.jacobians import patterns
from gradcheck.checking.jacobians.causes import causes
from gradcheck.checking.jacobians.judging import Subject, judge
from gradcheck.checking.jacobians.matrix import Matrix, function_of, matrix_of
from gradcheck.checking.jacobians.naming import Named, findings, named
from gradcheck.checking.jacobians.system import System
from gradcheck.errors import DataError
from gradcheck.foundation.calling import guarded
from gradcheck.foundation.validation import Asked
from gradcheck.oracles.directions import signs
from gradcheck.report import Report
from gradcheck.verdict import reasons
from gradcheck.verdict.causes import Cause
from gradcheck.verdict.findings import Diagnosis, Finding, Verdict

ROUNDING = 1000  # as of an adjoint pair in `products`


def jacobian_report(
    f: Callable[..., Any],
    jac: Any,
    at: Any,
    asked: Asked,
    *,
    sparsity: Any = None,
    bounds: Any = None,
    args: tuple[Any, ...] = (),
    name: str = "jac",
    of: str = "jacobian",
    besides: Callable[[Subject], Finding] | None = None,
) -> Report:
    """What `check_jacobian` says.

    Parameters
    ----------
    f, jac, at, sparsity, bounds, args
        As `check_jacobian` takes them.
    asked : Asked
    name : str
        Of ``jac``, in what is refused.
    of : str
        What a matrix of one leaf by one leaf is called.
    besides : callable, optional
        Says something more of the subject.
    """
    tree = cast(point_of(at), asked.dtype)
    args = args if isinstance(args, tuple) else (args,)  # pyright: ignore[reportUnnecessaryIsInstance]
    system = System(f, tree, args, bounds)
    pattern = None if sparsity is None else patterns.pattern_of(sparsity, system)
    claim = _claim(jac, system, name) if jac is not None else _differences(system, pattern)
    if jac is None:
        asked = asked._replace(accuracy=max(asked.accuracy, patterns.SEEN))
    first = claim(system.point())
    subject = Subject(system, claim, first, asked)
    changes = _changes(first, claim(system.point()))
    if changes or not system.repeats:
        return _unsteady(system, of, changes)
    found = named(subject, judge(subject))
    said = findings(subject, found, of)
    spent = system.evaluations
    diagnoses = list(causes(subject, found, said, of)) if asked.diagnose and jac is not None else []
    diagnoses = [*_of_given_dtype(system, found, said, of), *diagnoses]
    more: list[Finding] = []
    if pattern is not None:
        finding, why = patterns.judged(subject, found, said, pattern)
        more.append(finding)
        diagnoses += why
    more += [*filter(None, [_adjoint(subject, name)]), *([besides(subject)] if besides else [])]
    report = Report(
        title=_title(system, of),
        findings=(*(said if jac is not None else ()), *more),
        evaluations=spent,
        notes=tuple(dict.fromkeys(note for one in found.judged for note in one.report.notes)),
        diagnoses=tuple(diagnoses),
        diagnosis_evaluations=system.evaluations - spent,
        unchecked=(*held(tree), *system.fast),
        spent="evaluations of the function",
    )
    return with_notes(report, handed_on(held(tree)), held_fast(system.fast))


def _claim(jac: Any, system: System, name: str) -> Callable[[Any], Matrix]:
    """The matrix as a function of a point."""
    function = guarded(function_of(jac, name), name)

    def claim(point: Any) -> Matrix:
        return matrix_of(function(point, *system.args), system.sides, f"{function.__name__} returned")

    claim.__name__ = function.__name__
    return claim


def _of_given_dtype(system: System, found: Named, said: Sequence[Finding], of: str) -> Iterator[Diagnosis]:
    """What the scalar procedure finds wrong in the dtype that was given, and not in float64."""
    known = {each.name: each for one in found.judged for each in one.report.diagnoses}
    wrong = {finding.name for finding in said if finding.verdict is Verdict.WRONG}
    for output in system.sides.outputs:
        for given in system.sides.inputs:
            if (name := system.sides.pair(output, given, of)) in wrong and given.name in known:
                yield replace(known[given.name], name=name)


def _differences(system: System, pattern: Matrix | None) -> Callable[[Any], Matrix]:
    """The matrix that a declared structure would have: where it agrees with the function, the structure is right."""
    if pattern is None:
        raise DataError("jac: expected a function or a matrix, got None, and no sparsity: there is nothing to check")
    matrix = patterns.by_differences(system, pattern)
    return lambda _: matrix


def _title(system: System, of: str) -> str:
    rows, columns = system.sides.shape
    return f"{of} of {rows} row{'s' if rows != 1 else ''} and {columns} column{'s' if columns != 1 else ''}"


def _changes(first: Matrix, again: Matrix) -> str:
    """What a second call answered otherwise, beyond another order of additions."""
    rows, columns, values = first.entries()
    other = np.asarray(again.value[rows, columns]).ravel()
    finite = np.isfinite(values) & np.isfinite(other)
    if not is_another(values[finite], other[finite], REPEATS):
        return ""
    worst = int(np.argmax(np.where(finite, np.abs(values - other), 0.0)))
    where = f"row {rows[worst]}, column {columns[worst]}"
    return f"a second call changed the matrix from {values[worst]:.17g} to {other[worst]:.17g} at {where}"


def _unsteady(system: System, of: str, changes: str) -> Report:
    """What is drawn anew at each call cannot be compared."""
    reason, verdict = (changes, Verdict.WRONG) if changes else ("f changes from call to call", Verdict.UNRESOLVED)
    names = [system.sides.pair(output, given, of) for output in system.sides.outputs for given in system.sides.inputs]
    return Report(
        title=_title(system, of),
        findings=tuple(Finding(name=name, backend=BACKEND, verdict=verdict, reason=reason) for name in names),
        evaluations=system.evaluations,
        diagnoses=tuple(Cause.NONDETERMINISTIC.of(name) for name in names),
    )


def _adjoint(subject: Subject, name: str) -> Finding | None:
    """Of a linear operator, its products with the transposed matrix against those with the matrix."""
    matrix = subject.matrix
    if matrix.turned is None:
        return None
    c = signs("adjoint", subject.balance.rows.shape, subject.asked.seed) / subject.balance.rows
    said = np.asarray(guarded(matrix.turned, f"{name}'s rmatvec")(c), np.float64).ravel()
    if said.shape != subject.balance.columns.shape:
        raise DataError(f"{name}'s rmatvec returned shape {said.shape}, expected {subject.balance.columns.shape}")
    size = np.abs(matrix.value).T @ np.abs(c)
    scale = np.maximum(size, subject.balance.columns)
    error, bound = np.abs(said - matrix.value.T @ c) / scale, ROUNDING * matrix.unit
    worst = int(np.argmax(error))
    off = not error[worst] <= bound
    small = error[worst] <= subject.asked.accuracy
    return Finding(
        name="adjoint",
        backend=BACKEND,
        verdict=Verdict.CORRECT if not off else Verdict.INEXACT if small else Verdict.WRONG,
        error=float(error[worst]),
        bound=bound,
        resolution=bound,
        block_resolution=bound,
        worst_index=(worst,) if off else None,
        reason=reasons.not_adjoint(int(np.count_nonzero(~(error <= bound))), error.size, worst) if off else "",
    )
