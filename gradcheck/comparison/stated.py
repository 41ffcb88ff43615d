"""A judgement as a finding: what is said of a block, in units that a reader knows, true to the letter."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from gradcheck.candidates.answer import Defect
from gradcheck.comparison.judging import BOUND, COARSELY, SEEN, Block, Judgement, judged, judged_in_float32
from gradcheck.comparison.measured import Measured
from gradcheck.foundation.arrays import Array, norm, rms
from gradcheck.verdict import reasons
from gradcheck.verdict.causes import Cause
from gradcheck.verdict.entrywise import block_resolution, entry_scales, excesses, place
from gradcheck.verdict.findings import Finding, Verdict
from gradcheck.verdict.heat import heat

SETTLED = (Verdict.CORRECT, Verdict.INEXACT)


class Stated(NamedTuple):
    """A finding, and what is wrong with the block that no numbers need be looked at for."""

    finding: Finding
    defect: Defect | None = None


def stated(measured: Measured, name: str, accuracy: float) -> Stated:
    """The verdict on one block, and its numbers."""
    if not measured.comparable(name):
        return _without_form(measured, name)
    block, judgement = Block(measured, name), judged(measured, name)
    found = _allowed(measured, block, judgement, _numbers(block, measured.furthest(name), judgement), accuracy)
    return Stated(found, Defect(judgement.cause, judgement.reason) if judgement.cause else None)


def _allowed(measured: Measured, block: Block, judgement: Judgement, stated: Finding, accuracy: float) -> Finding:
    if stated.verdict is Verdict.WRONG and judgement.cause is None and stated.error <= accuracy:
        return replace(stated, verdict=Verdict.INEXACT, reason=reasons.accurate_enough(stated.error, accuracy))
    return _resolved(measured, block, judgement, stated) if stated.verdict in SETTLED else stated


def _without_form(measured: Measured, name: str) -> Stated:
    """What is missing, or has another shape than the reference."""
    expected = measured.centre[name].shape
    found = measured.answers[0].get(name)
    reason = "is missing" if found is None else f"has shape {found.shape}, expected {expected}"
    wrong = Finding(name=name, backend="", verdict=Verdict.WRONG, reason=reason)
    return Stated(wrong, Defect(Cause.WRONG_STRUCTURE, reason))


def _numbers(block: Block, claimed: Array, judgement: Judgement) -> Finding:
    reference, scale = block.reference, judgement.scale
    ratio = block.ratio(judgement.level) / BOUND
    size = entry_scales(claimed, reference, 0.0)
    worst = place(int(np.argmax(ratio)), ratio.shape)
    with np.errstate(all="ignore"):
        hidden = SEEN * np.where(np.isfinite(scale), scale, np.inf)
        return Finding(
            name=block.name,
            backend="",
            verdict=judgement.verdict,
            error=float(block.error[worst] / size[worst]),
            bound=float(BOUND * scale[worst] / size[worst]),
            resolution=float(np.max(hidden / size, initial=0.0)),
            block_resolution=block_resolution(claimed, reference, hidden),
            worst_index=worst,
            entries=excesses(claimed, reference, BOUND * scale, ratio),
            reason=judgement.reason,
            shape=claimed.shape,
            heat=heat(ratio) if judgement.verdict in (Verdict.WRONG, Verdict.INEXACT) else (),
        )


def _resolved(measured: Measured, block: Block, judgement: Judgement, stated: Finding) -> Finding:
    """Not correct where next to nothing would have been seen; but what is zero for all that rounding tells is."""
    with np.errstate(all="ignore"):
        coarse = float(np.median(BOUND * judgement.scale)) / block.rms if block.rms else np.inf
    if coarse <= COARSELY:
        return stated
    part = _of_the_whole(measured, block.name, SEEN * judgement.scale)
    if not block.reference.any() and not block.error.any():
        return replace(stated, resolution=part if np.isfinite(part) else 0.0)  # where all is zero, anything would be seen
    if part <= COARSELY and block.worst(judgement.level) <= BOUND:
        return replace(stated, resolution=part, block_resolution=part, reason=reasons.zero_to_rounding(part))
    return _too_coarse(measured, stated, coarse)


def _too_coarse(measured: Measured, stated: Finding, coarse: float) -> Finding:
    """Wrong where the same candidate is wrong in float32; else it is said what is known there."""
    found = judged_in_float32(measured, stated.name)
    if found is not None and found.verdict is Verdict.WRONG:
        return replace(stated, verdict=Verdict.WRONG, reason=reasons.wrong_in_float32(found.reason))
    elsewhere = str(found.verdict) if found is not None else ""
    return replace(stated, verdict=Verdict.UNRESOLVED, reason=reasons.too_coarse(coarse, measured.held, elsewhere))


def _of_the_whole(measured: Measured, name: str, hidden: Array) -> float:
    """What would go unseen in a block of the gradient, in parts of what the whole gradient contributes; nan of an output."""
    point: Mapping[str, Array] = measured.pair.given.point
    if name not in point:
        return np.nan
    with np.errstate(all="ignore"):
        whole = norm(np.array([norm(measured.centre[each] * point[each]) for each in point if each in measured.centre]))
        return norm(hidden * np.maximum(np.abs(point[name]), rms(point[name]) or 1.0)) / whole if whole else np.inf
