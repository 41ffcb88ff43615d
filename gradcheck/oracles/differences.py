r"""Residual differences: the slope along a direction by finite differences, with a bound on its error.

With d+- = fl(x +- h v) - x taken exactly and g the claimed gradient,

    A(h) = [f(x+) - f(x-) - g.(d+ - d-)] / 2h             tends to the true slope minus the claimed one
    B(h) = [f(x+) + f(x-) - 2 f(x) - g.(d+ + d-)] / 2h    tends to 0 where f is smooth, to half the jump of slope at a kink

A is even in h and B odd, so Richardson windows (`richardson`) find the limits T and T_B. A window's bound is

    what smaller windows say + noise carried + |T_B| + its noise + slack,      slack = 32 u |g o v|_2

and the least one is taken, unless a window nearer the point contradicts it. T_B in the bound is what keeps a kink inside
the step from becoming an accusation. Because A is a difference to the claim, a correct claim leaves nothing to extrapolate.
Where the least bound is too coarse, the two sides are asked (`sides`), and then smaller steps.
"""

from collections.abc import Sequence
from math import inf
from typing import NamedTuple

import numpy as np

from gradcheck.foundation.arithmetic import UNIT
from gradcheck.foundation.arrays import Array
from gradcheck.oracles.line import Estimate, Function, Line, Point
from gradcheck.oracles.noise import BESIDE, CENTRED, NEAR, USUAL, noise, stands_still, unit
from gradcheck.oracles.richardson import EVEN, LARGEST, ODD, Limit, Windows, extrapolate, ladder, least, limits
from gradcheck.oracles.sides import FIRST, NEAREST, choose

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
# Times too coarse a side may be to be asked at smaller steps. At 10 1% more evaluations, at 1e5 as many; no verdict of 460
# changed.
PROMISING = 1000
# Times coarser than `Start.enough` a side may be: what it saves is many small steps. At 10 3% more evaluations, at 1e5 as
# many; no verdict of 460 changed.
SIDES = 1000


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
    sided : bool
        Whether one side may speak for the point, where small steps across it say which.
    """

    step: float = FIRST
    noise: float | None = None
    rungs: int = CERTAIN
    patient: bool = True
    unit: float = UNIT
    enough: float = 0.0
    sided: bool = False


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
    slack = SLACK * UNIT * line.spread
    rungs = [_rung(line, h, spread, u) for h in steps]
    best, sided = least(_judge_all(rungs, slack)), False
    good_enough = best.bound <= max(2 * slack, start.enough, WORTH * rungs[-1].noise) and best.bound < inf
    if start.patient and not good_enough:
        best, sided = _patiently(line, rungs, best, slack, spread, u, start)
    staircase = _is_staircase(line, rungs, best.step)
    bound = inf if staircase else best.bound
    return Estimate(line.product + best.value, bound, line.evaluations, spread, best.step, u, sided, staircase)


def _is_staircase(line: Line, rungs: Sequence[Rung], step: float) -> bool:
    """Whether f stands still at the steps that were chosen and is sloped alike at both of the widest: whose slope is meant?

    Where it is flat up to a kink, the second difference is of the size of the first.
    """
    if not all(line.sample(side * step).value == line.origin for side in (1, -1)):
        return False
    odd, even = ([side(line, rung.h) for rung in rungs[:2]] for side in (_slope_across, _bend))
    return 0 < abs(odd[0] - odd[-1]) < ALIKE * abs(odd[0]) and abs(even[0]) < STRAIGHT * abs(odd[0])


def _slope_across(line: Line, h: float) -> float:
    return (line.sample(h).value - line.sample(-h).value) / (2 * h)


def _bend(line: Line, h: float) -> float:
    return (line.sample(h).value + line.sample(-h).value - 2 * line.origin) / (2 * h)


def _narrow(line: Line, spread: float) -> float:
    """Roundoff of a function that computes more narrowly than it returns, as far as its noise tells; at most float16's."""
    loud = spread > 2 * UNIT * abs(line.origin) > 0
    still = loud and any(stands_still(line, spacing) for spacing in (NEAR, USUAL, PLATEAU))
    return min(spread / abs(2 * line.origin), NARROWEST) if still else UNIT


def second_look(line: Line, spread: float, u: float) -> Estimate:
    """A slope from the three pairs of steps at which `is_quiet` has looked: far from large, and nearly free."""
    rungs = [_rung(line, h, spread, u) for h in BESIDE]
    best = least(_judge_all(rungs, SLACK * UNIT * line.spread))
    return Estimate(line.product + best.value, best.bound, line.evaluations, spread, best.step, u)


def _patiently(
    line: Line, rungs: list[Rung], best: Limit, slack: float, spread: float, u: float, start: Start
) -> tuple[Limit, bool]:
    """Ask the sides, and then descend while that may improve the bound."""
    while start.sided and len(rungs) <= 2 * CERTAIN:
        chosen = choose(line, [rung.h for rung in rungs], spread, SIDES * start.enough)
        if chosen.limit.bound + slack < best.bound:
            return chosen.limit._replace(bound=chosen.limit.bound + slack), True
        if chosen.kink:  # no smaller step will tell another story
            return best, False
        if chosen.near > min(PROMISING * SIDES * start.enough, best.bound):
            break
        rungs += [_rung(line, h, spread, u) for h in ladder(rungs[-1].h / 2, 3, len(rungs))]
    return _descend(line, rungs, slack, spread, u, start), False


def _descend(line: Line, rungs: list[Rung], slack: float, spread: float, u: float, start: Start) -> Limit:
    judged = _judge_all(rungs, slack)
    best, ratio = least(judged), 2
    enough = max(2 * slack, start.enough)
    while best.bound > enough and (best.bound == inf or not rungs[-1].noise >= best.bound) and rungs[-1].h > NEAREST:
        (h,) = ladder(rungs[-1].h / ratio, 1, len(rungs))
        rungs.append(_rung(line, h, spread, u))
        judged += _judge_last(rungs, slack)
        before, best = best, least(judged)
        ratio = 2 if best.bound < before.bound / 4 else 8
    if ratio == 8 and best.step:  # rungs that were jumped over on the way below a kink are less noisy than the last
        taken = {rung.h for rung in rungs}
        rungs += [_rung(line, h, spread, u) for h in (2 * best.step, 4 * best.step) if h not in taken and h <= start.step]
        best = least(_judge_all(sorted(rungs, key=lambda rung: -rung.h), slack))
    return best


def _rung(line: Line, h: float, spread: float, u: float) -> Rung:
    line.prepare((h, -h))
    ahead, behind = line.sample(h), line.sample(-h)
    noisy = max(spread, 2 * u * max(abs(ahead.value), abs(behind.value)))
    odd, even = (ahead.residual - behind.residual) / (2 * h), (ahead.residual + behind.residual) / (2 * h)
    return Rung(h, odd, even, noisy / h)


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
