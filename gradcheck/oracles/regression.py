r"""Slopes of noisy functions: many steps, so that the noise averages out.

With r(h) the residual at distance h, the odd part [r(h) - r(-h)] / 2 is fitted by h, h^3, ... and the even part
[r(h) + r(-h)] / 2 by 1, |h|, h^2, h^4, ..., by least squares at the Chebyshev nodes of (0, reach]. The coefficient of h is
the residual slope, that of |h| half a jump of slope, which a kink makes. What the fit leaves over is the noise, and

    bound = 3 standard errors of the slope + what one more power changes + |coefficient of |h|| + 3 of its standard errors.

A fit takes the fewest powers that leave over hardly more than any number does.
"""

from math import inf, isnan
from typing import NamedTuple

import numpy as np
from numpy.polynomial import chebyshev

from gradcheck.foundation.arrays import Array
from gradcheck.oracles.line import Estimate, Line

# Seen on 460 gradients, 360 of them correct.
PAIRS = 64  # at 16 four correct ones more were undecided; at 256 two fewer, with 40% more evaluations
POWERS = 7  # at 3 two more were undecided, at 12 none fewer
HARDLY = 1.1  # at 1.001 two, at 2 one more was undecided
ERRORS = 3  # at 1 one fewer was undecided and none accused; at 10 three more
REACHES = (2.0, 0.5, 0.125)  # with 0.5 alone four more were undecided; two more reaches changed nothing for 9% more


class Fit(NamedTuple):
    """A coefficient, its standard error, and the standard deviation of what the fit leaves over."""

    value: float
    error: float
    leftover: float


def regression(line: Line, spread: float, pairs: int = PAIRS) -> Estimate:
    """The slope along a line, by the reach that bounds it best; a fit that leaves over less than ``spread`` was lucky."""
    found = [_within_reach(line, reach, pairs, spread) for reach in REACHES]
    return min(found, key=lambda estimate: estimate.bound)._replace(evaluations=line.evaluations)


def _within_reach(line: Line, reach: float, pairs: int, spread: float) -> Estimate:
    t = np.cos((2 * np.arange(pairs) + 1) * np.pi / (4 * pairs))
    ahead, behind = (np.array([line.sample(side * reach * x).residual for x in t]) for side in (1, -1))
    if not np.isfinite(ahead + behind).all() or not line.moves(reach * t[0]):
        return Estimate(line.product, inf, 0)
    odd = _fewest([_odd(t, (ahead - behind) / 2, count) for count in range(1, POWERS + 2)])
    even = _fewest([_even(t, (ahead + behind) / 2, count) for count in range(1, POWERS + 2)])
    bound = abs(even[0].value)
    for fit, more in (odd, even):
        lucky = max(spread / fit.leftover, 1.0) if fit.leftover else inf
        bound += ERRORS * fit.error * lucky + abs(more.value - fit.value)
    return Estimate(line.product + odd[0].value / reach, inf if isnan(bound) else bound / reach, 0, spread, reach)


def _fewest(fits: list[Fit]) -> tuple[Fit, Fit]:
    """The fit of fewest powers that leaves over hardly more than the best, and the next one."""
    least = min(fit.leftover for fit in fits)
    chosen = next(i for i, fit in enumerate(fits[:-1]) if fit.leftover <= HARDLY * least or i == len(fits) - 2)
    return fits[chosen], fits[chosen + 1]


def _odd(t: Array, values: Array, count: int) -> Fit:
    """By the first odd Chebyshev polynomials; that of degree n has the slope (-1)^((n-1)/2) n at 0."""
    degrees = np.arange(1, 2 * count, 2)
    return _least_squares(chebyshev.chebvander(t, 2 * count)[:, degrees], values, degrees * (-1.0) ** (degrees // 2))


def _even(t: Array, values: Array, count: int) -> Fit:
    """By |t| and the first even Chebyshev polynomials, 1 among them: of a noisy f(x) nobody knows the true value."""
    basis = np.column_stack([t, chebyshev.chebvander(t, 2 * count)[:, 0::2]])
    return _least_squares(basis, values, np.eye(count + 2)[0])


def _least_squares(basis: Array, values: Array, wanted: Array) -> Fit:
    """The combination ``wanted`` of the coefficients."""
    inverse = np.linalg.pinv(basis)
    coefficients = inverse @ values
    leftover = np.linalg.norm(values - basis @ coefficients) / (len(values) - basis.shape[1]) ** 0.5
    return Fit(float(wanted @ coefficients), float(np.linalg.norm(wanted @ inverse) * leftover), float(leftover))
