"""Random directions: which way to probe, and how far.

Signs are random, so that errors of opposite sign do not cancel for one direction and all others, and magnitudes vary,
so that a permutation is seen; never all ones, never positive only. Each block draws from a stream of its own name:
adding a parameter re-draws no other.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np

from gradcheck.foundation.arrays import Array, norm, rms

ATTEMPTS = 50
VANISHING = 1e-12
SMALLEST = 1e-290  # no step is so many times as long that such numbers count
TELLING = 0.7  # |g . v| against the norm of the entrywise product: below it a wrong constant factor could hide


def signs(name: str, shape: tuple[int, ...], seed: int, attempt: int = 0) -> Array:
    """Entries +-U(0.5, 1.5) for the block of this name."""
    u = np.asarray(np.random.default_rng(_stream(name, seed, attempt)).uniform(-1, 1, shape))
    u += np.copysign(0.5, u)
    return u


def normal(name: str, shape: tuple[int, ...], seed: int) -> Array:
    """Entries of a normal distribution for the block of this name: a cotangent that is nothing else by accident.

    One number alone is +-U(1.25, 1.75): far from 1, which a cotangent may be taken for.
    """
    draws = np.random.default_rng(_stream(name, seed, 0))
    found = np.asarray(draws.standard_normal(shape))
    return np.copysign(draws.uniform(1.25, 1.75, shape), found) if found.size == 1 else found


@lru_cache(maxsize=1024)
def _stream(name: str, seed: int, attempt: int) -> np.random.SeedSequence:
    return np.random.SeedSequence([seed, attempt, *name.encode("utf-8", "surrogatepass")])


def direction(
    point: Mapping[str, Array],
    gradient: Mapping[str, Array],
    seed: int,
    turned: Callable[[str, Array], Array] | None = None,
) -> dict[str, Array]:
    """A direction over all blocks, entries in units of `scales`, redrawn until it would show a wrong factor in any block.

    ``turned`` makes of what is drawn a direction that can be gone.
    """
    return {name: _telling(name, scales(point[name], g), g, seed, turned) for name, g in gradient.items()}


def scales(theta: Array, g: Array) -> Array:
    """How far each entry can be moved before f is a different function.

    ``max(|theta_i|, min(rms(theta), rms(g theta) / |g_i|))``: its own size, else that of its block unless f is steep
    there. A block of zeros, or of what is next to nothing, says nothing of its scale: 1. Nor does a gradient that vanishes
    wherever the block does not.
    """
    usual = rms(theta)
    if usual < SMALLEST:
        return np.ones_like(theta)
    with np.errstate(all="ignore"):
        steep = np.asarray(rms(g * theta) / np.abs(g))
        known = steep > VANISHING * usual  # else nothing but this entry is steep at all, which says nothing of its scale
        np.minimum(usual, steep, out=steep)
    steep[~known] = usual
    return np.maximum(np.abs(theta), steep, out=steep)


def own_sizes(theta: Array) -> Array:
    """How far each entry is moved by its own size, or by what is usual: a steep one, too, by no less."""
    return np.maximum(np.abs(theta), rms(theta) or 1.0)


def _telling(name: str, scale: Array, g: Array, seed: int, turned: Callable[[str, Array], Array] | None) -> Array:
    """Attempts differ only in the stream that they draw from; the last one is taken as it comes."""
    v = scale
    for attempt in range(ATTEMPTS):
        v = signs(name, g.shape, seed, attempt)
        v *= scale
        v = turned(name, v) if turned else v
        contributions = g * v
        if abs(float(np.sum(contributions))) >= TELLING * norm(contributions):
            break
    return v
