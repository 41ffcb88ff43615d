"""Which derivatives may be other than zero: a declared structure, and a Jacobian by differences that has it."""

from typing import Any

import msgspec
import numpy as np

from gradcheck.checking.accusation import BACKEND
from gradcheck.checking.jacobians.balance import sizes
from gradcheck.checking.jacobians.differences import slopes
from gradcheck.checking.jacobians.judging import Subject
from gradcheck.checking.jacobians.matrix import Matrix, is_sparse, matrix_of
from gradcheck.checking.jacobians.naming import Named, Wrong
from gradcheck.checking.jacobians.system import System
from gradcheck.foundation.arrays import Array
from gradcheck.verdict import reasons
from gradcheck.verdict.causes import Cause
from gradcheck.verdict.findings import LISTED, Diagnosis, Entry, Finding, Verdict

NAME = "sparsity"
SEEN = 1e-4  # of what is usual: a derivative outside of it need be no smaller to be looked for
KNOWN = 2.0**-24  # how well differences know their matrix, for a claim: it is judged as one in float32


def pattern_of(sparsity: Any, system: System) -> Matrix:
    """The declared structure; whatever is not zero in it may be other than zero.

    Raises
    ------
    DataError
        Where it has another shape than the Jacobian.
    """
    value = sparsity if is_sparse(sparsity) else np.asarray(sparsity)
    given = value.astype(np.float64) if getattr(value, "dtype", None) == np.bool_ else value
    return matrix_of(given, system.sides, f"{NAME} has")


def by_differences(system: System, pattern: Matrix) -> Matrix:
    """The matrix of this structure that differences give, columns that share no row moved together.

    Where the structure is right this is the Jacobian (Curtis, Powell and Reid, J. Inst. Math. Appl. 13, 1974); where it is
    not, it agrees with no direction over all columns.
    """
    natural = np.concatenate([sizes(value.astype(np.float64)).ravel() for value in system.tree.arrays.values()])
    rows, columns, _ = pattern.entries()
    values = np.zeros(rows.shape)
    groups = _groups(rows, columns, *system.sides.shape)
    for group in range(int(groups.max(initial=-1)) + 1):
        v = system.inside(np.where(groups == group, natural, 0.0))
        found = slopes(system.at, system.x, system.here, v)
        moved = groups[columns] == group
        values[moved] = (found.value[rows] / v[columns])[moved]
    if is_sparse(pattern.value):
        matrix = pattern.value.copy().tocoo()
        matrix.data = values
        return Matrix(matrix.tocsr(), KNOWN, pattern.value)
    dense = np.zeros(system.sides.shape)
    dense[rows, columns] = values
    return Matrix(dense, KNOWN, pattern.value != 0)


def judged(subject: Subject, found: Named, said: tuple[Finding, ...], pattern: Matrix) -> tuple[Finding, list[Diagnosis]]:
    """Whether all that is not zero lies within the structure, by the matrix as far as it is right."""
    outside = _outside(subject, found, pattern)
    verdicts = {finding.verdict for finding in said}
    resolution = max(finding.resolution for finding in said)
    right = verdicts <= {Verdict.CORRECT, Verdict.INEXACT} or found.complete
    finding = Finding(
        name=NAME,
        backend=BACKEND,
        verdict=Verdict.WRONG if outside else Verdict.CORRECT if right else Verdict.UNRESOLVED,
        resolution=resolution,
        block_resolution=resolution,
        shape=subject.system.sides.shape,
        reason="" if right or outside else reasons.PATTERN_UNKNOWN,
    )
    if not outside:
        return finding, []
    size = len(pattern.entries()[0])
    entries = tuple(
        Entry(subject.system.sides.indices(each.row, each.column), 0.0, each.reference, each.bound)
        for each in outside[:LISTED]
    )
    finding = msgspec.structs.replace(
        finding,
        error=max(abs(each.reference) / each.scale for each in outside),
        entries=entries,
        worst_index=entries[0].index,
        reason=reasons.outside_pattern(len(outside), complete=found.complete),
    )
    used = sum(pattern_has(pattern, int(i), int(j)) for i, j, x in zip(*subject.matrix.entries(), strict=True) if x)
    evidence = {"missing": len(outside), "of": "declared", "idle": size - used, "size": size}
    return finding, [Cause.OUTSIDE_PATTERN.of(NAME, **evidence)]


def pattern_has(pattern: Matrix, i: int, j: int) -> bool:
    """Whether an entry may be other than zero."""
    return bool(pattern.value[i, j])


def _outside(subject: Subject, found: Named, pattern: Matrix) -> list[Wrong]:
    """Entries that are not zero where the structure has none: where the claim is wrong by what is known, else by it."""
    wrong = {(each.row, each.column): each for each in found.wrong}
    outside = {
        place: each
        for place, each in wrong.items()
        if not pattern_has(pattern, *place) and abs(each.reference) > max(each.bound, subject.asked.accuracy * each.scale)
    }
    balance = subject.balance
    for i, j, value in zip(*subject.matrix.entries(), strict=True):
        if value and not pattern_has(pattern, i, j) and (i, j) not in wrong:
            scale = max(abs(float(value)), float(balance.rows[i] * balance.columns[j]))
            outside[i, j] = Wrong(int(i), int(j), 0.0, float(value), 0.0, scale)
    return sorted(outside.values(), key=lambda each: -abs(each.reference) / each.scale)


def _groups(rows: Array, columns: Array, m: int, n: int) -> Array:
    """For each column the first group none of whose columns has a row in common with it."""
    order = np.argsort(columns, kind="stable")
    rows, starts = rows[order], np.searchsorted(columns[order], np.arange(n + 1))
    groups, taken = np.zeros(n, int), list[Array]()
    for column in range(n):
        own = rows[starts[column] : starts[column + 1]]
        group = next((g for g, used in enumerate(taken) if not used[own].any()), len(taken))
        if group == len(taken):
            taken.append(np.zeros(m, bool))
        taken[group][own] = True
        groups[column] = group
    return groups
