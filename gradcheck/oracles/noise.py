"""The noise of a computed function, measured and not assumed.

Over a spacing so small that the function itself is a cubic, what a cubic leaves over at a few points is the noise. The
points are not equally spaced: rounding can run in step with equal ones. After More and Wild, *Estimating computational
noise*, SIAM J. Sci. Comput. 33 (2011), who difference equally spaced values.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np

from gradcheck.foundation.arithmetic import UNIT
from gradcheck.foundation.arrays import Array
from gradcheck.oracles.lattice import REACHES, is_rounded
from gradcheck.oracles.line import Line

CENTRED = (-2.31847, -1.08713, 0.73519, 1.92561, 3.17943)  # digits at random: no common measure
AHEAD = (0.91753, 2.13649, 2.84917, 4.31871, 5.13727)
BEHIND = (-0.91753, -2.13649, -2.84917, -4.31871, -5.13727)
CUBIC = 3
QUARTIC = 4
BESIDE = (3.12917 * 2**-13, 1.71463 * 2**-13, 2**-13)  # below u^(1/5): of a smooth function a quartic leaves rounding
USUAL = UNIT**0.4
NEAR = UNIT**0.62
FEW = (2.0**-48, 2.0**-42)  # of a parameter: some thirty numbers, over which rounding may run in step, and two thousand
APART = 0.3  # of the spacing of coarse numbers, at which they are looked at again; at 0.05 or 1 no verdict of 24 changed
WIDEST = 2.0**-8
QUIET = 20  # times rounding; at 2 6% more evaluations, at 200 as many, and no verdict of 460 changed
# Roundings that a change must amount to before its absence is telling. At 100 or 1e6 no verdict of 460 changed.
PLAIN = 1e4
ROUND = 2.0**6  # a number of six bits is what any function may return
# Two estimates from so few values may differ this much. At 5 no verdict of 460 changed; at 2000 a correct one beside a joint
# was undecided.
ALIKE = 100
# Times as far: up to where curvature is seen; by each a kink shows as many times more. With 2^6 alone one of 36 losses on
# grids was accused; five ratios cost a fault 30 evaluations more.
WIDER = (2**6, 2**12, 2**15)
# What shows less than this many times more is noise. At 1.2 or 20 no verdict of 460 changed; at 20 3% more evaluations.
GROWING = 4
# A spread estimated from three values is that often too small. At 1 no verdict of 460 changed; at 10 one correct gradient
# was undecided, with 4% more evaluations.
CAUTION = 3


def noise(line: Line, offsets: tuple[float, ...] = CENTRED, at_least: float = UNIT) -> float:
    """Standard deviation of f's own noise along a line, with caution, and never below 2 u |f|.

    What looks far from quiet on both sides of the point may be a kink there, or the edge of where f exists: the quietest
    of both sides and either one is taken.

    A function known to compute with the roundoff ``at_least`` is given a spacing to match.
    """
    floor = 2 * at_least * abs(line.origin)
    spacing = line.unit**0.4
    while stands_still(line, spacing) and spacing < WIDEST:
        spacing *= 8
    if stands_still(line, spacing):
        return floor  # no format is as narrow as that: a function of steps
    measured = [_measured(line, offsets, at_least, spacing)]
    if offsets == CENTRED and not measured[0] <= ALIKE * floor:
        moving = [side for side in (AHEAD, BEHIND) if not stands_still(line, spacing, (side[0], side[-1]))]
        measured += [_measured(line, side, at_least, spacing) for side in moving]
    return min((one for one in measured if np.isfinite(one)), default=floor)


def quiet(line: Line) -> float | None:
    """The noise, where it is not much more than rounding of the value; None where that cannot be told so cheaply.

    Seen by what a quartic leaves over at the steps `BESIDE`, where curvature can only add to it.
    """
    floor = 2 * UNIT * abs(line.origin)
    spread = _spread(line, (*(-h for h in BESIDE), *BESIDE), 1.0, QUARTIC)
    if stands_still(line, BESIDE[0], (-1, 1)) or not floor / ALIKE < spread <= QUIET * floor:
        return None
    return CAUTION * spread if spread > floor else floor


def stands_still(line: Line, spacing: float = NEAR, ends: tuple[float, float] = (CENTRED[0], CENTRED[-1])) -> bool:
    """Whether f does not change by its last bit where the claim says that it changes by many roundings.

    Its arithmetic is then narrower than the format of its values.
    """
    if abs(line.product) * spacing <= PLAIN * UNIT * abs(line.origin):
        return False
    return all(line.sample(side * spacing).value == line.origin for side in ends)


def grain(line: Line) -> float:
    """The noise of a function that is known to round some of its arguments: what no longer grows with the spacing."""
    floor = 2 * UNIT * abs(line.origin)
    below, here = _spread(line, CENTRED, NEAR), _spread(line, CENTRED, USUAL)
    for wider in WIDER:
        beyond = _spread(line, CENTRED, wider * USUAL)
        if QUIET * floor < here and beyond < GROWING * here and (below <= ALIKE * floor or here < GROWING * below):
            return CAUTION * max(here, beyond)
        below, here = here, beyond
    return 0.0


def _measured(line: Line, offsets: tuple[float, ...], at_least: float, spacing: float) -> float:
    """Measured at a wide spacing, at a tiny one, and at one of a few numbers.

    Noise is the same at all of them. What is seen at wide ones alone may be a kink, or the function itself, which may be
    faster than its parameters' size tells; but where a tiny one shows next to nothing, the function stands still over it, or
    its rounding happens to run in step with it. What jumps on either side of the point is rounded, and that is its noise.
    """
    floor = 2 * at_least * abs(line.origin)
    wide = _spread(line, offsets, spacing)
    if line.unit > UNIT:  # narrower spacings hold no numbers
        return _cautious(max(wide, _spread(line, offsets, APART * spacing)), floor)
    if at_least > UNIT:
        return _cautious(max(wide, *(_spread(line, offsets, s) for s in (NEAR, at_least**0.4))), floor)
    if wide <= floor:
        return floor
    told = [_moving(line, offsets, NEAR), wide]
    if not told[0] <= QUIET * floor:
        told = [*(_moving(line, offsets, few) for few in FEW), *told]
    measured = _plateau([max(spread, floor / 10) for spread in told if spread > 0 and spread >= floor / ALIKE])
    if measured < wide and wide > QUIET * floor and is_rounded(line, measured, REACHES[:1]):  # float32's
        measured = wide
    return _cautious(measured, floor)


def _plateau(spreads: Sequence[float]) -> float:
    """Of the tiny spacings the first two that are alike, of which one is among the first two; the tiniest where none are.

    At wide ones a fast function is alike, too: as far apart as its values can be.
    """
    for narrower, wider in pairwise(spreads[:3]):
        if wider <= ALIKE * narrower and narrower <= ALIKE * wider:
            return max(narrower, wider)
    return spreads[0] if spreads else float("nan")


def noise_at(line: Line, h: float) -> float:
    """What is left over beside a distance, on both sides of the point: the noise of what a slope at this step rests on."""
    spacing = max(h * USUAL, FEW[-1])
    offsets = [h + spacing * offset for offset in CENTRED]
    line.prepare(side * offset for side in (1, -1) for offset in offsets)
    return max(_left(line, side * h, [side * offset for offset in offsets]) for side in (1, -1))


def _left(line: Line, centre: float, places: Sequence[float]) -> float:
    values = np.array([line.sample(h).residual - line.sample(centre).residual for h in (centre, *places)])
    if not np.isfinite(values).all():
        return 0.0
    return CAUTION * _deviation(values, CENTRED, CUBIC)


def _moving(line: Line, offsets: tuple[float, ...], spacing: float) -> float:
    """What a spacing shows; nothing where the function stands still over it."""
    return 0.0 if stands_still(line, spacing, (offsets[0], offsets[-1])) else _spread(line, offsets, spacing)


def _cautious(measured: float, floor: float) -> float:
    return max(CAUTION * measured if measured > floor else measured, floor)


def unit(seen: Sequence[float]) -> float:
    """Unit roundoff of the narrowest format that holds all these values, if they are anything but round.

    A function all of whose values are numbers of float32, or of float16, was computed in that.
    """
    values = np.unique([value for value in seen if np.isfinite(value)])
    mantissas = np.frexp(values)[0] * ROUND
    if np.array_equal(mantissas, np.rint(mantissas)):
        return UNIT
    for dtype in (np.float16, np.float32):
        with np.errstate(all="ignore"):
            if np.array_equal(values.astype(dtype).astype(float), values):
                return float(np.finfo(dtype).eps) / 2
    return UNIT


def _spread(line: Line, offsets: tuple[float, ...], spacing: float, degree: int = CUBIC) -> float:
    """What a polynomial through the point leaves over."""
    line.prepare(i * spacing for i in offsets)
    values = np.array([0.0, *(line.sample(i * spacing).residual for i in offsets)])
    if not np.isfinite(values).all():
        return float("nan")
    if spacing <= FEW[-1]:  # where points are not quite where they should be
        offsets = tuple(line.distance(i * spacing) / spacing for i in offsets)
    return _deviation(values, offsets, degree)


def _deviation(values: Array, offsets: tuple[float, ...], degree: int) -> float:
    """Of values at 0 and at these offsets from the best polynomial, in standard deviations."""
    return float(np.linalg.norm(_left_over(offsets, degree) @ values)) / (len(values) - degree - 1) ** 0.5


@lru_cache
def _left_over(offsets: tuple[float, ...], degree: int) -> Array:
    """The matrix that takes the best polynomial from values at 0 and at these offsets."""
    where = np.array([0.0, *offsets]) / max(map(abs, offsets))
    basis = np.linalg.qr(np.vander(where, degree + 1))[0]
    return np.eye(len(where)) - basis @ basis.T
