"""The derivatives of a loss, of every row or of a number, and an objective held against them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from msgspec.structs import replace

from gradcheck.adapters.boosting.functions import BLOCKS, Claimed, Loss, Objective
from gradcheck.adapters.boosting.rows import Slopes, derivatives
from gradcheck.checking.checker import checked
from gradcheck.foundation.arithmetic import UNIT, UNIT_FLOAT32, rounding
from gradcheck.foundation.arrays import Array, norm
from gradcheck.foundation.validation import Asked
from gradcheck.report import Report
from gradcheck.verdict import reasons
from gradcheck.verdict.bounds import Allowance, Limits, Settlement
from gradcheck.verdict.entrywise import compare, entry_scales, place
from gradcheck.verdict.findings import Finding, Verdict

# At 1 three of 1182 verdicts, of rates next to zero, were unresolved.
ENOUGH = 0.1  # of what is to be resolved: rows known to that are not asked again
MANY, SPLITS = 1000, 6  # rows of which one split is enough, and how many of fewer
MOVED = 1 / 64  # of a prediction: so far half of the rows are moved
ENTRIES = 64  # whose second derivatives are taken one by one, where rows hang together; a choice
FEWEST = 3  # rows of which a mean is told from a sum
STEP = UNIT ** (1 / 3)
BESIDE = 1 / 20  # of the rows: as many beside kinks are left out and named; more make a block nonsmooth. A choice
TINY = float(np.finfo(np.float64).tiny)

Move = Callable[[Array], Array]


class Known(NamedTuple):
    """One block of the truth, (n, k), with its bound; from ``low`` to ``high`` where a kink leaves it open.

    Entries that nobody ``looked`` at are what is claimed.
    """

    value: Array
    bound: Array
    low: Array
    high: Array
    looked: Any = np.True_

    def mapped(self, function: Move, times: float = 1.0) -> "Known":
        """Of a function that grows, the same; its slope is at most ``times``."""
        return Known(function(self.value), self.bound * times, function(self.low), function(self.high), self.looked)

    def without(self, rows: Array, claim: Array) -> "Known":
        """Without some entries: those are what is claimed."""
        parts = (np.where(rows, other, part) for part, other in zip(self[:4], (claim, 0.0, claim, claim), strict=True))
        return Known(*parts, looked=self.looked & ~rows)


def by_rows(loss: Loss, raw: Array, said: Claimed, resolve: float) -> tuple[dict[str, Known], int]:
    """Both blocks of a loss that has a value for each row, which hangs on that row's predictions alone."""
    nothing = np.zeros_like(raw)
    claims = [np.where(np.isfinite(each), each, 0.0) for each in (said.blocks.get(name, nothing) for name in BLOCKS)]
    found = _by_columns(lambda moved, _: loss(moved), raw, claims, resolve)
    return {"gradient": found[0], "hessian": found[1]}, found[2]


def _by_columns(
    f: Callable[[Array, int], Array], raw: Array, claims: list[Array], resolve: float
) -> tuple[Known, Known, int]:
    """Derivatives of a function of all rows, a class at a time."""
    columns: list[Any] = []
    for column in range(raw.shape[1]):
        moved = raw.copy()

        def along(x: Array, column: int = column, moved: Array = moved) -> Array:
            moved[:, column] = x
            return f(moved, column)

        wanted = claims[0][:, column].copy(), claims[1][:, column].copy() if len(claims) > 1 else None
        columns.append(derivatives(along, raw[:, column].copy(), wanted, ENOUGH * resolve))
    first, second = (_beside([each[i] for each in columns]) for i in (0, 1))
    return first, second, sum(each.evaluations for each in columns)


def _beside(columns: list[Slopes]) -> Known:
    if len(columns) == 1:
        return Known(*(part[:, None] for part in columns[0]))
    return Known(*(np.stack(parts, axis=1) for parts in zip(*columns, strict=True)))


def is_separable(f: Move, raw: Array, before: Array, seed: int) -> bool:
    """Whether a row's value hangs on that row's predictions alone: half of the others are moved, and it stays.

    Two rows that hang together are on different sides of a split every second time; of many rows many pairs are.
    """
    rng = np.random.default_rng(seed)
    for _ in range(1 if len(raw) > MANY else SPLITS):
        one = rng.integers(0, 2, len(raw), dtype=bool)
        for stay in (one,) if len(raw) > MANY else (one, ~one):
            after = f(raw + np.where(stay, 0.0, MOVED)[:, None] * np.maximum(1, np.abs(raw)))
            with np.errstate(all="ignore"):
                apart = np.abs(after - before)
                same = (apart <= UNIT**0.5 * (np.abs(before) + np.max(np.abs(before[stay]), initial=0.0))) | (
                    after == before
                )
            if not (same[stay] | np.isnan(apart[stay])).all():
                return False
    return True


def by_number(loss: Loss, objective: Objective, at: Array, said: Claimed, asked: Asked) -> tuple[Report, dict[str, Known]]:
    """The report on the gradient along random directions; second derivatives, where it is right, by differences of it."""
    if "gradient" in said.defects:
        reason = said.defects["gradient"].sentence
        return Report(title="", findings=(Finding(name="gradient", backend="", verdict=Verdict.WRONG, reason=reason),)), {}
    shape = at.shape[:1] if at.shape[1] == 1 else at.shape

    def gradient(raw: Array) -> Array:
        return objective.blocks(raw.reshape(at.shape))["gradient"]

    times, why = _times(loss, at, said.blocks["gradient"])
    report, _ = checked(
        lambda point: times * float(np.sum(loss(point["gradient"].reshape(at.shape)))),
        lambda point: {"gradient": gradient(point["gradient"]).reshape(shape)},
        {"gradient": at.reshape(shape)},
        asked,
    )
    report = replace(report, notes=(*report.notes, *why))
    if report.findings[0].verdict not in (Verdict.CORRECT, Verdict.INEXACT) or "hessian" in said.defects:
        return report, {}
    claim = said.blocks["hessian"]
    if is_separable(gradient, at, said.blocks["gradient"], asked.seed):
        known, _, spent = _by_columns(lambda moved, column: gradient(moved)[:, column], at, [claim], asked.resolve)
    else:
        known, spent = _one_by_one(gradient, at, claim, asked)
        if at.size > ENTRIES:
            note = f"hessian: rows hang together; {ENTRIES} of {at.size} entries were compared"
            report = replace(report, notes=(*report.notes, note), unchecked=("hessian",))
    return replace(report, evaluations=report.evaluations + spent), {"hessian": known}


def _times(loss: Loss, at: Array, gradient: Array) -> tuple[float, list[str]]:
    """By what a loss that is a mean is multiplied: objectives are of each row's own loss, as a sum has it."""
    n, length = loss.rows.length, norm(gradient)
    if n < FEWEST or not length:
        return 1.0, []
    v, h = gradient / length, STEP * max(1.0, norm(at))
    slope = float(np.sum(loss(at + h * v)) - np.sum(loss(at - h * v))) / (2 * h)
    weights = loss.rows.weights
    counts = {1.0: "", float(n): f"{n} rows"} | ({} if weights is None else {float(np.sum(weights)): "the sum of weights"})
    ratio = abs(length / slope) if slope else 1.0
    near = min(counts, key=lambda count: abs(np.log(ratio / count)))
    if near == 1.0:
        return 1.0, []
    return near, [f"{loss.name} is a mean over {counts[near]}: the objective's rows are derivatives of {near:g} times it"]


def _one_by_one(gradient: Move, at: Array, claim: Array, asked: Asked) -> tuple[Known, int]:
    """Second derivatives of some entries, each moved alone; the others are what is claimed."""
    chosen = np.sort(np.random.default_rng(asked.seed).permutation(at.size)[:ENTRIES])

    def slopes(x: Array) -> Array:
        found = np.empty(len(chosen))
        for i, (entry, value) in enumerate(zip(chosen, x, strict=True)):
            moved = at.copy()
            moved.flat[entry] = value
            found[i] = gradient(moved).flat[entry]
        return found

    found = derivatives(slopes, at.flat[chosen].copy(), (claim.flat[chosen], None), ENOUGH * asked.resolve)
    known = Known(claim, np.zeros_like(claim), claim, claim, np.zeros(claim.shape, bool))
    known = Known(*(part.copy() for part in known))
    for part, there in zip(known, (*found.first, np.True_), strict=True):
        part.flat[chosen] = there
    return known, found.evaluations * len(chosen)


def apart_from_kinks(known: Known, claim: Array) -> tuple[Known, int]:
    """Without the few rows that lie beside a kink and of which nothing is known for that; and how many those are."""
    beside = np.isinf(known.high)
    count = int(np.count_nonzero(beside))
    return (known.without(beside, claim), count) if 0 < count <= BESIDE * beside.size else (known, 0)


def found(name: str, backend: str, said: Claimed, known: Known, asked: Asked) -> Finding:
    """The verdict on one block."""
    flat = (slice(None), 0) if known.value.shape[1] == 1 else ...
    claim, value, bound, low, high = (each[flat] for each in (said.blocks[name], *known[:4]))
    if not claim.any() and (np.abs(value) <= bound).all():
        value, low, high = np.zeros_like(value), low - value, high - value
    truth = Slopes(value, bound, low, high)
    finding = _compared(name, backend, claim, truth, said.unit, asked)
    if finding.verdict in (Verdict.WRONG, Verdict.INEXACT) and said.unit == UNIT and in_float32(claim):
        narrow = _compared(name, backend, claim, truth, UNIT_FLOAT32, asked)
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


def _compared(name: str, backend: str, claim: Array, known: Slopes, unit: float, asked: Asked) -> Finding:
    value, bound, low, high = known
    own = entry_scales(claim, value, TINY)
    own *= rounding(unit)
    own += bound
    exact = np.maximum(high - value, value - low).clip(min=0) if low is not high else np.zeros_like(value)
    limits = Limits(accuracy=asked.accuracy, resolution=max(asked.resolve, 100 * unit**0.5 if unit > UNIT else 0), zero=TINY)
    return compare(name, backend, claim, Settlement(value, bound), Allowance(own, exact, low, high), limits)
