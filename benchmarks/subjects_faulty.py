"""Correct losses with one fault planted in their gradient, as many as asked for.

A kind of fault is a row of `KINDS`. It looks at the correct gradient once, to see whether it applies and to choose its
place and size, and answers with a change of the gradient that is the same at every point: a checker may ask for the
gradient where it likes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count

import numpy as np
from subjects_common import Array, Blocks, Gradient, Problem, Subject, influence, log_uniform, rescaled, subject
from subjects_losses import LOSSES
from subjects_networks import perceptron

Change = Callable[[Array], Array]
BlockKind = Callable[[np.random.Generator, Array], Change | None]
NETWORKS = 0.5
INFLUENCE = 1e-8  # on the loss: far above rounding, below nearly all that is drawn


@dataclass(frozen=True)
class Planted:
    """A spoiled gradient, and whether it is wrong in a single entry."""

    gradient: Gradient
    single: bool = False


Kind = Callable[[np.random.Generator, Problem], Planted | None]


def draw_problem(rng: np.random.Generator) -> Problem:
    """A problem in which every block has an influence, or none at all.

    A gradient whose terms happen to cancel leaves rounding, and a fault relative to rounding is none.
    """
    while True:
        problem = draw_any(rng)
        if influence(problem) >= INFLUENCE * abs(float(problem.loss(problem.at))):
            return problem


def draw_any(rng: np.random.Generator) -> Problem:
    problem = perceptron(rng) if rng.random() < NETWORKS else LOSSES[rng.integers(len(LOSSES))](rng)
    scales = {name: log_uniform(rng, 1e-6, 1e6) if rng.random() < 0.3 else 1.0 for name in problem.at}
    return rescaled(problem, scales, log_uniform(rng, 1e-9, 1e3) if rng.random() < 0.3 else 1.0)


# Kinds that change one block, whatever it means. ------------------------------------------------------------------


def draw_relative(rng: np.random.Generator) -> float:
    """A size from 1e-12 to 1e-1, of either sign."""
    return log_uniform(rng, 1e-12, 1e-1) * float(rng.choice([-1, 1]))


def times(low: float, high: float | None = None) -> BlockKind:
    """A fixed factor, or one drawn between two."""

    def kind(rng: np.random.Generator, g: Array) -> Change:
        factor = low if high is None else log_uniform(rng, low, high)
        return lambda g: g * factor

    return kind


def slightly_scaled(rng: np.random.Generator, g: Array) -> Change:
    relative = draw_relative(rng)
    return lambda g: g * (1 + relative)


def slightly_noisy(rng: np.random.Generator, g: Array) -> Change:
    """Every entry off by its own random amount, as after a loop that converged too early."""
    noise = log_uniform(rng, 1e-12, 1e-1) * rng.standard_normal(g.shape)
    return lambda g: g + noise * scale(g)


def rolled(rng: np.random.Generator, g: Array) -> Change | None:
    return (lambda g: np.roll(g, 1)) if g.size > 1 else None


def transposed(rng: np.random.Generator, g: Array) -> Change | None:
    square = g.ndim == 2 and g.shape[0] == g.shape[1] > 1
    return (lambda g: g.T.copy()) if square else None


def clipped(rng: np.random.Generator, g: Array) -> Change | None:
    limit = 0.5 * largest(g)
    return lambda g: np.clip(g, -limit, limit)


def rounded(dtype: str) -> BlockKind:
    def change(g: Array) -> Array:
        return g.astype(dtype).astype(g.dtype)

    return lambda rng, g: change if largest(g) < float(np.finfo(dtype).max) else None


def one_row(rng: np.random.Generator, g: Array) -> Change | None:
    if g.ndim < 2 or len(g) < 2:
        return None
    row, relative = int(rng.integers(len(g))), draw_relative(rng)
    return lambda g: at_places(g, (row,), lambda part: part + relative * scale(g)[row])


def scale(g: Array) -> Array:
    """``max(|g_i|, RMS)`` of every entry: what a size is relative to."""
    top = largest(g)
    return np.maximum(np.abs(g), top * np.sqrt(np.mean((g / top) ** 2))) if top > 0 else np.ones_like(g)


def largest(g: Array) -> float:
    return float(np.abs(g).max(initial=0))


def at_places(g: Array, index: tuple[int, ...], change: Callable[[Array], Array]) -> Array:
    changed = g.copy()
    changed[index] = change(g[index])
    return changed


def draw_index(rng: np.random.Generator, g: Array) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(int(rng.integers(g.size)), g.shape))


def entry_off(rng: np.random.Generator, g: Array) -> Change:
    index, relative = draw_index(rng, g), draw_relative(rng)
    return lambda g: at_places(g, index, lambda part: part + relative * scale(g)[index])


def entry_times(factor: float) -> BlockKind:
    def kind(rng: np.random.Generator, g: Array) -> Change:
        index = draw_index(rng, g)
        return lambda g: at_places(g, index, lambda part: factor * part)

    return kind


def two_entries_off(rng: np.random.Generator, g: Array) -> Change | None:
    """Off by opposite amounts: their sum is right."""
    first, second, relative = draw_index(rng, g), draw_index(rng, g), draw_relative(rng)
    if first == second:
        return None

    def change(g: Array) -> Array:
        once = at_places(g, first, lambda part: part + relative * scale(g)[first])
        return at_places(once, second, lambda part: part - relative * scale(g)[second])

    return change


def in_one_block(kind: BlockKind, single: bool = False) -> Kind:
    """A kind of change, made in a random block that is not all zero."""

    def plant(rng: np.random.Generator, problem: Problem) -> Planted | None:
        correct = problem.gradient(problem.at)
        name = str(rng.choice([name for name, g in correct.items() if np.any(g)] or ["none"]))
        change = kind(rng, correct[name]) if name in correct else None
        return None if change is None else Planted(partial(changed, problem.gradient, name, change), single)

    return plant


def changed(gradient: Gradient, name: str, change: Change, at: Blocks) -> Blocks:
    found = gradient(at)
    return found | {name: change(found[name])}


# Kinds that look at more than one block, or at the problem. --------------------------------------------------------


def anothers(rng: np.random.Generator, problem: Problem) -> Planted | None:
    """One block gets the gradient of another of the same shape."""
    shapes = {name: g.shape for name, g in problem.gradient(problem.at).items()}
    pairs = [(a, b) for a in shapes for b in shapes if a != b and shapes[a] == shapes[b]]
    if not pairs:
        return None
    taker, giver = pairs[rng.integers(len(pairs))]

    def gradient(at: Blocks) -> Blocks:
        found = problem.gradient(at)
        return found | {taker: found[giver].copy()}

    return Planted(gradient)


def everything_times(rng: np.random.Generator, problem: Problem) -> Planted:
    """The mean or the factor 2 forgotten from the start: every block is wrong by the same factor."""
    factor = (-1.0, 2.0, 0.5, float(rng.integers(2, 500)), 1 + draw_relative(rng))[rng.integers(5)]
    return Planted(lambda at: {name: g * factor for name, g in problem.gradient(at).items()})


def slip(rng: np.random.Generator, problem: Problem) -> Planted | None:
    """A mistake that this loss invites: see the slips of the problems."""
    return Planted(problem.slips[str(rng.choice(list(problem.slips)))]) if problem.slips else None


def named_slip(what: str) -> Kind:
    def kind(rng: np.random.Generator, problem: Problem) -> Planted | None:
        return Planted(problem.slips[what]) if what in problem.slips else None

    return kind


KINDS: dict[str, Kind] = {
    "entry off": in_one_block(entry_off, single=True),
    "mean missing": in_one_block(times(2, 1000)),
    "a slip of this loss": slip,
    "entry's sign": in_one_block(entry_times(-1), single=True),
    "block slightly scaled": in_one_block(slightly_scaled),
    "one mean too many": in_one_block(times(1e-3, 0.5)),
    "entry off, again": in_one_block(entry_off, single=True),
    "sign": in_one_block(times(-1)),
    "block slightly noisy": in_one_block(slightly_noisy),
    "zero": in_one_block(times(0)),
    "entry zeroed": in_one_block(entry_times(0), single=True),
    "transposed": in_one_block(transposed),
    "row off": in_one_block(one_row),
    "rolled": in_one_block(rolled),
    "two entries off": in_one_block(two_entries_off),
    "another block's": anothers,
    "rounded to float32": in_one_block(rounded("float32")),
    "everything times a factor": everything_times,
    "rounded to float16": in_one_block(rounded("float16")),
    "clipped": in_one_block(clipped),
    **{
        what: named_slip(what)
        for what in (
            "bias as mean",
            "activation derivative omitted",
            "derivative at the output",
            "last sample dropped",
            "decay forgotten",
        )
    },
}


def faulty_at(seed: int, index: int) -> Subject:
    """The fault of this index: kinds in turn, problems drawn until one can have such a fault."""
    rng = np.random.default_rng([seed, index])
    what, kind = list(KINDS.items())[index % len(KINDS)]
    while True:
        problem = draw_problem(rng)
        planted = kind(rng, problem)
        if planted is None:
            continue
        found = subject(f"faulty-{seed}-{index}", f"{what}: {problem.family}", problem, planted.gradient, planted.single)
        if found.fault is not None and 1e-12 <= found.fault.size < np.inf:
            return found


def faulty(seed: int) -> Iterator[Subject]:
    """Subjects with one fault each, without end; each can be rebuilt alone from its name."""
    return (faulty_at(seed, index) for index in count())
