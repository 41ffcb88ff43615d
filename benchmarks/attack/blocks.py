"""Domains that end beside the point, and trees of many blocks, of numbers, of nested dicts."""

from typing import Any

import numpy as np
from base import Array, Maker, Problem, Tree, draw_size, log_uniform
from models import MODELS


def walled(rng: np.random.Generator, outside: float) -> Problem:
    """Smooth inside a box, not a number outside; one to three entries near the wall."""
    n = draw_size(rng, 60)
    x = rng.standard_normal(n)
    wall = x + rng.uniform(1, 3, n)
    near = rng.choice(n, min(n, int(rng.integers(1, 4))), replace=False)
    wall[near] = x[near] + np.array([log_uniform(rng, 1e-9, 1e-1) for _ in near])
    return Problem(
        lambda at: (np.exp(at["x"]) + at["x"] ** 2).sum() if (at["x"] <= wall).all() else outside,
        lambda at: {"x": np.exp(at["x"]) + 2 * at["x"]},
        {"x": x},
    )


def walled_in(rng: np.random.Generator) -> Problem:
    """A wall on either side."""
    n, width = draw_size(rng, 20), log_uniform(rng, 1e-8, 1e-1)
    x = rng.standard_normal(n)
    low, high = x - width * rng.uniform(0.2, 1, n), x + width * rng.uniform(0.2, 1, n)
    return Problem(
        lambda at: np.sin(at["x"]).sum() if ((low <= at["x"]) & (at["x"] <= high)).all() else np.nan,
        lambda at: {"x": np.cos(at["x"])},
        {"x": x},
    )


def difference(rng: np.random.Generator, root: bool) -> Problem:
    """Logarithm or square root of what is left of a difference, as small as drawn."""
    n, left = draw_size(rng, 30), log_uniform(rng, 1e-9, 1e-1)
    a = rng.uniform(0.5, 2, n)
    b = a - left * rng.uniform(0.5, 2, n)
    if root:
        return Problem(
            lambda at: np.sqrt(at["a"] - at["b"]).sum(),
            lambda at: {"a": 0.5 / np.sqrt(at["a"] - at["b"]), "b": -0.5 / np.sqrt(at["a"] - at["b"])},
            {"a": a, "b": b},
        )
    return Problem(
        lambda at: np.log(at["a"] - at["b"]).sum(),
        lambda at: {"a": 1 / (at["a"] - at["b"]), "b": -1 / (at["a"] - at["b"])},
        {"a": a, "b": b},
    )


def simplex(rng: np.random.Generator) -> Problem:
    """Dirichlet likelihood; the last share is what the others leave, and that is little."""
    n = 1 + draw_size(rng, 30)
    alpha = rng.uniform(0.2, 5, n + 1)
    p = rng.uniform(0.1, 1, n)
    p *= (1 - log_uniform(rng, 1e-7, 1e-1)) / p.sum()
    return Problem(
        lambda at: ((alpha[:-1] - 1) * np.log(at)).sum() + (alpha[-1] - 1) * np.log(1 - at.sum()),
        lambda at: (alpha[:-1] - 1) / at - (alpha[-1] - 1) / (1 - at.sum()),
        p,
    )


def many(rng: np.random.Generator, vanishing: str) -> Problem:
    """From 50 to 500 small blocks, each with a path of its own to the loss; some count for little or for nothing."""
    names = [f"block {i}" for i in range(int(log_uniform(rng, 50, 500)))]
    at = {name: rng.standard_normal(int(rng.integers(1, 6))) for name in names}
    weight = dict.fromkeys(names, 1.0)
    for name in names[:: int(rng.integers(3, 20))]:
        weight[name] = {"none": 1.0, "small": 1e-5, "zero": 0.0}[vanishing]

    def loss(at: Tree) -> Any:
        return sum(weight[name] * np.sin(at[name]).sum() for name in names)

    zero = tuple(name for name in names if weight[name] == 0)
    return Problem(loss, lambda at: {name: weight[name] * np.cos(at[name]) for name in names}, at, zero=zero)


def deep(rng: np.random.Generator) -> Problem:
    """Layers of one tanh network, as nested dicts; the first ones' gradients vanish or explode."""
    depth, width = int(rng.integers(5, 40)), draw_size(rng, 8)
    gain = rng.uniform(0.5, 1.3) / np.sqrt(width)
    x, out = rng.standard_normal(width), rng.standard_normal(width)

    def forward(at: Tree) -> list[Array]:
        h = [x]
        for i in range(depth):
            h.append(np.tanh(at["layers"][str(i)]["w"] @ h[-1] + at["layers"][str(i)]["b"]))
        return h

    def gradient(at: Tree) -> Tree:
        h, found = forward(at), {"layers": dict[str, Any]()}
        back: Any = out
        for i in reversed(range(depth)):
            delta = back * (1 - h[i + 1] ** 2)
            found["layers"][str(i)] = {"w": np.outer(delta, h[i]), "b": delta}
            back = at["layers"][str(i)]["w"].T @ delta
        return {"layers": {str(i): found["layers"][str(i)] for i in range(depth)}}

    layers = {
        str(i): {"w": gain * rng.standard_normal((width, width)), "b": 0.1 * rng.standard_normal(width)}
        for i in range(depth)
    }
    problem = Problem(lambda at: out @ forward(at)[-1], gradient, {"layers": layers})
    first = gradient(problem.at)["layers"]["0"]["w"]
    return Problem(problem.loss, gradient, problem.at, buried=float(np.max(np.abs(first))) < 1e-7)


def numbers(rng: np.random.Generator) -> Problem:
    """A dozen numbers, as Python's or as arrays without dimensions, in nested dicts."""
    depth, half = int(rng.integers(1, 4)), [str(i) for i in range(int(rng.integers(1, 8)))]

    def inside(tree: Tree) -> Any:
        for _ in range(depth):
            tree = tree["in"]
        return tree

    def wrapped(tree: Tree) -> Tree:
        for _ in range(depth):
            tree = {"in": tree}
        return tree

    leaves = {"f": {i: float(rng.standard_normal()) for i in half}, "a": {i: np.array(rng.standard_normal()) for i in half}}

    def loss(at: Tree) -> Any:
        return sum(np.sin(inside(at)["f"][i]) * np.exp(inside(at)["a"][i]) for i in half)

    def gradient(at: Tree) -> Tree:
        f, a = inside(at)["f"], inside(at)["a"]
        return wrapped(
            {"f": {i: np.cos(f[i]) * np.exp(a[i]) for i in half}, "a": {i: np.sin(f[i]) * np.exp(a[i]) for i in half}}
        )

    return Problem(loss, gradient, wrapped(leaves))


def large_and_tiny(rng: np.random.Generator) -> Problem:
    """A block of 1e5 with tiny gradients beside an ordinary one."""
    n, weight = 100_000, log_uniform(rng, 1e-9, 1e-3)
    return Problem(
        lambda at: np.sin(at["small"]).sum() + weight * np.sin(at["large"]).mean(),
        lambda at: {"large": weight / n * np.cos(at["large"]), "small": np.cos(at["small"])},
        {"large": rng.standard_normal(n), "small": rng.standard_normal(4)},
        buried=weight < 1e-6,
    )


def sparse(rng: np.random.Generator) -> Problem:
    """A table of vectors of which a batch touches few rows."""
    rows, d = 10 + draw_size(rng, 2000), draw_size(rng, 8)
    used, target = rng.integers(0, rows, draw_size(rng, 20)), rng.standard_normal(d)

    def gradient(at: Tree) -> Tree:
        g = np.zeros_like(at["table"])
        np.add.at(g, used, 2 * (at["table"][used] - target))
        return {"table": g}

    return Problem(lambda at: ((at["table"][used] - target) ** 2).sum(), gradient, {"table": rng.standard_normal((rows, d))})


def unused(rng: np.random.Generator) -> Problem:
    """A model beside blocks that it never reads, one of them empty."""
    inner = MODELS["smooth.mixture"](rng)

    def gradient(at: Tree) -> Tree:
        return {"model": inner.gradient(at["model"]), "spare": 0 * at["spare"], "number": 0 * at["number"]}

    at = {"model": inner.at, "spare": rng.standard_normal(draw_size(rng, 100)), "number": float(rng.standard_normal())}
    return Problem(lambda at: inner.loss(at["model"]), gradient, at, zero=("spare", "number"))


BLOCKS: dict[str, Maker] = {
    "domain.nan outside": lambda rng: walled(rng, np.nan),
    "domain.inf outside": lambda rng: walled(rng, np.inf),
    "domain.walled in": walled_in,
    "domain.log of a difference": lambda rng: difference(rng, root=False),
    "domain.root of a difference": lambda rng: difference(rng, root=True),
    "domain.simplex": simplex,
    "blocks.many": lambda rng: many(rng, "none"),
    "blocks.some small": lambda rng: many(rng, "small"),
    "blocks.some zero": lambda rng: many(rng, "zero"),
    "blocks.deep": deep,
    "blocks.numbers": numbers,
    "blocks.large and tiny": large_and_tiny,
    "blocks.sparse": sparse,
    "blocks.unused": unused,
}
