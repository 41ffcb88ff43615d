"""Numbers by seed: what a kernel meets in use, and what makes its rounding, its choices and its range visible."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from gradcheck.foundation.arrays import Array

Fill: TypeAlias = Callable[[np.random.Generator, tuple[int, ...]], Array]

REALS: dict[str, Fill] = {
    "gaussian": lambda rng, shape: rng.standard_normal(shape),
    "heavy": lambda rng, shape: rng.standard_t(2, shape),
    "tiny": lambda rng, shape: 1e-4 * rng.standard_normal(shape),
    "offset": lambda rng, shape: 1e3 + rng.standard_normal(shape),
    "saturated": lambda rng, shape: 30 * rng.standard_normal(shape),
    "ties": lambda rng, shape: rng.integers(-2, 3, shape).astype(float),
    "rows": lambda rng, shape: np.broadcast_to(rng.standard_normal((*shape[:-1], 1)[: len(shape)]), shape),
    "zeros": lambda _, shape: np.zeros(shape),
}
"""By name, in the order in which they shrink: heavy tails, a large mean, large scores, equal entries, equal rows."""

WHOLE: dict[str, Callable[[np.random.Generator, tuple[int, ...], int], Array]] = {
    "uniform": lambda rng, shape, below: rng.integers(0, below, shape),
    "first": lambda _rng, shape, _below: np.zeros(shape, int),
    "last": lambda _rng, shape, below: np.full(shape, below - 1),
}
"""Indices below a number, and booleans, which are below 2."""


def filled(values: str, seed: int, shape: tuple[int, ...], below: int | None) -> Array:
    """An array of these values; float64, or int64 where they are below a number."""
    rng = np.random.default_rng(seed)
    return REALS[values](rng, shape) if below is None else WHOLE[values](rng, shape, below)
