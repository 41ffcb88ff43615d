"""Richardson extrapolation over windows of neighbouring steps, each window with the error that it admits.

A quantity Q(h) = q + sum_j c_j h^p_j is known at steps h_1 > h_2 > ... A window of k neighbouring steps gives the q
that k - 1 of the powers p_j let through: weights w with sum_i w_i = 1 and sum_i w_i h_i^p_j = 0 (Richardson 1911;
Joyce, SIAM Review 13, 1971).
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

ODD = (0, 2, 4, 6, 8, 10)  # powers of a central difference
EVEN = (0, 1, 3, 5, 7, 9)  # of a second difference divided by h
SIDED = (0, 1, 2, 3, 4, 5)  # of a one-sided difference
LARGEST = 6


class Window(NamedTuple):
    """The extrapolated value of one window: how far smaller windows disagree, and the noise that its weights carry."""

    value: float
    disagreement: float
    noise: float


class Limit(NamedTuple):
    """What a window says, with the bound that it admits and the widest of its steps."""

    value: float
    bound: float
    step: float = 0.0


NOTHING = Limit(0.0, float("inf"))


def least(windows: Iterable[Limit]) -> Limit:
    """The window of least bound, unless one that comes later, nearer the point, contradicts it: that one takes over."""
    best = NOTHING
    nearer: list[Limit] = []
    for window in windows:
        if window.bound < best.bound:
            best, nearer = window, []
        elif window.bound < float("inf"):
            nearer.append(window)
    for window in nearer:
        if abs(window.value - best.value) > window.bound + best.bound:
            best = window
    return best


def ending_with(last: int) -> range:
    """Where the windows begin that end before rung ``last``."""
    return range(max(0, last - LARGEST), last)


@lru_cache(maxsize=4096)
def weights(steps: tuple[float, ...], powers: tuple[int, ...]) -> tuple[float, ...]:
    """Weights of the steps, given relative to the first: exact for the constant and the next powers."""
    matrix = np.array([[h**p for h in steps] for p in powers[: len(steps)]])
    return tuple(float(row[0]) for row in np.linalg.inv(matrix))


def extrapolate(steps: Sequence[float], values: Sequence[float], noise: Sequence[float], powers: tuple[int, ...]) -> Window:
    """The value of the window made of all these steps, compared with the two windows that leave out an end."""
    value, carried = _weigh(steps, values, noise, powers)
    if len(steps) == 1:
        return Window(value, np.inf, carried)
    inner, outer = (_weigh(steps[part], values[part], noise[part], powers)[0] for part in (slice(1, None), slice(-1)))
    return Window(value, max(abs(value - inner), abs(value - outer)), carried)


def _weigh(
    steps: Sequence[float], values: Sequence[float], noise: Sequence[float], powers: tuple[int, ...]
) -> tuple[float, float]:
    w = weights(tuple(h / steps[0] for h in steps), powers)
    return sum(a * q for a, q in zip(w, values, strict=True)), sum(abs(a) * n for a, n in zip(w, noise, strict=True))
