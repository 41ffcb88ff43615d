"""Kinks and jumps of tables, counts, choices, gates and kernels that end."""

from typing import Any

import numpy as np
from base import Array, Maker, Problem, Tree, draw_sign, draw_size, log_uniform


def table(rng: np.random.Generator, smoothness: int) -> Problem:
    """Interpolated linearly (0) or by cubic Hermite pieces with one continuous derivative (1)."""
    knots, n = 3 + draw_size(rng, 1000), draw_size(rng, 200)
    values, slopes = np.sin(np.linspace(0, 9, knots)), 9 / knots * np.cos(np.linspace(0, 9, knots))
    values += 1e-3 * rng.standard_normal(knots)

    def parts(x: Array) -> tuple[Any, Any, Any, Any, Any]:
        place = np.clip(np.floor(x * (knots - 1)).astype(int), 0, knots - 2)
        return x * (knots - 1) - place, values[place], values[place + 1], slopes[place], slopes[place + 1]

    def loss(at: Tree) -> Any:
        t, a, b, p, q = parts(at["x"])
        if smoothness == 0:
            return (a + (b - a) * t).sum()
        return (a + t * p + t * t * (3 * (b - a) - 2 * p - q) + t**3 * (p + q - 2 * (b - a))).sum()

    def gradient(at: Tree) -> Tree:
        t, a, b, p, q = parts(at["x"])
        if smoothness == 0:
            return {"x": (b - a + 0 * t) * (knots - 1)}
        return {"x": (knots - 1) * (p + 2 * t * (3 * (b - a) - 2 * p - q) + 3 * t * t * (p + q - 2 * (b - a)))}

    return Problem(loss, gradient, {"x": rng.uniform(0.01, 0.99, n)}, beside=True)


def histogram(rng: np.random.Generator) -> Problem:
    """Counts, which jump, beside what is smooth."""
    n, width = draw_size(rng, 300), log_uniform(rng, 1e-3, 1)
    weight = log_uniform(rng, 1e-6, 1)

    def loss(at: Tree) -> Any:
        return (weight * np.cos(np.floor(at["x"] / width))).sum() / n + (at["x"] ** 2).sum()

    return Problem(loss, lambda at: {"x": 2 * at["x"]}, {"x": rng.standard_normal(n)}, beside=True)


def chosen_branch(rng: np.random.Generator) -> Problem:
    """A linear function of the entry that is largest, by argmax: it jumps where two change places."""
    n = 1 + draw_size(rng, 100)
    x, rewards = rng.standard_normal(n), rng.standard_normal(n)
    x[np.argsort(x)[-2]] = x.max() - log_uniform(rng, 1e-7, 1e-1)
    return Problem(
        lambda at: rewards[np.argmax(at["x"])] + np.sin(at["x"]).sum(),
        lambda at: {"x": np.cos(at["x"])},
        {"x": x},
        beside=True,
    )


def root_of_clip(rng: np.random.Generator) -> Problem:
    """``sqrt(relu(w a) + eps)`` at ``w = 0``: steep on one side and flat on the other."""
    a, eps = rng.standard_normal(draw_size(rng, 40)), log_uniform(rng, 1e-12, 1e-2)

    def inside(w: Array) -> Any:
        return np.sqrt((w * a).clip(0) + eps)

    return Problem(
        lambda at: inside(at["w"]).sum(),
        lambda at: {"w": np.where(at["w"] * a > 0, a / (2 * inside(at["w"])), 0)},
        {"w": np.zeros(a.size)},
        exact=True,
    )


def gate_at_threshold(rng: np.random.Generator) -> Problem:
    x = rng.standard_normal(draw_size(rng, 40))
    threshold = float(x[0])
    return Problem(
        lambda at: ((at["x"] > threshold) * at["x"]).sum(),
        lambda at: {"x": np.where(at["x"] > threshold, 1.0, 0.0)},
        {"x": x},
        exact=True,
    )


def norm_near_zero(rng: np.random.Generator) -> Problem:
    """Norms of groups, one of them as near to 0 as drawn."""
    groups, size = draw_size(rng, 30), int(rng.integers(1, 8))
    w = rng.standard_normal((groups, size))
    w[0] *= log_uniform(rng, 1e-10, 1e-1)

    def norms(w: Array) -> Any:
        return np.sqrt((w * w).sum(axis=1, keepdims=True))

    return Problem(
        lambda at: norms(at["w"]).sum() + (at["w"] ** 2).sum() / 2,
        lambda at: {"w": at["w"] / norms(at["w"]) + at["w"]},
        {"w": w},
        beside=True,
    )


def edge_of_support(rng: np.random.Generator) -> Problem:
    """A compactly supported kernel between points: it ends at distance 1 with a kink of its own."""
    n, power = 2 + draw_size(rng, 60), int(rng.integers(1, 4))
    x = np.sort(rng.uniform(0, n / 3, n))
    x[1] = x[0] + 1 + draw_sign(rng) * log_uniform(rng, 1e-9, 1e-2)

    def gradient(at: Tree) -> Tree:
        apart = at["x"][:, None] - at["x"]
        inside = np.maximum(1 - np.abs(apart), 0)
        return {"x": -2 * power * (np.sign(apart) * (np.abs(apart) < 1) * inside ** (power - 1)).sum(axis=1)}

    return Problem(
        lambda at: (np.maximum(1 - np.abs(at["x"][:, None] - at["x"]), 0) ** power).sum(), gradient, {"x": x}, beside=True
    )


CORNERS: dict[str, Maker] = {
    "kink.linear table": lambda rng: table(rng, 0),
    "joint.hermite table": lambda rng: table(rng, 1),
    "jump.histogram": histogram,
    "jump.chosen branch": chosen_branch,
    "exact kink.root of clip": root_of_clip,
    "exact jump.gate at its threshold": gate_at_threshold,
    "kink.norm near zero": norm_near_zero,
    "kink.edge of support": edge_of_support,
}
