"""Which samples a wrong gradient has left out, or got wrong: the contribution of each, weighed against what is missing.

The loss is a mean, so the gradient is one of the gradients G_i of single samples. A claim that leaves one out differs from
it by -G_i / n, or is the mean of the others; one that is wrong for a class of samples differs by a multiple of their sum.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from gradcheck.diagnosis.library import MistakeLibrary
from gradcheck.diagnosis.references import ReferenceEvidence
from gradcheck.foundation.arrays import Array
from gradcheck.verdict.causes import Cause
from gradcheck.verdict.findings import Diagnosis

FEW = 3  # entries of a block that a free factor may be fitted to, at least


class Suspicion(NamedTuple):
    """A weight for each sample, 1 where it is right, under the name of its cause."""

    cause: Cause
    weights: Array
    evidence: dict[str, Any]
    why: str


def explain(evidence: ReferenceEvidence, library: MistakeLibrary, targets: Array) -> Iterator[Diagnosis]:
    """Samples left out or wrong, as the largest block tells and the others confirm."""
    names = sorted(evidence.references, key=lambda name: -evidence.claims[name].size)
    n = len(targets)
    rows = library.contributions() if n > 1 else dict[str, Array]()
    explained = set[str]()
    for first in (name for name in names if name in rows):
        if first in explained:
            continue
        reference = evidence.references[first].value
        missing = (evidence.claims[first] - reference).ravel()
        for one in suspicions(rows[first], missing, targets, evidence.tolerance(first, reference)):
            for name in (name for name in names if name in rows):
                change = ((one.weights - 1) @ rows[name] / n).reshape(evidence.claims[name].shape)
                if evidence.is_claimed(name, evidence.references[name].value + change):
                    explained.add(name)
                    yield one.cause.of(name, **one.evidence, why=one.why)


def suspicions(rows: Array, missing: Array, targets: Array, tolerance: float) -> Iterator[Suspicion]:
    """Weights with which the mean of the rows is off by ``missing`` in every entry, to the tolerance.

    Parameters
    ----------
    rows : (n, size) array
    missing : (size,) array
        Claim minus reference.
    targets : (n, ...) array
        By which samples fall into classes, where they do.
    tolerance : float
    """
    n = len(rows)
    mean = rows.mean(axis=0)

    def fits(weights: Array) -> bool:
        return bool(np.all(np.abs((weights - 1) @ rows / n - missing) <= tolerance))

    yield from (one for one in _dropped(rows, mean, missing, n) if fits(one.weights))
    for kept in (n - 1, 0):
        weights = np.where(np.arange(n) == kept, 1.0, 0.0)
        for scaled, how in ((weights, ", divided by n"), (n * weights, "")):
            if n > 1 and fits(scaled):
                yield Suspicion(Cause.OVERWRITTEN, scaled, {"kept": kept}, f"it is that of sample {kept} alone{how}")
    yield from (one for one in _subsets(rows, missing, targets) if fits(one.weights))


def _dropped(rows: Array, mean: Array, missing: Array, n: int) -> Iterator[Suspicion]:
    """One sample, or some at either end; the mean taken over all or over the others."""
    if n < 2:
        return
    gaps = [np.abs(rows / n + missing).max(axis=1), np.abs((rows - mean) / (n - 1) + missing).max(axis=1)]
    for gap, rest in zip(gaps, (1.0, n / (n - 1)), strict=True):
        one = int(np.argmin(gap))
        weights = np.where(np.arange(n) == one, 0.0, rest)
        yield Suspicion(Cause.SAMPLE_DROPPED, weights, {"sample": one}, f"sample {one} is left out")
    before = np.cumsum(rows, axis=0)
    for start, sums in ((True, before), (False, before[-1] - before)):  # of the first k + 1 and of what follows them
        for scale in (
            np.full((n, 1), float(n)),
            np.arange(1, n + 1)[:, None] if start else np.arange(n - 1, -1, -1)[:, None],
        ):
            with np.errstate(all="ignore"):
                gap = np.abs(sums / scale - mean - missing).max(axis=1)
            k = int(np.nanargmin(gap[:-1]))
            kept = np.arange(n) <= k if start else np.arange(n) > k
            count = int(kept.sum())
            left_out = [int(i) for i in np.flatnonzero(~kept)]
            weights = np.where(kept, n / float(scale[k, 0]), 0.0)
            span = (
                f"samples {left_out[0]} to {left_out[-1]} are left out"
                if len(left_out) > 1
                else f"sample {left_out[0]} is left out"
            )
            evidence = {"samples": [left_out[0], left_out[-1]]} if len(left_out) > 1 else {"sample": left_out[0]}
            if 0 < count < n:
                yield Suspicion(Cause.SAMPLE_DROPPED, weights, evidence, span)


def _subsets(rows: Array, missing: Array, targets: Array) -> Iterator[Suspicion]:
    """All samples of one class, or a single one, by a factor."""
    if np.count_nonzero(rows.any(axis=0)) < FEW:
        return
    n = len(rows)
    flat = targets.reshape(n, -1)
    labels = np.unique(flat[:, 0]) if flat.shape[1] == 1 else np.array([])
    groups = [(flat[:, 0] == label, {"label": float(label)}, f"samples of class {label:g}") for label in labels]
    if not 1 < len(groups) < n:
        groups = []
    sums = np.stack([rows[group].sum(axis=0) for group, _, _ in groups]) if groups else rows[:0]
    with np.errstate(all="ignore"):
        shares = (rows @ missing) / np.einsum("ij,ij->i", rows, rows)
        gaps = np.abs(shares[:, None] * rows - missing).max(axis=1)
    one = int(np.argmin(np.where(np.isnan(gaps), np.inf, gaps)))  # no other single one comes nearer
    single = (np.arange(n) == one, {"sample": one}, f"sample {one}")
    for total, (group, evidence, who) in zip((*sums, rows[one]), (*groups, single), strict=True):
        size = float(total @ total)
        if not size:
            continue
        factor = 1 + n * float(total @ missing) / size
        verb = "are left out" if abs(factor) < 1e-9 else f"count {factor:.6g} times"
        yield Suspicion(Cause.SAMPLE_SUBSET, np.where(group, factor, 1.0), {**evidence, "factor": factor}, f"{who} {verb}")
