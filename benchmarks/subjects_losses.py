"""Losses other than plain networks, each with its gradient written by hand right under it.

Every function follows the dtype of its input. A pair of functions closes over its data; some have slips of their own,
mistakes that this very gradient invites.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from subjects_common import Array, Blocks, Problem, draw_size, log_uniform
from subjects_networks import sigmoid, softmax, softplus

Maker = Callable[[np.random.Generator], Problem]


def quadratic(rng: np.random.Generator) -> Problem:
    """A positive definite form of any size: diagonal and low rank, condition up to 1e4."""
    n = draw_size(rng, 5000)
    diagonal, low, b = log_uniform(rng, 1, 1e4) ** rng.random(n), rng.standard_normal((3, n)), rng.standard_normal(n)

    def loss(at: Blocks) -> Any:
        x = at["x"]
        return (diagonal * x * x).sum() / 2 + ((low @ x) ** 2).sum() / 2 - (b * x).sum()

    def gradient(at: Blocks) -> Blocks:
        x = at["x"]
        return {"x": diagonal * x + (low @ x) @ low - b}

    return Problem("quadratic", loss, gradient, {"x": rng.standard_normal(n)})


def log_sum_exp(rng: np.random.Generator) -> Problem:
    m, n = draw_size(rng, 60), draw_size(rng, 60)
    a = rng.standard_normal((m, n))

    def loss(at: Blocks) -> Any:
        z = a @ at["x"] + at["shift"]
        return z.max() + np.log(np.exp(z - z.max()).sum())

    def gradient(at: Blocks) -> Blocks:
        p = softmax(a @ at["x"] + at["shift"])
        return {"x": p @ a, "shift": p}

    at = {"x": rng.standard_normal(n), "shift": rng.standard_normal(m)}
    return Problem("log-sum-exp", loss, gradient, at)


def rosenbrock(rng: np.random.Generator) -> Problem:
    n = 1 + draw_size(rng, 500)

    def loss(at: Blocks) -> Any:
        x = at["x"]
        return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()

    def gradient(at: Blocks) -> Blocks:
        x = at["x"]
        valley = x[1:] - x[:-1] ** 2
        g = np.zeros_like(x)
        g[1:] += 200 * valley
        g[:-1] -= 400 * valley * x[:-1] + 2 * (1 - x[:-1])
        return {"x": g}

    return Problem("Rosenbrock", loss, gradient, {"x": rng.standard_normal(n)})


def factorisation(rng: np.random.Generator) -> Problem:
    m, n, rank = draw_size(rng, 40), draw_size(rng, 40), draw_size(rng, 8)
    target, decay = rng.standard_normal((m, n)), log_uniform(rng, 1e-3, 1)

    def loss(at: Blocks) -> Any:
        u, v = at["u"], at["v"]
        return ((u @ v.T - target) ** 2).sum() + decay * ((u * u).sum() + (v * v).sum())

    def gradient(at: Blocks, decay: float = decay) -> Blocks:
        u, v = at["u"], at["v"]
        error = 2 * (u @ v.T - target)
        return {"u": error @ v + 2 * decay * u, "v": error.T @ u + 2 * decay * v}

    at = {"u": rng.standard_normal((m, rank)), "v": rng.standard_normal((n, rank))}
    slips = {"decay forgotten": partial(gradient, decay=0), "decay without its factor 2": partial(gradient, decay=decay / 2)}
    return Problem("factorisation", loss, gradient, at, slips)


def huber_regression(rng: np.random.Generator) -> Problem:
    n, d, delta = draw_size(rng, 100), draw_size(rng, 60), log_uniform(rng, 0.1, 10)
    x, y = rng.standard_normal((n, d)), rng.standard_normal(n)

    def loss(at: Blocks) -> Any:
        r = x @ at["w"] + at["b"] - y
        size = np.abs(r)
        return np.where(size <= delta, r * r / 2, delta * (size - delta / 2)).mean()

    def gradient(at: Blocks) -> Blocks:
        slope = np.clip(x @ at["w"] + at["b"] - y, -delta, delta) / n
        return {"w": slope @ x, "b": slope.sum()[None]}

    return Problem("huber regression", loss, gradient, {"w": rng.standard_normal(d), "b": rng.standard_normal(1)})


def normalised_layer(rng: np.random.Generator) -> Problem:
    """Layer normalisation; its classic slip takes mean and variance for constants."""
    n, d, k = draw_size(rng, 32), draw_size(rng, 40), 4 + draw_size(rng, 40)
    x, y, epsilon = rng.standard_normal((n, d)), rng.standard_normal((n, k)), 1e-5

    def standardised(at: Blocks) -> tuple[Array, Array]:
        z = x @ at["weight"].T
        centred = z - z.mean(axis=1, keepdims=True)
        deviation = np.sqrt((centred**2).mean(axis=1, keepdims=True) + epsilon)
        return centred / deviation, deviation

    def loss(at: Blocks) -> Any:
        normal, _ = standardised(at)
        return ((normal * at["gain"] + at["shift"] - y) ** 2).mean()

    def gradient(at: Blocks, through: bool = True) -> Blocks:
        normal, deviation = standardised(at)
        g = 2 * (normal * at["gain"] + at["shift"] - y) / y.size
        back = g * at["gain"]
        if through:
            back = back - back.mean(axis=1, keepdims=True) - normal * (back * normal).mean(axis=1, keepdims=True)
        return {"weight": (back / deviation).T @ x, "gain": (g * normal).sum(axis=0), "shift": g.sum(axis=0)}

    at = {"weight": rng.standard_normal((k, d)), "gain": 1 + 0.3 * rng.standard_normal(k), "shift": rng.standard_normal(k)}
    return Problem("layer norm", loss, gradient, at, {"mean and variance constant": partial(gradient, through=False)})


def poisson_regression(rng: np.random.Generator) -> Problem:
    n, d = draw_size(rng, 200), draw_size(rng, 100)
    x, y = rng.standard_normal((n, d)), rng.poisson(2.0, n).astype("float64")

    def loss(at: Blocks) -> Any:
        z = x @ at["w"]
        return (np.exp(z) - y * z).mean()

    def gradient(at: Blocks) -> Blocks:
        return {"w": (np.exp(x @ at["w"]) - y) @ x / n}

    return Problem("Poisson regression", loss, gradient, {"w": rng.standard_normal(d) / np.sqrt(d)})


def gaussian(rng: np.random.Generator) -> Problem:
    """Negative log-likelihood by mean and Cholesky factor of the precision, its diagonal by logarithm."""
    n, d = 1 + draw_size(rng, 50), draw_size(rng, 30)
    x, below = rng.standard_normal((n, d)), np.tril(np.ones((d, d)), -1)

    def factor(at: Blocks) -> Array:
        return below * at["lower"] + np.diag(np.exp(at["log_diagonal"]))

    def loss(at: Blocks) -> Any:
        white = (x - at["mean"]) @ factor(at)
        return (white**2).sum() / (2 * n) - at["log_diagonal"].sum()

    def gradient(at: Blocks) -> Blocks:
        matrix, off = factor(at), x - at["mean"]
        of_factor = off.T @ (off @ matrix) / n
        diagonal = np.diag(of_factor) * np.exp(at["log_diagonal"]) - 1
        return {"mean": -(off @ matrix @ matrix.T).mean(axis=0), "lower": below * of_factor, "log_diagonal": diagonal}

    at = {"mean": rng.standard_normal(d), "lower": 0.3 * rng.standard_normal((d, d)), "log_diagonal": rng.standard_normal(d)}
    return Problem("Gaussian likelihood", loss, gradient, at)


def recurrent(rng: np.random.Generator) -> Problem:
    """Backpropagation through time; the slip stops one step early."""
    n, d, k, steps = draw_size(rng, 16), draw_size(rng, 12), draw_size(rng, 24), int(rng.integers(2, 8))
    x, y = rng.standard_normal((steps, n, d)), rng.standard_normal(n)

    def states(at: Blocks) -> list[Array]:
        found = [np.zeros((n, k))]
        for step in range(steps):
            found.append(np.tanh(found[-1] @ at["recurrent"].T + x[step] @ at["input"].T + at["bias"]))
        return found

    def loss(at: Blocks) -> Any:
        return ((states(at)[-1] @ at["readout"] - y) ** 2).mean()

    def gradient(at: Blocks, first: int = 0) -> Blocks:
        h = states(at)
        error = 2 * (h[-1] @ at["readout"] - y) / n
        found = {name: np.zeros_like(value) for name, value in at.items()} | {"readout": error @ h[-1]}
        delta = error[:, None] * at["readout"]
        for step in reversed(range(first, steps)):
            delta = delta * (1 - h[step + 1] ** 2)
            found["recurrent"] += delta.T @ h[step]
            found["input"] += delta.T @ x[step]
            found["bias"] += delta.sum(axis=0)
            delta = delta @ at["recurrent"]
        return found

    at = {
        "recurrent": rng.standard_normal((k, k)) / np.sqrt(k),
        "input": rng.standard_normal((k, d)) / np.sqrt(d),
        "bias": 0.5 * rng.standard_normal(k),
        "readout": rng.standard_normal(k),
    }
    return Problem("recurrent network", loss, gradient, at, {"first step forgotten": partial(gradient, first=1)})


def attention(rng: np.random.Generator) -> Problem:
    """One head of self-attention; the slip takes the softmax's Jacobian for its diagonal."""
    n, d = 1 + draw_size(rng, 12), draw_size(rng, 24)
    x, y = rng.standard_normal((n, d)), rng.standard_normal((n, d))

    def parts(at: Blocks) -> tuple[Array, Array, Array, Array]:
        query, key, value = (x @ at[name] for name in ("query", "key", "value"))
        return query, key, value, softmax(query @ key.T / np.sqrt(d))

    def loss(at: Blocks) -> Any:
        *_, value, weights = parts(at)
        return ((weights @ value - y) ** 2).mean()

    def gradient(at: Blocks, whole: bool = True) -> Blocks:
        query, key, value, weights = parts(at)
        error = 2 * (weights @ value - y) / y.size
        back = error @ value.T
        centre = (back * weights).sum(axis=1, keepdims=True) if whole else back * weights
        scores = weights * (back - centre) / np.sqrt(d)
        return {"query": x.T @ scores @ key, "key": x.T @ scores.T @ query, "value": x.T @ weights.T @ error}

    at = {name: rng.standard_normal((d, d)) / np.sqrt(d) for name in ("query", "key", "value")}
    return Problem("attention", loss, gradient, at, {"softmax by its diagonal": partial(gradient, whole=False)})


def convolution(rng: np.random.Generator) -> Problem:
    """One-dimensional, tanh, mean square; the slip flips the kernel."""
    n, channels, length, taps, kernels = 4, draw_size(rng, 4), 24, int(rng.integers(1, 8)), draw_size(rng, 12)
    windows = np.lib.stride_tricks.sliding_window_view(rng.standard_normal((n, channels, length)), taps, axis=2)

    def response(at: Blocks) -> Array:
        return np.tanh(np.einsum("nclt,kct->nkl", windows, at["kernel"]) + at["bias"][:, None])

    def loss(at: Blocks) -> Any:
        return ((response(at) - 0.5) ** 2).mean()

    def gradient(at: Blocks) -> Blocks:
        a = response(at)
        delta = 2 * (a - 0.5) * (1 - a * a) / a.size
        return {"kernel": np.einsum("nclt,nkl->kct", windows, delta), "bias": delta.sum(axis=(0, 2))}

    def flipped(at: Blocks) -> Blocks:
        g = gradient(at)
        return g | {"kernel": g["kernel"][:, :, ::-1].copy()}

    at = {"kernel": rng.standard_normal((kernels, channels, taps)) / np.sqrt(taps), "bias": rng.standard_normal(kernels)}
    return Problem("convolution", loss, gradient, at, {"kernel flipped": flipped})


def embedding(rng: np.random.Generator) -> Problem:
    """Rows looked up by index, some twice, most never; the slip assigns where it should add."""
    n, vocabulary, d = 2 + draw_size(rng, 30), 2 + draw_size(rng, 200), draw_size(rng, 20)
    indices, y = rng.integers(0, max(2, vocabulary // 4), n), rng.choice([-1.0, 1.0], n)

    def loss(at: Blocks) -> Any:
        return softplus(-y * (at["table"][indices] @ at["w"])).mean()

    def gradient(at: Blocks, add: bool = True) -> Blocks:
        rows = at["table"][indices]
        delta = -y * sigmoid(-y * (rows @ at["w"])) / n
        table = np.zeros_like(at["table"])
        if add:
            np.add.at(table, indices, delta[:, None] * at["w"])
        else:
            table[indices] = delta[:, None] * at["w"]
        return {"table": table, "w": delta @ rows}

    at = {"table": rng.standard_normal((vocabulary, d)), "w": rng.standard_normal(d)}
    return Problem("embedding", loss, gradient, at, {"repeated rows overwritten": partial(gradient, add=False)})


SMOOTH_LOSSES: tuple[Maker, ...] = (
    quadratic,
    log_sum_exp,
    rosenbrock,
    factorisation,
    normalised_layer,
    poisson_regression,
    gaussian,
    recurrent,
    attention,
    convolution,
    embedding,
)
LOSSES: tuple[Maker, ...] = (*SMOOTH_LOSSES, huber_regression)
