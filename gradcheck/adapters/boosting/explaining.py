"""Causes: what an objective would be without a mistake, entry by entry, since the truth is known in every entry."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from gradcheck.adapters.boosting.conventions import BLOCKS, Convention, Objective
from gradcheck.adapters.boosting.judging import Known, indexed
from gradcheck.adapters.boosting.problem import NEAR, TINY, Found, Problem, claims_of
from gradcheck.adapters.boosting.substitutes import bounds, conventions
from gradcheck.diagnosis.corrections import NARROW, clipped_at, narrow_format
from gradcheck.diagnosis.corrections import Known as Along
from gradcheck.diagnosis.engine import ordered
from gradcheck.errors import GradcheckError
from gradcheck.foundation.arrays import Array
from gradcheck.verdict.causes import Cause
from gradcheck.verdict.entrywise import entry_scales
from gradcheck.verdict.findings import Diagnosis, Finding, Verdict

INTEGER = 1e-6  # so near to a count a factor is one
FEW = 20  # values of labels that are looked at one by one
CLASSES = 16  # whose exchange is looked for
ROUNDS = 12  # of Newton's method, to find one constant


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
    name, exact = finding.name, problem.meaning == "exact"
    found: list[Diagnosis] = []
    if name == "hessian" and exact:
        found = _fitting(problem, name, conventions)
    if not found:
        for look in (_plain, _weighted, _linked, _called_otherwise, _reordered, _of_classes, _of_entries):
            found += _fitting(problem, name, look)
    if not found and name == "gradient" and (offset := _offset(problem)) is not None:
        found = [Cause.OFFSET.of(name, offset=offset)]
    if not found and name == "hessian" and exact and gradient:
        found = _fitting(problem, name, bounds)
    if not found and finding.verdict is Verdict.INEXACT:
        found = [Cause.CONSTANTS.of(name, error=finding.error)]
    return ordered(found)


def _fitting(problem: Problem, name: str, look: Callable[[Problem, str], Found]) -> list[Diagnosis]:
    return [cause.of(name, **said) for cause, said, corrected in look(problem, name) if problem.fits(name, corrected)]


def _plain(problem: Problem, name: str) -> Found:
    claim, known = problem.said.blocks[name], problem.known[name]
    truth = known.value
    if not claim.any():
        yield Cause.ZERO, {}, truth
        return
    evidence: dict[str, Any] = {}
    if problem.objective.convention is Convention.CATBOOST:
        evidence = {
            "why": "derivatives of the loss itself; CatBoost maximises, and takes those of the negative loss",
            "remedy": "negate both derivatives",
        }
    elif name == "gradient":
        evidence = {"why": "derivatives of the negative loss, as CatBoost takes them and no other library does"}
    yield Cause.SIGN, evidence, -claim
    narrow = _narrow(claim, known)
    if narrow:
        yield Cause.LOW_PRECISION, {"format": narrow}, truth
    looked = True if known.looked is None else known.looked
    factor = float(np.sum(claim * truth, where=looked) / np.sum(truth * truth, where=looked)) if truth.any() else 0.0
    if not factor or abs(factor + 1) < INTEGER or claim.size < 2:
        return
    rows = problem.objective.rows
    for n in (rows.length, 0 if rows.weights is None else int(np.sum(rows.weights))):
        if n > 1 and abs(factor * n - 1) < INTEGER:
            yield Cause.EXTRA_MEAN, {"n": n}, claim * n
        if n > 1 and abs(factor / n - 1) < INTEGER:
            yield Cause.MISSING_MEAN, {"n": n}, claim / n
    yield Cause.FACTOR, {"factor": factor}, claim / factor


def _narrow(claim: Array, known: Known) -> str | None:
    """A format of fewer digits than float32 that explains all."""
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (2, *claim.shape))
    found = narrow_format(claim, [Along(v, float(np.sum(known.value * v)), float(np.sum(known.bound))) for v in signs])
    unit = NARROW[found][0] if found and found != "float32" else 0.0
    return found if unit and (np.abs(claim - known.value) <= 2 * unit * np.abs(claim) + known.bound).all() else None


def _weighted(problem: Problem, name: str) -> Found:
    weights = problem.objective.rows.weights
    if weights is None or np.ptp(weights) == 0:
        return
    w, claim = np.asarray(weights, dtype=np.float64).reshape(-1, 1), problem.said.blocks[name]
    yield Cause.WEIGHTS, {"how": "left out"}, claim * w
    with np.errstate(all="ignore"):
        yield Cause.WEIGHTS, {"how": "applied twice"}, np.where(w > 0, claim / w, claim)


def _linked(problem: Problem, name: str) -> Found:
    """A gradient by the probability, or the rate, in place of the prediction from which that is made."""
    claim, raw = problem.said.blocks[name], problem.at
    first = problem.known["gradient"].value if "gradient" in problem.known else None
    for what, slope, bend in _links(raw):
        how = f"derivatives by the {what}: the chain rule's factor is left out"
        if name == "gradient":
            yield Cause.LINK, {"how": how}, claim * slope
        else:
            yield Cause.LINK, {"how": f"{how} in the second derivative"}, claim * slope
            yield Cause.LINK, {"how": f"{how} in the second derivative"}, claim * slope**2
            if first is not None:  # L'' = L_pp p'^2 + L_p p'', of which L_p = L' / p'
                with np.errstate(all="ignore"):
                    yield Cause.LINK, {"how": how}, claim * slope**2 + first / slope * bend


def _links(raw: Array) -> Iterator[tuple[str, Array, Array]]:
    p = 1 / (1 + np.exp(-np.clip(raw, -700, 700)))
    yield "probability", p * (1 - p), p * (1 - p) * (1 - 2 * p)
    with np.errstate(all="ignore"):
        rate = np.exp(raw)
    yield "exponential", rate, rate
    if raw.shape[1] > 1:
        soft = _softmax(raw)
        yield "softmax", soft * (1 - soft), soft * (1 - soft) * (1 - 2 * soft)


def _softmax(raw: Array) -> Array:
    grown = np.exp(raw - raw.max(axis=1, keepdims=True))
    return grown / grown.sum(axis=1, keepdims=True)


def _called_otherwise(problem: Problem, name: str) -> Found:
    """What the objective says of other arguments; what it cannot be asked is no evidence."""
    for cause, evidence, objective, raw in _calls(problem):
        try:
            answer = objective.answer(raw)
        except GradcheckError:
            continue
        block, _ = objective.rows.block((answer.gradient, answer.hessian)[BLOCKS.index(name)], name)
        if block is not None:
            yield cause, evidence, objective.sign * block.astype(np.float64)


def _calls(problem: Problem) -> Iterator[tuple[Cause, dict[str, Any], Objective, Array]]:
    objective, raw = problem.objective, problem.at
    labels = objective.rows.labels
    if objective.convention is not Convention.PLAIN and labels is not None and np.asarray(labels).dtype.kind in "fiub":
        y = np.asarray(labels, dtype=np.float64)
        if y.size == raw.size:
            yield (
                Cause.EXCHANGED,
                {"of": ["labels", "predictions"]},
                objective.of(labels=raw.reshape(y.shape)),
                y.reshape(raw.shape),
            )
        values = np.unique(y)
        given = _shown(values)
        for told, meant in (((0, 1), 2 * y - 1), ((-1, 1), (y + 1) / 2)):
            if set(values) <= set(map(float, told)):
                yield (
                    Cause.LABEL_ENCODING,
                    {"given": given, "meant": _shown(np.unique(meant))},
                    objective.of(labels=meant),
                    raw,
                )
        if len(values) <= FEW:
            for shift in (-1, 1):
                moved = (np.asarray(labels) + shift).astype(np.asarray(labels).dtype)
                yield (
                    Cause.LABEL_ENCODING,
                    {"given": given, "meant": _shown(np.unique(moved))},
                    objective.of(labels=moved),
                    raw,
                )
    with np.errstate(all="ignore"):
        p = 1 / (1 + np.exp(-raw))
        links = {"probability": p, "exponential": np.exp(raw)} | ({"softmax": _softmax(raw)} if raw.shape[1] > 1 else {})
    for what, linked in links.items():
        yield Cause.LINK, {"how": f"it takes the raw prediction for the {what} itself"}, objective, linked
    if objective.rows.flat and raw.shape[1] > 1:
        order = "F" if objective.rows.order == "C" else "C"
        yield Cause.WRONG_STRIDE, {"of": "raw", "axes": [0, 1]}, objective.of(order=order), raw
    if raw.shape[1] > 1:
        other = raw.T.reshape(raw.shape), raw.reshape(raw.shape[::-1]).T
        for read in other:
            yield Cause.WRONG_STRIDE, {"of": "raw", "axes": [0, 1]}, objective, read


def _shown(values: Array) -> str:
    few = ", ".join(f"{value:g}" for value in values[:3])
    return few if len(values) <= 3 else f"{values[0]:g} to {values[-1]:g}"


def _reordered(problem: Problem, name: str) -> Found:
    claim = problem.said.blocks[name]
    n, k = claim.shape
    if k > 1:
        yield Cause.WRONG_STRIDE, {"axes": [0, 1]}, claim.reshape(k, n).T
        yield Cause.WRONG_STRIDE, {"axes": [0, 1]}, claim.T.reshape(n, k)
        yield Cause.PERMUTED, {"flipped": True, "axis": 1}, claim[:, ::-1]
        for shift in range(1, min(k, CLASSES)):
            yield Cause.PERMUTED, {"rolled": -shift, "axis": 1}, np.roll(claim, shift, axis=1)
    for shift in (1, -1):
        yield Cause.PERMUTED, {"rolled": -shift, "axis": 0}, np.roll(claim, shift, axis=0)
    yield Cause.PERMUTED, {"flipped": True, "axis": 0}, claim[::-1]


def _of_classes(problem: Problem, name: str) -> Found:
    """Rows of one label that count otherwise than they should."""
    labels = problem.objective.rows.labels
    if labels is None or np.ndim(labels) != 1 or np.asarray(labels).dtype.kind not in "fiub":
        return
    claim, truth = problem.said.blocks[name], problem.known[name].value
    values = np.unique(labels)
    for value in values if 1 < len(values) <= FEW else ():
        rows = np.asarray(labels) == value
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
    room = NEAR * entry_scales(claim, truth.value, TINY)
    off &= np.abs(claim - truth.value) > room
    if np.count_nonzero(off) == 1:
        index = np.argwhere(off)[0]
        value = float(truth.value[tuple(index)])
        yield (
            Cause.SINGLE_ENTRY,
            {"index": list(indexed(index, claim.shape[1])), "reference": value},
            np.where(off, value, claim),
        )
    limit = clipped_at(claim)
    if limit is not None:
        stopped = np.abs(claim) == limit
        evidence = {"limit": limit, "entries": int(np.count_nonzero(stopped))}
        yield Cause.CLIPPED, evidence, np.where(stopped & (np.abs(truth.value) >= limit), truth.value, claim)


def _offset(problem: Problem) -> float | None:
    """The constant c such that the claim at raw - c is true at raw: by Newton's method, for all rows at once."""
    truth = problem.known["gradient"].value
    objective, moved = problem.objective, problem.at.copy()
    for _ in range(ROUNDS):
        answer = claims_of(objective, moved)
        if answer is None:
            return None
        with np.errstate(all="ignore"):
            moved = moved - np.nan_to_num((answer[0] - truth) / answer[1], nan=0.0, posinf=0.0, neginf=0.0)
    offset = float(np.median(problem.at - moved))
    answer = claims_of(objective, problem.at - offset) if np.isfinite(offset) and abs(offset) > INTEGER else None
    return offset if answer is not None and problem.fits("gradient", answer[0], INTEGER) else None
