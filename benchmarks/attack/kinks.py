"""Kinks and jumps that arise among several entries: maxima, sorting, tables, networks of relu, histograms."""

from typing import Any

import numpy as np
from base import Array, Maker, Problem, Tree, draw_size, log_uniform


def largest(rng: np.random.Generator) -> Problem:
    """The largest of some, the second as near as drawn."""
    x = rng.standard_normal(1 + draw_size(rng, 1000))
    x[np.argsort(x)[-2]] = x.max() - log_uniform(rng, 1e-9, 1)

    def gradient(at: Tree) -> Tree:
        top: Any = at["x"].max()
        return {"x": np.where(at["x"] == top, 2 * top, 0) + np.cos(at["x"]) / len(at["x"])}

    return Problem(
        lambda at: at["x"].max() ** 2 + np.sin(at["x"]).mean(),
        gradient,
        {"x": x},
        beside=True,
    )


def tied(rng: np.random.Generator) -> Problem:
    """Two equal largest ones."""
    x = rng.standard_normal(1 + draw_size(rng, 50))
    x[np.argsort(x)[-2]] = x.max()
    first = int(np.argmax(x))
    return Problem(
        lambda at: at["x"].max() + (at["x"] ** 2).sum(),
        lambda at: {"x": 2 * at["x"] + np.eye(len(at["x"]))[first]},
        {"x": x},
        exact=True,
    )


def ordered(rng: np.random.Generator) -> Problem:
    """Weights by rank: the median, trimmed means, the top k, losses of a tail."""
    n = 2 + draw_size(rng, 1000)
    chosen = rng.integers(4)
    weights = np.zeros(n)
    if chosen == 0:
        weights[n // 2] = 1
    elif chosen == 1:
        weights[-max(1, n // 10) :] = 1
    elif chosen == 2:
        weights[n // 4 : 3 * n // 4 + 1] = 1 / n
    else:
        weights = rng.standard_normal(n)
    target = rng.standard_normal(n)

    def gradient(at: Tree) -> Tree:
        r = at["x"] - target
        g = np.zeros_like(r)
        g[np.argsort(r * r)] = weights
        return {"x": 2 * r * g + 1e-2 * at["x"]}

    return Problem(
        lambda at: (weights * np.sort((at["x"] - target) ** 2)).sum() + 5e-3 * (at["x"] ** 2).sum(),
        gradient,
        {"x": rng.standard_normal(n)},
        beside=True,
    )


def relu_network(rng: np.random.Generator, most: int) -> Problem:
    """Two layers with up to so many pre-activations in all."""
    units = draw_size(rng, most // 16) + 4
    batch, inputs = max(1, min(64, most // units)), int(rng.integers(1, 9))
    data, target = rng.standard_normal((batch, inputs)), rng.standard_normal(batch)
    slope = float(rng.choice([0.0, 0.01, 0.3]))

    def forward(at: Tree) -> tuple[Any, Any, Any]:
        z: Any = data @ at["w"] + at["b"]
        h: Any = z * np.where(z > 0, 1, slope)
        return z, h, h @ at["v"] - target

    def gradient(at: Tree) -> Tree:
        z, h, r = forward(at)
        back = r[:, None] / batch * at["v"] * np.where(z > 0, 1, slope)
        return {"w": data.T @ back, "b": back.sum(axis=0), "v": h.T @ r / batch}

    at = {
        "w": rng.standard_normal((inputs, units)) / np.sqrt(inputs),
        "b": 0.1 * rng.standard_normal(units),
        "v": rng.standard_normal(units) / np.sqrt(units),
    }
    return Problem(lambda at: (forward(at)[2] ** 2).mean() / 2, gradient, at, beside=True)


def multiclass_hinge(rng: np.random.Generator) -> Problem:
    n, d, k = draw_size(rng, 100), draw_size(rng, 20), int(rng.integers(2, 8))
    data, labels = rng.standard_normal((n, d)), rng.integers(0, k, n)
    rows = np.arange(n)

    def violations(w: Array) -> Any:
        scores = data @ w
        margins = scores - scores[rows, labels][:, None] + 1
        margins[rows, labels] = 0
        return np.maximum(margins, 0)

    def gradient(at: Tree) -> Tree:
        active = (violations(at["w"]) > 0).astype(at["w"].dtype)
        active[rows, labels] = -active.sum(axis=1)
        return {"w": data.T @ active / n + 0.02 * at["w"]}

    return Problem(
        lambda at: violations(at["w"]).sum() / n + 0.01 * (at["w"] ** 2).sum(),
        gradient,
        {"w": rng.standard_normal((d, k))},
        beside=True,
    )


def pooling(rng: np.random.Generator) -> Problem:
    """The largest of each square of an image."""
    rows, columns, size = draw_size(rng, 30), draw_size(rng, 30), int(rng.integers(2, 4))
    weights = rng.standard_normal((rows, columns))

    def cut(image: Array) -> Array:
        parts = image.reshape(rows, size, columns, size).transpose(0, 2, 1, 3)
        return parts.reshape(rows, columns, size * size)

    def gradient(at: Tree) -> Tree:
        parts = cut(at["image"])
        top = parts.max(axis=2, keepdims=True)
        back = (parts == top) * (weights * np.cos(top[:, :, 0]))[:, :, None]
        back = back.reshape(rows, columns, size, size).transpose(0, 2, 1, 3)
        return {"image": back.reshape(at["image"].shape)}

    at = {"image": rng.standard_normal((rows * size, columns * size))}
    return Problem(lambda at: (weights * np.sin(cut(at["image"]).max(axis=2))).sum(), gradient, at, beside=True)


def total_variation(rng: np.random.Generator) -> Problem:
    """Of a picture, which is rows of almost equal numbers."""
    rows, columns, strength = draw_size(rng, 30), draw_size(rng, 30), log_uniform(rng, 1e-3, 10)
    target = rng.standard_normal((rows, columns))

    def gradient(at: Tree) -> Tree:
        g = at["u"] - target
        for axis in (0, 1):
            steps = strength * np.sign(np.diff(at["u"], axis=axis))
            pad = [(0, 0), (0, 0)]
            pad[axis] = (1, 1)
            g = g - np.diff(np.pad(steps, pad), axis=axis)
        return {"u": g}

    def loss(at: Tree) -> Any:
        edges = np.abs(np.diff(at["u"], axis=0)).sum() + np.abs(np.diff(at["u"], axis=1)).sum()
        return ((at["u"] - target) ** 2).sum() / 2 + strength * edges

    at = {"u": np.repeat(rng.standard_normal((rows, 1)), columns, axis=1) + 1e-4 * rng.standard_normal((rows, columns))}
    return Problem(loss, gradient, at, beside=True)


STRUCTURED_KINKS: dict[str, Maker] = {
    "kink.largest": largest,
    "exact kink.tied": tied,
    "kink.ordered": ordered,
    "kink.relu network of 1e3": lambda rng: relu_network(rng, 1000),
    "kink.relu network of 1e5": lambda rng: relu_network(rng, 100_000),
    "kink.multiclass hinge": multiclass_hinge,
    "kink.pooling": pooling,
    "kink.total variation": total_variation,
}
