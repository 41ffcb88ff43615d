"""Richardson extrapolation over windows of neighbouring steps, each window with the error that it admits.

A quantity Q(h) = q + sum_j c_j h^p_j is known at steps h_1 > h_2 > ... A window of k neighbouring steps gives the q
that k - 1 of the powers p_j let through: weights w with sum_i w_i = 1 and sum_i w_i h_i^p_j = 0 (Richardson 1911;
Joyce, SIAM Review 13, 1971).
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from gradcheck.foundation.arrays import Array

ODD = (0, 2, 4, 6, 8, 10)  # powers of a central difference
EVEN = (0, 1, 3, 5, 7, 9)  # of a second difference divided by h
SIDED = (0, 1, 2, 3, 4, 5)  # of a one-sided difference
LARGEST = 6
# Digits at random. Where steps are multiples of the smallest and that is nearly a period of the function, all of them see
# one slow function, and extrapolate what is not there. Within 12 % and not 7 two of 440 correct ones more were undecided.
UNEVEN = (1.0, 0.95317, 0.98371, 0.93429, 0.97183, 0.96037, 0.99113)


def ladder(widest: float, count: int, after: int = 0) -> list[float]:
    """Steps from the widest on, each about half of the one before and no multiple of another, after so many others."""
    return [widest / 2**i * UNEVEN[(after + i) % len(UNEVEN)] for i in range(count)]


class Windows(NamedTuple):
    """Extrapolated values of windows: how far the smaller windows in each disagree, and the noise that its weights carry."""

    value: Array
    disagreement: Array
    noise: Array


class Limit(NamedTuple):
    """What a window says, with the bound that it admits, the widest of its steps and the nearest."""

    value: float
    bound: float
    step: float = 0.0
    near: float = 0.0


NOTHING = Limit(0.0, float("inf"))


def least(windows: Iterable[Limit]) -> Limit:
    """The window of least bound; where one that comes later, nearer the point, contradicts it, the least from there on.

    To steps that are far too long for a function its slope is that from end to end, which they agree on.
    """
    left = [window for window in windows if window.bound < float("inf")]
    while left:
        place, best = min(enumerate(left), key=lambda each: each[1].bound)
        left = left[place + 1 :]
        there = next((i for i, nearer in enumerate(left) if _contradict(nearer, best)), None)
        if there is None:
            return best
        left = left[there:]
    return NOTHING


def _contradict(one: Limit, other: Limit) -> bool:
    return abs(one.value - other.value) > one.bound + other.bound


def limits(steps: Sequence[float], values: Array, bounds: Array) -> list[Limit]:
    """What each window says; one without a bound knows nothing."""
    known = np.where(np.isnan(bounds), np.inf, bounds)
    ends = [(steps[first], steps[last - 1]) for first, last in spans(len(steps))]
    return list(map(Limit, values.tolist(), known.tolist(), *zip(*ends, strict=True)))


@lru_cache
def spans(count: int) -> tuple[tuple[int, int], ...]:
    """First step of each window of so many steps and the step after its last one, ordered by the last."""
    return tuple((first, last) for last in range(1, count + 1) for first in range(max(0, last - LARGEST), last))


@lru_cache(maxsize=4096)
def weights(steps: tuple[float, ...], powers: tuple[int, ...]) -> Array:
    """Weights of the steps, given relative to the first: exact for the constant and the next powers."""
    matrix = np.array([[h**p for h in steps] for p in powers[: len(steps)]])
    return np.linalg.inv(matrix)[:, 0]


def extrapolate(steps: Sequence[float], values: Sequence[float], noise: Sequence[float], powers: tuple[int, ...]) -> Windows:
    """The value of every window (`spans`), compared with the two windows that leave out one of its ends."""
    # Rounded, so that ladders that differ in their first step alone share their weights; the constant stays exact.
    w = _all_weights(tuple(float(f"{h / steps[0]:.13e}") for h in steps), powers)
    inner, outer, alone = _smaller(len(steps))
    known = np.isfinite(values) & np.isfinite(noise)
    with np.errstate(all="ignore"):
        found, carried = w @ np.where(known, values, 0.0), np.abs(w) @ np.where(known, noise, 0.0)
        if not known.all():  # says nothing of the windows without them
            found[(w[:, ~known] != 0).any(axis=1)] = np.nan
        disagreement = np.maximum(np.abs(found - found[inner]), np.abs(found - found[outer]))
        return Windows(found, np.where(alone, np.inf, disagreement), carried)


@lru_cache(maxsize=256)
def _all_weights(steps: tuple[float, ...], powers: tuple[int, ...]) -> Array:
    """A row for each window, zeros beyond it."""
    rows = np.zeros((len(spans(len(steps))), len(steps)))
    for row, (first, last) in zip(rows, spans(len(steps)), strict=True):
        row[first:last] = weights(tuple(h / steps[first] for h in steps[first:last]), powers)
    return rows


@lru_cache
def _smaller(count: int) -> tuple[Array, Array, Array]:
    """For each window the places of the two that leave out its first and its last step, and whether there are none."""
    place = {span: i for i, span in enumerate(spans(count))}
    inner = [place.get((first + 1, last), 0) for first, last in place]
    outer = [place.get((first, last - 1), 0) for first, last in place]
    return np.array(inner), np.array(outer), np.array([last - first == 1 for first, last in place])
