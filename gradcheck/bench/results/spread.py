"""What rounds of measurements say: medians, how far they spread, and whether two differ."""

from collections.abc import Sequence

import msgspec
import numpy as np

# Of the median: what is told apart on such a machine differs by more. With four times more to do than cores, times spread by
# 43% to 71%, and by 2% in one series: nothing lay between.
NOISY = 0.1


class Timing(msgspec.Struct, frozen=True):
    """Seconds of one call: the median of all rounds, and their interquartile range in units of it."""

    seconds: float
    spread: float


class Ratio(msgspec.Struct, frozen=True):
    """Of two times that were taken in the same round: the median of all rounds, and the quartiles."""

    median: float
    low: float
    high: float

    @property
    def distinct(self) -> bool:
        """Whether the middle half of the rounds agrees on which is faster."""
        return not self.low <= 1 <= self.high


def timing(rounds: Sequence[float]) -> Timing:
    """Of the seconds of each round."""
    low, middle, high = _quartiles(rounds)
    return Timing(middle, (high - low) / middle)


def ratio(rounds: Sequence[float], others: Sequence[float]) -> Ratio:
    """Of two series of rounds, round by round: what slows a whole round down is in neither."""
    low, middle, high = _quartiles([a / b for a, b in zip(rounds, others, strict=True)])
    return Ratio(middle, low, high)


def _quartiles(values: Sequence[float]) -> list[float]:
    return np.quantile(values, (0.25, 0.5, 0.75)).tolist()
