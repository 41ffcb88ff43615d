r"""Residual differences: the slope along a direction by finite differences, with a bound on its error.

With d+- = fl(x +- h v) - x taken exactly and g the claimed gradient,

    A(h) = [f(x+) - f(x-) - g.(d+ - d-)] / 2h             tends to the true slope minus the claimed one
    B(h) = [f(x+) + f(x-) - 2 f(x) - g.(d+ + d-)] / 2h    tends to 0 where f is smooth, to half the jump of slope at a kink

A is even in h and B odd, so Richardson windows (`richardson`) find the limits T and T_B. A window's bound is

    what smaller windows say + noise carried + |T_B| + its noise + slack,      slack = 32 u |g o v|_2

and the least one is taken, unless a window nearer the point contradicts it. T_B in the bound is what keeps a kink inside
the step from becoming an accusation. Because A is a difference to the claim, a correct claim leaves nothing to extrapolate.

The factor 32 and the ladder's constants are measured, not derived.
"""

from collections.abc import Sequence
from typing import NamedTuple

from gradcheck.oracles.line import Estimate, Function, Line, Point
from gradcheck.oracles.noise import AHEAD, UNIT, noise, unit
from gradcheck.oracles.richardson import EVEN, LARGEST, ODD, SIDED, extrapolate

FIRST = 1 / 8
CERTAIN = 6  # rungs of ratio 2 before anything is decided
NEAREST = 1e-12
SLACK = 32


class Rung(NamedTuple):
    """Both residuals at one step, and the noise in either."""

    h: float
    odd: float
    even: float
    noise: float


class Slopes(NamedTuple):
    """One-sided derivatives, each with its bound."""

    left: Estimate
    right: Estimate


class Start(NamedTuple):
    """Where to begin: at large by default, or with what an earlier probe at the same point has found out.

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
    """

    step: float = FIRST
    noise: float | None = None
    rungs: int = CERTAIN
    patient: bool = True
    unit: float = UNIT


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
    line = Line(function, point, direction, gradient)
    steps = [start.step / 2**i for i in range(start.rungs)]
    u = max(start.unit, unit([line.sample(side * h).value for h in steps for side in (1, -1)]))
    spread = noise(line, at_least=u) if start.noise is None else start.noise
    slack = SLACK * UNIT * line.spread
    rungs = [_rung(line, h, spread, u) for h in steps]
    judged = _judge_all(rungs, slack)
    best, ratio = _best(judged), 2
    while start.patient and best.bound > 2 * slack and rungs[-1].noise < best.bound and rungs[-1].h > NEAREST:
        rungs.append(_rung(line, rungs[-1].h / ratio, spread, u))
        judged += _judge_last(rungs, slack)
        before, best = best, _best(judged)
        ratio = 2 if best.bound < before.bound / 4 else 8
    if start.patient and ratio == 8:  # rungs that were jumped over on the way below a kink are less noisy than the last
        taken = {rung.h for rung in rungs}
        rungs += [_rung(line, h, spread, u) for h in (2 * best.step, 4 * best.step) if h not in taken and h <= start.step]
        best = _best(_judge_all(sorted(rungs, key=lambda rung: -rung.h), slack))
    return Estimate(line.product + best.residual, best.bound, line.evaluations, spread, best.step, u)


def one_sided(function: Function, point: Point, direction: Point, gradient: Point, start: Start = AT_LARGE) -> Slopes:
    """The derivatives to either side, each fitted by itself: at a kink symmetric extrapolation is not valid."""
    left = _one_side(Line(function, point, {name: -v for name, v in direction.items()}, gradient), start)
    return Slopes(left._replace(value=-left.value), _one_side(Line(function, point, direction, gradient), start))


def _one_side(line: Line, start: Start) -> Estimate:
    steps = [start.step / 2**i for i in range(2 * start.rungs)]
    values = [line.sample(h).residual / h for h in steps]
    u = max(start.unit, unit([line.sample(h).value for h in steps]))
    spread = max(noise(line, AHEAD, u), UNIT * UNIT)
    noises = [spread / h for h in steps]
    windows = [
        (_Best(window.value, window.disagreement + window.noise))
        for first, last in _windows(len(steps))
        for window in [extrapolate(steps[first:last], values[first:last], noises[first:last], SIDED)]
    ]
    finite = [window for window in windows if window.bound == window.bound]
    best = min(finite, key=lambda window: window.bound, default=_Best(0.0, float("inf")))
    return Estimate(line.product + best.residual, best.bound, line.evaluations)


class _Best(NamedTuple):
    residual: float
    bound: float
    step: float = FIRST


def _rung(line: Line, h: float, spread: float, u: float) -> Rung:
    ahead, behind = line.sample(h), line.sample(-h)
    noisy = max(spread, 2 * u * max(abs(ahead.value), abs(behind.value)))
    odd, even = (ahead.residual - behind.residual) / (2 * h), (ahead.residual + behind.residual) / (2 * h)
    return Rung(h, odd, even, noisy / h)


def _best(windows: Sequence[_Best]) -> _Best:
    """The window of least bound; one nearer the point that contradicts it takes over."""
    best = _Best(0.0, float("inf"))
    nearer: list[_Best] = []
    for window in windows:
        if window.bound < best.bound:
            best, nearer = window, []
        elif window.bound < float("inf"):
            nearer.append(window)
    for window in nearer:
        if abs(window.residual - best.residual) > window.bound + best.bound:
            best = window
    return best


def _judge_all(rungs: Sequence[Rung], slack: float) -> list[_Best]:
    return [window for last in range(1, len(rungs) + 1) for window in _judge_last(rungs[:last], slack)]


def _judge_last(rungs: Sequence[Rung], slack: float) -> list[_Best]:
    """The windows that end with the last rung."""
    return [_judge(rungs[first:], slack) for first in range(max(0, len(rungs) - LARGEST), len(rungs))]


def _windows(count: int) -> list[tuple[int, int]]:
    """First and last rung (exclusive) of every window, from the widest steps down to the point."""
    return [(first, last) for last in range(1, count + 1) for first in range(max(0, last - LARGEST), last)]


def _judge(rungs: Sequence[Rung], slack: float) -> _Best:
    steps, noises = [rung.h for rung in rungs], [rung.noise for rung in rungs]
    odd = extrapolate(steps, [rung.odd for rung in rungs], noises, ODD)
    even = extrapolate(steps, [rung.even for rung in rungs], noises, EVEN)
    bound = 2 * odd.disagreement + odd.noise + abs(even.value) + even.noise + slack
    return _Best(odd.value, bound if bound == bound else float("inf"), steps[0])
