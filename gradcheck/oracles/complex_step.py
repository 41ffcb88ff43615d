"""The complex step: Im f(x + i h v) / h has no cancellation and never crosses a kink.

Squire and Trapp, *Using complex variables to estimate derivatives of real functions*, SIAM Review 40 (1998). The
function must be analytic where it is evaluated and written for complex arguments; `gradcheck.network.reference` is.
"""

import numpy as np

from gradcheck.oracles.line import Function, Point

STEP = 1e-30  # the truncation error is of order h^2 times the third derivative: any h far below sqrt(u) will do
# For double precision alone: h^2 = 1e-200 lies below all that rounding analysis bounds, also where the derivative is 0 and
# the third is not; derivatives down to 1e-200 do not underflow.
TINY = 1e-100


def complex_step(function: Function, point: Point, direction: Point, step: float = STEP) -> float:
    """Derivative of a real function along a direction, to rounding.

    Parameters
    ----------
    function : callable
        From arrays by name to a scalar; called once, with complex arrays where the direction has entries.
    point, direction : mapping of str to array
        The direction may name some of the point's arrays only.
    step : float
        h
    """
    with np.errstate(all="ignore"):
        moved = {name: point[name] + 1j * step * v for name, v in direction.items()}
        value: complex = function({**point, **moved})
        return float(value.imag) / step
