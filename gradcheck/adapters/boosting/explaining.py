"""Causes: what an objective would be without a mistake, entry by entry, since the truth is known in every entry."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from gradcheck.adapters.boosting.conventions import Convention
from gradcheck.adapters.boosting.functions import Objective, indexed
from gradcheck.adapters.boosting.judging import TINY, in_float32
from gradcheck.adapters.boosting.substitutes import NEAR, Found, Problem, bounds, conventions
from gradcheck.diagnosis.corrections import INTEGER, Known, clipped_at, corrections
from gradcheck.diagnosis.engine import ordered
from gradcheck.foundation.arrays import Array, rms
from gradcheck.verdict.causes import Cause
from gradcheck.verdict.entrywise import entry_scales
from gradcheck.verdict.findings import Diagnosis, Finding, Verdict

FEW = 20  # values of labels that are looked at one by one
ROUNDS = 12  # of Newton's method, to find one constant
DIRECTIONS = 4  # along which `corrections` are held against the truth


def explained(problem: Problem, findings: Sequence[Finding], known: set[str]) -> Iterator[Diagnosis]:
    """Causes of whatever is not correct, simplest first for each block; of ``known`` ones they are there."""
    gradient = findings[0].verdict is not Verdict.WRONG
    for finding in findings:
        name = finding.name
        if name in problem.said.defects:
            yield problem.said.defects[name].cause.of(name)
        elif finding.verdict is Verdict.NONSMOOTH and finding.slopes:
            yield Cause.KINK_CONVENTION.of(name, slopes=list(finding.slopes))
        elif finding.verdict in (Verdict.WRONG, Verdict.INEXACT) and name in problem.known and name not in known:
            yield from _causes(problem, finding, gradient)


def _causes(problem: Problem, finding: Finding, gradient: bool) -> list[Diagnosis]:
    name, exact = finding.name, finding.name == "hessian" and problem.meaning == "exact"
    found = _fitting(problem, name, conventions) if exact else []
    if not found:
        found = _plain(problem, name)
        for look in (_weighted, _linked, _called_otherwise, _in_memory, _of_classes, _of_entries):
            found += _fitting(problem, name, look)
    if not found and name == "gradient" and (offset := _offset(problem)) is not None:
        found = [Cause.OFFSET.of(name, offset=offset)]
    if not found and exact and gradient:
        found = _fitting(problem, name, bounds)
    if not found and finding.verdict is Verdict.INEXACT:
        found = [Cause.CONSTANTS.of(name, error=finding.error)]
    return ordered(found)


def _fitting(problem: Problem, name: str, look: Callable[[Problem, str], Found]) -> list[Diagnosis]:
    return [cause.of(name, **said) for cause, said, corrected in look(problem, name) if problem.fits(name, corrected)]


def _plain(problem: Problem, name: str) -> list[Diagnosis]:
    """What any gradient may be: signs, factors, orders and formats, by how it goes along random directions."""
    claim, truth, rows = problem.said.blocks[name], problem.known[name], problem.objective.rows
    shown = claim[:, 0] if claim.shape[1] == 1 else claim
    room = np.where(truth.looked, truth.bound + truth.high - truth.low + NEAR * rms(truth.value), 0)
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (DIRECTIONS, *claim.shape)) * truth.looked
    along = [Known(v.reshape(shown.shape), float(np.sum(truth.value * v)), float(np.linalg.norm(room))) for v in signs]
    counts = [rows.length, *([] if rows.weights is None else [int(np.sum(rows.weights))])]
    held = "float32" if in_float32(claim) else "float64"
    theta = np.zeros(shown.shape)
    found = corrections(name, {name: shown}, theta, along, [n for n in counts if n > 1], held=held)
    found = [each for each in found if each.cause != "transposed"]  # of several classes that is the order of memory
    return [Cause.SIGN.of(name, **_sign(problem, name)) if each.cause == "sign" else each for each in found]


def _sign(problem: Problem, name: str) -> dict[str, Any]:
    if problem.objective.convention is Convention.CATBOOST:
        why = "derivatives of the loss itself; CatBoost maximises, and takes those of the negative loss"
        return {"why": why, "remedy": "negate both derivatives"}
    return (
        {"why": "derivatives of the negative loss, as CatBoost takes them and no other library does"}
        if name == "gradient"
        else {}
    )


def _weighted(problem: Problem, name: str) -> Found:
    weights = problem.objective.rows.weights
    if weights is None or np.ptp(weights) == 0:
        return
    w, claim = np.asarray(weights, dtype=np.float64).reshape(-1, 1), problem.said.blocks[name]
    yield Cause.WEIGHTS, {"how": "left out"}, claim * w
    yield Cause.WEIGHTS, {"how": "applied twice"}, np.divide(claim, w, out=claim.copy(), where=w > 0)


def _linked(problem: Problem, name: str) -> Found:
    """A gradient by the probability, or the rate, in place of the prediction from which that is made."""
    claim = problem.said.blocks[name]
    for what, p in _links(problem.at).items():
        how = f"derivatives by the {what}: the chain rule's factor is left out"
        slope, bend = (p, p) if what == "exponential" else (p * (1 - p), p * (1 - p) * (1 - 2 * p))
        with np.errstate(all="ignore"):
            if name == "gradient":
                yield Cause.LINK, {"how": how}, claim * slope
                continue
            for power in (1, 2):
                yield Cause.LINK, {"how": f"{how} in the second derivative"}, claim * slope**power
            if "gradient" in problem.known:  # L'' = L_pp p'^2 + L_p p'', of which L_p = L' / p'
                first = problem.known["gradient"].value
                yield Cause.LINK, {"how": how}, claim * slope**2 + first / slope * bend


def _links(raw: Array) -> dict[str, Array]:
    """What predictions may stand for."""
    with np.errstate(all="ignore"):
        rate, grown = np.exp(raw), np.exp(raw - raw.max(axis=1, keepdims=True))
        links = {"probability": 1 / (1 + np.exp(-raw)), "exponential": rate}
    return links | ({"softmax": grown / grown.sum(axis=1, keepdims=True)} if raw.shape[1] > 1 else {})


def _called_otherwise(problem: Problem, name: str) -> Found:
    """What the objective says of other arguments; what it cannot be asked is no evidence."""
    for cause, evidence, objective, raw in (*_other_labels(problem), *_other_predictions(problem)):
        block = problem.asked(objective, raw).get(name)
        if block is not None:
            yield cause, evidence, block


def _other_labels(problem: Problem) -> Iterator[tuple[Cause, dict[str, Any], Objective, Array]]:
    objective, raw = problem.objective, problem.at
    labels = np.asarray(objective.rows.labels)
    if objective.convention is Convention.PLAIN or labels.dtype.kind not in "fiub":
        return
    y = labels.astype(np.float64)
    if y.size == raw.size:
        turned = objective.of(labels=raw.reshape(y.shape))
        yield Cause.EXCHANGED, {"of": ["labels", "predictions"]}, turned, y.reshape(raw.shape)
    values = np.unique(y)
    meant = [other for told, other in (((0, 1), 2 * y - 1), ((-1, 1), (y + 1) / 2)) if np.isin(values, told).all()]
    if len(values) <= FEW:
        meant += [(labels + shift).astype(labels.dtype) for shift in (-1, 1)]
    for other in meant:
        evidence = {"given": _shown(values), "meant": _shown(np.unique(other))}
        yield Cause.LABEL_ENCODING, evidence, objective.of(labels=other), raw


def _other_predictions(problem: Problem) -> Iterator[tuple[Cause, dict[str, Any], Objective, Array]]:
    objective, raw = problem.objective, problem.at
    for what, linked in _links(raw).items():
        yield Cause.LINK, {"how": f"it takes the raw prediction for the {what} itself"}, objective, linked
    if raw.shape[1] > 1:
        evidence = {"of": "raw", "axes": [0, 1]}
        if objective.rows.flat:
            order = "F" if objective.rows.order == "C" else "C"
            yield Cause.WRONG_STRIDE, evidence, objective.of(order=order), raw
        for read in (raw.T.reshape(raw.shape), raw.reshape(raw.shape[::-1]).T):
            yield Cause.WRONG_STRIDE, evidence, objective, read


def _shown(values: Array) -> str:
    few = ", ".join(f"{value:g}" for value in values[:3])
    return few if len(values) <= 3 else f"{values[0]:g} to {values[-1]:g}"


def _in_memory(problem: Problem, name: str) -> Found:
    """Answers of several classes, written in the order of memory."""
    claim = problem.said.blocks[name]
    if claim.shape[1] > 1:
        for corrected in (claim.reshape(claim.shape[::-1]).T, claim.T.reshape(claim.shape)):
            yield Cause.WRONG_STRIDE, {"axes": [0, 1]}, corrected


def _of_classes(problem: Problem, name: str) -> Found:
    """Rows of one label that count otherwise than they should."""
    labels = np.asarray(problem.objective.rows.labels)
    if labels.ndim != 1 or labels.dtype.kind not in "fiub":
        return
    claim, truth = problem.said.blocks[name], problem.known[name].value
    values = np.unique(labels)
    for value in values if 1 < len(values) <= FEW else ():
        rows = labels == value
        size = float(np.sum(truth[rows] ** 2))
        factor = float(np.sum(claim[rows] * truth[rows])) / size if size else 0.0
        if factor and abs(factor - 1) > INTEGER:
            corrected = claim.copy()
            corrected[rows] /= factor
            yield Cause.SAMPLE_SUBSET, {"label": float(value), "factor": factor}, corrected


def _of_entries(problem: Problem, name: str) -> Found:
    """One entry, or several that stop at one value."""
    claim, truth = problem.said.blocks[name], problem.known[name]
    off = ~((claim >= truth.low - 4 * truth.bound) & (claim <= truth.high + 4 * truth.bound))
    off &= np.abs(claim - truth.value) > NEAR * entry_scales(claim, truth.value, TINY)
    if np.count_nonzero(off) == 1:
        index = np.argwhere(off)[0]
        value = float(truth.value[tuple(index)])
        evidence: dict[str, Any] = {"index": list(indexed(index, claim.shape[1])), "reference": value}
        yield Cause.SINGLE_ENTRY, evidence, np.where(off, value, claim)
    limit = clipped_at(claim)
    if limit is not None:
        stopped = np.abs(claim) == limit
        evidence = {"limit": limit, "entries": int(np.count_nonzero(stopped))}
        yield Cause.CLIPPED, evidence, np.where(stopped & (np.abs(truth.value) >= limit), truth.value, claim)


def _offset(problem: Problem) -> float | None:
    """The constant c such that the claim at raw - c is true at raw: by Newton's method, for all rows at once."""
    truth, objective, moved = problem.known["gradient"].value, problem.objective, problem.at.copy()
    for _ in range(ROUNDS):
        said = problem.asked(objective, moved)
        if len(said) < 2:
            return None
        with np.errstate(all="ignore"):
            step = (said["gradient"] - truth) / said["hessian"]
        moved = moved - np.nan_to_num(step, nan=0.0, posinf=0.0, neginf=0.0)
    offset = float(np.median(problem.at - moved))
    if not np.isfinite(offset) or abs(offset) <= INTEGER:
        return None
    said = problem.asked(objective, problem.at - offset)
    return offset if "gradient" in said and problem.fits("gradient", said["gradient"], INTEGER) else None
