"""Either side of a point by itself, from samples along a line: at a kink symmetric extrapolation is not valid.

A side is fitted through the point in all powers of h, so a fit is good only if the point lies on that side's own piece.
With a kink beside the point one side is therefore known far better than steps across the kink can tell; which one it is,
a single pair of steps says, small enough to stay below the kink and large enough to show the jump.
"""

from collections.abc import Sequence
from math import isnan
from typing import NamedTuple

from gradcheck.foundation.arithmetic import UNIT
from gradcheck.oracles.line import Estimate, Function, Line, Point
from gradcheck.oracles.noise import AHEAD, BEHIND, USUAL, noise, unit
from gradcheck.oracles.richardson import NOTHING, SIDED, Limit, extrapolate, ladder, least, limits

FIRST = 1 / 8
RUNGS = 12  # of ratio 2, to a side
NEAREST = 1e-12
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
        limit = fit(line, sign, steps, own)
        found.append(Estimate(line.product + limit.value, limit.bound, line.evaluations - before))
    return Slopes(*found)


def fit(line: Line, sign: int, steps: Sequence[float], spread: float) -> Limit:
    """Residual slope of one side, at steps from wide to small."""
    values = [sign * line.sample(sign * h).residual / h for h in steps]
    noises = [max(spread, UNIT * UNIT) / h for h in steps]
    found = extrapolate(steps, values, noises, SIDED)
    return least(limits(steps, found.value, found.disagreement + found.noise))


class Chosen(NamedTuple):
    """The slope at the point as far as its sides tell, whether it is a kink, and how well the better side is known."""

    limit: Limit = NOTHING
    kink: bool = False
    near: float = 0.0


def choose(line: Line, steps: Sequence[float], spread: float, fine: float) -> Chosen:
    """The residual slope at the point, where a side knows it to ``fine``; nothing where none does."""
    found = [fit(line, sign, steps, spread) for sign in (-1, 1)]
    near, far = sorted(found, key=lambda side: side.bound)
    apart = abs(near.value - far.value)
    if near.bound > fine:
        return Chosen(near=near.bound)
    if apart <= near.bound + far.bound and apart + near.bound <= fine:
        return Chosen(Limit(near.value, near.bound + apart, near.step))
    jump = apart if far.bound <= apart else _jump(line, steps[-1])
    if not jump > 0:
        return Chosen(near) if isnan(jump) else Chosen()
    h = max(NEAREST, CLEAR * spread / jump)
    if h > steps[-1] / 2:
        return Chosen()
    seen = across(line, h)
    if isnan(seen):  # the point lies on the edge of where the function exists
        return Chosen(near)
    agreeing = [side for side in (near, far) if side.bound <= fine and abs(side.value - seen) <= jump / 4]
    if len(agreeing) == 1:
        return Chosen(agreeing[0])
    return Chosen(kink=far.bound <= jump / 4 and abs(seen - (near.value + far.value) / 2) <= jump / 4)


def across(line: Line, h: float) -> float:
    """The residual slope between two points on either side."""
    return (line.sample(h).residual - line.sample(-h).residual) / (2 * h)


def lies_between(line: Line, slopes: Slopes, spread: float) -> bool:
    """Whether the smallest steps that can tell say that the point is on neither side's piece: it is a kink itself."""
    jump = abs(slopes.right.value - slopes.left.value)
    seen = line.product + across(line, max(NEAREST, CLEAR * spread / jump))
    return not abs(seen - (slopes.left.value + slopes.right.value) / 2) > jump / 4


def _jump(line: Line, h: float) -> float:
    """How far the slopes of two sides are apart, as one step across both shows it."""
    return abs(line.sample(h).residual + line.sample(-h).residual) / h
