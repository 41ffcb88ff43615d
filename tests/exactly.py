"""Subjects whose every operation is rounded correctly, and so the same numbers everywhere: no sine, no exponential.

For each: the loss, its gradient, a point; and by how much the gradient is spoiled, if it is.
"""

import numpy as np


def saturating(t):
    """Like the hyperbolic tangent."""
    return t / np.sqrt(1 + t * t)


def slope_of_saturating(t):
    return 1 / ((1 + t * t) * np.sqrt(1 + t * t))


def bump(x):
    return 5e-8 / (1 + ((x - 1) / 1e-6) ** 2)


def slope_of_bump(x):
    u = (x - 1) / 1e-6
    return -5e-2 * 2 * u / (1 + u * u) ** 2


INPUTS = np.array([[1.0, -0.5], [0.25, 2.0], [-1.5, 0.75], [0.5, 0.125]])
TARGETS = np.array([0.3, -0.7, 0.9, 0.2])


def normalized(p):
    """A bias before batch normalization, which takes it away again."""
    y = INPUTS[:, 0] * p["w"][0] + INPUTS[:, 1] * p["w"][1] + p["b"]
    z = (y - y.mean()) / np.sqrt(((y - y.mean()) ** 2).mean() + 1e-5)
    return float((saturating(z) * TARGETS).mean())


def slope_of_normalized(p):
    y = INPUTS[:, 0] * p["w"][0] + INPUTS[:, 1] * p["w"][1] + p["b"]
    deviation = np.sqrt(((y - y.mean()) ** 2).mean() + 1e-5)
    z = (y - y.mean()) / deviation
    d = slope_of_saturating(z) * TARGETS / 4
    dy = (d - d.mean() - z * (d * z).mean()) / deviation
    return {"w": (INPUTS * dy[:, None]).sum(axis=0), "b": dy.sum()}


BATCH = {"w": np.array([0.7, -1.2]), "b": 0.3}


def single(x):
    return np.float32(x).astype(float)


def half(x):
    return np.float16(x).astype(float)


LAYER = {"w": np.array([0.7, -1.2]), "v": np.array([0.4, -0.9, 0.6, 0.35])}


def layer(cast):
    """One layer that is rounded, inside of float64."""

    def loss(p):
        y = INPUTS[:, 0] * p["w"][0] + INPUTS[:, 1] * p["w"][1]
        return float((cast(saturating(y)) * p["v"]).sum())

    return loss


def slope_of_layer(p):
    y = INPUTS[:, 0] * p["w"][0] + INPUTS[:, 1] * p["w"][1]
    return {"w": (INPUTS * (slope_of_saturating(y) * p["v"])[:, None]).sum(axis=0), "v": saturating(y)}


def all_single(p):
    """Every number of it."""
    w, v, x = np.float32(p["w"]), np.float32(p["v"]), np.float32(INPUTS)
    y = x[:, 0] * w[0] + x[:, 1] * w[1]
    return float((y / np.sqrt(1 + y * y) * v).sum(dtype=np.float32))


def times(factor, *names):
    """A gradient, or these blocks of it, off by a factor."""

    def spoil(g):
        return {n: x * factor if n in names else x for n, x in g.items()} if isinstance(g, dict) else g * factor

    return spoil


def right(g):
    return g


def nothing(g):
    return g * 0.0


def entry(index, error):
    """One entry off."""

    def spoil(g):
        g = np.array(g)
        g[index] += error
        return g

    return spoil


FAR, NEAR_ZERO = 1.7e9 + 0.5, np.array([1e-12, -2e-12, 3e-12])
SMOOTH, MANY = np.array([0.3, -1.7, 2.9]), np.linspace(-2, 3, 1201)
ROOT = np.array([1.0, -2.0, 0.5])


def cubic(x):
    return float((x * x * x / 3 + x * x).sum())


def slope_of_cubic(x):
    return x * x + 2 * x


def quotient(x):
    return float(np.sum(1 / (1 + x * x)))


def slope_of_quotient(x):
    return -2 * x / ((1 + x * x) * (1 + x * x))


SUBJECTS = {
    "a cubic": (cubic, slope_of_cubic, SMOOTH),
    "a quotient": (quotient, slope_of_quotient, SMOOTH),
    "a quotient on a constant": (lambda x: quotient(x) + 1e6, slope_of_quotient, SMOOTH),
    "a fast quotient": (lambda x: quotient(1e5 * x), lambda x: 1e5 * slope_of_quotient(1e5 * x), np.array([1e-5, 2e-5])),
    "many entries": (cubic, slope_of_cubic, MANY),
    "a unit far from 0": (lambda x: saturating(x - 1.7e9), lambda x: slope_of_saturating(x - 1.7e9), FAR),
    "tiny parameters": (lambda x: 1 + 0.5 * float(x.sum()), lambda x: np.full_like(x, 0.5), NEAR_ZERO),
    "a minimum that is 0": (lambda x: np.sqrt(1 + x * x) - 1, lambda x: x / np.sqrt(1 + x * x), 1e-9),
    "a bias that is taken away": (normalized, slope_of_normalized, BATCH),
    "a jump nearby": (lambda x: quotient(x) + (x > 1), slope_of_quotient, 1.0001),
    "a jump at the point": (lambda x: quotient(x) + (x > 1), slope_of_quotient, 1.0),
    "a bump": (lambda x: quotient(x) + bump(x), lambda x: slope_of_quotient(x) + slope_of_bump(x), 1 + 0.7e-6),
    "a bump that is missed": (lambda x: quotient(x) + bump(x), slope_of_quotient, 1 + 0.7e-6),
    "a gate": (lambda x: (x > 0.5) * x, lambda x: 1.0 * (x > 0.5), 0.5),
    "a gate beside": (lambda x: (x > 0.5) * x, lambda x: 1.0 * (x > 0.5), 0.5 + 1e-7),
    "a root over a kink": (lambda x: np.sqrt(max(float((ROOT * x).sum()), 0) + 1e-8), lambda x: 0 * x, np.zeros(3)),
    "a kink": (lambda x: float(np.maximum(x, 0).sum()), lambda x: 1.0 * (x > 0), np.array([1.0, 0.0, -2.0])),
    "kinks nearby": (lambda x: float(np.maximum(x, 0).sum()), lambda x: 1.0 * (x > 0), np.array([1e-5, -1e-4, 1.0])),
    "a joint": (lambda x: float((np.maximum(x, 0) ** 2).sum()), lambda x: 2 * np.maximum(x, 0), np.array([0.0, 1.0])),
    "stairs": (lambda x: float(np.floor(5 * x).sum()), lambda x: 0 * x, np.array([0.31, 0.77])),
    "stairs with a slope": (lambda x: float(np.floor(5 * x).sum()), lambda x: 0 * x + 5, np.array([0.31, 0.77])),
    "fine stairs": (lambda x: float(np.floor(1e4 * x).sum()) / 1e4, lambda x: 0 * x + 1, np.array([0.31, 0.77])),
    "fine stairs that are flat": (lambda x: float(np.floor(1e4 * x).sum()) / 1e4, lambda x: 0 * x, np.array([0.31, 0.77])),
    "a constant": (lambda x: 3.0, lambda x: 0 * x, SMOOTH),
    "a constant with a slope": (lambda x: 3.0, lambda x: 0 * x + 1, SMOOTH),
    "nothing": (lambda x: 0.0, lambda x: 0 * x, SMOOTH),
    "nothing with a slope": (lambda x: 0.0, lambda x: 0 * x + 1, SMOOTH),
    "an edge": (lambda x: np.sqrt(x - 0.7) if x >= 0.7 else np.nan, lambda x: 0.5 / np.sqrt(x - 0.7), 0.7 + 1e-6),
    "a saddle": (lambda x: float(x[0] * x[1]), lambda x: x[::-1].copy(), np.zeros(2)),
    "a layer in single": (layer(single), slope_of_layer, LAYER),
    "a layer in half": (layer(half), slope_of_layer, LAYER),
    "everything in single": (all_single, slope_of_layer, LAYER),
    "below 0": (lambda x: -2 - quotient(x), lambda x: -slope_of_quotient(x), SMOOTH),
    "a layer in single below 0": (
        lambda p: -2 - layer(single)(p),
        lambda p: {name: -value for name, value in slope_of_layer(p).items()},
        LAYER,
    ),
    "a unit far from 0, below 0": (lambda x: -3 - saturating(x - 1.7e9), lambda x: -slope_of_saturating(x - 1.7e9), FAR),
    "a jump at the point, below 0": (lambda x: -quotient(x) - (x > 1), lambda x: -slope_of_quotient(x), 1.0),
}
"""Loss, gradient and point by name."""

CLAIMS = (
    *((name, "as it is", right) for name in SUBJECTS),
    *(
        (name, "1 % off", times(1.01))
        for name in (
            "a quotient",
            "below 0",
            "a unit far from 0, below 0",
            "a fast quotient",
            "a quotient on a constant",
            "a unit far from 0",
            "tiny parameters",
            "a minimum that is 0",
            "a jump nearby",
            "a bump",
            "a bump that is missed",
            "a gate beside",
            "kinks nearby",
            "a joint",
            "an edge",
        )
    ),
    *((name, "zero", nothing) for name in ("a unit far from 0", "tiny parameters", "a minimum that is 0", "a cubic")),
    ("a cubic", "1e-5 off", times(1 + 1e-5)),
    ("a cubic", "1e-8 off", times(1 + 1e-8)),
    ("a cubic", "one entry of 3 off", entry(1, 1e-3)),
    ("many entries", "one entry off", entry(345, 1e-2)),
    ("many entries", "two entries off", lambda g: entry(1200, -1.0)(entry(345, 1.0)(g))),
    ("many entries", "1e-4 off", times(1 + 1e-4)),
    ("a kink", "the other entry off", times(np.array([1.01, 1.0, 1.0]))),
    ("a bias that is taken away", "w off", times(1.001, "w")),
    ("a bias that is taken away", "b wrong", lambda g: {**g, "b": 1e-3}),
    *(
        (name, f"{block} off", times(1.3, block))
        for name in ("a layer in single", "a layer in half", "everything in single")
        for block in "wv"
    ),
    ("a layer in single", "w zero", times(0.0, "w")),
    ("everything in single", "w zero", times(0.0, "w")),
)
"""Which subject, what is wrong with the claim, and how the gradient is spoiled."""
