"""Correct gradients beside, between and at kinks.

A checker whose step crosses a kink sees a wrong slope. Distances run from 1e-2 down to 1e-9 of the parameter's scale.
At an exact kink there is no derivative; what is claimed there is one of the two slopes, and no checker may call it
wrong.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from subjects_common import Array, Blocks, Problem, draw_size, log_uniform
from subjects_losses import Maker
from subjects_networks import KINKED, OUTPUTS, Perceptron, as_problem, draw_parameters, draw_perceptron

Function = Callable[[Array], Array]


@dataclass(frozen=True)
class Piece:
    """Two smooth functions that meet at 0, with their slopes."""

    left: Function
    right: Function
    left_slope: Function
    right_slope: Function

    def value(self, u: Array) -> Array:
        return np.where(u > 0, self.right(u), self.left(np.minimum(u, 0)))

    def slope(self, u: Array, above: bool) -> Array:
        """At 0 the right slope if ``above``, else the left."""
        return np.where(u >= 0 if above else u > 0, self.right_slope(u), self.left_slope(np.minimum(u, 0)))


KINKS = {
    "relu": Piece(np.zeros_like, lambda u: u, np.zeros_like, np.ones_like),
    "abs": Piece(np.negative, lambda u: u, lambda u: -np.ones_like(u), np.ones_like),
    "leaky": Piece(lambda u: 0.1 * u, lambda u: u, lambda u: 0.1 * np.ones_like(u), np.ones_like),
    "hinge": Piece(np.negative, np.zeros_like, lambda u: -np.ones_like(u), np.zeros_like),
    "bent exponential": Piece(np.expm1, lambda u: np.sin(u) / 2, np.exp, lambda u: np.cos(u) / 2),
}
JOINTS = {
    "huber": Piece(lambda u: u + u * u / 2, lambda u: u, lambda u: 1 + u, np.ones_like),
    "elu": Piece(np.expm1, lambda u: u, np.exp, np.ones_like),
    "squared relu": Piece(np.zeros_like, np.square, np.zeros_like, lambda u: 2 * u),
    "x|x|": Piece(lambda u: -u * u, np.square, lambda u: -2 * u, lambda u: 2 * u),
    "cubic spline": Piece(np.zeros_like, lambda u: u**3, np.zeros_like, lambda u: 3 * u * u),
}


def near_distance(rng: np.random.Generator) -> float:
    """Of the parameter's scale, on either side."""
    return log_uniform(rng, 1e-9, 1e-2) * float(rng.choice([-1, 1]))


def pieces(rng: np.random.Generator, piece: Piece, draw_distance: Callable[[np.random.Generator], float]) -> Problem:
    """A weighted sum of bent and smooth terms; one to three entries are as near to their kink as drawn."""
    n, unit, above = draw_size(rng, 60), log_uniform(rng, 1e-3, 1e3), bool(rng.random() < 0.5)
    x, weights = unit * rng.standard_normal(n), rng.standard_normal(n)
    centres = x - unit * rng.standard_normal(n)
    chosen = rng.choice(n, min(n, int(rng.integers(1, 4))), replace=False)
    centres[chosen] = x[chosen] - unit * np.array([draw_distance(rng) for _ in chosen])

    def loss(at: Blocks) -> Any:
        return (weights * piece.value((at["x"] - centres) / unit)).sum() + np.sin(at["x"] / unit).sum()

    def gradient(at: Blocks) -> Blocks:
        return {"x": (weights * piece.slope((at["x"] - centres) / unit, above) + np.cos(at["x"] / unit)) / unit}

    return Problem("pieces", loss, gradient, {"x": x})


def larger_of_two(rng: np.random.Generator) -> Problem:
    """Entry by entry the larger of two blocks, one pair almost tied."""
    n = draw_size(rng, 40)
    x, y, weights = rng.standard_normal((3, n))
    y[0] = x[0] * (1 - near_distance(rng))

    def loss(at: Blocks) -> Any:
        return (weights * np.maximum(at["x"], at["y"]) ** 2).sum() + (at["x"] * at["y"]).sum()

    def gradient(at: Blocks) -> Blocks:
        slope, wins = 2 * weights * np.maximum(at["x"], at["y"]), at["x"] > at["y"]
        return {"x": np.where(wins, slope, 0) + at["y"], "y": np.where(wins, 0, slope) + at["x"]}

    return Problem("larger of two", loss, gradient, {"x": x, "y": y})


def draw_kinked(rng: np.random.Generator, batch: int, widths: tuple[int, ...]) -> Perceptron:
    name = "mse" if widths[-1] == 1 else str(rng.choice(["mse", "cross entropy"]))
    return draw_perceptron(rng, KINKED[str(rng.choice(["relu", "leaky"]))], OUTPUTS[name], widths, batch)


def almost_switching_unit(rng: np.random.Generator) -> Problem:
    """A small network with one unit as near to its kink as drawn, for one sample."""
    widths = (draw_size(rng, 8), draw_size(rng, 12), draw_size(rng, 12), int(rng.integers(1, 4)))
    network = draw_kinked(rng, 8 + draw_size(rng, 16), widths)
    problem = as_problem(rng, "network", network)
    _, sums = network.passes(problem.at)
    layer = int(rng.integers(0, 2))
    sample, unit = rng.integers(len(sums[layer])), rng.integers(widths[layer + 1])
    problem.at[f"{layer}.bias"][unit] += near_distance(rng) - sums[layer][sample, unit]
    return problem


def dense_kinks(rng: np.random.Generator) -> Problem:
    """Thousands of pre-activations: along any direction the next kink is near."""
    widths = (int(rng.integers(4, 25)), int(rng.integers(24, 49)), int(rng.integers(8, 41)), int(rng.integers(1, 4)))
    return as_problem(rng, "network", draw_kinked(rng, int(rng.integers(64, 257)), widths))


def silent_samples(rng: np.random.Generator) -> Problem:
    """All-zero samples and zero biases: every unit lies at its kink, and several kinks meet in one point."""
    widths = (draw_size(rng, 8), 1 + draw_size(rng, 12), 1)
    network = draw_perceptron(rng, KINKED["relu"], OUTPUTS["mse"], widths, 2 + draw_size(rng, 12))
    network.inputs[0] = 0
    at = draw_parameters(rng, widths)
    at["0.bias"][:] = 0
    return Problem("network", network.loss, network.gradient, at)


def support_vectors(rng: np.random.Generator) -> Problem:
    """A linear hinge loss with one sample as near to its margin as drawn."""
    n, d, decay = 1 + draw_size(rng, 60), draw_size(rng, 20), 0.01
    x, y, w = rng.standard_normal((n, d)), rng.choice([-1.0, 1.0], n), rng.standard_normal(d)
    x[0] *= y[0] * (1 - near_distance(rng)) / (x[0] @ w)

    def loss(at: Blocks) -> Any:
        return np.maximum(1 - y * (x @ at["w"]), 0).mean() + decay * (at["w"] ** 2).sum()

    def gradient(at: Blocks) -> Blocks:
        pulling = np.where(1 - y * (x @ at["w"]) > 0, y, 0)
        return {"w": 2 * decay * at["w"] - pulling @ x / n}

    return Problem("support vectors", loss, gradient, {"w": w})


def max_pooling(rng: np.random.Generator) -> Problem:
    n, window = draw_size(rng, 200), int(rng.integers(2, 9))
    weights = rng.standard_normal(n)

    def loss(at: Blocks) -> Any:
        return (weights * np.tanh(at["x"].max(axis=1))).sum()

    def gradient(at: Blocks) -> Blocks:
        top = at["x"].max(axis=1, keepdims=True)
        return {"x": np.where(at["x"] == top, weights[:, None] * (1 - np.tanh(top) ** 2), 0)}

    return Problem("pooling", loss, gradient, {"x": rng.standard_normal((n, window))})


def sorting(rng: np.random.Generator) -> Problem:
    """An ordered weighted sum; the median and trimmed means are of this kind."""
    n = 1 + draw_size(rng, 100)
    weights = rng.standard_normal(n) if rng.random() < 0.5 else np.eye(n)[n // 2]

    def loss(at: Blocks) -> Any:
        return (weights * np.sort(at["x"])).sum() + np.cos(at["x"]).sum()

    def gradient(at: Blocks) -> Blocks:
        g = -np.sin(at["x"])
        g[np.argsort(at["x"])] += weights
        return {"x": g}

    return Problem("sorting", loss, gradient, {"x": rng.standard_normal(n)})


def lasso(rng: np.random.Generator) -> Problem:
    """An l1 penalty at coefficients away from 0."""
    n, d, penalty = draw_size(rng, 50), draw_size(rng, 50), log_uniform(rng, 1e-3, 10)
    x, y = rng.standard_normal((n, d)), rng.standard_normal(n)

    def loss(at: Blocks) -> Any:
        return ((x @ at["w"] - y) ** 2).sum() / (2 * n) + penalty * np.abs(at["w"]).sum()

    def gradient(at: Blocks) -> Blocks:
        return {"w": (x @ at["w"] - y) @ x / n + penalty * np.sign(at["w"])}

    at = {"w": rng.uniform(0.1, 2, d) * rng.choice([-1, 1], d)}
    return Problem("lasso", loss, gradient, at)


def total_variation(rng: np.random.Generator) -> Problem:
    n = 2 + draw_size(rng, 200)
    target = rng.standard_normal(n)

    def loss(at: Blocks) -> Any:
        return ((at["x"] - target) ** 2).sum() + 0.3 * np.abs(np.diff(at["x"])).sum()

    def gradient(at: Blocks) -> Blocks:
        steps = 0.3 * np.sign(np.diff(at["x"]))
        return {"x": 2 * (at["x"] - target) + np.append(0, steps) - np.append(steps, 0)}

    return Problem("total variation", loss, gradient, {"x": rng.standard_normal(n)})


def clustering(rng: np.random.Generator) -> Problem:
    """Squared distance to the nearest of several centres."""
    n, k = draw_size(rng, 100), int(rng.integers(2, 6))
    points = rng.standard_normal((n, 2))

    def loss(at: Blocks) -> Any:
        return ((points[:, None] - at["centres"]) ** 2).sum(axis=2).min(axis=1).mean()

    def gradient(at: Blocks) -> Blocks:
        apart = points[:, None] - at["centres"]
        nearest = np.eye(k)[(apart**2).sum(axis=2).argmin(axis=1)]
        return {"centres": -2 * (nearest[:, :, None] * apart).sum(axis=0) / n}

    return Problem("clustering", loss, gradient, {"centres": rng.standard_normal((k, 2))})


AT_KINKS: dict[str, Maker] = {
    **{f"kink near: {name}": partial(pieces, piece=piece, draw_distance=near_distance) for name, piece in KINKS.items()},
    **{f"joint near: {name}": partial(pieces, piece=piece, draw_distance=near_distance) for name, piece in JOINTS.items()},
    **{f"joint here: {name}": partial(pieces, piece=piece, draw_distance=lambda _: 0.0) for name, piece in JOINTS.items()},
    **{f"exact kink: {name}": partial(pieces, piece=piece, draw_distance=lambda _: 0.0) for name, piece in KINKS.items()},
    "exact kink: several units": silent_samples,
    "kink near: larger of two": larger_of_two,
    "kink near: unit of a network": almost_switching_unit,
    "kink near: support vectors": support_vectors,
    "dense kinks": dense_kinks,
    "dense kinks, again": dense_kinks,
    "max pooling": max_pooling,
    "sorting": sorting,
    "l1 away from 0": lasso,
    "total variation": total_variation,
    "clustering": clustering,
}
