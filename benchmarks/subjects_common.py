"""What a subject is, and the few things that every part of the corpus and every tool needs.

A `Problem` is raw material: a loss whose result follows the dtype of its input (so that it can be verified in extended
precision), its hand-written gradient, and the mistakes that people make in exactly this gradient. A `Subject` is what
a checker is given: a name by which it can be rebuilt, a loss that returns a float, and what is wrong with its
gradient, if anything is.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Blocks: TypeAlias = dict[str, Array]
Tree: TypeAlias = Any
Loss: TypeAlias = Callable[[Tree], Any]
Gradient: TypeAlias = Callable[[Tree], Tree]


@dataclass(frozen=True)
class Fault:
    """What is wrong with a gradient.

    Attributes
    ----------
    block : str
        The block with the largest error.
    index : tuple of int, or None
        The wrong entry, where there is only one.
    size : float
        The largest ``|delta_i| / max(|g_i|, RMS)`` of that block.
    also : tuple of str
        Other blocks that the same mistake spoils: naming them is no false accusation.
    """

    block: str
    index: tuple[int, ...] | None
    size: float
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class Subject:
    """One thing to check. ``fault`` is None where the gradient is correct."""

    name: str
    kind: str
    loss: Callable[[Tree], float]
    gradient: Gradient
    at: Tree
    fault: Fault | None

    @property
    def exact(self) -> bool:
        """Whether the point has no two-sided derivative: to call it nonsmooth or undecided is then no defect."""
        return self.kind.startswith("exact")

    @property
    def approximate(self) -> bool:
        """Whether the function is computed smoothly but inexactly, so that ``inexact`` is as true as ``correct``."""
        return self.kind.startswith("approximate")

    @property
    def buried(self) -> bool:
        """Whether float64 may not hold enough digits of the loss to judge by: to be undecided is then no defect."""
        return self.kind.startswith("buried")


@dataclass(frozen=True)
class Problem:
    """A loss with its correct gradient; ``slips`` are gradients with a mistake that only this loss invites."""

    family: str
    loss: Loss
    gradient: Gradient
    at: Tree
    slips: Mapping[str, Gradient] = field(default_factory=dict[str, Gradient])


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(low * (high / low) ** rng.random())


def draw_size(rng: np.random.Generator, most: int) -> int:
    """From 1 to ``most``, small as often as large."""
    return int((most + 1) ** rng.random())


def leaves(tree: Tree, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf with its path joined by dots; a bare array is called ``x``."""
    if isinstance(tree, Mapping):
        items: Any = tree.items()  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    elif isinstance(tree, list | tuple):
        items = enumerate(tree)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    else:
        yield path or "x", tree
        return
    for key, value in items:
        yield from leaves(value, f"{path}.{key}" if path else str(key))


def rebuild(tree: Tree, values: Iterator[Any]) -> Tree:
    """The same tree with its leaves replaced, in the order of `leaves`."""
    if isinstance(tree, Mapping):
        keys: Any = tree  # pyright: ignore[reportUnknownVariableType]
        return {key: rebuild(tree[key], values) for key in keys}
    if isinstance(tree, list | tuple):
        parts: Any = tree  # pyright: ignore[reportUnknownVariableType]
        return type(parts)(rebuild(part, values) for part in parts)
    return next(values)


def mapped(function: Callable[..., Any], *trees: Tree) -> Tree:
    """``function`` applied leaf by leaf."""
    columns = [[leaf for _, leaf in leaves(tree)] for tree in trees]
    return rebuild(trees[0], iter([function(*row) for row in zip(*columns, strict=True)]))


def relative_sizes(correct: Array, claimed: Array) -> Array:
    """Size of the error of every entry, in units of ``max(|g_i|, RMS)``.

    ``g`` is the claimed block, or the correct one where the claimed is zero: a zeroed block is wrong by 1, not by
    infinity. Divided by the largest entry first, so that a gradient of 1e-200 has an RMS.
    """
    correct, claimed = np.asarray(correct, "float64"), np.asarray(claimed, "float64")
    judge = claimed if np.any(claimed) else correct
    largest = float(np.max(np.abs(judge), initial=0))
    if largest == 0:
        return np.zeros(correct.shape)
    rms = np.sqrt(np.mean((judge / largest) ** 2))
    return np.abs(claimed / largest - correct / largest) / np.maximum(np.abs(judge / largest), rms)


def describe(correct: Tree, claimed: Tree, single: bool = False) -> Fault | None:
    """What is wrong with a claimed gradient; None where nothing is."""
    pairs = zip(leaves(correct), leaves(claimed), strict=True)
    sizes = {name: relative_sizes(g, other) for (name, g), (_, other) in pairs}
    worst = max(sizes, key=lambda name: float(sizes[name].max(initial=0)))
    size = float(sizes[worst].max(initial=0))
    if not size > 0:
        return None
    index = tuple(int(i) for i in np.unravel_index(int(np.argmax(sizes[worst])), sizes[worst].shape))
    also = tuple(name for name, each in sizes.items() if name != worst and np.any(each))
    return Fault(worst, index if single else None, size, also)


def subject(name: str, kind: str, problem: Problem, claimed: Gradient | None = None, single: bool = False) -> Subject:
    """A problem as a checker gets it, its gradient replaced by a ``claimed`` one if there is one."""
    loss, at = problem.loss, problem.at
    fault = None if claimed is None else describe(problem.gradient(at), claimed(at), single)
    return Subject(name, kind, lambda here: float(loss(here)), claimed or problem.gradient, at, fault)


def influence(problem: Problem) -> float:
    """How much the loss changes with the entries of the least influential block that has any influence."""
    at: Blocks = problem.at
    found: Blocks = problem.gradient(at)
    return min((float(np.sqrt(np.mean((g * at[name]) ** 2))) for name, g in found.items() if g.any()), default=0.0)


def rescaled(problem: Problem, scales: dict[str, float], factor: float) -> Problem:
    """The same loss in other units: every block times a scale, the loss times a factor."""

    def inner(at: Blocks) -> Blocks:
        return {name: value / scales[name] for name, value in at.items()}

    def outer(gradient: Gradient, at: Blocks) -> Blocks:
        return {name: factor * g / scales[name] for name, g in gradient(inner(at)).items()}

    return Problem(
        problem.family,
        lambda at: factor * problem.loss(inner(at)),
        partial(outer, problem.gradient),
        {name: value * scales[name] for name, value in problem.at.items()},
        {what: partial(outer, slip) for what, slip in problem.slips.items()},
    )
