"""Derivatives that vanish: losses that are saturated, zero or constant, and blocks that are zero up to rounding."""

from typing import Any

import numpy as np
from base import Array, Maker, Problem, Tree, draw_size, log_uniform
from models import log_sum_exp, softmax


def sure(rng: np.random.Generator) -> Problem:
    """Cross entropy of what is right by a margin of 20 to 60: the loss is below 1e-8, or rounds to zero."""
    n, k, margin = draw_size(rng, 40), int(rng.integers(2, 8)), rng.uniform(20, 60)
    hot = np.eye(k)[rng.integers(0, k, n)]

    def loss(at: Tree) -> Any:
        return (log_sum_exp(at["s"]) - (at["s"] * hot).sum(axis=1)).sum()

    at = {"s": rng.standard_normal((n, k)) + margin * hot}
    return Problem(loss, lambda at: {"s": softmax(at["s"]) * (1 - hot) - hot * _rest(at["s"], hot)}, at, buried=True)


def _rest(s: Array, hot: Array) -> Any:
    """The probability of all that is not so, without cancellation."""
    return (softmax(s) * (1 - hot)).sum(axis=1, keepdims=True)


def optimum(rng: np.random.Generator) -> Problem:
    """Logarithm of cosh about its optimum, off by as much as drawn: the slope falls as its square root."""
    n, off = draw_size(rng, 40), log_uniform(rng, 1e-9, 1e-1)
    target = rng.standard_normal(n)
    return Problem(
        lambda at: (np.logaddexp(at - target, target - at) - np.log(2)).sum(),
        lambda at: np.tanh(at - target),
        target + off * rng.standard_normal(n),
        buried=off < 1e-5,
    )


def sigmoids_far_left(rng: np.random.Generator) -> Problem:
    n, centre = draw_size(rng, 40), rng.uniform(20, 60)
    ordinary = bool(rng.random() < 0.5)
    return Problem(
        lambda at: np.exp(-np.logaddexp(0, -at["x"])).sum() + (np.sin(at["rest"]).sum() if ordinary else 0),
        lambda at: {
            "x": np.exp(-np.logaddexp(0, -at["x"]) - np.logaddexp(0, at["x"])),
            "rest": np.cos(at["rest"]) * ordinary,
        },
        {"x": rng.standard_normal(n) - centre, "rest": rng.standard_normal(3)},
        buried=ordinary,
        zero=() if ordinary else ("rest",),
    )


def nothing(rng: np.random.Generator) -> Problem:
    """A loss that is 0 exactly, around the point."""
    x = -rng.uniform(0.5, 2, draw_size(rng, 60))
    return Problem(
        lambda at: np.maximum(at["x"], 0).sum(), lambda at: {"x": 0 * at["x"]}, {"x": x}, beside=True, zero=("x",)
    )


def constant(rng: np.random.Generator) -> Problem:
    value = float(rng.choice([0.0, 1.0, -3.7e9, 1e-300]))
    x = rng.standard_normal(draw_size(rng, 60))
    return Problem(lambda at: value, lambda at: 0 * at, x, zero=("x",))


def fitted(rng: np.random.Generator) -> Problem:
    """Least squares where everything fits: residuals are rounding, and so is the gradient."""
    n, d = 1 + draw_size(rng, 60), draw_size(rng, 20)
    data, w = rng.integers(-9, 9, (n, d)).astype(float), rng.integers(-9, 9, d).astype(float)
    y = data @ w
    return Problem(
        lambda at: ((data @ at["w"] - y) ** 2).sum() / 2,
        lambda at: {"w": data.T @ (data @ at["w"] - y)},
        {"w": w},
        zero=("w",),
    )


def dead_units(rng: np.random.Generator) -> Problem:
    """A network of relu, some or all of its units off for every sample."""
    n, d, units = draw_size(rng, 40), draw_size(rng, 10), 1 + draw_size(rng, 20)
    data, y = rng.standard_normal((n, d)), rng.standard_normal(n)
    at = {
        "w": 0.1 * rng.standard_normal((d, units)),
        "b": np.where(rng.random(units) < rng.choice([0.5, 1.0]), -20.0, 0.3),
        "v": rng.standard_normal(units),
    }

    def forward(at: Tree) -> Any:
        h = np.maximum(data @ at["w"] + at["b"], 0)
        return h, h @ at["v"] - y

    def gradient(at: Tree) -> Tree:
        h, r = forward(at)
        back = r[:, None] / n * at["v"] * (h > 0)
        return {"w": data.T @ back, "b": back.sum(axis=0), "v": h.T @ r / n}

    zero = ("w", "b", "v") if (at["b"] < 0).all() else ()
    return Problem(lambda at: (forward(at)[1] ** 2).mean() / 2, gradient, at, beside=True, zero=zero)


def normalised(rng: np.random.Generator, kind: str) -> Problem:
    """A linear layer before a normalisation that takes its bias away, or its scale.

    What is claimed for the bias is what backpropagation gets there: rounding, as often as an exact zero.
    """
    n, d, units = 4 + draw_size(rng, 40), 1 + draw_size(rng, 10), 4 * (2 + draw_size(rng, 4))
    data, out, eps = rng.standard_normal((n, d)), rng.standard_normal((n, units)), float(rng.choice([0.0, 1e-5]))
    shape = {"batch": (n, units), "layer": (n, units), "group": (n, 4, units // 4)}[kind]
    axis = {"batch": 0, "layer": 1, "group": 2}[kind]
    bias = (1,) if kind == "layer" else (4,) if kind == "group" else (units,)

    def spread(b: Array) -> Any:
        """A bias for each unit, for each group, or for all: what the mean takes away."""
        return np.repeat(b, units // len(b))

    def forward(at: Tree) -> Any:
        z = (data @ at["w"] + spread(at["b"])).reshape(shape)
        centred = z - z.mean(axis=axis, keepdims=True)
        scale = np.sqrt((centred**2).mean(axis=axis, keepdims=True) + eps)
        return centred / scale, scale

    def gradient(at: Tree) -> Tree:
        y, scale = forward(at)
        back = (out * np.cos(at["s"] * y.reshape(n, units))).reshape(shape) * at["s"]
        ds = (out * np.cos(at["s"] * y.reshape(n, units)) * y.reshape(n, units)).sum()
        back = (back - back.mean(axis=axis, keepdims=True) - y * (back * y).mean(axis=axis, keepdims=True)) / scale
        flat = back.reshape(n, units)
        return {"w": data.T @ flat, "b": flat.sum(axis=0).reshape(len(at["b"]), -1).sum(axis=1) * exactly, "s": ds}

    exactly = float(rng.choice([0.0, 1.0]))
    at = {"w": rng.standard_normal((d, units)), "b": rng.standard_normal(bias), "s": rng.uniform(0.5, 2)}
    return Problem(lambda at: (out * np.sin(at["s"] * forward(at)[0].reshape(n, units))).sum(), gradient, at, zero=("b",))


def key_bias(rng: np.random.Generator) -> Problem:
    """Attention does not see a bias of its keys."""
    n, d = 1 + draw_size(rng, 10), draw_size(rng, 8)
    x, v, out = rng.standard_normal((n, d)), rng.standard_normal((n, d)), rng.standard_normal((n, d))

    def forward(at: Tree) -> Any:
        k = x @ at["k"] + at["bias"]
        return k, softmax(x @ k.T / np.sqrt(d))

    def gradient(at: Tree) -> Tree:
        _, p = forward(at)
        back = out @ v.T
        back = (p * (back - (p * back).sum(axis=1, keepdims=True)) / np.sqrt(d)).T @ x
        return {"k": x.T @ back, "bias": back.sum(axis=0)}

    at = {"k": rng.standard_normal((d, d)), "bias": rng.standard_normal(d)}
    return Problem(lambda at: (out * (forward(at)[1] @ v)).sum(), gradient, at, zero=("bias",))


def softmax_shift(rng: np.random.Generator) -> Problem:
    """One number added to all scores of a softmax."""
    n = 1 + draw_size(rng, 60)
    w = rng.standard_normal(n)

    def gradient(at: Tree) -> Tree:
        p = softmax(at["s"] + at["shift"])
        g = p * (w - p @ w)
        return {"s": g, "shift": g.sum()}

    at = {"s": rng.standard_normal(n), "shift": float(rng.standard_normal())}
    return Problem(lambda at: w @ softmax(at["s"] + at["shift"]), gradient, at, zero=("shift",))


def scale_before_norm(rng: np.random.Generator) -> Problem:
    """A vector times a number, then divided by its length."""
    n = 1 + draw_size(rng, 60)
    w = rng.standard_normal(n)

    def length(x: Array) -> Any:
        return np.sqrt((x * x).sum())

    def gradient(at: Tree) -> Tree:
        y = at["scale"] * at["x"]
        g = w / length(y) - (w @ y) * y / length(y) ** 3
        return {"scale": (g * at["x"]).sum(), "x": at["scale"] * g}

    at = {"scale": float(log_uniform(rng, 0.1, 10)), "x": rng.standard_normal(n)}
    return Problem(lambda at: w @ (at["scale"] * at["x"]) / length(at["scale"] * at["x"]), gradient, at, zero=("scale",))


def dead_path(rng: np.random.Generator) -> Problem:
    """A weight whose path is multiplied by 0, or by what underflows."""
    n, factor = draw_size(rng, 40), float(rng.choice([0.0, 1e-30, 1e-200]))
    return Problem(
        lambda at: np.sin(at["a"]).sum() + factor * np.exp(at["dead"]).sum(),
        lambda at: {"a": np.cos(at["a"]), "dead": factor * np.exp(at["dead"])},
        {"a": rng.standard_normal(n), "dead": rng.standard_normal(n)},
        buried=factor > 0,
        zero=("dead",) if factor == 0 else (),
    )


def springs(rng: np.random.Generator) -> Problem:
    """An energy that does not change as everything is moved together."""
    n = 2 + draw_size(rng, 40)
    length = rng.uniform(0.5, 2, n - 1)

    def stretch(at: Tree) -> Any:
        step = np.diff(at["points"] + at["origin"], axis=0)
        size = np.sqrt((step**2).sum(axis=1))
        return step, size, size - length

    def gradient(at: Tree) -> Tree:
        step, size, off = stretch(at)
        pull = np.zeros_like(at["points"])
        force = (off / size)[:, None] * step
        pull[1:] += force
        pull[:-1] -= force
        return {"points": pull, "origin": pull.sum(axis=0)}

    at = {"points": np.cumsum(rng.uniform(0.3, 1.5, (n, 3)), axis=0), "origin": rng.standard_normal(3)}
    return Problem(lambda at: (stretch(at)[2] ** 2).sum() / 2, gradient, at, zero=("origin",))


ZEROS: dict[str, Maker] = {
    "zero.sure": sure,
    "zero.near its optimum": optimum,
    "zero.sigmoids far left": sigmoids_far_left,
    "zero.nothing": nothing,
    "zero.constant": constant,
    "zero.fitted": fitted,
    "zero.dead units": dead_units,
    "zero.bias before batch norm": lambda rng: normalised(rng, "batch"),
    "zero.bias before layer norm": lambda rng: normalised(rng, "layer"),
    "zero.bias before group norm": lambda rng: normalised(rng, "group"),
    "zero.bias of keys": key_bias,
    "zero.softmax shift": softmax_shift,
    "zero.scale before a norm": scale_before_norm,
    "zero.dead path": dead_path,
    "zero.springs": springs,
}
