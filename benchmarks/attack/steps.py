"""Smooth losses that are computed in steps: equations, recursions, series, fixed points, integrals, products, windows."""

from typing import Any

import numpy as np
from base import Array, Maker, Problem, Tree, draw_size, log_uniform
from models import inverse


def convolution(rng: np.random.Generator) -> Problem:
    n, width = 8 + draw_size(rng, 500), int(rng.integers(2, 8))
    signal, target = rng.standard_normal(n), rng.standard_normal(n - width + 1)
    windows = np.lib.stride_tricks.sliding_window_view(signal, width)
    return Problem(
        lambda at: ((np.tanh(windows @ at) - target) ** 2).sum() / 2,
        lambda at: ((np.tanh(windows @ at) - target) / np.cosh(windows @ at) ** 2) @ windows,
        rng.standard_normal(width),
    )


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


STEPS: dict[str, Maker] = {
    "smooth.convolution": convolution,
    "smooth.norm": norms,
    "smooth.cosine": cosine,
    "smooth.matrix exponential": matrix_exponential,
    "smooth.pendulum": pendulum,
    "smooth.fixed point": fixed_point,
    "fast.logistic map": logistic_map,
    "smooth.product": product,
    "smooth.integral": integral,
}
