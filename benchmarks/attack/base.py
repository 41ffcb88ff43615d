"""What a problem of this corpus is, and how far its own claim can be trusted.

Losses and gradients follow the dtype of what they get: taken in long double they tell how far the gradient in float64
is off by rounding alone, so that no draw is held against a checker that the corpus itself gets wrong.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Tree: TypeAlias = Any
Loss: TypeAlias = Callable[[Tree], Any]
Gradient: TypeAlias = Callable[[Tree], Tree]

EPS = float(np.finfo("float64").eps)
ILL = 1e-7  # a claim that is off by more is no correct one


@dataclass(frozen=True)
class Problem:
    """A loss with its gradient in closed form, at a point.

    Attributes
    ----------
    exact : bool
        The point lies on a kink or a jump: there is no derivative.
    beside : bool
        Kinks or jumps are near.
    buried : bool
        The digits of float64 cannot decide: to be undecided is no defect.
    zero : tuple of str
        Blocks whose derivative is zero, whatever rounding the gradient returns there.
    truth : callable
        The gradient of more digits, where the gradient itself cannot be taken in long double.
    off : float
        How far the claim may be from the slope of what is computed, a solver stopping early: to say so is no defect.
    """

    loss: Loss
    gradient: Gradient
    at: Tree
    exact: bool = False
    beside: bool = False
    buried: bool = False
    zero: tuple[str, ...] = ()
    truth: Gradient | None = None
    off: float = 0.0


Maker: TypeAlias = Callable[[np.random.Generator], Problem]


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(low * (high / low) ** rng.random())


def draw_size(rng: np.random.Generator, most: int) -> int:
    """From 1 to ``most``, small as often as large."""
    return int((most + 1) ** rng.random())


def draw_sign(rng: np.random.Generator) -> float:
    return float(rng.choice([-1.0, 1.0]))


def leaves(tree: Tree, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf with its path joined by dots; a bare array is called ``x``."""
    if not isinstance(tree, Mapping):
        yield path or "x", tree
        return
    items: Any = tree.items()  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    for key, value in items:
        yield from leaves(value, f"{path}.{key}" if path else str(key))


def mapped(function: Callable[[str, Any], Any], tree: Tree, path: str = "") -> Tree:
    """The same tree with ``function(name, leaf)`` for its leaves."""
    if not isinstance(tree, Mapping):
        return function(path or "x", tree)
    items: Any = tree.items()  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return {key: mapped(function, value, f"{path}.{key}" if path else str(key)) for key, value in items}


def widened(tree: Tree) -> Tree:
    """The same numbers in long double."""
    return mapped(lambda _, leaf: np.asarray(leaf, "longdouble")[()], tree)


def unit_of(g: Array) -> Array:
    """``max(|g_i|, RMS)`` of every entry, 1 where the block is zero; a block of 1e-200 has an RMS too."""
    size = np.abs(np.asarray(g, "float64"))
    top = float(np.max(size, initial=0))
    return np.maximum(size, top * float(np.sqrt(np.mean((size / top) ** 2)))) if top > 0 else np.ones_like(size)


def sizes(correct: Any, claimed: Any) -> Array:
    """How far every entry is off, in units of the claimed block; of the correct one where zero is claimed."""
    right, said = np.asarray(correct), np.asarray(claimed)
    return np.asarray(np.abs(said - right), "float64") / unit_of(said if np.any(said) else right)


def quiet() -> Any:
    return np.errstate(all="ignore")


def own_errors(problem: Problem) -> dict[str, float]:
    """By block, how far rounding puts the claim off; blocks that are zero to rounding have no error of their own."""
    with quiet():
        claimed = dict(leaves(problem.gradient(problem.at)))
        better = problem.truth or problem.gradient
        truth = dict(leaves(better(widened(problem.at))))
        return {
            name: 0.0 if name in problem.zero else float(np.max(sizes(truth[name], g), initial=0))
            for name, g in claimed.items()
        }


def agreement(problem: Problem, name: str, rng: np.random.Generator, dtype: str = "float64") -> float:
    """How well the best of many central differences along one direction in a block agrees with the claim.

    The direction weighs every entry by its unit, so that an error of any of them counts as much. What no step sees to
    1e-3 in float64 is hidden from differences, whoever takes them.
    """
    at = mapped(lambda _, leaf: np.asarray(leaf, dtype), problem.at)
    with quiet():
        g = np.asarray(dict(leaves(problem.gradient(problem.at)))[name], "float64")
        unit = unit_of(g)
        v = rng.choice([-1.0, 1.0], g.shape) * (np.min(unit) / unit)
        slope, size = float(np.sum(g * v)), float(np.linalg.norm(np.ravel(unit * v)))
        x = np.asarray(dict(leaves(at))[name])
        scales = {1.0, float(np.max(np.abs(x), initial=0)) or 1.0, float(np.min(np.abs(x[x != 0]), initial=1.0))}
        steps = sorted({s * 10.0**e for s in scales for e in range(-15, 3)})
        return min(_off(problem.loss, at, name, v * step, slope * step) / (size * step or np.inf) for step in steps)


def _off(loss: Loss, at: Tree, name: str, move: Array, expected: float) -> float:
    ahead = mapped(lambda path, leaf: (leaf + move)[()] if path == name else leaf[()], at)
    back = mapped(lambda path, leaf: (leaf - move)[()] if path == name else leaf[()], at)
    found = float((loss(ahead) - loss(back)) / 2)
    return abs(found - expected) if np.isfinite(found) else np.inf
