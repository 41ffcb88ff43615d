"""Taking a block apart that one direction resolves too coarsely, or that lies on a kink.

Its smooth parts are judged, each with a direction of its own; at a single entry a kink is told from noise.
"""

from math import log
from typing import NamedTuple

import numpy as np

from gradcheck.checking.accusation import search
from gradcheck.checking.probe import Probe
from gradcheck.checking.prober import Nearer, Prober
from gradcheck.foundation.arithmetic import UNIT
from gradcheck.foundation.arrays import Array
from gradcheck.oracles.differences import AT_LARGE
from gradcheck.oracles.line import Line
from gradcheck.oracles.sides import FIRST, RUNGS, existing, is_at_a_jump, lies_between
from gradcheck.verdict.findings import LISTED, Verdict
from gradcheck.verdict.localize import Located, halves
from gradcheck.verdict.settle import Residual

# Evaluations after which a block that is not simply right is taken apart no further. At 150, 15 of 460 more were undecided;
# at 15000 none fewer, for 1% more evaluations.
PATIENCE = 1500
PARTS = 48  # probes to spend on one block


class Kink(NamedTuple):
    """A flat index, and the slopes to the left and right along that entry."""

    entry: int
    slopes: tuple[float, float]


class Side(NamedTuple):
    """What the sides of an entry say of the claim, and how large an error they would have shown."""

    verdict: Verdict
    resolution: float = float("inf")


class Parts(NamedTuple):
    """What the parts of a block say: entries found wrong, a kink, whether some part stayed undecided, what went unseen."""

    wrong: Located
    kink: Kink | None
    undecided: bool
    resolution: float


def bisected(prober: Prober, name: str, probe: Probe) -> Parts:
    """Halve whatever a probe of its own does not find correct and well resolved."""
    v, noise = probe.v[name], probe.estimate.noise
    # In coarse arithmetic most of the noise is rounding of what a part does not move, and is no noise of its own.
    own = noise if prober.known.unit == UNIT else None
    probes = search(prober, name, v, AT_LARGE._replace(noise=own))
    left, wrong, kink, undecided, unseen = [probes.everything], Located([], [], [], False), None, False, 0.0
    wanted = prober.known.seeing if prober.may_spend(0.0) else prober.known.resolving
    while left and probes.spent < PARTS and len(wrong.indices) < LISTED:
        if not prober.may_spend(np.inf, PATIENCE if kink or not probe.within else 0):
            break
        part = left.pop()  # the last half first: depth first, so that single entries are reached within the budget
        seen = probes.probe(part)
        resolution = _resolution(seen, probes.plain[part], prober.scale[name].ravel()[part])
        if seen.within and resolution <= wanted:
            unseen = max(unseen, resolution)
            continue
        if part.stop - part.start > 1:
            left += halves(part)
            continue
        index = part.start
        line = prober.along_entry(name, index, abs(float(v.flat[index])))
        side = _side(prober, name, index, seen, line, noise)
        if isinstance(side, Kink):
            kink = kink or side  # one is enough to say where there is no derivative
        elif side.verdict is Verdict.WRONG and not seen.within and _stands(prober, line, noise, probes.spent):
            # Refuted across the point, by a side, and however near one looks.
            wrong.add(index, probes.value(index, seen), probes.bound(index, seen))
        elif side.verdict is Verdict.CORRECT and seen.within:
            unseen = max(unseen, side.resolution)
        else:
            undecided = True
    return Parts(wrong, kink, undecided or bool(left), unseen)


def _stands(prober: Prober, line: Line, noise: float, tried: int) -> bool:
    """Whether an entry is refuted by steps of another base, too, by more than chance explains, and however near one looks.

    Of so many honest errors, normal ones, the largest is about sqrt(2 log tried) times as large as one.
    """
    probe = prober.otherwise(prober.again(line, AT_LARGE._replace(noise=noise)))
    clear = abs(probe.residual) > probe.bound * (1 + 2 * log(tried)) ** 0.5
    return clear and prober.nearer(probe) is Nearer.REFUTES


def _resolution(probed: Residual, v: Array, scale: Array) -> float:
    """The smallest relative error of an entry that the probe of a part would have shown."""
    return probed.seen / float(np.min(np.abs(v) * scale))


def _side(prober: Prober, name: str, index: int, seen: Residual, line: Line, noise: float) -> Side | Kink:
    """What the two sides of one entry say: of different slopes a kink, else whether a side refutes the claim."""
    length = float(line.direction[name].flat[index])
    claimed, scale = float(prober.claim.gradient[name].flat[index]), float(prober.scale[name].flat[index])
    rounding = prober.allowed[name].along(line.direction[name]) / length
    if is_at_a_jump(line):
        return Kink(index, (np.nan, np.nan))
    slopes = prober.sides(line, noise)
    known = (side for side in slopes if np.isfinite(side.bound))
    sides = [Residual(side.value / length - claimed, side.bound / length + rounding) for side in known]
    gap = prober.asked.accuracy * scale + sum(side.bound for side in sides)
    if len(sides) == 2 and abs(sides[0].value - sides[1].value) > gap:
        if not lies_between(line, slopes, noise):
            return Side(Verdict.UNRESOLVED if seen.within else Verdict.WRONG)
        return Kink(index, (slopes.left.value / length, slopes.right.value / length))
    if not all(side.within for side in sides):
        return Side(Verdict.WRONG)
    all_known = len(sides) == len(existing(line, FIRST / 2**RUNGS))
    resolution = max((side.seen / scale for side in sides), default=np.inf) if all_known else np.inf
    # Where the noise hides all small steps, wide ones may agree by accident.
    fine = resolution <= prober.known.resolving and prober.known.unit == UNIT
    return Side(Verdict.CORRECT if fine else Verdict.UNRESOLVED, resolution)
