"""The noise of a computed function, measured and not assumed.

Differences of order k of m equally spaced values estimate the noise's standard deviation once the spacing is so small
that the function itself is a polynomial of lower order there: sigma_k^2 = (k!)^2 / (2k)! mean((Delta^k f)^2). More
and Wild, *Estimating computational noise*, SIAM J. Sci. Comput. 33 (2011).
"""

from math import comb

import numpy as np

from gradcheck.oracles.line import Line

UNIT = 2.0**-53
SPACING = UNIT**0.4
POINTS = 6


def noise(line: Line) -> float:
    """Standard deviation of f's own noise along a line, never below 2 u |f|.

    Measured at two spacings; the smaller is taken, because a kink or a plateau inflates one of them and noise neither.
    """
    return max(min(_spread(line, SPACING), _spread(line, SPACING / 3)), 2 * UNIT * abs(line.origin))


def _spread(line: Line, spacing: float) -> float:
    offsets = [i for i in range(-POINTS // 2 + 1, POINTS // 2 + 1) if i]
    values = {0: 0.0} | {i: line.sample(i * spacing).residual for i in offsets}
    table = np.array([values[i] for i in sorted(values)])
    return max(float(np.sqrt(np.mean(np.diff(table, order) ** 2) / comb(2 * order, order))) for order in (4, 5))
