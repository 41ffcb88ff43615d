"""The complex step: Im f(x + i h v) / h has no cancellation and never crosses a kink.

Squire and Trapp, *Using complex variables to estimate derivatives of real functions*, SIAM Review 40 (1998). The
function must be analytic where it is evaluated and written for complex arguments; `gradcheck.network.reference` is.
"""

import numpy as np

from gradcheck.foundation.arithmetic import COMPLEX_STEP_FLOAT32
from gradcheck.oracles.line import Function, Point


def complex_step(function: Function, point: Point, direction: Point, step: float = COMPLEX_STEP_FLOAT32) -> float:
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
