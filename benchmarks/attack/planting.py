"""Faults planted in any correct gradient, with their true size by block and the blocks that stay right.

A fault is a change of one block that is the same at every point, in units of ``max(|g_i|, RMS)``: a checker may ask for
the gradient where it likes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from base import Array, Gradient, Problem, Tree, draw_sign, leaves, log_uniform, mapped, quiet, sizes, unit_of

Change = Callable[[Array], Array]
Kind = Callable[[np.random.Generator, Array], Change | None]
SIZES = 3e-6, 10.0


@dataclass(frozen=True)
class Planted:
    """A spoilt gradient.

    Attributes
    ----------
    sizes : dict
        By block the largest ``|delta_i| / max(|g_i|, RMS)``; 0 where it is right.
    worst : dict
        By block that is wrong in one entry, where.
    """

    what: str
    gradient: Gradient
    sizes: Mapping[str, float]
    worst: Mapping[str, tuple[int, ...]]

    @property
    def right(self) -> frozenset[str]:
        return frozenset(name for name, size in self.sizes.items() if size == 0)

    @property
    def size(self) -> float:
        return max(self.sizes.values())


def draw_relative(rng: np.random.Generator) -> float:
    return log_uniform(rng, *SIZES) * draw_sign(rng)


def entry_off(index: int, relative: float) -> Change:
    """One entry off by so many of its units."""

    def change(g: Array) -> Array:
        flat = np.array(g).ravel()
        flat[index] += relative * unit_of(g).ravel()[index]
        return flat.reshape(np.shape(g))

    return change


def one_entry(rng: np.random.Generator, g: Array) -> Change:
    return entry_off(int(rng.integers(g.size)), draw_relative(rng))


def scaled(rng: np.random.Generator, g: Array) -> Change:
    relative = draw_relative(rng)
    return lambda g: g * (1 + relative)


def entry_zeroed(rng: np.random.Generator, g: Array) -> Change:
    index = int(rng.integers(g.size))
    return lambda g: np.where(np.arange(g.size).reshape(g.shape) == index, 0, g).astype(g.dtype)


def exchanged(rng: np.random.Generator, g: Array) -> Change | None:
    if g.size < 2:
        return None
    i, j = (int(k) for k in rng.choice(g.size, 2, replace=False))

    def change(g: Array) -> Array:
        flat = np.array(g).ravel()
        flat[[i, j]] = flat[[j, i]]
        return flat.reshape(np.shape(g))

    return change


def opposite(rng: np.random.Generator, g: Array) -> Change | None:
    """Two entries off by opposite amounts: what is summed over the block is right."""
    if g.size < 2:
        return None
    i, j = (int(k) for k in rng.choice(g.size, 2, replace=False))
    relative = draw_relative(rng)

    def change(g: Array) -> Array:
        flat, amount = np.array(g).ravel(), relative * unit_of(g).ravel()[i]
        flat[i] += amount
        flat[j] -= amount
        return flat.reshape(np.shape(g))

    return change


def shifted(rng: np.random.Generator, g: Array) -> Change:
    relative = draw_relative(rng)
    return lambda g: (g + relative * np.min(unit_of(g))).astype(g.dtype)


def halved(rng: np.random.Generator, g: Array) -> Change:
    """Rounded to float16, in which small and large numbers do not exist."""
    return lambda g: g.astype("float16").astype(g.dtype)


def hidden(rng: np.random.Generator, g: Array) -> Change:
    """One entry off by 49 among entries that are off by 1e-3."""
    index, noise = int(rng.integers(g.size)), 1e-3 * rng.standard_normal(g.shape)
    return lambda g: entry_off(index, 49.0)(g + noise * unit_of(g)).astype(g.dtype)


KINDS: dict[str, Kind] = {
    "entry": one_entry,
    "block scaled": scaled,
    "sign": lambda rng, g: np.negative,
    "entry again": one_entry,
    "block zeroed": lambda rng, g: np.zeros_like,
    "entry zeroed": entry_zeroed,
    "exchanged": exchanged,
    "opposite": opposite,
    "constant added": shifted,
    "float16": halved,
    "49 among 1e-3": hidden,
}


def plant(rng: np.random.Generator, problem: Problem, what: str) -> Planted | None:
    """A fault of this kind in a random block that is not zero; None where it has none, or the fault has no size."""
    with quiet():
        correct = {name: np.asarray(g) for name, g in leaves(problem.gradient(problem.at))}
    able = [name for name, g in correct.items() if np.any(g) and name not in problem.zero]
    name = str(rng.choice(able)) if able else ""
    change = KINDS[what](rng, correct[name]) if able else None
    return spoilt(problem, what, name, change) if change else None


def spoilt(problem: Problem, what: str, name: str, change: Change) -> Planted | None:
    """The gradient with one block changed; None where that changes nothing, or to what is no number."""

    def gradient(at: Tree) -> Tree:
        return mapped(lambda path, g: _kept(change(np.asarray(g)), g) if path == name else g, problem.gradient(at))

    with quiet():
        correct, claimed = dict(leaves(problem.gradient(problem.at))), dict(leaves(gradient(problem.at)))
        found = {path: sizes(correct[path], claimed[path]) for path in correct}
    largest = {path: float(np.max(each, initial=0)) for path, each in found.items()}
    if not 0 < largest[name] < np.inf:
        return None
    off = np.argwhere(found[name] > 0)
    worst = {name: tuple(int(i) for i in off[0])} if len(off) == 1 else {}
    if what == "49 among 1e-3":
        index = np.unravel_index(int(np.argmax(found[name])), found[name].shape)
        worst = {name: tuple(int(i) for i in index)}
    return Planted(what, gradient, largest, worst)


def _kept(changed: Any, g: Any) -> Any:
    """In the dtype and form that the gradient had."""
    return changed.astype(np.asarray(g).dtype) if np.ndim(g) else np.asarray(g).dtype.type(changed)
