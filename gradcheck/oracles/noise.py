"""The noise of a computed function, measured and not assumed.

Differences of order k of m equally spaced values estimate the noise's standard deviation once the spacing is so small that
the function itself is a polynomial of lower order there: sigma_k^2 = (k!)^2 / (2k)! mean((Delta^k f)^2). More and Wild,
*Estimating computational noise*, SIAM J. Sci. Comput. 33 (2011).
"""

from math import comb

import numpy as np

from gradcheck.arrays import rms
from gradcheck.oracles.line import Line

UNIT = 2.0**-53
SPACINGS = (UNIT**0.4, UNIT**0.62)
CENTRED = range(-2, 4)
AHEAD = range(6)
ALIKE = 100  # two estimates from so few values may differ this much; chosen, not derived


def noise(line: Line, offsets: range = CENTRED) -> float:
    """Standard deviation of f's own noise along a line, never below 2 u |f|.

    Measured at two spacings, far apart. The larger estimate is taken, unless it is so much larger that a kink must have
    inflated it; but where the smaller one is next to nothing, the function stands still over that spacing (it computes in
    float32, say) or its rounding happens to run in step with it, and it is the smaller one that says nothing.
    """
    least = 2 * UNIT * abs(line.origin)
    low, high = sorted(_spread(line, offsets, spacing) for spacing in SPACINGS)
    return max(high if high <= ALIKE * low or low < least / ALIKE else low, least)


def _spread(line: Line, offsets: range, spacing: float) -> float:
    values = np.array([line.sample(i * spacing).residual if i else 0.0 for i in offsets])
    return max(rms(np.diff(values, order)) / comb(2 * order, order) ** 0.5 for order in (4, 5))
