"""The noise of a computed function, measured and not assumed.

Differences of order k of m equally spaced values estimate the noise's standard deviation once the spacing is so small that
the function itself is a polynomial of lower order there: sigma_k^2 = (k!)^2 / (2k)! mean((Delta^k f)^2). More and Wild,
*Estimating computational noise*, SIAM J. Sci. Comput. 33 (2011).
"""

from collections.abc import Sequence
from math import comb

import numpy as np

from gradcheck.arrays import rms
from gradcheck.oracles.line import Line

UNIT = 2.0**-53
CENTRED = range(-2, 4)
AHEAD = range(6)
BEHIND = range(-5, 1)
SYMMETRIC = range(-3, 4)
BESIDE = 2.0**-11  # about u^(1/5): a smooth function's differences of order 5 and 6 are below rounding there
NEAR = UNIT**0.62
WIDEST = 2.0**-8
QUIET = 20  # times rounding; chosen, not derived
PLAIN = 1e4  # roundings that a change must amount to before its absence is telling; chosen, not derived
ALIKE = 100  # two estimates from so few values may differ this much; chosen, not derived
CAUTION = 3  # a spread estimated from three values is that often too small; chosen, not derived


def noise(line: Line, offsets: range = CENTRED, at_least: float = UNIT) -> float:
    """Standard deviation of f's own noise along a line, with caution, and never below 2 u |f|.

    What looks far from quiet on both sides of the point may be a kink there, or the edge of where f exists: the quietest of
    both sides and either one is taken.

    A function known to compute with the roundoff ``at_least`` is given a spacing to match.
    """
    floor = 2 * at_least * abs(line.origin)
    spacing = UNIT**0.4
    while stands_still(line, spacing) and spacing < WIDEST:
        spacing *= 8
    measured = [_measured(line, offsets, at_least, spacing)]
    if offsets == CENTRED and not measured[0] <= ALIKE * floor:
        measured += [_measured(line, side, at_least, spacing) for side in (AHEAD, BEHIND)]
    return min((one for one in measured if np.isfinite(one)), default=floor)


def quiet(line: Line) -> float | None:
    """The noise, where it is not much more than rounding of the value; None where that cannot be told so cheaply.

    Seen by differences of order 5 and 6 at the spacing `BESIDE`, where curvature can only add to it.
    """
    floor = 2 * UNIT * abs(line.origin)
    spread = _spread(line, SYMMETRIC, BESIDE, (5, 6))
    if stands_still(line, BESIDE) or not floor / ALIKE < spread <= QUIET * floor:
        return None
    return CAUTION * spread if spread > floor else floor


def stands_still(line: Line, spacing: float = NEAR) -> bool:
    """Whether f does not change in its last bit, to either side, where the claim says that it changes by many roundings.

    Its arithmetic is then narrower than the format of its values.
    """
    if abs(line.product) * spacing <= PLAIN * UNIT * abs(line.origin):
        return False
    return any(line.sample(side * spacing).value == line.origin for side in (-2, 2))


def _measured(line: Line, offsets: range, at_least: float, spacing: float) -> float:
    """Measured at two spacings, the other one tiny.

    Noise is the same at both. What is seen at the wide one alone may be a kink; but where the tiny one shows next to nothing,
    the function stands still over it or its rounding happens to run in step with it.
    """
    floor = 2 * at_least * abs(line.origin)
    wide, tiny = (_spread(line, offsets, one) for one in (spacing, NEAR))
    if at_least > UNIT:
        wide, tiny = max(wide, tiny, _spread(line, offsets, at_least**0.4)), 0.0
    kinked = wide > ALIKE * tiny and tiny >= floor / ALIKE
    measured = tiny if kinked else max(wide, tiny)
    return max(CAUTION * measured if measured > floor else measured, floor)


def unit(seen: Sequence[float]) -> float:
    """Unit roundoff of the narrowest format that holds all these values, if they are more than a few.

    A function all of whose values are numbers of float32, or of float16, was computed in that.
    """
    values = np.unique([value for value in seen if np.isfinite(value)])
    for dtype in (np.float16, np.float32):
        with np.errstate(all="ignore"):
            if len(values) > 2 and np.array_equal(values.astype(dtype).astype(float), values):
                return float(np.finfo(dtype).eps) / 2
    return UNIT


def _spread(line: Line, offsets: range, spacing: float, orders: tuple[int, int] = (4, 5)) -> float:
    values = np.array([line.sample(i * spacing).residual if i else 0.0 for i in offsets])
    return max(rms(np.diff(values, order)) / comb(2 * order, order) ** 0.5 for order in orders)
