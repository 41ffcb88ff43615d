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
ALIKE = 100  # two estimates from so few values may differ this much; chosen, not derived
CAUTION = 3  # a spread estimated from three values is that often too small; chosen, not derived


def noise(line: Line, offsets: range = CENTRED, at_least: float = UNIT) -> float:
    """Standard deviation of f's own noise along a line, with caution, and never below 2 u |f|.

    Measured at two spacings, far apart. The larger estimate is taken, unless it is so much larger that a kink must have
    inflated it; but where the smaller one is next to nothing, the function stands still over that spacing or its rounding
    happens to run in step with it, and it is the smaller one that says nothing.

    A function known to compute with the roundoff ``at_least`` is given a spacing to match.
    """
    least = 2 * at_least * abs(line.origin)
    first = _spread(line, offsets, UNIT**0.4)
    if at_least == UNIT and least / ALIKE < first <= least:
        return least  # as noisy as rounding of the value alone: nothing to be explained by a second spacing
    low, high = sorted([first, _spread(line, offsets, UNIT**0.62)])
    if at_least > UNIT:
        low, high = 0.0, max(high, _spread(line, offsets, at_least**0.4))
    measured = high if high <= ALIKE * low or low < least / ALIKE else low
    return max(CAUTION * measured if measured > least else measured, least)


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


def _spread(line: Line, offsets: range, spacing: float) -> float:
    values = np.array([line.sample(i * spacing).residual if i else 0.0 for i in offsets])
    return max(rms(np.diff(values, order)) / comb(2 * order, order) ** 0.5 for order in (4, 5))
