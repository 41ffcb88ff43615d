"""One block: claimed against reference, entry by entry, in units of a bound."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from gradcheck.foundation.arrays import Array, norm, rms
from gradcheck.verdict import reasons
from gradcheck.verdict.bounds import Allowance, Limits, Settlement
from gradcheck.verdict.findings import LISTED, Entry, Finding, Verdict
from gradcheck.verdict.heat import heat


def compare(
    name: str,
    backend: str,
    claimed: Array,
    settled: Settlement,
    allowed: Allowance,
    limits: Limits,
    whole: Callable[[], Array | None] = lambda: None,
) -> Finding:
    """Judge one block.

    Beyond rounding and kinks a claim is wrong, or inexact where the worst relative error is within the accuracy asked
    for, or unresolved where the bound is too coarse to be trusted. Within them it is nonsmooth if a kink at this very point
    matters or was needed, or one within rounding hides what else would have been seen, unresolved if this comparison could
    not have seen an error of ``limits.resolution``, and else correct. ``whole`` says what change of each entry would be as
    much as the whole gradient, if there is one: to that a block is relative which is zero for all that rounding can tell.
    """
    reference = settled.reference
    bound = allowed.bound(claimed, reference)
    error = np.abs(claimed - reference)
    scale = entry_scales(claimed, reference, limits.zero)
    with np.errstate(all="ignore"):
        ratio = np.divide(error, bound, out=np.zeros(error.shape), where=error > 0)
    worst = place(int(np.argmax(ratio)), ratio.shape)
    # A claim beyond rounding alone is flagged at least as nonsmooth, so only kinks at this very point hide anything.
    visible = np.asarray(allowed.rounding + allowed.exact)
    visible += np.minimum(error, allowed.rounding)
    with np.errstate(over="ignore"):
        hidden = np.asarray(np.maximum(visible, settled.unseen))
        resolution = float(np.divide(hidden, scale, out=hidden).max())
    del hidden
    # Relative to itself nothing of a zero is resolved; all of it, where there is nothing else to compare with.
    both_zero = all((np.abs(each) < limits.zero).all() for each in (claimed, reference))
    beside = whole() if both_zero or resolution > limits.resolution else None
    enough = limits.resolution if not both_zero else np.inf if beside is None else 0.0
    zero = None
    if beside is not None and resolution > enough:
        zero = _part_of_the_whole(claimed, np.maximum(visible, settled.unseen), beside, limits)
    verdict, reason = _decide(_Compared(claimed, reference, error, bound, scale), allowed, limits)
    if verdict is Verdict.CORRECT and zero is not None and beside is not None:
        scale, resolution, reason = beside, zero, reasons.zero_to_rounding(zero)
    elif verdict is Verdict.CORRECT and resolution > enough:  # a check that could not have failed does not say "correct"
        near = bool(allowed.kinks.any()) and not both_zero and bool((visible <= enough * scale).all())
        verdict, reason = _unseen(resolution, beside_a_kink=near)
    return Finding(
        name=name,
        backend=backend,
        verdict=verdict,
        error=float(error[worst] / scale[worst]),
        bound=float(bound[worst] / scale[worst]),
        resolution=resolution,
        block_resolution=resolution if scale is beside else block_resolution(claimed, reference, visible),
        worst_index=worst,
        entries=excesses(claimed, reference, bound, ratio),
        reason=reason,
        shape=claimed.shape,
        heat=heat(ratio) if verdict in (Verdict.WRONG, Verdict.INEXACT) else (),
    )


def entry_scales(claimed: Array, reference: Array, zero: float) -> Array:
    """``max(|g_i|, RMS)`` of the claimed block; of the reference where the claimed one is zero; 1 where both are."""
    for block in (claimed, reference):
        size = np.asarray(np.abs(block))
        if zero <= float(size.max()) < np.inf:
            return np.maximum(size, rms(block), out=size)
    return np.ones_like(reference)


def block_resolution(claimed: Array, reference: Array, visible: Array) -> float:
    """The smallest factor by which the whole block could be scaled and be flagged in at least one entry."""
    block = np.asarray(np.abs(claimed if claimed.any() else reference))
    seen = block > 0
    if not seen.any():
        return float(visible.min())
    with np.errstate(over="ignore"):  # beside a denormal entry anything is large
        return float(np.divide(visible, block, out=block, where=seen).min(where=seen, initial=np.inf))


class _Compared(NamedTuple):
    """Two blocks, their difference, and what it is held against."""

    claimed: Array
    reference: Array
    error: Array
    bound: Array
    scale: Array


def _unseen(resolution: float, *, beside_a_kink: bool) -> tuple[Verdict, str]:
    """The verdict where less than this would go unseen: because of a kink, or of rounding."""
    if beside_a_kink:
        return Verdict.NONSMOOTH, reasons.unseen_beside_a_kink(resolution)
    return Verdict.UNRESOLVED, reasons.unseen_under_rounding(resolution)


def _part_of_the_whole(claimed: Array, hidden: Array, whole: Array, limits: Limits) -> float | None:
    """The smallest error that would have been flagged however it spreads over the block, in parts of the whole gradient.

    None where that is not enough, or less than what is claimed, unless that is next to nothing: then it is no zero for all
    that rounding can tell.
    """
    with np.errstate(all="ignore"):
        part, seen = norm(claimed / whole), norm(hidden / whole)
    return seen if part <= max(seen, limits.nothing) and seen <= limits.resolution else None


def _decide(found: _Compared, allowed: Allowance, limits: Limits) -> tuple[Verdict, str]:
    """The verdict, if all was resolved."""
    claimed, reference, error, bound, scale = found
    if not np.isfinite(allowed.rounding).all():  # no error would be beyond such a bound
        return Verdict.UNRESOLVED, reasons.OVERFLOW
    beyond = error > bound
    if beyond.any():
        off = error[beyond] / scale[beyond]
        size = float(np.max(off))
        if size <= limits.accuracy:
            return Verdict.INEXACT, reasons.accurate_enough(size, limits.accuracy)
        if limits.trusted < np.inf:
            coarse = float(np.min(_coarseness(claimed, reference, bound)[beyond][off > limits.accuracy]))
            if coarse > limits.trusted:
                return Verdict.UNRESOLVED, reasons.beyond_coarse_bound(coarse)
        return Verdict.WRONG, reasons.beyond_bound(int(beyond.sum()), beyond.size)
    if (allowed.exact > allowed.rounding).any():  # the claim is one of several that are right
        return Verdict.NONSMOOTH, reasons.ON_A_KINK
    if (error > allowed.rounding).any():
        return Verdict.NONSMOOTH, reasons.NEAR_A_KINK
    return Verdict.CORRECT, ""


def _coarseness(claimed: Array, reference: Array, bound: Array) -> Array:
    """The bound of each entry in parts of ``max(|claimed_i|, |reference_i|)``, or of the larger RMS."""
    size = np.maximum(np.abs(claimed), np.abs(reference))
    with np.errstate(all="ignore"):
        return bound / np.maximum(size, max(rms(claimed), rms(reference)))


def excesses(claimed: Array, reference: Array, bound: Array, ratio: Array) -> tuple[Entry, ...]:
    """The worst entries beyond their bound, worst first."""
    if not (ratio > 1).any():
        return ()
    order = np.argsort(-ratio, axis=None, kind="stable")[:LISTED]
    indices = [place(int(i), ratio.shape) for i in order if ratio.flat[i] > 1]
    return tuple(Entry(index, float(claimed[index]), float(reference[index]), float(bound[index])) for index in indices)


def place(flat: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The index of a flat position, in plain ints."""
    return tuple(int(i) for i in np.unravel_index(flat, shape))
