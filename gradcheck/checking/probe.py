"""One probe of a claim: what a direction says of it, and how small an error that would have shown."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from gradcheck.foundation.arithmetic import UNIT
from gradcheck.foundation.arrays import Array, norm
from gradcheck.oracles.differences import AT_LARGE, NOISY
from gradcheck.oracles.line import Estimate, Line
from gradcheck.verdict.settle import Residual

LAST = AT_LARGE.step / 2 ** (AT_LARGE.rungs - 1)


class Probe(NamedTuple):
    """A residual along a line: the oracle's slope minus the claimed one, and how much of it is honest."""

    line: Line
    residual: float
    bound: float
    estimate: Estimate

    @property
    def v(self) -> Mapping[str, Array]:
        """The direction."""
        return self.line.direction

    @property
    def within(self) -> bool:
        """Whether the claim stands; a bound that is not a number decides nothing."""
        return not abs(self.residual) > self.bound

    @property
    def noisy(self) -> bool:
        """Whether noise is what makes the bound coarse, and no kink nearby has forced the steps to be small."""
        return self.estimate.step >= LAST and self.quiet

    @property
    def quiet(self) -> bool:
        """Whether the bound is but noise, of the function here or of its values at the step: no kink has widened it."""
        step = self.estimate.step
        if not step > 0:
            return False
        values = max(abs(self.line.sample(side * step).value) for side in (1, -1))
        return self.bound <= NOISY * max(self.estimate.noise, 2 * UNIT * values) / step

    @property
    def seen(self) -> float:
        """The smallest change of the slope that would have been flagged, whatever its sign."""
        return Residual(self.residual, self.bound).seen

    def resolution(self, name: str, scale: Array) -> float:
        """The smallest relative error of one entry of a block that would have moved this probe beyond its bound."""
        moved = times(np.abs(self.v[name]), scale)
        return float(np.max(np.divide(self.seen, moved, out=moved), initial=0.0))

    def block_resolution(self, name: str, scale: Array) -> float:
        """The same for an error of random sign in every entry of the block."""
        size = norm(scale * self.v[name])
        return 2 * self.bound / size if size else float("inf")


def times(a: Array, b: Array) -> Array:
    """Their product, in the place of ``a``."""
    a = np.asarray(a)
    return np.multiply(a, b, out=a)
