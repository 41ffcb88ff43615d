"""An objective against the derivatives of its loss: a finding for the gradient and one for the second derivatives."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from msgspec.structs import replace

from gradcheck.adapters.boosting.conventions import BLOCKS, Objective
from gradcheck.adapters.boosting.losses import Loss
from gradcheck.adapters.boosting.rows import Derivatives, Slopes, derivatives
from gradcheck.candidates.answer import Defect, is_another
from gradcheck.errors import DataError
from gradcheck.foundation.arithmetic import UNIT, UNIT_FLOAT32, rounding
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.validation import Asked
from gradcheck.verdict import reasons
from gradcheck.verdict.bounds import Allowance, Limits, Settlement
from gradcheck.verdict.causes import Cause
from gradcheck.verdict.entrywise import compare, entry_scales, place
from gradcheck.verdict.findings import Finding, Verdict

ENOUGH = 0.1  # of what is to be resolved: rows known to that are not asked again
MANY, SPLITS = 1000, 6  # rows of which one split is enough, and how many of fewer
TINY = float(np.finfo(np.float64).tiny)


class Claimed(NamedTuple):
    """What an objective says, as (n, k) by block, in float64; what of it cannot be compared; its unit roundoff."""

    blocks: dict[str, Array]
    defects: dict[str, Defect]
    unit: float


class Known(NamedTuple):
    """One block of the truth, (n, k), with its bound; from ``low`` to ``high`` where a kink leaves it open.

    Entries that nobody ``looked`` at are what is claimed.
    """

    value: Array
    bound: Array
    low: Array
    high: Array
    looked: Array | None = None

    def mapped(self, function: Callable[[Array], Array], times: float = 1.0) -> "Known":
        """Of a function that grows, the same; its slope is at most ``times``."""
        return Known(function(self.value), self.bound * times, function(self.low), function(self.high), self.looked)


def claimed(objective: Objective, raw: Array) -> Claimed:
    """What an objective says at predictions (n, k), asked twice."""
    first, second = objective.answer(raw), objective.answer(raw)
    blocks: dict[str, Array] = {}
    defects: dict[str, Defect] = {}
    unit = UNIT
    for name, one, other in zip(BLOCKS, first[:2], second[:2], strict=True):
        block, problem = objective.rows.block(one, name)
        if block is None:
            defects[name] = Defect(Cause.WRONG_STRUCTURE, problem)
            continue
        if one.dtype.kind == "f" and one.dtype.itemsize < 8:
            unit = max(unit, float(np.finfo(one.dtype).eps) / 2)
        blocks[name] = objective.sign * block.astype(np.float64)
        if not np.isfinite(blocks[name]).all():
            index = indexed(np.argwhere(~np.isfinite(blocks[name]))[0], objective.rows.classes)
            defects[name] = Defect(Cause.NON_FINITE, f"the {name} is {block[~np.isfinite(block)][0]} at {list(index)}")
        elif is_another(one, other, float(np.finfo(np.float64).eps)):
            defects[name] = Defect(Cause.NONDETERMINISTIC, f"a second call changed the {name}")
        elif first.changed:
            defects[name] = Defect(Cause.MUTATES_INPUT, "the call changed the predictions that it was handed")
    return Claimed(blocks, defects, unit)


def indexed(index: Any, classes: int) -> tuple[int, ...]:
    """An index into (n, k) as people see it: of a single class by its row."""
    return tuple(int(i) for i in (index[:1] if classes == 1 else index))


def by_rows(loss: Loss, raw: Array, said: Claimed, resolve: float) -> tuple[dict[str, Known], int]:
    """Both blocks of a loss that has a value for each row, which hangs on that row's predictions alone."""
    nothing = np.zeros_like(raw)
    claims = [np.where(np.isfinite(each), each, 0.0) for each in (said.blocks.get(name, nothing) for name in BLOCKS)]
    columns: list[Derivatives] = []
    for column in range(raw.shape[1]):
        moved = raw.copy()

        def f(x: Array, column: int = column, moved: Array = moved) -> Array:
            moved[:, column] = x
            return loss(moved)

        claim = claims[0][:, column], claims[1][:, column]
        columns.append(derivatives(f, raw[:, column].copy(), claim, ENOUGH * resolve))
    known = beside([each.first for each in columns]), beside([each.second for each in columns])
    return dict(zip(BLOCKS, known, strict=True)), sum(each.evaluations for each in columns)


def beside(columns: list[Slopes]) -> Known:
    """A block of several columns."""
    return Known(*(np.stack(parts, axis=1) for parts in zip(*columns, strict=True)))


def is_separable(f: Callable[[Array], Array], raw: Array, before: Array, seed: int) -> bool:
    """Whether a row's value hangs on that row's predictions alone: half of the others are moved, and it stays.

    Two rows that hang together are on different sides of a split every second time; of many rows many pairs are.
    """
    rng = np.random.default_rng(seed)
    for _ in range(1 if len(raw) > MANY else SPLITS):
        one = rng.integers(0, 2, len(raw), dtype=bool)
        for stay in (one,) if len(raw) > MANY else (one, ~one):
            with np.errstate(all="ignore"):
                after = f(raw + np.where(stay, 0.0, 1 / 64)[:, None] * np.maximum(1, np.abs(raw)))[stay]
            if not np.array_equal(before[stay], after, equal_nan=True) and _moved(before[stay], after):
                return False
    return True


def _moved(before: Array, after: Array) -> bool:
    return bool(np.any(np.abs(before - after) > np.sqrt(UNIT) * (np.abs(before) + np.max(np.abs(before), initial=0.0))))


def found(name: str, backend: str, said: Claimed, known: Known, asked: Asked) -> Finding:
    """The verdict on one block."""
    classes = known.value.shape[1]
    if name in said.defects:
        return Finding(name=name, backend=backend, verdict=Verdict.WRONG, reason=said.defects[name].sentence)
    flat = (slice(None), 0) if classes == 1 else ...
    claim, value, bound, low, high = (each[flat] for each in (said.blocks[name], *known[:4]))
    if not claim.any() and (np.abs(value) <= bound).all():
        value, low, high = np.zeros_like(value), low - value, high - value
    finding = _compared(name, backend, claim, (value, bound, low, high), said.unit, asked)
    if finding.verdict in (Verdict.WRONG, Verdict.INEXACT) and said.unit == UNIT and in_float32(claim):
        narrow = _compared(name, backend, claim, (value, bound, low, high), UNIT_FLOAT32, asked)
        finding = narrow if narrow.verdict is Verdict.CORRECT else finding
    if finding.verdict is Verdict.NONSMOOTH:
        open_ = high > low
        index = place(int(np.argmax(open_)), open_.shape)
        slopes = (float(low[index]), float(high[index])) if np.isfinite(high[index]) else None
        finding = replace(finding, reason=reasons.KINK, worst_index=index, slopes=slopes)
    return finding


def in_float32(claim: Array) -> bool:
    """Whether every entry is a number of float32, which is what the libraries add up."""
    with np.errstate(all="ignore"):
        return np.array_equal(claim.astype(np.float32).astype(np.float64), claim)


def _compared(name: str, backend: str, claim: Array, known: tuple[Array, ...], unit: float, asked: Asked) -> Finding:
    value, bound, low, high = known
    own = bound + rounding(unit) * entry_scales(claim, value, TINY)
    allowed = Allowance(own, np.maximum(high - value, value - low).clip(min=0), low, high)
    limits = Limits(accuracy=asked.accuracy, resolution=max(asked.resolve, 100 * unit**0.5 if unit > UNIT else 0), zero=TINY)
    return compare(name, backend, claim, Settlement(value, bound), allowed, limits)


def finite(values: Array, name: str) -> None:
    """Refuse a loss that is no number at the point."""
    if not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values)))
        value, where = (values[row], f" at row {row}") if values.ndim else (values, "")
        raise DataError(f"{name} is {value}{where}: there is no derivative where there is no value")
