"""What the rounding analysis needs to know of a function, taken from the reference forward: slopes, curvature, rounding."""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from gradcheck.foundation.arrays import Array
from gradcheck.network import layers as ly

SAFETY = 100.0  # times the root of a variance is a bound; measured, see `gradcheck.network.analysis.rounding`
MANY = 512  # terms of a sum: sqrt(MANY / 3) is an eighth of SAFETY. At 4096 sums of 4,000 were off by 0.45 of a bound
FAR = 1e-3  # where rounding carries an argument this far, first order says too little: slopes change over lengths of about 1
# Margin for libraries that round the last digit the wrong way. At 1e-4 two builds of 144 were beyond their bounds; at 0.5 or
# 100 none of 360, and nothing changed.
SATURATED = 8.0
# Roundings of its own size that an argument gathers in an ordinary network. At 0.1 three of 120 in bfloat16 were too coarse
# to be correct; at 100 nothing changed.
AMPLIFIED = 5.0


class Uncertain(NamedTuple):
    """A value with the variance of its rounding error in units of u^2."""

    value: Array
    variance: Array


class Cotangent(NamedTuple):
    """A gradient, its variance in units of u^2, and what kinks may change in it (`gradcheck.network.analysis.kinks`)."""

    value: Array
    variance: Array
    kinks: Array


def accumulated(terms: Any) -> Any:
    """By how much a sum of so many terms has more variance than its terms and its result: each step rounds a partial sum.

    Of n partial sums up to S that is n S^2 / 3, for which `SAFETY` has room up to `MANY` terms and a few times that.
    """
    return np.maximum(1.0, terms / MANY)


def tolerance_of(z: Uncertain, u: float) -> Array:
    """Distance from a kink below which a build may find itself on the other side."""
    return SAFETY * u * np.sqrt(or_inf(z.variance))


def or_inf(variance: Array) -> Array:
    """Where the analysis itself overflowed, nothing is known."""
    missing = np.isnan(variance)
    return np.where(missing, np.inf, variance) if missing.any() else variance


def value_rounding(cancellation: ly.Cancellation, z: Array) -> Array:
    """Absolute rounding of a function's value, in units of u, beyond that of its own size."""
    return cancellation.value * np.clip(np.abs(z), 1, cancellation.value_reach)


def slope_rounding(cancellation: ly.Cancellation, z: Array, slopes: Array, bend: Array, u: float) -> Array:
    """Absolute rounding of a function's slope, in units of u, beyond that of its own size.

    Where a function has saturated, slope and curvature both far below u, the terms of its slope cancel exactly: what is
    lost then is the slope itself, ``1 - tanh(30)**2`` gives 0.
    """
    cancelled = cancellation.slope * np.clip(np.abs(z), 1, cancellation.slope_reach)
    if not cancellation.left:
        cancelled = np.where(z < 0, 0.0, cancelled)
    return np.minimum(cancelled, SATURATED * (np.abs(slopes) + bend) / u)


def curvature(slopes: Callable[[Array], Array], z: Array, here: Array, reach: Array, kinks: Sequence[ly.Kink]) -> Array:
    """|rho''(z)| to a few digits, by differencing slopes, ``here`` at z, over ``reach`` or more on either side.

    The larger of both sides: where the curvature jumps (huber at its delta), rounding may put a build on the bent side.
    Where the slope itself jumps, the smoother side: what a kink may change is counted elsewhere. Where every slope is one
    that a kink has on its left or right, the function is straight between kinks.
    """
    if kinks and np.isin(here, [side for kink in kinks for side in (kink.left, kink.right)]).all():
        return np.zeros_like(z)
    step = np.maximum(1e-6 * np.maximum(np.abs(z), 1), reach)
    sides = np.abs(slopes(z + step) - here), np.abs(here - slopes(z - step))
    return (np.minimum if kinks else np.maximum)(*sides) / step


def steepest(slopes: Callable[[Array], Array], z: Array, here: Array, tolerance: Array, also: Any) -> Array:
    """Largest slope, in absolute value: within z -+ tolerance where that is far or ``also``, else at z, ``here``."""
    mask = ((tolerance > FAR) | also) & np.isfinite(tolerance)
    return reduce(np.maximum, map(np.abs, _around(slopes, z, tolerance, mask)), np.abs(here))


def bend(
    slopes: Callable[[Array], Array], z: Array, here: Array, tolerance: Array, kinks: Sequence[ly.Kink], u: float
) -> Array:
    """Curvature within z -+ tolerance; where that is far, the largest change of slope over it, divided by the tolerance."""
    far = (tolerance > FAR) & np.isfinite(tolerance)
    near = np.where(tolerance <= FAR, tolerance, 0.0)
    changes = [np.abs(slope - here) / np.where(far, tolerance, 1.0) for slope in _around(slopes, z, tolerance, far)]
    wide = (np.where(far, coherence(tolerance, z.size, u) * change, 0.0) for change in changes)
    return reduce(np.maximum, wide, curvature(slopes, z, here, near, kinks))


def coherence(tolerance: Array, count: int, u: float) -> Array:
    """How many times a change over the whole tolerance counts, of which ``count`` units may have one each.

    Where rounding is amplified it is not one of many small errors: N units may change together, and by Cauchy and Schwarz
    |sum of c d| <= sqrt(N) |c d|_2, so it counts sqrt(N) times. In coarse arithmetic one rounding already carries an
    argument far; those of different units are as independent there as elsewhere, and count once.
    """
    return np.where(tolerance > max(FAR, AMPLIFIED * SAFETY * u), count**0.5, 1.0)


def _around(slopes: Callable[[Array], Array], z: Array, tolerance: Array, mask: Array) -> list[Array]:
    """Slopes over z -+ tolerance in the entries of the mask; none where it is empty.

    At the ends of the interval, and at 0 where it is inside: the slope of a convex loss is monotone, and an activation's has
    its extremes at the ends or, within a tenth, at 0.
    """
    if not mask.any():
        return []
    reach = np.where(mask, tolerance, 0.0)
    return [slopes(point) for point in (z - reach, z + reach, np.clip(0.0, z - reach, z + reach))]
