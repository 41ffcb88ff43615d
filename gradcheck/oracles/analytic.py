"""The complex step on a user's function: only when asked for, and only where real differences vouch for it.

A function survives complex arguments if it is analytic and written for them; ``abs``, ``maximum`` and casts to float do
not, and give a wrong slope without a word. At a kink the complex step sees the side that the code takes, and no kink.
"""

import numpy as np

from gradcheck.foundation.arithmetic import UNIT
from gradcheck.oracles.complex_step import complex_step
from gradcheck.oracles.line import Estimate, Function, Line, Meter, Point

# Of the sum over the entries, as for real differences. At 1 an error of 7e-15 more was found and no correct one accused; at
# 1000, 14 of 150 errors passed.
ROUNDING = 32
# Times what one ulp changes. At 0 two correct ones of 710 were undecided; at 100 five errors of 150, about 1e-14, passed.
MOVED = 3


def analytic_slope(function: Function, point: Point, line: Line, meter: Meter) -> Estimate:
    """Slope along a line by complex step; its rounding judged by what a move of the point by one ulp changes."""

    def slope(at: Point) -> float:
        meter.spend()
        try:
            return complex_step(function, at, line.direction)
        except (TypeError, ArithmeticError, ValueError):  # NumPy refuses complex arguments to what is not analytic
            return float("nan")

    value = slope(point)
    nearby = slope({name: np.nextafter(x, np.inf) for name, x in point.items()})
    return Estimate(value, ROUNDING * UNIT * line.spread + MOVED * abs(nearby - value), 2)


def refusal(analytic: Estimate, real: Estimate, fine: bool) -> str:
    """Why the complex step is not to be used, or nothing."""
    if not np.isfinite(analytic.value):
        return "complex step refused: the function does not take complex arguments"
    if abs(analytic.value - real.value) > analytic.bound + real.bound:
        return "complex step refused: it disagrees with real differences"
    return "" if fine else "complex step refused: real differences are too coarse here to vouch for it"
