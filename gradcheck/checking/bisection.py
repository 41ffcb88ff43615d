"""Taking a block apart that one direction resolves too coarsely, or that lies on a kink.

Its smooth parts are judged, each with a direction of its own; at a single entry a kink is told from noise.
"""

from typing import NamedTuple

import numpy as np

from gradcheck.checking.probe import Probe, Prober
from gradcheck.foundation.arithmetic import UNIT
from gradcheck.foundation.arrays import Array
from gradcheck.oracles.differences import AT_LARGE
from gradcheck.oracles.line import Estimate, Line
from gradcheck.oracles.sides import lies_between
from gradcheck.verdict.compare import LISTED
from gradcheck.verdict.findings import Verdict
from gradcheck.verdict.localize import Located, Search, halves
from gradcheck.verdict.settle import Residual

PATIENCE = 1500  # evaluations after which no further block is taken apart. Chosen, not derived.
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


def take_apart(prober: Prober, name: str, probe: Probe) -> Parts:
    """Halve whatever a probe of its own does not find correct and well resolved."""
    lengths = np.abs(probe.v[name])
    claim, allowed, scale = prober.claim.gradient[name], prober.allowed[name], prober.scale[name].ravel()
    start = AT_LARGE._replace(noise=probe.estimate.noise, sided=True)

    def slope(v: Array, _: Array) -> Estimate:
        return prober.part(name, v, start)

    search = Search(name, claim, allowed, slope, prober.seed, lengths)
    parts, wrong, kink, undecided, unseen = [search.everything], Located([], [], [], False), None, False, 0.0
    while parts and search.spent < PARTS and prober.evaluations < PATIENCE and len(wrong.indices) < LISTED:
        part = parts.pop()
        seen = search.probe(part)
        resolution = (seen.bound + min(abs(seen.value), seen.bound)) / float(
            np.min(np.abs(search.plain[part]) * scale[part])
        )
        if seen.within and resolution <= prober.seeing:
            unseen = max(unseen, resolution)
            continue
        if part.stop - part.start > 1:
            parts += halves(part)
            continue
        index = part.start
        side = _side(prober, name, index, seen, float(lengths.flat[index]), probe.estimate.noise)
        if isinstance(side, Kink):
            kink = kink or side
        elif side.verdict is Verdict.WRONG and not seen.within:
            wrong.add(index, search.value(index, seen), search.bound(index, seen))
        elif side.verdict is Verdict.CORRECT and seen.within:
            unseen = max(unseen, side.resolution)
        else:
            undecided = True
    return Parts(wrong, kink, undecided or bool(parts), unseen)


def _side(prober: Prober, name: str, index: int, seen: Residual, length: float, noise: float) -> Side | Kink:
    """What the two sides of one entry say: of different slopes a kink, else whether a side refutes the claim."""
    line = along_entry(prober, name, index, length)
    claimed, scale = float(prober.claim.gradient[name].flat[index]), float(prober.scale[name].flat[index])
    rounding = prober.allowed[name].along(line.direction[name]) / length
    slopes = prober.sides(line, noise)
    sides = [
        Residual(side.value / length - claimed, side.bound / length + rounding) for side in slopes if np.isfinite(side.bound)
    ]
    apart = prober.accuracy * scale + sum(side.bound for side in sides)
    if len(sides) == 2 and abs(sides[0].value - sides[1].value) > apart:
        if not lies_between(line, slopes, noise):
            return Side(Verdict.UNRESOLVED if seen.within else Verdict.WRONG)
        return Kink(index, (slopes.left.value / length, slopes.right.value / length))
    if not all(side.within for side in sides):
        return Side(Verdict.WRONG)
    resolution = min((2 * side.bound / scale for side in sides), default=float("inf"))
    # Where the noise hides all small steps, wide ones may agree by accident.
    fine = resolution <= 2 * prober.seeing and prober.unit == UNIT
    return Side(Verdict.CORRECT if fine else Verdict.UNRESOLVED, resolution)


def along_entry(prober: Prober, name: str, index: int, length: float) -> Line:
    """The line that moves one entry."""
    unit = np.zeros(prober.scale[name].shape)
    unit.flat[index] = length
    return prober.line({name: unit})
