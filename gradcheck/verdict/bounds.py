"""How far two honest answers may differ, and what a comparison is asked for."""

from math import inf
from typing import NamedTuple

import numpy as np

from gradcheck.foundation.arrays import Array, norm, zeros


class Allowance(NamedTuple):
    """How far each entry of a correct claim may be off.

    Attributes
    ----------
    rounding : array
        Because of rounding.
    exact : array
        Because the point lies exactly on a kink.
    low, high : array
        Where a correct gradient lies, rounding apart: ends that differ where the point is on a kink or near one.
    """

    rounding: Array
    exact: Array
    low: Array
    high: Array

    @property
    def kinks(self) -> Array:
        """How much kinks leave open; infinite where that cannot be known."""
        if self.low is self.high and np.isfinite(np.sum(self.low)):
            return zeros(self.low.shape)
        apart = self.high - self.low
        return np.where(np.isnan(apart), np.inf, apart)

    def along(self, v: Array) -> float:
        """How far a correct claim's derivative along ``v`` may be off, the signs of ``v`` being random.

        Rounding of the entries then adds up in squares; kinks add up in full.
        """
        moved = v != 0  # an infinite bound where nothing moves is no matter
        there = ... if moved.all() else moved
        size, kinks = np.abs(v[there]), self.kinks[there]
        open_ended = float(np.sum(size * kinks)) if kinks.any() else 0.0
        size *= self.rounding[there]
        return norm(size) + open_ended

    def bound(self, claimed: Array, reference: Array) -> Array:
        """Rounding and kinks together, on the side of the reference on which the claim lies.

        At a kink the reference, too, may stand anywhere between ``low`` and ``high``.
        """
        kinks = self.kinks
        if not kinks.any():
            return self.rounding
        side = np.where(claimed < reference, reference - self.low, self.high - reference)
        return self.rounding + np.where(kinks > 0, np.clip(side, 0, kinks), 0.0)


class Settlement(NamedTuple):
    """The gradient to believe for one block, and for each entry the error that may have gone unseen in it."""

    reference: Array
    unseen: Array


class Limits(NamedTuple):
    """What was asked: how accurate is accurate enough, and how much a check must be able to see to say ``correct``.

    What is smaller than ``zero`` underflows in the arithmetic of the claim. A bound that is more than ``trusted`` of an
    entry predicts rounding too coarsely to accuse anybody. A block that contributes no more than ``nothing`` of the whole
    gradient is zero, for all that rounding tells.
    """

    accuracy: float
    resolution: float
    zero: float
    trusted: float = inf
    nothing: float = 0.0
