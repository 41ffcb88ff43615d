"""Either side of a point by itself, from samples along a line: at a kink symmetric extrapolation is not valid.

A side is fitted through the point in all powers of h, so a fit is good only if the point lies on that side's own piece.
Whether the point is a kink itself, a single pair of steps says that is small and shows the jump of slope.
"""

from collections.abc import Sequence
from math import isnan
from typing import NamedTuple

import numpy as np

from gradcheck.foundation.arithmetic import UNIT
from gradcheck.oracles.line import Estimate, Function, Line, Point
from gradcheck.oracles.noise import AHEAD, BEHIND, USUAL, noise, unit
from gradcheck.oracles.richardson import SIDED, Limit, extrapolate, ladder, least, limits

FIRST = 1 / 8
RUNGS = 12  # of ratio 2, to a side
NEAREST = 2.0**-46  # of a parameter: some hundred numbers
FINE = 1e-6  # of the slope: well enough known
# Steps between which a jump stays the same, but for this part of it: what has a slope changes by a factor of 40.
TINY, SAME = (2.0**-48, 1.7 * 2.0**-47, 1.3 * 2.0**-45, 1.2 * 2.0**-43), 0.1
PLAIN = 40  # unit roundoffs of the value that a jump must amount to
CLEAR = 8  # jumps of slope are told from this many times less noise; at 1 or 100 no verdict of 460 changed


class Slopes(NamedTuple):
    """One-sided derivatives, each with its bound."""

    left: Estimate
    right: Estimate


def one_sided(function: Function, point: Point, direction: Point, gradient: Point) -> Slopes:
    """The derivatives of a function to either side, as `differences` takes its arguments."""
    return sides(Line(function, point, direction, gradient))


def sides(
    line: Line, step: float = FIRST, at_least: float = UNIT, spread: float | None = None, rungs: int = RUNGS
) -> Slopes:
    """The derivatives along a line to either side, from a largest step on.

    The noise is measured on either side by itself where it is not given.
    """
    steps = ladder(step, rungs)
    found: list[Estimate] = []
    for sign, offsets in ((-1, BEHIND), (1, AHEAD)):
        before = line.evaluations
        usual = [] if spread is not None else [offset * USUAL for offset in offsets]
        line.prepare([*(sign * h for h in steps), *usual])
        u = max(at_least, unit([line.sample(sign * h).value for h in steps]))
        own = noise(line, offsets, u) if spread is None else spread
        limit = _followed(line, sign, steps, own)
        found.append(Estimate(line.product + limit.value, limit.bound, line.evaluations - before))
    return Slopes(*found)


def _followed(line: Line, sign: int, steps: list[float], spread: float) -> Limit:
    """The slope of one side, followed down to where it is known as well as the noise allows: it may end beside the point."""
    limit = fit(line, sign, steps, spread)
    while limit.bound > FINE * max(abs(limit.value), line.spread) and spread / steps[-1] < limit.bound:
        if steps[-1] < NEAREST:
            break
        steps = [*steps, *ladder(steps[-1] / 8, 1, len(steps))]
        limit = fit(line, sign, steps, spread)
    return limit


def existing(line: Line, step: float) -> list[int]:
    """On which sides, -1 and 1, the function exists: it may end at the point, or nearer to it than a step can be told."""
    there = {side: (line.sample(side * NEAREST).value, line.sample(side * step).value) for side in (-1, 1)}
    return [side for side, (near, far) in there.items() if not isnan(near) and not (isnan(far) and near == line.origin)]


def is_at_a_jump(line: Line) -> bool:
    """Whether the function is not continuous at the point itself: on a side it changes by the same at every tiny step.

    What is continuous changes less by smaller steps, and noise by another amount at each.
    """
    plain = PLAIN * UNIT * max(abs(line.origin), abs(line.sample(TINY[0]).value), abs(line.sample(-TINY[0]).value))
    changes = np.array([line.changes(h) for h in TINY])
    jumps = (np.abs(changes[0]) > plain) & (np.ptp(changes, axis=0) <= SAME * np.abs(changes[0]))
    return bool(jumps.any())


def fit(line: Line, sign: int, steps: Sequence[float], spread: float) -> Limit:
    """Residual slope of one side, at steps from wide to small."""
    values = [sign * line.sample(sign * h).residual / h for h in steps]
    noises = [max(spread, UNIT * UNIT) / h for h in steps]
    found = extrapolate(steps, values, noises, SIDED)
    return least(limits(steps, found.value, found.disagreement + found.noise))


def across(line: Line, h: float) -> float:
    """The residual slope between two points on either side."""
    return (line.sample(h).residual - line.sample(-h).residual) / (2 * h)


def bend(line: Line, h: float) -> float:
    """Half the jump of slope that two points on either side show: of a smooth function it falls with the step."""
    return (line.sample(h).residual + line.sample(-h).residual) / (2 * h)


def lies_between(line: Line, slopes: Slopes, spread: float) -> bool:
    """Whether the smallest steps that can tell say that the point is on neither side's piece: it is a kink itself."""
    jump = abs(slopes.right.value - slopes.left.value)
    seen = line.product + across(line, max(NEAREST, CLEAR * spread / jump))
    return not abs(seen - (slopes.left.value + slopes.right.value) / 2) > jump / 4
