"""`check_objective`: from what a boosting library is handed to a report."""

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, NamedTuple

import numpy as np
from msgspec.structs import replace

from gradcheck.adapters.boosting.conventions import Convention, Rows, convention_of, exchanged, weight_of
from gradcheck.adapters.boosting.explaining import explained
from gradcheck.adapters.boosting.functions import Claimed, Loss, Objective, claimed
from gradcheck.adapters.boosting.judging import Known, apart_from_kinks, by_number, by_rows, found, is_separable
from gradcheck.adapters.boosting.recording import Visit, backend_of, visits
from gradcheck.adapters.boosting.substitutes import NOT_COMPARED, Problem, meant
from gradcheck.errors import DataError, DescriptionError, GradcheckError
from gradcheck.foundation.arithmetic import UNIT
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.validation import Asked
from gradcheck.report import Report, joined
from gradcheck.verdict import reasons
from gradcheck.verdict.findings import Finding, Verdict


class Options(NamedTuple):
    """What `gradcheck.check_objective` is asked beside what every check is asked."""

    weights: Any = None
    classes: int | None = None
    hessian: str | float = "exact"
    convention: str | None = None
    order: str | None = None


class Case(NamedTuple):
    """A loss, an objective, where, what it says there, and whose it is."""

    loss: Loss
    objective: Objective
    at: Array
    said: Claimed
    backend: str


def check_objective(
    loss: Callable[..., Any], objective: Any, raw: Any, labels: Any, options: Options, asked: Asked
) -> Report:
    """What `gradcheck.check_objective` does."""
    if not callable(loss):
        raise DescriptionError(f"expected a function, got {loss!r}", "loss")
    if hasattr(objective, "fit"):
        reports = [_visited(loss, visit, options, asked) for visit in visits(objective, raw, labels, options.weights)]
        return joined(f"{reports[0].title}, as {type(objective).__name__}.fit calls it", reports)
    rows, at = _rows(raw, labels, options)
    convention, note = convention_of(objective, labels, options.convention)
    backend = "catboost" if convention is Convention.CATBOOST else backend_of(labels)
    case = _case(loss, Objective(objective, convention, rows), at, backend)
    report = _judged(case, options, asked)
    if note and report.findings[0].verdict is Verdict.WRONG:
        _refuse_if_exchanged(case, options, asked)
    return replace(report, notes=(*report.notes, *([note] if note else [])))


def _case(loss: Callable[..., Any], objective: Objective, at: Array, backend: str) -> Case:
    first, second = objective.answer(at), objective.answer(at)
    return Case(Loss(loss, objective.rows), objective, at, claimed(objective, first, second), backend)


def _refuse_if_exchanged(case: Case, options: Options, asked: Asked) -> None:
    f = case.objective.function

    @wraps(f)
    def turned(labels: Any, raw: Any, **more: Any) -> Any:
        return f(raw, labels, **more)

    try:
        other = _judged(
            _case(case.loss.function, case.objective._replace(function=turned), case.at, ""),
            options,
            asked._replace(diagnose=False),
        )
    except GradcheckError:
        return
    if other.findings[0].verdict is Verdict.CORRECT:
        raise exchanged(
            f"{case.objective.name}'s gradient is right with predictions first, as no library's sklearn interface calls it"
        )


def _visited(loss: Callable[..., Any], visit: Visit, options: Options, asked: Asked) -> Report:
    weights = options.weights if visit.weights is None else visit.weights  # LightGBM hands them on where they are asked for
    rows, at = _rows(visit.raw, visit.labels, options._replace(weights=weights, classes=None))
    objective = Objective(visit.objective, Convention.SKLEARN, rows)
    unit = float(np.finfo(visit.raw.dtype).eps) / 2 if visit.raw.dtype.kind == "f" else UNIT
    said = claimed(objective, visit.answer, visit.answer, unit)
    return _judged(Case(Loss(loss, rows), objective, at, said, visit.backend), options, asked)


def _rows(raw: Any, labels: Any, options: Options) -> tuple[Rows, Array]:
    """What is handed in, if it fits together; and the predictions as (n, k)."""
    if options.order not in (None, "C", "F"):
        raise DescriptionError(f"expected 'C', 'F' or None, got {options.order!r}", "order")
    at = np.asarray(raw)
    if at.dtype.kind not in "fiu" or at.ndim not in (1, 2) or not at.size:
        raise DataError(f"raw: expected real numbers of shape (n,) or (n, k), got shape {at.shape} of {at.dtype}")
    if not np.isfinite(at).all():
        raise DataError(f"raw is {at[~np.isfinite(at)][0]} at {[int(i) for i in np.argwhere(~np.isfinite(at))[0]]}")
    classes = at.shape[1] if at.ndim == 2 else options.classes or 1
    if at.size % classes or (at.ndim == 2 and options.classes not in (None, classes)):
        raise DataError(f"raw: shape {at.shape} does not hold {options.classes or classes} classes")
    if at.ndim == 1 and classes > 1 and options.order is None:
        raise DescriptionError("raw is flat: say 'C' where it goes row by row, 'F' where class by class", "order")
    data, weights, n = None, options.weights, at.size // classes
    if hasattr(labels, "get_label"):
        data, own, labels = labels, labels.get_weight(), labels.get_label()
        weights = own if weights is None and own is not None and len(own) else weights
    rows = Rows(n, classes, options.order, at.ndim == 1, _sized(labels, n, "labels"), _sized(weights, n, "weights"), data)
    return rows, rows.inward(at.astype(np.float64))


def _sized(values: Any, count: int, name: str) -> Any:
    if values is None:
        return None
    array = np.asarray(values)
    if array.shape[:1] != (count,):
        raise DataError(f"{name}: expected {count} rows, as raw has them, got shape {array.shape}")
    if name == "weights" and (array.dtype.kind not in "fiub" or not np.isfinite(array).all() or array.min() < 0):
        raise DataError(f"{name}: expected finite numbers >= 0, got {array[:3]}")
    return array


def _judged(case: Case, options: Options, asked: Asked) -> Report:
    """Verdicts on both blocks of an objective, and their causes."""
    loss, objective, at, said, backend = case
    values = loss(at)
    if not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values)))
        value, where = (values[row], f" at row {row}") if values.ndim else (values, "")
        raise DataError(f"{loss.name} is {value}{where}: there is no derivative where there is no value")
    separable = values.ndim == 1 and is_separable(loss, at, values, asked.seed)
    if separable:
        known, evaluations = by_rows(loss, at, said, asked.resolve)
        finding, _ = _found("gradient", case, known, asked)
        report = Report(title="", findings=(finding,), evaluations=evaluations)
    else:
        report, known = by_number(loss, objective, at, said, asked)
        report = replace(report, findings=tuple(replace(each, backend=backend) for each in report.findings))
    report = _with_hessian(report, case, known, options, asked)
    diagnoses = list(report.diagnoses)
    if asked.diagnose:
        problem = Problem(objective, at, said, known, loss if separable else None, options.hessian)
        diagnoses += explained(problem, report.findings, {each.name for each in diagnoses})
    rows = objective.rows
    return replace(
        report,
        title=f"{objective.name}: {rows.length} rows" + (f", {rows.classes} classes" if rows.classes > 1 else ""),
        notes=(*report.notes, *_notes(objective, rows)),
        diagnoses=tuple(replace(each, backend=backend) for each in diagnoses),
    )


def _found(name: str, case: Case, known: dict[str, Known], asked: Asked) -> tuple[Finding, tuple[str, ...]]:
    """What is found of a block, apart from a few rows beside kinks, and a note that names these."""
    if name in case.said.defects:
        reason = case.said.defects[name].sentence
        return Finding(name=name, backend=case.backend, verdict=Verdict.WRONG, reason=reason), ()
    known[name], count = apart_from_kinks(known[name], case.said.blocks[name])
    note = f"{name}: {count} of {case.at.size} entries lie beside a kink, where it is not known, and were not compared"
    return found(name, case.backend, case.said, known[name], asked), (note,) if count else ()


def _with_hessian(report: Report, case: Case, known: dict[str, Known], options: Options, asked: Asked) -> Report:
    """The report with what is found of the second derivatives; what they are held against is ``known`` from there on."""
    said, meaning = case.said, options.hessian
    if "hessian" not in known and "hessian" not in said.defects:
        reason = reasons.OF_A_WRONG_GRADIENT
        finding = Finding(name="hessian", backend=case.backend, verdict=Verdict.UNRESOLVED, reason=reason)
        return replace(report, findings=(*report.findings, finding))
    if "hessian" not in said.defects:
        known["hessian"] = meant(meaning, known["hessian"], said.blocks["hessian"], case.objective.rows.weights)
    finding, notes = _found("hessian", case, known, asked)
    looked = "hessian" in report.unchecked or not (notes or meaning in NOT_COMPARED)
    if meaning in NOT_COMPARED:
        notes += (f"hessian: {NOT_COMPARED[str(meaning)]}; with the second derivative it was not compared",)
    elif meaning != "exact":
        notes += (f"hessian: compared as {meaning!r}",)
    finding = _conventional(finding, said, known, meaning)
    unchecked = report.unchecked if looked else (*report.unchecked, "hessian")
    return replace(report, findings=(*report.findings, finding), notes=(*report.notes, *notes), unchecked=unchecked)


def _conventional(finding: Finding, said: Claimed, known: dict[str, Known], meaning: str | float) -> Finding:
    """Of a loss in straight pieces every second derivative is 0, with which no library can divide: any number will do."""
    if finding.verdict is not Verdict.WRONG or meaning != "exact" or "hessian" in said.defects:
        return finding
    truth, claim = known["hessian"], said.blocks["hessian"]
    straight = (np.abs(truth.value) <= truth.bound) | ~truth.looked
    if straight.all() and (claim >= 0).all():
        return replace(finding, verdict=Verdict.NONSMOOTH, reason=reasons.STRAIGHT_PIECES, entries=(), heat=())
    return finding


def _notes(objective: Objective, rows: Rows) -> Iterator[str]:
    if objective.convention is Convention.SKLEARN and rows.weights is not None and weight_of(objective.function) is None:
        yield (
            f"{objective.name} takes no weights: XGBoost refuses it where there are some (it wants sample_weight), "
            "and LightGBM leaves them out"
        )
    if objective.convention is Convention.CATBOOST and rows.classes > 1:
        yield "second derivatives across classes were not compared"
