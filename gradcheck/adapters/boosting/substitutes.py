"""What may stand in place of a second derivative, and what of it can be checked."""

from collections.abc import Iterator
from math import exp

import numpy as np

from gradcheck.adapters.boosting.conventions import Convention
from gradcheck.adapters.boosting.judging import Known, by_rows
from gradcheck.adapters.boosting.problem import NEAR, Found, Problem, claims_of
from gradcheck.errors import DescriptionError
from gradcheck.foundation.arrays import Array
from gradcheck.verdict.causes import Cause

POISSON = exp(0.7)  # exp(max_delta_step), at its default in both libraries
RESOLVED = 1e-3  # to which second derivatives at other labels are known

NOT_COMPARED = {
    "constant": "held to be one positive number",
    "fisher": "held to be nowhere negative, as Fisher's is",
    "gauss-newton": "held to be nowhere negative, as Gauss and Newton's is",
}
MEANINGS = ("exact", "clipped", "upper-bound", *NOT_COMPARED)


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
    if meaning == "constant":
        weight = np.ones_like(claim) if weights is None else np.broadcast_to(np.reshape(weights, (-1, 1)), claim.shape)
        level = np.median(claim[weight > 0] / weight[weight > 0])
        return _exactly(weight * (level if level > 0 else 1.0))
    if meaning in NOT_COMPARED:
        return _exactly(np.maximum(claim, 0))
    raise DescriptionError(f"expected one of {', '.join(map(repr, MEANINGS))} or a number > 0, got {meaning!r}", "hessian")


def _exactly(value: Array) -> Known:
    return Known(value, np.zeros_like(value), value, value)


def conventions(problem: Problem, name: str) -> Found:
    """What is put in the place of a second derivative on purpose."""
    claim, truth = problem.said.blocks[name], problem.known[name].value
    for how, remedy, corrected in _substitutes(problem, claim, truth):
        yield Cause.HESSIAN_CONVENTION, {"how": how, "remedy": remedy}, corrected


def bounds(problem: Problem, name: str) -> Found:
    """What else may be put there, of which nothing but its kind can be told."""
    claim, known = problem.said.blocks[name], problem.known[name]
    if _ignores_labels(problem, claim):
        how = "it does not depend on the labels, and the second derivative does: an expectation over them (Fisher's)"
        yield Cause.HESSIAN_CONVENTION, {"how": how, "remedy": _say("'fisher'")}, known.value
    elif (claim >= np.maximum(known.value - known.bound, 0)).all():
        how = "nowhere less than the second derivative: a bound on it, or what is positive of it (Gauss and Newton's)"
        yield Cause.HESSIAN_CONVENTION, {"how": how, "remedy": _say("'upper-bound'")}, known.value


def _say(what: str) -> str:
    return f"return the second derivative, or say that this is meant: hessian={what}"


def _substitutes(problem: Problem, claim: Array, truth: Array) -> Iterator[tuple[str, str, Array]]:
    weights, k = problem.objective.rows.weights, claim.shape[1]
    w = np.ones((len(claim), 1)) if weights is None else np.reshape(weights, (-1, 1)).astype(np.float64)
    level = claim[w[:, 0] > 0] / w[w[:, 0] > 0]
    if level.size and np.ptp(level) <= NEAR * np.abs(level).max():
        times = "" if weights is None else " times the weight"
        yield f"it is {float(np.median(level)):.6g}{times} everywhere", _say("'constant'"), truth
        return
    floor = float(claim.min())
    stops = claim == floor
    if floor > 0 and (stops & (truth < floor)).any():
        how = f"clipped from below at {floor:.6g}: {np.count_nonzero(stops)} entries stop there"
        yield how, _say("'clipped'"), np.where(stops & (truth <= floor), truth, claim)
    yield "it is the absolute value of the second derivative", _say("'upper-bound'"), np.where(truth < 0, -claim, claim)
    if "gradient" in problem.known:
        g = problem.known["gradient"].value
        squared = g * g / np.where(w > 0, w, 1)
        yield "it is the square of the gradient: the empirical Fisher information", _say("'fisher'"), claim - squared + truth
    if k == 1:
        said = f"it is exp(0.7) = {POISSON:.6g} times the second derivative, as XGBoost's and LightGBM's Poisson has it"
        yield said, _say("math.exp(0.7)"), claim / POISSON
    if k > 1:
        yield (
            "it is 2 p (1 - p), twice the second derivative, as XGBoost's multi-class softmax has it",
            _say("2.0"),
            claim / 2,
        )
        said = f"it is k / (k - 1) = {k / (k - 1):.6g} times the second derivative, as LightGBM's multi-class softmax has it"
        yield said, _say(f"{k} / {k - 1}"), claim * (k - 1) / k


def _ignores_labels(problem: Problem, claim: Array) -> bool:
    """Whether the second derivative is another with other labels, and what is claimed for it the same, and positive."""
    rows, loss = problem.objective.rows, problem.loss
    if rows.labels is None or loss is None or problem.objective.convention is Convention.PLAIN or not (claim >= 0).all():
        return False
    other = np.roll(rows.labels, 1, axis=0)
    answer = claims_of(problem.objective.of(labels=other), problem.at)
    if answer is None or not np.array_equal(answer[1], claim):
        return False
    truth, before = by_rows(loss.of(other), problem.at, problem.said, RESOLVED)[0]["hessian"], problem.known["hessian"]
    return bool((np.abs(truth.value - before.value) > truth.bound + before.bound).any())
