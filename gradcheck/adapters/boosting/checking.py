"""`check_objective`: from what a boosting library is handed to a report."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from msgspec.structs import replace

from gradcheck.adapters.boosting.conventions import Convention, Objective, Rows, convention_of, required, weight_of
from gradcheck.adapters.boosting.explaining import explained
from gradcheck.adapters.boosting.judging import Claimed, Known, by_rows, claimed, finite, found, is_separable
from gradcheck.adapters.boosting.losses import loss_of
from gradcheck.adapters.boosting.problem import Problem
from gradcheck.adapters.boosting.recording import Visit, backend_of, visits
from gradcheck.adapters.boosting.substitutes import NOT_COMPARED, meant
from gradcheck.adapters.boosting.sums import by_number
from gradcheck.errors import DataError, DescriptionError
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


def check_objective(
    loss: Callable[..., Any], objective: Any, raw: Any, labels: Any, options: Options, asked: Asked
) -> Report:
    """What `gradcheck.check_objective` does."""
    if not callable(loss):
        raise DescriptionError(f"expected a function, got {loss!r}", "loss")
    if not hasattr(objective, "fit"):
        rows, at = _rows(raw, labels, options)
        convention = convention_of(objective, labels, options.convention)
        backend = "catboost" if convention is Convention.CATBOOST else backend_of(labels)
        return _judged(loss, Objective(objective, convention, rows), at, backend, options, asked)
    reports: list[Report] = []
    for visit in visits(objective, raw, labels, options.weights):
        reports.append(_visited(loss, visit, options, asked))
    return joined(f"{reports[0].title}, as {type(objective).__name__}.fit calls it", reports)


def _visited(loss: Callable[..., Any], visit: Visit, options: Options, asked: Asked) -> Report:
    weights = options.weights if visit.weights is None else visit.weights  # LightGBM hands them on where they are asked for
    rows, at = _rows(visit.raw, visit.labels, options._replace(weights=weights, classes=None))
    return _judged(loss, Objective(visit.objective, Convention.SKLEARN, rows), at, visit.backend, options, asked, visit)


def _rows(raw: Any, labels: Any, options: Options) -> tuple[Rows, Array]:
    """What is handed in, if it fits together; and the predictions as (n, k)."""
    if options.order not in (None, "C", "F"):
        raise DescriptionError(f"expected 'C', 'F' or None, got {options.order!r}", "order")
    at = np.asarray(raw)
    if at.dtype.kind not in "fiu" or at.ndim not in (1, 2) or not at.size:
        raise DataError(f"raw: expected real numbers of shape (n,) or (n, k), got shape {at.shape} of {at.dtype}")
    if not np.isfinite(at).all():
        raise DataError(f"raw is {at[~np.isfinite(at)][0]} at {[int(i) for i in np.argwhere(~np.isfinite(at))[0]]}")
    at = at.astype(np.float64)
    classes = at.shape[1] if at.ndim == 2 else options.classes or 1
    if at.size % classes or (at.ndim == 2 and options.classes not in (None, classes)):
        raise DataError(f"raw: shape {at.shape} does not hold {options.classes or classes} classes")
    if at.ndim == 1 and classes > 1 and options.order is None:
        raise DescriptionError("raw is flat: say 'C' where it goes row by row, 'F' where class by class", "order")
    data, weights = None, options.weights
    if hasattr(labels, "get_label"):
        data = labels
        weights = weights if weights is not None else _or_none(data.get_weight())
        labels = data.get_label()
    rows = Rows(at.size // classes, classes, options.order, at.ndim == 1, data=data)
    rows = rows._replace(labels=_sized(labels, rows.length, "labels"), weights=_sized(weights, rows.length, "weights"))
    return rows, rows.inward(at)


def _or_none(values: Any) -> Any:
    return None if values is None or not len(values) else values


def _sized(values: Any, count: int, name: str) -> Any:
    if values is None:
        return None
    array = np.asarray(values)
    if array.shape[:1] != (count,):
        raise DataError(f"{name}: expected {count} rows, as raw has them, got shape {array.shape}")
    if name == "weights" and (array.dtype.kind not in "fiub" or not np.isfinite(array).all() or array.min() < 0):
        raise DataError(f"{name}: expected finite numbers >= 0, got {array[:3]}")
    return array


def _judged(
    function: Callable[..., Any],
    objective: Objective,
    at: Array,
    backend: str,
    options: Options,
    asked: Asked,
    visit: Visit | None = None,
) -> Report:
    rows = objective.rows
    loss = loss_of(function, rows)
    values = loss(at)
    finite(values, loss.name)
    said = visit.said(rows, at) if visit else claimed(objective, at)
    by_row = values.ndim == 1 and is_separable(loss, at, values, asked.seed)
    if by_row:
        known, evaluations = by_rows(loss, at, said, asked.resolve)
        report = Report(title="", findings=(), evaluations=evaluations)
        findings = [found("gradient", backend, said, known["gradient"], asked)]
    else:
        if rows.weights is not None and weight_of(function) is None and not values.ndim:
            raise DataError(f"{loss.name} returns a number and takes no weights: return a value for each row")
        report, known, said = by_number(loss, objective, at, said, asked)
        findings = [replace(each, backend=backend) for each in report.findings]
    notes = [*report.notes, *_notes(objective, rows)]
    unchecked: list[str] = []
    if "hessian" in known or "hessian" in said.defects:
        if "hessian" not in said.defects:
            known["hessian"] = meant(options.hessian, known["hessian"], said.blocks["hessian"], rows.weights)
        second = found("hessian", backend, said, known.get("hessian", _nothing(at)), asked)
        findings.append(_conventional(second, said, known, options.hessian))
        if options.hessian in NOT_COMPARED:
            unchecked.append("hessian")
            notes.append(f"hessian: {NOT_COMPARED[str(options.hessian)]}; with the second derivative it was not compared")
        elif options.hessian != "exact":
            notes.append(f"hessian: compared as {options.hessian!r}")
    else:
        reason = reasons.OF_A_WRONG_GRADIENT
        findings.append(Finding(name="hessian", backend=backend, verdict=Verdict.UNRESOLVED, reason=reason))
    diagnoses = list(report.diagnoses)
    if asked.diagnose:
        problem = Problem(objective, at, said, known, loss if by_row else None, options.hessian)
        diagnoses += explained(problem, findings, {each.name for each in diagnoses})
    title = f"{objective.name}: {rows.length} rows" + (f", {rows.classes} classes" if rows.classes > 1 else "")
    return replace(
        report,
        title=title,
        findings=tuple(findings),
        notes=tuple(notes),
        diagnoses=tuple(replace(each, backend=backend) for each in diagnoses),
        unchecked=(*report.unchecked, *unchecked),
    )


def _nothing(at: Array) -> Known:
    return Known(*(np.zeros_like(at) for _ in Known._fields[:4]))


def _conventional(finding: Finding, said: Claimed, known: dict[str, Known], meaning: str | float) -> Finding:
    """Of a loss in straight pieces every second derivative is 0, with which no library can divide: any number will do."""
    if finding.verdict is not Verdict.WRONG or meaning != "exact" or "hessian" in said.defects:
        return finding
    truth, claim = known["hessian"], said.blocks["hessian"]
    if (np.abs(truth.value) <= truth.bound).all() and (claim >= 0).all():
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
    names = required(objective.function) if callable(objective.function) else []
    if objective.convention is Convention.SKLEARN and not names:
        yield f"{objective.name} does not name its arguments: it was called with labels first"
