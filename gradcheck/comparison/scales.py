"""How far honest code is off, entry by entry: the root mean square of what noise does to the reference.

Eight runs tell the root mean square of one entry to a quarter of itself, and by accident all eight may be small: an entry is
therefore given half of what the smallest fibre through it has (a row, a column, ...), and a fiftieth of what the whole block
has. Where all of a fibre is exactly zero (an expert that nobody chose) it says nothing, and the block's stands for it.
"""

from math import inf, sqrt

import numpy as np

from gradcheck.comparison.levels import LARGEST, TINY, Level
from gradcheck.foundation.arithmetic import UNITS
from gradcheck.foundation.arrays import Array

# Runs. Of 765 honest blocks in float32 the worst error was 18 scales at 99 % with 2 runs, 13 with 4, 10 with 8, 7 with 16.
RUNS = 8
FIBRE, BLOCK = 0.5, 0.02


class AboutCentre:
    """Root of the mean square by which arrays that come one after the other are off a centre; one more array is kept."""

    def __init__(self, centre: Array) -> None:
        self.centre, self.count, self.squares = centre, 0, np.zeros(centre.shape)

    def add(self, array: Array) -> None:
        """One more."""
        with np.errstate(all="ignore"):
            off = np.asarray(array - self.centre)
            self.squares += np.multiply(off, off, out=off)
        self.count += 1

    @property
    def size(self) -> Array:
        """Of what they are off by."""
        return np.sqrt(self.squares / self.count)


class AboutMean:
    """Mean of arrays that come one after the other, and their deviation from it; three arrays are kept."""

    def __init__(self, like: Array) -> None:
        self.count, self.sum, self.squares = 0, np.zeros(like.shape), np.zeros(like.shape)
        self.first: Array | None = None

    def add(self, array: Array) -> None:
        """One more: held against the first, so that nothing cancels."""
        self.first = array if self.first is None else self.first
        with np.errstate(all="ignore"):
            off = np.asarray(array - self.first)
            self.sum += off
            self.squares += np.multiply(off, off, out=off)
        self.count += 1

    @property
    def mean(self) -> Array:
        """Of the arrays."""
        return np.asarray(self.sum / self.count + (0.0 if self.first is None else self.first))

    @property
    def size(self) -> Array:
        """Root of their mean square about their own mean, as of a sample."""
        drift = self.sum / self.count
        with np.errstate(all="ignore"):
            return np.sqrt(np.maximum(self.squares / self.count - drift * drift, 0.0) * (self.count / (self.count - 1)))


def scale(noise: Array, reference: Array, held: str, level: Level) -> Array:
    """What an honest entry is off by in root mean square: by noise, and by being stored; infinite where that overflows."""
    with np.errstate(all="ignore"):
        off = np.sqrt((level.effect * noise) ** 2 + stored(reference, held) ** 2)
        off = np.where(np.abs(reference) * (1 + UNITS[held]) >= LARGEST[held], inf, off)
    return even(np.where(np.isfinite(off), off, inf))


def stored(reference: Array, held: str) -> Array:
    """What rounding to a format does: uniform within a roundoff, beneath the normal numbers within one of the smallest."""
    return (np.abs(reference) + TINY[held]) * (UNITS[held] / sqrt(3))


def even(scales: Array) -> Array:
    """None much smaller than those beside it; those that are infinite stand apart."""
    if scales.ndim == 0 or scales.size == 1:
        return scales
    known = np.isfinite(scales)
    largest = float(np.max(scales, where=known, initial=0.0))
    if not largest:
        return scales
    squares = np.where(known, scales / largest, 0.0) ** 2  # of what is tiny, too
    block = sqrt(float(np.mean(squares)))
    fibre = np.sqrt(_smallest_fibre(squares))
    floor = np.where(fibre == 0, block, np.maximum(FIBRE * fibre, BLOCK * block))
    return np.maximum(scales, largest * floor)


def _smallest_fibre(squares: Array) -> Array:
    axes = [axis for axis, size in enumerate(squares.shape) if size > 1]
    smallest = squares.mean(axis=axes[0], keepdims=True)
    for axis in axes[1:]:
        smallest = np.minimum(smallest, squares.mean(axis=axis, keepdims=True))
    return np.broadcast_to(smallest, squares.shape)
