"""Smooth losses of whole arrays: likelihoods, matrices, kernels, attention, layers and steps of equations."""

from typing import Any

import numpy as np
from base import Array, Maker, Problem, Tree, draw_size, log_uniform


def inverse(a: Array) -> Any:
    """Polished by Newton's steps in the dtype that it has, in which LAPACK may have no routine."""
    x, eye = np.linalg.inv(a.astype("float64")).astype(a.dtype), np.eye(len(a))
    for _ in range(2):
        x = x @ (2 * eye - a @ x)
    return x


def logdet(a: Array) -> Any:
    """By elimination without pivots: for positive definite matrices."""
    rest, total = np.array(a), a.dtype.type(0)
    for k in range(len(a)):
        total = total + np.log(rest[k, k])
        rest[k + 1 :, k + 1 :] -= np.outer(rest[k + 1 :, k], rest[k, k + 1 :]) / rest[k, k]
    return total


def softmax(s: Array, axis: int = -1) -> Any:
    e = np.exp(s - s.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def log_sum_exp(s: Array, axis: int = -1) -> Any:
    top = s.max(axis=axis, keepdims=True)
    return np.log(np.exp(s - top).sum(axis=axis)) + top.squeeze(axis)


def log_determinant(rng: np.random.Generator) -> Problem:
    """Of ``A A' + ridge``."""
    n = draw_size(rng, 15)
    ridge = log_uniform(rng, 1e-2, 10) * np.eye(n)
    return Problem(
        lambda at: logdet(at["a"] @ at["a"].T + ridge),
        lambda at: {"a": 2 * inverse(at["a"] @ at["a"].T + ridge) @ at["a"]},
        {"a": rng.standard_normal((n, n))},
    )


def quadratic(rng: np.random.Generator) -> Problem:
    n = draw_size(rng, 60)
    matrix, linear = rng.standard_normal((n, n)), rng.standard_normal(n)
    matrix = matrix + matrix.T
    return Problem(lambda at: at @ matrix @ at / 2 + linear @ at, lambda at: matrix @ at + linear, rng.standard_normal(n))


def cross_entropy(rng: np.random.Generator) -> Problem:
    n, d, k = draw_size(rng, 60), draw_size(rng, 40), int(rng.integers(2, 10))
    data, hot = rng.standard_normal((n, d)), np.eye(k)[rng.integers(0, k, n)]

    def gradient(at: Tree) -> Tree:
        back = (softmax(data @ at["w"] + at["b"]) - hot) / n
        return {"w": data.T @ back, "b": back.sum(axis=0)}

    def loss(at: Tree) -> Any:
        s = data @ at["w"] + at["b"]
        return (log_sum_exp(s) - (s * hot).sum(axis=1)).mean()

    return Problem(loss, gradient, {"w": rng.standard_normal((d, k)), "b": rng.standard_normal(k)})


def logistic(rng: np.random.Generator) -> Problem:
    n, d = draw_size(rng, 200), draw_size(rng, 200)
    data, y = rng.standard_normal((n, d)) * 10 ** rng.uniform(-2, 2, d), rng.choice([-1.0, 1.0], n)

    def gradient(at: Tree) -> Tree:
        z = y * (data @ at)
        return -(y * np.exp(-np.logaddexp(0, z))) @ data / n + 0.1 * at

    w = rng.standard_normal(d) / np.sqrt(d)
    return Problem(lambda at: np.logaddexp(0, -y * (data @ at)).mean() + 0.05 * (at * at).sum(), gradient, w)


def poisson(rng: np.random.Generator) -> Problem:
    n, d = draw_size(rng, 200), draw_size(rng, 20)
    data, counts = rng.standard_normal((n, d)), rng.poisson(3, n)
    return Problem(
        lambda at: (np.exp(data @ at) - counts * (data @ at)).sum(),
        lambda at: data.T @ (np.exp(data @ at) - counts),
        rng.standard_normal(d) / np.sqrt(d),
    )


def mixture(rng: np.random.Generator) -> Problem:
    """Log-likelihood of Gaussians: weights as logits, means, logarithms of widths."""
    n, k = draw_size(rng, 100), int(rng.integers(1, 6))
    y = rng.standard_normal(n)

    def terms(at: Tree) -> Any:
        z = (y[:, None] - at["mean"]) * np.exp(-at["log_width"])
        return at["logit"] - log_sum_exp(at["logit"]) - z * z / 2 - at["log_width"], z

    def gradient(at: Tree) -> Tree:
        s, z = terms(at)
        r = softmax(s)
        return {
            "logit": -(r - softmax(at["logit"])).sum(axis=0),
            "mean": -(r * z * np.exp(-at["log_width"])).sum(axis=0),
            "log_width": -(r * (z * z - 1)).sum(axis=0),
        }

    at = {"logit": rng.standard_normal(k), "mean": rng.standard_normal(k), "log_width": rng.uniform(-2, 1, k)}
    return Problem(lambda at: -log_sum_exp(terms(at)[0]).sum(), gradient, at)


def gaussian_process(rng: np.random.Generator) -> Problem:
    """Marginal likelihood by logarithms of length, amplitude and noise."""
    n = 2 + draw_size(rng, 12)
    x, y = np.sort(rng.uniform(0, 5, n)), rng.standard_normal(n)
    apart = (x[:, None] - x) ** 2

    def parts(at: Tree) -> Any:
        k = np.exp(2 * at["amplitude"] - apart * np.exp(-2 * at["length"]) / 2)
        return k, k + np.exp(2 * at["noise"]) * np.eye(n)

    def loss(at: Tree) -> Any:
        c = parts(at)[1]
        return (y @ inverse(c) @ y + logdet(c)) / 2

    def gradient(at: Tree) -> Tree:
        k, c = parts(at)
        solved = inverse(c)
        a = solved @ y
        pull = solved - np.outer(a, a)
        return {
            "length": (pull * k * apart).sum() * np.exp(-2 * at["length"]) / 2,
            "amplitude": (pull * k).sum(),
            "noise": np.trace(pull) * np.exp(2 * at["noise"]),
        }

    at = {"length": rng.uniform(-1, 1), "amplitude": np.asarray(rng.uniform(-1, 1)), "noise": rng.uniform(-3, 0)}
    return Problem(loss, gradient, at)


def repulsion(rng: np.random.Generator) -> Problem:
    """Gaussian kernels between all pairs of points in a plane."""
    n, width = 1 + draw_size(rng, 60), log_uniform(rng, 0.1, 3)
    w = rng.standard_normal((n, n))
    w = w + w.T

    def kernel(p: Array) -> Any:
        apart = p[:, None] - p
        return apart, w * np.exp(-(apart**2).sum(axis=2) / (2 * width**2))

    def gradient(at: Tree) -> Tree:
        apart, k = kernel(at["points"])
        return {"points": -2 * (k[:, :, None] * apart).sum(axis=1) / width**2}

    return Problem(lambda at: kernel(at["points"])[1].sum(), gradient, {"points": rng.standard_normal((n, 2))})


def attention(rng: np.random.Generator) -> Problem:
    n, d = draw_size(rng, 10), draw_size(rng, 8)
    x, out, root = rng.standard_normal((n, d)), rng.standard_normal((n, d)), np.sqrt(d)

    def gradient(at: Tree) -> Tree:
        q, k, v = x @ at["q"], x @ at["k"], x @ at["v"]
        p = softmax(q @ k.T / root)
        back = out @ v.T
        back = p * (back - (p * back).sum(axis=1, keepdims=True)) / root
        return {"q": x.T @ (back @ k), "k": x.T @ (back.T @ q), "v": x.T @ (p.T @ out)}

    def loss(at: Tree) -> Any:
        return (out * (softmax(x @ at["q"] @ (x @ at["k"]).T / root) @ (x @ at["v"]))).sum()

    return Problem(loss, gradient, {name: rng.standard_normal((d, d)) for name in "qkv"})


MODELS: dict[str, Maker] = {
    "smooth.logdet": log_determinant,
    "smooth.quadratic": quadratic,
    "smooth.cross entropy": cross_entropy,
    "smooth.logistic": logistic,
    "smooth.poisson": poisson,
    "smooth.mixture": mixture,
    "smooth.gaussian process": gaussian_process,
    "smooth.repulsion": repulsion,
    "smooth.attention": attention,
}
