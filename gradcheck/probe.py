"""What one direction says of a claim."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from gradcheck.arrays import Array
from gradcheck.oracles.line import Estimate


class Probe(NamedTuple):
    """A residual along a direction: the oracle's slope minus the claimed one, and how much of it is honest."""

    v: Mapping[str, Array]
    residual: float
    bound: float
    estimate: Estimate

    @property
    def within(self) -> bool:
        """Whether the claim stands; a bound that is not a number decides nothing."""
        return not abs(self.residual) > self.bound

    def resolution(self, name: str, scale: Array) -> float:
        """The smallest relative error of one entry of a block that would have moved this probe beyond its bound."""
        return float(
            np.max((self.bound + min(abs(self.residual), self.bound)) / (np.abs(self.v[name]) * scale), initial=0.0)
        )
