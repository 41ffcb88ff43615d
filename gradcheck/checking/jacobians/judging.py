"""The procedure of `gradcheck.check_jacobian`: which rows are judged together, and what each of these judgements says.

Every evaluation of the function gives all rows at one point, so a sum of rows with any weights is free once they are known.

1. One direction over all columns, every row by itself (`differences`): rows that seem to be off, or to bend, are suspects.
2. All others are judged together, as the scalar function c . f with the claim J^T c, by the procedure of `check`. Weights c
   are random and balanced, so that each row counts as much as the others; rows that are much louder form sums of their own.
3. Each suspect is judged by itself as long as there are few; of more the worst ones, and the rest of them together.
4. A sum that is not correct is halved, until single rows are left or enough was spent.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from gradcheck.checking.checker import checked
from gradcheck.checking.jacobians.balance import balanced
from gradcheck.checking.jacobians.differences import CLEAR, Slopes, slopes
from gradcheck.checking.jacobians.groups import Groups
from gradcheck.checking.jacobians.matrix import Matrix, is_sparse
from gradcheck.checking.jacobians.system import Part, System, key_of
from gradcheck.foundation.arithmetic import UNIT, rounding
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.calling import standing_for
from gradcheck.foundation.objects.pytree import take_apart
from gradcheck.foundation.validation import Asked
from gradcheck.oracles.directions import signs
from gradcheck.report import Report
from gradcheck.verdict.findings import Finding, Verdict

SINGLE = 6  # suspects that are all judged by themselves
BENT = 3  # the same of those that bend: a kink takes a thousand evaluations
WORST = 2  # of more than that
PATIENCE = 20  # times the evaluations asked for, after which no sum is halved any more either
SUMS = 40  # judgements after which no sum is halved any more
QUIET = 1e-9  # noise of a row in parts of what is usual in it: all that are quieter blur nobody
DECADES = 3  # of noise that are summed together


class Judged(NamedTuple):
    """Some rows that were judged together, and what was found of the claim in each block of the columns."""

    rows: Array
    report: Report

    @property
    def verdict(self) -> Verdict:
        """Of all blocks."""
        return self.report.verdict

    def of(self, given: Part) -> Finding | None:
        """What was found in one block of the columns."""
        return next((finding for finding in self.report.findings if finding.name == given.name), None)


class Subject:
    """A function of many rows, the matrix that is claimed, and what is known of both."""

    def __init__(self, system: System, claim: Any, first: Matrix, asked: Asked) -> None:
        self.system, self.claim, self.matrix, self.asked = system, claim, first, asked
        self.squares = _finite(first).squares
        parts = [part.span for part in system.sides.inputs]
        self.balance, self.moves = balanced(_finite(first), system.x, parts, system.here)
        self.groups = Groups.of(system, self.balance.columns * self.moves)
        rows = np.isfinite(system.here) & _is_finite(first)
        self.judgeable: Array = np.flatnonzero(rows)
        self._claims: dict[bytes, Matrix] = {key_of(system.tree.arrays): first}

    def slopes(self, v: Array) -> Slopes:
        """Of all rows along a direction."""
        return slopes(self.system.at, self.system.x, self.system.here, v)

    def direction(self, attempt: int, part: slice = slice(None)) -> Array:
        """A random one, over some of the columns."""
        v = np.zeros(self.moves.shape)
        v[part] = (signs("columns", v.shape, self.asked.seed, attempt) * self.moves)[part]
        return self.system.inside(v)

    def along(self, column: int) -> Array:
        """The direction that moves one column."""
        v = np.zeros(self.moves.shape)
        v[column] = self.moves[column]
        return self.system.inside(v)

    def off(self, v: Array, found: Slopes) -> Array:
        """By how many bounds each row is off along a direction; nan where nothing is known."""
        with np.errstate(all="ignore"):
            claimed = self.matrix.value @ v
            own = rounding(self.matrix.unit) * np.sqrt(self.squares @ (v * v))
            return np.abs(found.value - claimed) / (found.bound + own)

    def judge(self, rows: Array, attempt: int = 0) -> Judged:
        """Some rows as one scalar function."""
        weights = np.zeros(self.system.here.shape)
        alone = rows.size == 1
        drawn = signs("rows", weights.shape, self.asked.seed, attempt)
        weights[rows] = 1.0 if alone else (drawn / self.balance.rows)[rows]
        system = self.system

        def loss(groups: dict[str, Array]) -> float:
            return float(np.sum(weights[rows] * system.values(self.groups.point(groups))[rows]))

        def gradient(groups: dict[str, Array]) -> dict[str, Array]:
            point = self.groups.point(groups)
            matrix = self.claimed(point, take_apart(point).arrays)
            product = matrix.row(int(rows[0])) if alone else _finite(matrix).value.T @ weights
            return self.groups.split(product.astype(np.float32 if matrix.unit > UNIT else np.float64))

        # Of one row the scale of each entry; of a sum what one entry of the row with the least weight adds to it.
        if alone:
            scale = self.balance.scale(int(rows[0]), self.matrix.row(int(rows[0])))
        else:
            scale = np.min(np.abs(weights[rows]) * self.balance.rows[rows]) * self.balance.columns
        asked = self.asked._replace(diagnose=False)
        named = standing_for(loss, system.f, system.f.__name__)
        report, _ = checked(
            named,
            standing_for(gradient, self.claim),
            self.groups.here,
            asked,
            bounds=self.groups.bounds,
            scale={name: value for name, value in self.groups.split(scale).items() if value.size},
        )
        return Judged(rows, self.groups.merged(report))

    def claimed(self, point: Any, arrays: Mapping[str, Array]) -> Matrix:
        """The matrix at a point, which is asked for once."""
        key = key_of(arrays)
        if key not in self._claims:
            self._claims[key] = self.claim(point)
        return self._claims[key]


def judge(subject: Subject) -> list[Judged]:
    """All rows that can be compared at all."""
    v = subject.direction(0)
    look = subject.slopes(v)
    ratio = subject.off(v, look)
    suspicious = (ratio > CLEAR) | look.bent
    rows = subject.judgeable
    suspects = rows[suspicious[rows]]
    suspects = suspects[np.argsort(-np.nan_to_num(ratio[suspects]), kind="stable")]
    found: list[Judged] = []
    for group in _alike(subject, rows[~suspicious[rows]], look):
        found += _halved(subject, group, SUMS)
    for some, most in ((suspects[~look.bent[suspects]], SINGLE), (suspects[look.bent[suspects]], BENT)):
        alone = some.size if some.size <= most else WORST
        found += [subject.judge(some[i : i + 1]) for i in range(alone)]
        if some.size > alone:
            settled = any(one.verdict in (Verdict.WRONG, Verdict.NONSMOOTH) for one in found)
            found += _halved(subject, np.sort(some[alone:]), 1 if settled else SUMS)
    return found


def _alike(subject: Subject, rows: Array, look: Slopes) -> list[Array]:
    """Rows of about the same noise for their slopes."""
    if not rows.size:
        return []
    with np.errstate(all="ignore"):
        noise = np.maximum(UNIT * np.abs(subject.system.here), look.bound) / subject.balance.rows
    noise[~np.isfinite(noise)] = 1.0
    level = np.ceil(np.log10(np.clip(noise[rows] / QUIET, 1.0, 1e30)) / DECADES)
    return [rows[level == each] for each in np.unique(level)]


def _halved(subject: Subject, rows: Array, budget: int) -> list[Judged]:
    """Of a sum that is not correct the halves, those that are named first."""
    left, found, spent = [rows], list[Judged](), 0
    while left:
        part = left.pop()
        one = subject.judge(part)
        spent += 1
        impatient = subject.system.evaluations > PATIENCE * subject.asked.max_evaluations
        if one.verdict is Verdict.CORRECT or part.size == 1 or spent >= budget or impatient:
            found.append(one)
            continue
        suspects = _named(subject, one, part) if spent == 1 else np.zeros(0, int)
        if 0 < suspects.size <= SINGLE and suspects.size < part.size:
            left += [np.setdiff1d(part, suspects), *(suspects[i : i + 1] for i in range(suspects.size))]
        else:
            left += [part[part.size // 2 :], part[: part.size // 2]]
    return found


def _named(subject: Subject, one: Judged, rows: Array) -> Array:
    """The rows that are off in the columns that a sum accuses."""
    columns = {column for finding in one.report.findings for column in columns_of(subject, finding)}
    off = np.zeros(subject.system.here.shape, bool)
    for column in sorted(columns):
        v = subject.along(column)
        with np.errstate(all="ignore"):
            off |= subject.off(v, subject.slopes(v)) > CLEAR
    return rows[off[rows]]


def columns_of(subject: Subject, finding: Finding) -> list[int]:
    """The columns that a finding's entries name, among all."""
    part = next((part for part in subject.system.sides.inputs if part.name == finding.name), None)
    if part is None:
        return []
    return [
        part.start + int(np.ravel_multi_index(entry.index, part.shape)) if part.shape else part.start
        for entry in finding.entries
    ]


def _is_finite(matrix: Matrix) -> Array:
    """Rows all of whose entries are numbers."""
    rows, _, values = matrix.entries()
    finite = np.ones(matrix.value.shape[0], bool)
    finite[rows[~np.isfinite(values)]] = False
    return finite


def _finite(matrix: Matrix) -> Matrix:
    """With zeros where an entry is no number."""
    if np.isfinite(matrix.entries()[2]).all():
        return matrix
    value = matrix.value.copy()
    numbers: Array = value.data if is_sparse(value) else value
    numbers[~np.isfinite(numbers)] = 0.0
    return matrix._replace(value=value)
