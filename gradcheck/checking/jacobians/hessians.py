"""Hessians as Jacobians of a gradient: wrong entries by row and column, and entries that break the symmetry."""

from collections.abc import Callable
from typing import Any

import numpy as np
from msgspec.structs import replace

from gradcheck.checking.accusation import BACKEND
from gradcheck.checking.checker import check
from gradcheck.checking.jacobians.judging import Subject
from gradcheck.checking.jacobians.matrix import function_of
from gradcheck.checking.jacobians.reporting import jacobian_report
from gradcheck.foundation.calling import guarded, standing_for
from gradcheck.foundation.objects.pytree import take_apart
from gradcheck.foundation.validation import Asked
from gradcheck.foundation.wording import enumerated
from gradcheck.report import Report, joined
from gradcheck.verdict.findings import LISTED, Entry, Finding, Verdict

HESS, HESSIAN, SYMMETRY = "hess", "hessian", "symmetry"
MANY = 500  # columns, each of which takes a product: more are not looked for one by one
# Roundoffs of what is usual at an entry that it may differ from its counterpart by. Two orders of summation of a thousand
# terms differ by 30.
ROUNDING = 1000


def hessian_report(
    gradient: Callable[..., Any],
    hess: Any,
    at: Any,
    asked: Asked,
    *,
    loss: Callable[..., Any] | None = None,
    args: tuple[Any, ...] = (),
    bounds: Any = None,
    name: str = HESS,
) -> Report:
    """Whether a matrix is the Hessian: the Jacobian of the gradient, and symmetric.

    Parameters
    ----------
    gradient : callable
        From a pytree like ``at``, and ``args``, to the same pytree.
    hess : callable, or a matrix
        From the same to a matrix, sparse matrix, `scipy.sparse.linalg.LinearOperator`, or blocks; `by_products` makes one of
        products with vectors.
    at : pytree
    asked : Asked
    loss : callable, optional
        Then the gradient is checked, too; its findings have the backend ``"gradient"``.
    args : tuple
        Handed on to all three.
    bounds
        As `check_jacobian` takes them.
    name : str
        Of ``hess``, in what is refused, and the backend of its findings.
    """
    judged = jacobian_report(gradient, hess, at, asked, bounds=bounds, args=args, name=name, of=HESSIAN, besides=_symmetry)
    reports = [judged.labelled(name)]
    if loss is not None:
        functions = _with(args, loss, "loss"), _with(args, gradient, "gradient")
        reports.insert(0, check(*functions, at, **asked.options).labelled("gradient"))
    return joined(judged.title, reports)


def _with(args: tuple[Any, ...], f: Callable[..., Any], role: str) -> Callable[[Any], Any]:
    """A function of the point alone."""
    inner = guarded(f, role)

    def function(at: Any) -> Any:
        return inner(at, *args)

    return standing_for(function, f, inner.__name__)


def by_products(hvp: Callable[..., Any], args: tuple[Any, ...] = (), name: str = "hvp") -> Callable[..., Any]:
    """A function that returns the whole matrix, column by column, from the products of a Hessian with vectors."""
    function = guarded(function_of(hvp, name), name)

    def matrix(at: Any, *_: Any) -> Any:
        tree = take_apart(at)
        zero = {name: np.zeros_like(value) for name, value in tree.arrays.items()}
        columns: list[Any] = []
        for name, value in tree.arrays.items():
            for j in range(value.size):
                unit = np.zeros_like(value)
                unit.flat[j] = 1.0
                product = take_apart(function(at, tree.rebuild({**zero, name: unit}), *args), function.__name__)
                columns.append(np.concatenate([np.ravel(leaf) for leaf in product.arrays.values()]))
        return np.stack(columns, axis=1)

    return standing_for(matrix, hvp, function.__name__)


def with_entries(report: Report, gradient: Callable[..., Any], hvp: Callable[..., Any], at: Any, asked: Asked) -> Report:
    """A report on products with a Hessian, in which the wrong blocks name the entries of the matrix: H e_j are its columns.

    Parameters
    ----------
    report : Report
        Of random products, and of the symmetry; nothing is added where these are right, or there are too many columns.
    gradient, hvp, at, asked
        As they were asked for.
    """
    tree = take_apart(at)
    if not report.wrong or sum(value.size for value in tree.arrays.values()) > MANY:
        return report
    matrix = hessian_report(gradient, by_products(hvp), at, asked)
    names = {each.name: each for each in matrix.findings if each.verdict is Verdict.WRONG}
    found: list[Finding] = []
    for finding in report.findings:
        if finding.name == SYMMETRY:
            own = [each for name, each in names.items() if name == SYMMETRY]
        else:
            own = [each for name, each in names.items() if name == HESSIAN or name.endswith(f" by {finding.name}")]
        named = [replace(x, name=finding.name if x.name == HESSIAN else x.name, backend=finding.backend) for x in own]
        found += named if finding.name in report.wrong and named else [finding]
    bare = tree.names[0] if len(tree.names) == 1 else ""
    kept = [each for each in report.diagnoses if each.name not in report.wrong]
    more = [replace(each, name=bare if each.name == HESSIAN else each.name, backend="") for each in matrix.diagnoses]
    spent = report.diagnosis_evaluations + matrix.evaluations + matrix.diagnosis_evaluations
    return replace(report, findings=tuple(found), diagnoses=(*kept, *more), diagnosis_evaluations=spent)


def _symmetry(subject: Subject) -> Finding:
    """Every entry against its counterpart."""
    matrix, balance = subject.matrix, subject.balance
    rows, columns, values = matrix.entries()
    turned = np.asarray(matrix.value[columns, rows]).ravel()
    usual = np.sqrt(balance.rows[rows] * balance.columns[columns] * balance.rows[columns] * balance.columns[rows])
    scale = np.maximum(usual, np.maximum(np.abs(values), np.abs(turned)))
    error, bound = np.abs(values - turned) / scale, ROUNDING * matrix.unit
    worst = np.argsort(-error, kind="stable")
    off = [int(k) for k in worst[: 4 * LISTED] if error[k] > bound]
    pairs = list({frozenset((int(rows[k]), int(columns[k]))): k for k in reversed(off)}.values())[::-1][:LISTED]
    largest = float(np.max(error, initial=0.0))
    finding = Finding(
        name=SYMMETRY,
        backend=BACKEND,
        verdict=Verdict.CORRECT if not pairs else Verdict.INEXACT if largest <= subject.asked.accuracy else Verdict.WRONG,
        error=largest,
        bound=bound,
        resolution=bound,
        block_resolution=bound,
    )
    if not pairs:
        return finding
    said = [
        f"H{_place(subject, int(i), int(j))} = {float(value):.10g}"
        for k in pairs[:2]
        for i, j, value in ((rows[k], columns[k], values[k]), (columns[k], rows[k], turned[k]))
    ]
    count = int(np.count_nonzero(error > bound))
    entries = tuple(
        Entry(
            subject.system.sides.indices(int(rows[k]), int(columns[k])),
            float(values[k]),
            float(turned[k]),
            bound * float(scale[k]),
        )
        for k in pairs
    )
    reason = f"not symmetric, at {count} entries: {enumerated(said)}"
    return replace(finding, entries=entries, worst_index=entries[0].index, reason=reason)


def _place(subject: Subject, row: int, column: int) -> str:
    """As it is written in Python; of several leaves with their names."""
    sides = subject.system.sides
    output, given = sides.place(row, column)
    index = list(sides.indices(row, column))
    return f"{index}" if output.is_bare else f" of {output.name} by {given.name}{index or ''}"
