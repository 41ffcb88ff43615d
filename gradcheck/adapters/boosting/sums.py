"""A loss that is one number: its gradient along random directions, second derivatives by differences of that gradient."""

from collections.abc import Callable

import numpy as np
from msgspec.structs import replace

from gradcheck.adapters.boosting.conventions import Objective
from gradcheck.adapters.boosting.judging import ENOUGH, Claimed, Known, beside, is_separable
from gradcheck.adapters.boosting.losses import Loss
from gradcheck.adapters.boosting.rows import Slopes, derivatives
from gradcheck.checking.checker import checked
from gradcheck.foundation.arithmetic import UNIT
from gradcheck.foundation.arrays import Array, norm
from gradcheck.foundation.validation import Asked
from gradcheck.report import Report
from gradcheck.verdict.findings import Finding, Verdict

ENTRIES = 64  # whose second derivatives are taken one by one, where rows hang together; a choice
FEWEST = 3  # rows of which a mean is told from a sum
STEP = UNIT ** (1 / 3)


def by_number(
    loss: Loss, objective: Objective, at: Array, said: Claimed, asked: Asked
) -> tuple[Report, dict[str, Known], Claimed]:
    """The report on the gradient; second derivatives where the gradient is right; and what was compared of the claim."""
    if "gradient" in said.defects:
        reason = said.defects["gradient"].sentence
        wrong = Finding(name="gradient", backend="", verdict=Verdict.WRONG, reason=reason)
        return Report(title="", findings=(wrong,)), {}, said
    flat = at.shape[1] == 1
    shape = at.shape[:1] if flat else at.shape

    def gradient(raw: Array) -> Array:
        block, _ = objective.rows.block(objective.answer(raw.reshape(at.shape)).gradient, "gradient")
        return objective.sign * np.asarray(block, dtype=np.float64).reshape(shape)

    times, why = _times(loss, at, said.blocks["gradient"])
    report, _ = checked(
        lambda point: times * float(np.sum(loss(point["gradient"].reshape(at.shape)))),
        lambda point: {"gradient": gradient(point["gradient"])},
        {"gradient": at.reshape(shape)},
        asked,
    )
    report = replace(report, notes=(*report.notes, *why))
    if report.findings[0].verdict not in (Verdict.CORRECT, Verdict.INEXACT) or "hessian" in said.defects:
        return report, {}, said
    if is_separable(lambda raw: gradient(raw).reshape(at.shape), at, said.blocks["gradient"], asked.seed):
        known, spent = _apart(gradient, at, said.blocks["hessian"], asked)
        return replace(report, evaluations=report.evaluations + spent), {"hessian": known}, said
    known, spent, left = _one_by_one(gradient, at, said.blocks["hessian"], asked)
    notes = report.notes
    if left:
        notes = (*notes, f"hessian: rows hang together; {ENTRIES} of {at.size} entries were compared")
    report = replace(report, evaluations=report.evaluations + spent, notes=notes, unchecked=("hessian",) if left else ())
    return report, {"hessian": known}, said


def _times(loss: Loss, at: Array, gradient: Array) -> tuple[float, list[str]]:
    """By what a loss that is a mean is multiplied: objectives are of each row's own loss, as a sum has it."""
    n = loss.rows.length
    length = norm(gradient)
    if n < FEWEST or not length:
        return 1.0, []
    v = gradient / length
    h = STEP * max(1.0, norm(at))
    slope = float(np.sum(loss(at + h * v)) - np.sum(loss(at - h * v))) / (2 * h)
    weights = loss.rows.weights
    counts = {float(n): f"{n} rows", **({} if weights is None else {float(np.sum(weights)): "the sum of weights"})}
    ratio = abs(length / slope) if slope else 1.0
    near = min((1.0, *counts), key=lambda count: abs(np.log(ratio / count)))
    if near == 1.0:
        return 1.0, []
    return near, [f"{loss.name} is a mean over {counts[near]}: the objective's rows are derivatives of {near:g} times it"]


def _apart(gradient: Callable[[Array], Array], at: Array, claim: Array, asked: Asked) -> tuple[Known, int]:
    """Second derivatives where no row's gradient hangs on another row: all rows are moved at once, a class at a time."""
    columns: list[Slopes] = []
    spent = 0
    for column in range(at.shape[1]):
        moved = at.copy()

        def slope(x: Array, column: int = column, moved: Array = moved) -> Array:
            moved[:, column] = x
            return gradient(moved).reshape(at.shape)[:, column]

        found = derivatives(slope, at[:, column].copy(), (claim[:, column], None), ENOUGH * asked.resolve)
        columns.append(found.first)
        spent += found.evaluations
    return beside(columns), spent


def _one_by_one(gradient: Callable[[Array], Array], at: Array, claim: Array, asked: Asked) -> tuple[Known, int, bool]:
    """Second derivatives of some entries, each moved alone; the others are what is claimed."""
    chosen = np.sort(np.random.default_rng(asked.seed).permutation(at.size)[:ENTRIES])

    def slopes(x: Array) -> Array:
        found = np.empty(len(chosen))
        for place, (entry, value) in enumerate(zip(chosen, x, strict=True)):
            moved = at.copy()
            moved.flat[entry] = value
            found[place] = gradient(moved).flat[entry]
        return found

    found = derivatives(slopes, at.flat[chosen].copy(), (claim.flat[chosen], None), ENOUGH * asked.resolve)
    value, bound = claim.copy(), np.zeros_like(claim)
    low, high = claim.copy(), claim.copy()
    for part, known in zip((value, bound, low, high), found.first, strict=True):
        part.flat[chosen] = known
    looked = np.zeros(claim.shape, bool)
    looked.flat[chosen] = True
    return Known(value, bound, low, high, looked), found.evaluations * len(chosen), len(chosen) < at.size
