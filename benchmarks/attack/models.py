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


def convolution(rng: np.random.Generator) -> Problem:
    n, width = 8 + draw_size(rng, 500), int(rng.integers(2, 8))
    signal, target = rng.standard_normal(n), rng.standard_normal(n - width + 1)
    windows = np.lib.stride_tricks.sliding_window_view(signal, width)
    return Problem(
        lambda at: ((np.tanh(windows @ at) - target) ** 2).sum() / 2,
        lambda at: ((np.tanh(windows @ at) - target) / np.cosh(windows @ at) ** 2) @ windows,
        rng.standard_normal(width),
    )


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


def norms(rng: np.random.Generator) -> Problem:
    """The p-norm of a vector."""
    p = float(rng.uniform(1.5, 12))

    def norm(x: Array) -> Any:
        return (np.abs(x) ** p).sum() ** (1 / p)

    return Problem(
        norm,
        lambda at: np.sign(at) * np.abs(at / norm(at)) ** (p - 1),
        rng.uniform(0.1, 2, draw_size(rng, 300)) * rng.choice([-1, 1]),
    )


def cosine(rng: np.random.Generator) -> Problem:
    n = 1 + draw_size(rng, 300)

    def parts(at: Tree) -> Any:
        a, b = (np.sqrt((at[name] ** 2).sum()) for name in "ab")
        return a, b, at["a"] @ at["b"] / (a * b)

    def gradient(at: Tree) -> Tree:
        a, b, c = parts(at)
        return {"a": at["b"] / (a * b) - c * at["a"] / a**2, "b": at["a"] / (a * b) - c * at["b"] / b**2}

    scale = log_uniform(rng, 1e-6, 1e6)
    return Problem(lambda at: parts(at)[2], gradient, {"a": scale * rng.standard_normal(n), "b": rng.standard_normal(n)})


def matrix_exponential(rng: np.random.Generator) -> Problem:
    """A weighted sum of its entries; the derivative is a block of the exponential of a matrix twice as large."""
    n = draw_size(rng, 6)
    w = rng.standard_normal((n, n))

    def exponential(a: Array) -> Any:
        total = term = np.eye(len(a), dtype=a.dtype)
        for k in range(1, 60):
            term = term @ a / k
            total = total + term
        return total

    def gradient(at: Tree) -> Tree:
        a = at["a"].T
        return {"a": exponential(np.block([[a, w.astype(a.dtype)], [np.zeros_like(a), a]]))[:n, n:]}

    return Problem(lambda at: (w * exponential(at["a"])).sum(), gradient, {"a": 0.5 * rng.standard_normal((n, n))})


def pendulum(rng: np.random.Generator) -> Problem:
    """Leapfrog steps of a pendulum, differentiated backwards: the start, the strength, the friction."""
    steps, h = int(rng.integers(5, 200)), 0.05

    def path(at: Tree) -> Any:
        q, v = [at["q"]], [at["v"]]
        for _ in range(steps):
            v.append((1 - h * at["c"]) * v[-1] - h * at["k"] * np.sin(q[-1]))
            q.append(q[-1] + h * v[-1])
        return q, v

    def gradient(at: Tree) -> Tree:
        q, v = path(at)
        dq, dv, dk, dc = np.cos(q[-1]), 0 * q[-1], 0 * q[-1], 0 * q[-1]
        for i in reversed(range(steps)):
            dv = dv + h * dq
            dk, dc = dk - h * np.sin(q[i]) * dv, dc - h * v[i] * dv
            dq, dv = dq - h * at["k"] * np.cos(q[i]) * dv, (1 - h * at["c"]) * dv
        return {"q": dq, "v": dv, "k": dk.sum(), "c": dc.sum()}

    n = draw_size(rng, 20)
    at = {"q": rng.standard_normal(n), "v": rng.standard_normal(n), "k": rng.uniform(0.5, 4), "c": rng.uniform(0.01, 0.2)}
    return Problem(lambda at: np.sin(path(at)[0][-1]).sum(), gradient, at)


def fixed_point(rng: np.random.Generator) -> Problem:
    """``z = tanh(W z + x)`` to the last digit, by the implicit function theorem."""
    n = draw_size(rng, 15)
    w, out = rng.standard_normal((n, n)), rng.standard_normal(n)
    w *= log_uniform(rng, 0.1, 0.8) / np.linalg.norm(w, 2)

    def solved(x: Array) -> Any:
        z = np.zeros_like(x)
        for _ in range(250):
            z = np.tanh(w @ z + x)
        return z

    def gradient(at: Tree) -> Tree:
        slope = 1 - solved(at) ** 2
        return slope * (inverse(np.eye(n) - w.T * slope) @ out)

    return Problem(lambda at: out @ solved(at), gradient, rng.standard_normal(n))


def logistic_map(rng: np.random.Generator) -> Problem:
    """A recursion that stretches: twenty steps and the slope is a thousand, or a million."""
    steps = int(rng.integers(3, 30))

    def loss(x: Array) -> Any:
        for _ in range(steps):
            x = 3.8 * x * (1 - x)
        return x.sum()

    def gradient(x: Array) -> Any:
        slope = np.ones_like(x)
        for _ in range(steps):
            slope, x = slope * 3.8 * (1 - 2 * x), 3.8 * x * (1 - x)
        return slope

    return Problem(loss, gradient, rng.uniform(0.1, 0.9, draw_size(rng, 30)))


def product(rng: np.random.Generator) -> Problem:
    """Of many factors near 1, as in reliabilities."""
    n = draw_size(rng, 1000)
    return Problem(lambda at: at.prod(), lambda at: at.prod() / at, 1 + 0.3 * rng.uniform(-1, 1, n) / np.sqrt(n))


def integral(rng: np.random.Generator) -> Problem:
    """Of ``exp(-a t) cos(b t)`` over [0, T] by forty Gauss points, by all three."""
    t, w = np.polynomial.legendre.leggauss(40)
    t, w = (t + 1) / 2, w / 2

    def parts(at: Tree) -> Any:
        s = at["T"] * t
        return s, np.exp(-at["a"] * s) * np.cos(at["b"] * s), np.exp(-at["a"] * s) * np.sin(at["b"] * s)

    def gradient(at: Tree) -> Tree:
        s, c, d = parts(at)
        slope = -at["a"] * c - at["b"] * d
        return {
            "a": -at["T"] * (w * s * c).sum(),
            "b": -at["T"] * (w * s * d).sum(),
            "T": (w * c).sum() + at["T"] * (w * slope * t).sum(),
        }

    at = {"a": rng.uniform(0, 2), "b": rng.uniform(0, 6), "T": rng.uniform(0.5, 3)}
    return Problem(lambda at: at["T"] * (w * parts(at)[1]).sum(), gradient, at)


MODELS: dict[str, Maker] = {
    "smooth.logdet": log_determinant,
    "smooth.quadratic": quadratic,
    "smooth.cross entropy": cross_entropy,
    "smooth.logistic": logistic,
    "smooth.poisson": poisson,
    "smooth.mixture": mixture,
    "smooth.gaussian process": gaussian_process,
    "smooth.repulsion": repulsion,
    "smooth.convolution": convolution,
    "smooth.attention": attention,
    "smooth.norm": norms,
    "smooth.cosine": cosine,
    "smooth.matrix exponential": matrix_exponential,
    "smooth.pendulum": pendulum,
    "smooth.fixed point": fixed_point,
    "fast.logistic map": logistic_map,
    "smooth.product": product,
    "smooth.integral": integral,
}
