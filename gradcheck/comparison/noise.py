"""The noise of one run, and the choices in it: what is put on numbers, and what is taken as it was without."""

from collections.abc import Iterable, Iterator

import numpy as np

from gradcheck.comparison.levels import Level
from gradcheck.foundation.arrays import Array

APART = 1 << 40  # places in the stream of random numbers between one operation and the next, more than any array has entries


class Noise:
    """Relative errors as a level has them.

    Each operation draws from a place of its own in the stream, whatever the one before it has drawn: one seed is one noise,
    also where a choice that came out otherwise has changed a shape.

    Parameters
    ----------
    level : Level, optional
        Without one nothing is off.
    seed : int
    """

    def __init__(self, level: Level | None = None, seed: int = 0) -> None:
        self.level, self._bits = level, np.random.PCG64(seed)
        self._random = np.random.Generator(self._bits)

    def result(self, x: Array, times: float = 1.0) -> Array:
        """What an operation returns; of a product of n numbers ``times`` is sqrt(n)."""
        return self._stored(self._off(x, times * self.level.unit)) if self.level else x

    def term(self, x: Array, n: int) -> Array:
        """What is added up, n of them at a time; a sum of one adds nothing."""
        return self._off(x, self.level.term(n) if n > 1 else 0.0) if self.level else x

    def factor(self, x: Array, n: int) -> Array:
        """An operand of a product of matrices, whose entries are sums of n products."""
        if self.level is None:
            return x
        return self._off(x, float(np.hypot(self.level.term(n) if n > 1 else 0.0, self.level.factors)))

    def total(self, x: Array, n: int) -> Array:
        """Sums of n terms."""
        if self.level is None:
            return x
        unit = float(np.hypot(self.level.total(n) if n > 1 else 0.0, self.level.unit))
        return self._stored(self._off(x, unit))

    def _off(self, x: Array, unit: float) -> Array:
        """An exact zero is one in every arithmetic: nothing is put on it."""
        if self.level is None or unit == 0 or x.dtype.kind not in "fc" or x.size == 0:
            self._bits.advance(APART)
            return x
        draws = self._random.random(x.shape)
        self._bits.advance(APART - x.size)
        # Below the smallest normal number what is lost is a part of that.
        sizes = x + np.copysign(self.level.tiny, x) if x.dtype.kind == "f" else x
        errors = (2.0 * draws - 1.0) * unit * np.where((x == 0) | ~np.isfinite(x), 0.0, sizes)
        return np.asarray(x + errors).astype(x.dtype, copy=False)

    def _stored(self, x: Array) -> Array:
        """Infinite, or zero, where the arithmetic has no such number."""
        if self.level is None or x.dtype.kind != "f":
            return x
        size = np.abs(x)
        beyond, beneath = size > self.level.largest, size < self.level.unit * self.level.tiny
        if not beyond.any() and not beneath.any():
            return x
        return np.where(beneath, 0.0, np.where(beyond, np.copysign(np.inf, x), x)).astype(x.dtype, copy=False)


class Choices:
    """Comparisons, largest entries and orders, in the order in which they come.

    Parameters
    ----------
    before : iterable of array, optional
        Those of the run without noise; none of that run itself.
    free : bool
        Whether each is taken as it comes out, and not as it was before.

    Attributes
    ----------
    free : bool
    made : list of array
        All so far, as they were taken.
    flips : int
        How many entries came out otherwise; a path that nobody took before counts as one.
    """

    def __init__(self, before: Iterable[Array] | None = None, *, free: bool = False) -> None:
        self._before: Iterator[Array] | None = None if before is None else iter(before)
        self.free, self.made, self.flips = free, list[Array](), 0

    def taken(self, choice: Array) -> Array:
        """The choice, as it is to be taken."""
        made = np.array(choice)
        if self._before is not None:
            made = self._compared(made, next(self._before, None))
        self.made.append(made)
        return made

    def without(self, chosen_by: Array) -> Array:
        """What an operation chooses by that cannot be told its choice: as it is without noise."""
        before = None if self._before is None else next(self._before, None)
        made = before if before is not None and before.shape == chosen_by.shape else np.array(chosen_by)
        self.made.append(made)
        return made

    def ended(self) -> int:
        """The flips, once the run is over: what was not asked for again is another path, too."""
        return self.flips + (self._before is not None and next(self._before, None) is not None)

    def _compared(self, choice: Array, before: Array | None) -> Array:
        if before is None or before.shape != choice.shape:
            self.flips += 1
            return choice
        self.flips += int(np.count_nonzero(before != choice))
        return choice if self.free else before
