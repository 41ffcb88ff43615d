r"""Residual differences: the slope along a direction by finite differences, with a bound on its error.

With d+- = fl(x +- h v) - x taken exactly and g the claimed gradient,

    A(h) = [f(x+) - f(x-) - g.(d+ - d-)] / 2h             tends to the true slope minus the claimed one
    B(h) = [f(x+) + f(x-) - 2 f(x) - g.(d+ + d-)] / 2h    tends to 0 where f is smooth, to half the jump of slope at a kink

A is even in h and B odd, so Richardson windows (`richardson`) find the limits T and T_B. A window's bound is

    what smaller windows say + noise carried + |T_B| + its noise + slack,      slack = 32 u |g o v|_2

and the least one is taken, unless a window nearer the point contradicts it. T_B in the bound is what keeps a kink inside
the step from becoming an accusation. Because A is a difference to the claim, a correct claim leaves nothing to extrapolate.
Where the least bound is too coarse, longer steps are taken while noise is what makes it so, and else smaller ones:
how far a function can be followed is not told by the size of its parameters. Only at the edge of where it exists does one
side speak for the point.
"""

from collections.abc import Sequence
from math import inf
from typing import NamedTuple

import numpy as np

from gradcheck.foundation.arithmetic import UNIT
from gradcheck.foundation.arrays import Array
from gradcheck.oracles.line import Estimate, Function, Line, Point
from gradcheck.oracles.noise import BESIDE, CENTRED, NEAR, QUIET, USUAL, noise, stands_still, unit
from gradcheck.oracles.richardson import EVEN, LARGEST, ODD, Limit, Windows, extrapolate, ladder, least, limits
from gradcheck.oracles.sides import FIRST, NEAREST, across, bend, existing, fit

# Rungs of ratio 2 before anything is decided. At 4 two of 460 verdicts changed, with 2% more evaluations; at 10 none, with
# 16% more.
CERTAIN = 6
SLACK = 32  # at 1 or 1000 no verdict of 460 changed
NARROWEST = 2.0**-11
# Slopes of a staircase differ by less from step to step, and bend by less than this. At 0.02 or 0.8 no verdict of 120 losses
# on grids changed, nor of 36 with the second at 0.001 or 10.
ALIKE, STRAIGHT = 0.2, 0.1
PLATEAU = 1e-4  # within which a function in float16 stands still; at 1e-6 or 1e-2 no verdict of 460 changed
# Noises of the last rung: to a bound of less, windows of smaller steps have nothing to add. At 0 3% more evaluations, at 256
# as many; no verdict of 460 changed.
WORTH = 16
# A bound within so many times the noise at its step is the noise's doing. At 3 five of 360 correct ones more were undecided;
# at 1e4 nothing changed but 2% more evaluations.
NOISY = 100
FARTHEST = 2.0**1000
FAR = 2.0  # where noise is louder than rounding in float64, it may hide what longer steps would step over
LEAP, LONGEST = 8.0, 2.0**30  # by how much a step is lengthened, at first and at most
GAIN = 0.5  # of what a longer step takes from the noise, where it does nothing else
BARELY = 1 + 1e-6  # the ratio of two steps at the shorter of which a function does not move


class Rung(NamedTuple):
    """Both residuals at one step, and the noise in either."""

    h: float
    odd: float
    even: float
    noise: float


class Start(NamedTuple):
    """Where to begin and when to stop: at large by default, or with what an earlier probe at the same point has found out.

    Attributes
    ----------
    step : float
        The largest step: below the nearest kink, where that is known.
    noise : float, optional
        Of the function; measured where it is not given.
    rungs : int
        How many steps of ratio 2 before anything is decided.
    patient : bool
        Whether to go on down the ladder while that may improve the bound.
    unit : float
        At least the roundoff of the function's arithmetic.
    enough : float
        A bound that is good enough to stop at.
    farthest : float
        No step is longer than this one, or than ``step``.
    """

    step: float = FIRST
    noise: float | None = None
    rungs: int = CERTAIN
    patient: bool = True
    unit: float = UNIT
    enough: float = 0.0
    farthest: float = FARTHEST


AT_LARGE = Start()


def differences(function: Function, point: Point, direction: Point, gradient: Point, start: Start = AT_LARGE) -> Estimate:
    """Slope of a real function along a direction, with the bound derived above.

    Parameters
    ----------
    function : callable
        From float64 arrays by name to a float.
    point, direction : mapping of str to array
        Steps of 1/8 of the direction and less are taken: its entries carry the scale of each parameter.
    gradient : mapping of str to array
        The claim. A wrong one only costs accuracy.
    start : Start
    """
    return slope(Line(function, point, direction, gradient), start)


def slope(line: Line, start: Start = AT_LARGE) -> Estimate:
    """The same along a line, some of whose samples may be known."""
    steps = ladder(start.step, start.rungs)
    usual = [] if start.noise is not None else [offset * USUAL for offset in CENTRED]
    line.prepare([*(side * h for h in steps for side in (1, -1)), *usual])
    u = max(start.unit, unit([line.sample(side * h).value for h in steps for side in (1, -1)]))
    spread = start.noise
    if spread is None:
        spread = noise(line, at_least=u)
        u = max(u, _narrow(line, spread))
    quiet = u == UNIT and spread <= QUIET * 2 * u * abs(line.origin)
    farthest = start.farthest if quiet else min(start.farthest, FAR)
    if start.patient and u == UNIT and _stands_still(line, steps):
        steps, spread = _awakened(line, steps, spread, start.farthest)
        farthest = start.farthest
    still = not any(line.moves(h) for h in steps)
    search = Search(line, spread, u, SLACK * UNIT * line.spread, start._replace(farthest=farthest))
    best = search.best([search.rung(h) for h in steps])
    step = best.step
    staircase = not line.moves(step) and is_sloped(line, steps)
    bound = inf if staircase else best.bound
    return Estimate(line.product + best.value, bound, line.evaluations, spread, step, u, staircase, still, best.near)


def _stands_still(line: Line, steps: Sequence[float]) -> bool:
    """Whether the function does not move nearby, though the claim says so; a value of 0 says nothing of its rounding."""
    if not line.product:
        return False
    return not line.moves(steps[-1]) or (not line.origin and not line.moves(USUAL))


def _awakened(line: Line, steps: list[float], spread: float, farthest: float) -> tuple[list[float], float]:
    """Steps at which a function moves that stands still at the smallest of these, and the least that it is seen to move by.

    Its rounding is no less than that. Of a function that never moves nothing else is known.
    """
    near = steps[-1] if not line.moves(steps[-1]) else USUAL
    far, leap = near * LEAP, LEAP
    while not line.moves(far):
        near, far, leap = far, far * leap, min(leap * leap, LONGEST)
        if not far < farthest:
            return steps, spread
    while far > BARELY * near:
        middle = near**0.5 * far**0.5
        near, far = (near, middle) if line.moves(middle) else (middle, far)
    least_move = min(abs(change) for change in line.changes(far) if change)
    return ladder(max(far * LEAP, steps[0]), len(steps)), max(spread, least_move)


class Search(NamedTuple):
    """For the steps that know a slope best."""

    line: Line
    spread: float
    u: float
    slack: float
    start: Start

    def rung(self, h: float) -> Rung:
        """Both residuals at one step."""
        self.line.prepare((h, -h))
        noisy = max(self.spread, 2 * self.u * max(abs(self.line.sample(side * h).value) for side in (1, -1)))
        return Rung(h, across(self.line, h), bend(self.line, h), noisy / h)

    @property
    def enough(self) -> float:
        """A bound that needs no improvement."""
        return max(2 * self.slack, self.start.enough)

    def best(self, rungs: list[Rung]) -> Limit:
        """The limit of least bound, after longer or smaller steps where they may improve it."""
        best = self.least(rungs)
        if best.bound <= max(self.enough, WORTH * rungs[-1].noise) and best.bound < inf and not self.loud(rungs, best):
            return best
        if best.bound == inf and len(sides := existing(self.line, rungs[-1].h)) == 1:
            return self.at_the_edge(sides[0], [rung.h for rung in rungs])
        if not self.start.patient:
            return best
        longer = self.farther(rungs, best) if self.loud(rungs, best) else best
        return self.nearer(rungs) if longer is best else longer

    def least(self, rungs: Sequence[Rung]) -> Limit:
        """Of all windows."""
        return least(_judge_all(rungs, self.slack))

    def loud(self, rungs: Sequence[Rung], best: Limit) -> bool:
        """Whether noise is what makes the bound coarse at the widest of steps, which longer ones mend."""
        there = self.enough < best.bound <= NOISY * rungs[len(rungs) // 2].noise and best.step == rungs[0].h
        return there and self.line.moves(best.step)

    def farther(self, rungs: list[Rung], best: Limit) -> Limit:
        """Longer steps while noise is all that they change, and then a ladder from where that ends.

        Of a function that is bounded or saturates all slopes vanish far off, and with them what windows disagree by. So a
        step must have about the slope of the one before, or change nothing beyond the noise, and the next may then be
        longer. Where none ever changes anything, nothing is learnt.
        """
        ratio, top, before = LEAP, list(rungs[:LARGEST]), best
        while best.bound > self.enough and top[0].h * ratio < self.start.farthest:
            (h,) = ladder(top[0].h * ratio, 1, len(top))
            if self._changes(h) and not self._goes_on(top[0].h, h):
                if ratio <= LEAP:
                    break
                ratio = max(ratio**0.5, LEAP)
                continue
            longer = [self.rung(h), *top]
            found = self.least([rung for rung in longer[:LARGEST] if rung.h > h / LONGEST**3])
            if not (found.bound < best.bound and found.step == h):
                break
            best, top, ratio = found, longer, LEAP if self._changes(h) else min(ratio * ratio, LONGEST)
        if not self._changes(best.step):
            return before
        if best is before or best.bound <= self.enough:
            return best
        while (h := min(LEAP / 2 * best.step, self.start.farthest)) > best.step and self._goes_on(best.step, h):
            again = self.least([self.rung(h) for h in ladder(h, CERTAIN)])
            if again.bound >= GAIN * best.bound:
                return min(best, again, key=lambda one: one.bound)
            best = again
        return best

    def _changes(self, h: float) -> bool:
        """Whether the function differs beyond its noise from one side to the other."""
        ahead, behind = self.line.sample(h).value, self.line.sample(-h).value
        return not abs(ahead - behind) <= QUIET * max(self.spread, 2 * self.u * max(abs(ahead), abs(behind)))

    def _goes_on(self, h: float, longer: float) -> bool:
        """Whether a longer step has about the slope of this one, which changes the function, or that has changed nothing."""
        if not self._changes(h):
            return longer <= LEAP * h
        here, there = _slope_across(self.line, h), _slope_across(self.line, longer)
        return abs(here - there) <= ALIKE * abs(here)

    def nearer(self, rungs: list[Rung]) -> Limit:
        """Smaller steps, in ratio 2 while that improves the bound, and else in larger ones: down to below a kink."""
        judged = _judge_all(rungs, self.slack)
        best, ratio = least(judged), 2
        while best.bound > self.enough and rungs[-1].h > NEAREST:
            if best.bound < inf and rungs[-1].noise >= best.bound:
                break
            (h,) = ladder(rungs[-1].h / ratio, 1, len(rungs))
            rungs.append(self.rung(h))
            judged += _judge_last(rungs, self.slack)
            before, best = best, least(judged)
            ratio = 2 if best.bound < before.bound / 4 else 8
        if ratio == 8 and best.step:  # rungs that were jumped over on the way below a kink are less noisy than the last
            taken = {rung.h for rung in rungs}
            rungs += [self.rung(h) for h in (2 * best.step, 4 * best.step) if h not in taken and h <= self.start.step]
            best = self.least(sorted(rungs, key=lambda rung: -rung.h))
        return best

    def at_the_edge(self, side: int, steps: list[float]) -> Limit:
        """The slope of the one side on which the function exists, followed down to where the noise ends that."""
        one, ratio = fit(self.line, side, steps, self.spread), 2
        while self.start.patient and one.bound > self.enough and steps[-1] > NEAREST:
            if self.spread / steps[-1] >= one.bound:
                break
            before = one.bound
            steps = [*steps, *ladder(steps[-1] / ratio, 1, len(steps))]
            one = fit(self.line, side, steps, self.spread)
            ratio = 2 if one.bound < before / 4 else 8
        return one._replace(bound=one.bound + self.slack)


def is_sloped(line: Line, steps: Sequence[float]) -> bool:
    """Whether f is sloped alike at both of the widest steps; if it stands still nearby, whose slope is meant?

    Where it is flat up to a kink, the second difference is of the size of the first.
    """
    odd, even = ([side(line, h) for h in steps[:2]] for side in (_slope_across, _bend))
    return 0 < abs(odd[0] - odd[-1]) < ALIKE * abs(odd[0]) and abs(even[0]) < STRAIGHT * abs(odd[0])


def _slope_across(line: Line, h: float) -> float:
    return (line.sample(h).value - line.sample(-h).value) / (2 * h)


def _bend(line: Line, h: float) -> float:
    return sum(line.changes(h)) / (2 * h)


def _narrow(line: Line, spread: float) -> float:
    """Roundoff of a function that computes more narrowly than it returns, as far as its noise tells; at most float16's."""
    loud = spread > 2 * UNIT * abs(line.origin) > 0
    still = loud and any(stands_still(line, spacing) for spacing in (NEAR, USUAL, PLATEAU))
    return min(spread / abs(2 * line.origin), NARROWEST) if still else UNIT


def second_look(line: Line, spread: float, u: float) -> Estimate:
    """A slope from the three pairs of steps at which `is_quiet` has looked: far from large, and nearly free."""
    search = Search(line, spread, u, SLACK * UNIT * line.spread, AT_LARGE)
    best = search.least([search.rung(h) for h in BESIDE])
    return Estimate(line.product + best.value, best.bound, line.evaluations, spread, best.step, u)


def _judge_all(rungs: Sequence[Rung], slack: float) -> list[Limit]:
    """Every window, ordered by its last rung."""
    steps, noises = [rung.h for rung in rungs], [rung.noise for rung in rungs]
    odd = extrapolate(steps, [rung.odd for rung in rungs], noises, ODD)
    even = extrapolate(steps, [rung.even for rung in rungs], noises, EVEN)
    return limits(steps, odd.value, _bounds(odd, even, slack))


def _judge_last(rungs: Sequence[Rung], slack: float) -> list[Limit]:
    """The windows that end with the last rung."""
    near = rungs[-LARGEST:]
    return _judge_all(near, slack)[-len(near) :]


def _bounds(odd: Windows, even: Windows, slack: float) -> Array:
    return 2 * odd.disagreement + odd.noise + np.abs(even.value) + even.noise + slack
