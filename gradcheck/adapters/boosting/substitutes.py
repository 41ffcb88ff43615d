"""What may stand in place of a second derivative, what of it can be checked, and how it is recognised."""

from collections.abc import Iterator
from math import exp
from typing import Any, NamedTuple

import numpy as np

from gradcheck.adapters.boosting.conventions import Convention
from gradcheck.adapters.boosting.functions import Claimed, Loss, Objective
from gradcheck.adapters.boosting.judging import TINY, Known, by_rows, in_float32
from gradcheck.errors import DescriptionError, GradcheckError
from gradcheck.foundation.arithmetic import UNIT_FLOAT32
from gradcheck.foundation.arrays import Array
from gradcheck.verdict.causes import Cause
from gradcheck.verdict.entrywise import entry_scales

POISSON = exp(0.7)  # exp(max_delta_step), at its default in both libraries
RESOLVED = 1e-3  # to which second derivatives at other labels are known
NEAR = 1e-8  # of an entry's scale: so near a correction must come; a choice
ROUNDED = 64  # unit roundoffs that a correction may be off by

NOT_COMPARED = {
    "constant": "held to be one positive number",
    "fisher": "held to be nowhere negative, as Fisher's is",
    "gauss-newton": "held to be nowhere negative, as Gauss and Newton's is",
}
MEANINGS = ("exact", "clipped", "upper-bound", *NOT_COMPARED)

Found = Iterator[tuple[Cause, dict[str, Any], Array]]
"""Causes that may be, each with its evidence and what the claim would then be."""


class Problem(NamedTuple):
    """An objective, where, what it says, and what is true; blocks whose truth is not known are absent.

    The loss is there if it has a value for each row; ``meaning`` is what the second derivative is said to be.
    """

    objective: Objective
    at: Array
    said: Claimed
    known: dict[str, Known]
    loss: Loss | None
    meaning: str | float

    def fits(self, name: str, corrected: Array, near: float = NEAR) -> bool:
        """Whether a corrected claim is true in every entry."""
        truth = self.known[name]
        if corrected.shape != truth.value.shape or not np.isfinite(corrected).all():
            return False
        unit = UNIT_FLOAT32 if in_float32(self.said.blocks[name]) else self.said.unit
        room = 4 * truth.bound + max(near, ROUNDED * unit) * entry_scales(corrected, truth.value, TINY)
        inside = (corrected >= truth.low - room) & (corrected <= truth.high + room)
        return bool((inside | ~truth.looked).all())

    def asked(self, objective: Objective, raw: Array) -> dict[str, Array]:
        """What an objective says elsewhere, or with other labels; nothing where it cannot be asked."""
        try:
            return objective.blocks(raw)
        except GradcheckError:
            return {}


def meant(meaning: str | float, exact: Known, claim: Array, weights: Array | None) -> Known:
    """What a claim is held against, where it is not the second derivative itself.

    Raises
    ------
    DescriptionError
        Where nothing is meant by that.
    """
    if isinstance(meaning, int | float) and not isinstance(meaning, bool) and 0 < meaning < np.inf:
        return exact.mapped(lambda h: float(meaning) * h, float(meaning))
    if meaning == "exact":
        return exact
    if meaning == "clipped":
        floor = np.min(claim)
        return exact.mapped(lambda h: np.maximum(h, floor))
    if meaning == "upper-bound":
        return exact.mapped(lambda h: np.maximum(h, claim))
    if meaning not in NOT_COMPARED:
        shown = ", ".join(map(repr, MEANINGS))
        raise DescriptionError(f"expected one of {shown} or a number > 0, got {meaning!r}", "hessian")
    value = np.maximum(claim, 0)
    if meaning == "constant":
        w = _column(weights, claim)
        level = np.median(claim[w > 0] / w[w > 0])
        value = w * (level if level > 0 else 1.0)
    return Known(value, np.zeros_like(value), value, value)


def _column(weights: Any, claim: Array) -> Array:
    """A weight for each entry."""
    return np.broadcast_to(1.0 if weights is None else np.reshape(weights, (-1, 1)).astype(np.float64), claim.shape)


def conventions(problem: Problem, name: str) -> Found:
    """What is put in the place of a second derivative on purpose."""
    for how, meaning, corrected in _substitutes(problem, problem.said.blocks[name], problem.known[name].value):
        yield Cause.HESSIAN_CONVENTION, _said(how, meaning), corrected


def bounds(problem: Problem, name: str) -> Found:
    """What else may be put there, of which nothing but its kind can be told."""
    claim, known = problem.said.blocks[name], problem.known[name]
    if _ignores_labels(problem, claim):
        how = "it does not depend on the labels, and the second derivative does: an expectation over them (Fisher's)"
        yield Cause.HESSIAN_CONVENTION, _said(how, "'fisher'"), known.value
    elif (claim >= np.maximum(known.value - known.bound, 0)).all():
        how = "nowhere less than the second derivative: a bound on it, or what is positive of it (Gauss and Newton's)"
        yield Cause.HESSIAN_CONVENTION, _said(how, "'upper-bound'"), known.value


def _said(how: str, meaning: str) -> dict[str, str]:
    return {"how": how, "remedy": f"return the second derivative, or say that this is meant: hessian={meaning}"}


def _substitutes(problem: Problem, claim: Array, truth: Array) -> Iterator[tuple[str, str, Array]]:
    weights, k = problem.objective.rows.weights, claim.shape[1]
    w = _column(weights, claim)
    level = claim[w > 0] / w[w > 0]
    if level.size and np.ptp(level) <= NEAR * np.abs(level).max():
        times = "" if weights is None else " times the weight"
        yield f"it is {float(np.median(level)):.6g}{times} everywhere", "'constant'", truth
        return
    floor = float(claim.min())
    stops = claim == floor
    if floor > 0 and (stops & (truth < floor)).any():
        how = f"clipped from below at {floor:.6g}: {np.count_nonzero(stops)} entries stop there"
        yield how, "'clipped'", np.where(stops & (truth <= floor), truth, claim)
    yield "it is the absolute value of the second derivative", "'upper-bound'", np.where(truth < 0, -claim, claim)
    if "gradient" in problem.known:
        squared = problem.known["gradient"].value ** 2 / np.where(w > 0, w, 1)
        yield "it is the square of the gradient: the empirical Fisher information", "'fisher'", claim - squared + truth
    times = "times the second derivative, as"
    if k == 1:
        how = f"it is exp(0.7) = {POISSON:.6g} {times} XGBoost's and LightGBM's Poisson has it"
        yield how, "math.exp(0.7)", claim / POISSON
    else:
        how = "it is 2 p (1 - p), twice the second derivative, as XGBoost's multi-class softmax has it"
        yield how, "2.0", claim / 2
        how = f"it is k / (k - 1) = {k / (k - 1):.6g} {times} LightGBM's multi-class softmax has it"
        yield how, f"{k} / {k - 1}", claim * (k - 1) / k


def _ignores_labels(problem: Problem, claim: Array) -> bool:
    """Whether the second derivative is another with other labels, and what is claimed for it the same, and positive."""
    rows, loss = problem.objective.rows, problem.loss
    if rows.labels is None or loss is None or problem.objective.convention is Convention.PLAIN or not (claim >= 0).all():
        return False
    other = problem.objective.of(labels=np.roll(rows.labels, 1, axis=0))
    if not np.array_equal(problem.asked(other, problem.at).get("hessian", np.empty(0)), claim):
        return False
    truth = by_rows(loss._replace(rows=other.rows), problem.at, problem.said, RESOLVED)[0]["hessian"]
    before = problem.known["hessian"]
    return bool((np.abs(truth.value - before.value) > truth.bound + before.bound).any())
