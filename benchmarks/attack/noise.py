"""Losses that are computed with an error: constants, cancellation, narrow precision, hashes, solvers, quadrature, dice."""

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy
from base import EPS, Array, Maker, Problem, Tree, draw_size, log_uniform, mapped
from models import MODELS

integrate: Any = scipy.integrate
SMOOTH = list(MODELS)


def smooth(rng: np.random.Generator) -> Problem:
    return MODELS[str(rng.choice(SMOOTH))](rng)


def with_loss(problem: Problem, loss: Callable[[Tree], Any], buried: bool) -> Problem:
    return Problem(loss, problem.gradient, problem.at, buried=buried, zero=problem.zero)


def sines(rng: np.random.Generator, loss: Callable[[Array], Any], buried: bool = False) -> Problem:
    """A loss that is all but the sum of sines of an array."""
    return Problem(
        lambda at: loss(at["x"]),
        lambda at: {"x": np.cos(at["x"])},
        {"x": rng.standard_normal(draw_size(rng, 100))},
        buried=buried,
    )


def offset(rng: np.random.Generator) -> Problem:
    problem, constant = smooth(rng), log_uniform(rng, 1e3, 1e9)
    return with_loss(problem, lambda at: problem.loss(at) + constant, buried=constant > 1e6)


def cancelling(rng: np.random.Generator) -> Problem:
    """A square multiplied out."""
    large = log_uniform(rng, 10, 1e6)
    return sines(rng, lambda x: np.sin(x).sum() + ((x + large) ** 2 - x * x - 2 * large * x - large**2).sum(), large > 1e5)


def jitter(rng: np.random.Generator) -> Problem:
    """Noise that depends on every bit of the argument, the same whenever it is asked for."""
    problem, size = smooth(rng), log_uniform(rng, 1e-12, 1e-6)

    def loss(at: Tree) -> Any:
        bits: list[Array] = []
        mapped(lambda _, leaf: bits.append(np.atleast_1d(np.asarray(leaf, "float64")).ravel().view("uint64")), at)
        mixed = np.concatenate(bits) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
        total = int(np.bitwise_xor.reduce(mixed * (2 * np.arange(mixed.size, dtype="uint64") + np.uint64(1))))
        return problem.loss(at) * (1 + size * ((total >> 11) / 2**52 - 1))

    return with_loss(problem, loss, buried=size > 1e-10)


def narrow_layer(rng: np.random.Generator, dtype: str) -> Problem:
    """Float64 but for one intermediate, rounded to a narrow format."""
    n, d = draw_size(rng, 40), draw_size(rng, 20)
    data, out = rng.standard_normal((n, d)), rng.standard_normal(n)

    def loss(at: Tree) -> Any:
        return out @ np.sin(_rounded(data @ at["w"], dtype)) + (at["v"] ** 2).sum()

    def gradient(at: Tree) -> Tree:
        return {"w": data.T @ (out * np.cos(data @ at["w"])), "v": 2 * at["v"]}

    at = {"w": rng.standard_normal(d), "v": rng.standard_normal(8)}
    return Problem(loss, gradient, at, buried=True)


def _rounded(x: Array, dtype: str) -> Any:
    if dtype != "bfloat16":
        return x.astype(dtype).astype(x.dtype)
    bits = x.astype("float32").view("uint32")
    return ((bits + 0x8000) & 0xFFFF0000).astype("uint32").view("float32").astype(x.dtype)


def narrow_everywhere(rng: np.random.Generator) -> Problem:
    problem = smooth(rng)
    return with_loss(problem, lambda at: problem.loss(_cast(at, "float32")), buried=True)


def narrow_arguments(rng: np.random.Generator) -> Problem:
    """Arrays of float32, whose gradient is computed in float64 and rounded once."""
    n = draw_size(rng, 300)
    w = rng.standard_normal(n).astype("float32")

    def gradient(at: Tree) -> Tree:
        wide = np.asarray(at["x"], "longdouble" if at["x"].dtype == "longdouble" else "float64")
        return {"x": (w * np.cos(wide) + 2 * wide).astype(at["x"].dtype)}

    return Problem(
        lambda at: (w * np.sin(at["x"]) + at["x"] ** 2).sum(), gradient, {"x": rng.standard_normal(n).astype("float32")}
    )


def _cast(at: Tree, dtype: str) -> Tree:
    return mapped(lambda _, leaf: np.asarray(leaf, dtype)[()], at)


def bisection(rng: np.random.Generator) -> Problem:
    """The root of ``z^3 + z = x``, bisected until it is known to 1e-8..1e-13."""
    stop = log_uniform(rng, 1e-13, 1e-8)

    def root(x: Array, stop: float) -> Any:
        low, high = -np.ones_like(x) * 8, np.ones_like(x) * 8
        while np.max(high - low) > stop:
            middle = (low + high) / 2
            beyond = middle**3 + middle > x
            low, high = np.where(beyond, low, middle), np.where(beyond, middle, high)
        return (low + high) / 2

    def gradient(at: Tree) -> Tree:
        z = root(at["x"], 4 * EPS)
        z = z - (z**3 + z - at["x"]) / (3 * z * z + 1)
        return {"x": 1 / (3 * z * z + 1)}

    x = rng.standard_normal(draw_size(rng, 30))
    return Problem(lambda at: root(at["x"], stop).sum(), gradient, {"x": x}, buried=stop > 1e-12)


def iterated(rng: np.random.Generator) -> Problem:
    """The root of ``z = cos(z) x`` by damped steps until they are below 1e-9..1e-13."""
    stop = log_uniform(rng, 1e-13, 1e-9)

    def solved(x: Array, stop: float) -> Any:
        z = np.zeros_like(x)
        for _ in range(500):
            step = (np.cos(z) * x - z) / 2
            z = z + step
            if np.max(np.abs(step)) < stop:
                break
        return z

    def gradient(at: Tree) -> Tree:
        z = solved(at["x"], 0)
        return {"x": np.cos(z) / (1 + at["x"] * np.sin(z))}

    x = rng.uniform(0.1, 0.9, draw_size(rng, 30))
    return Problem(lambda at: solved(at["x"], stop).sum(), gradient, {"x": x}, off=50 * stop)


def adaptive_quadrature(rng: np.random.Generator) -> Problem:
    """Of ``exp(-a t) cos(b t)`` to a tolerance that is asked for."""
    tolerance = log_uniform(rng, 1e-12, 1e-4)

    def loss(at: Tree) -> Any:
        a, b = float(at["a"]), float(at["b"])

        def inside(t: float) -> float:
            return float(np.exp(-a * t) * np.cos(b * t))

        return integrate.quad(inside, 0, 3, epsabs=tolerance, epsrel=tolerance, full_output=True)[0]

    def gradient(at: Tree) -> Tree:
        s = at["a"] + 1j * at["b"]
        slope = ((1 + 3 * s) * np.exp(-3 * s) - 1) / s**2
        return {"a": slope.real, "b": -slope.imag}

    return Problem(loss, gradient, {"a": rng.uniform(0.3, 2), "b": rng.uniform(0.5, 12)}, beside=True)


def adaptive_steps(rng: np.random.Generator) -> Problem:
    """``y' = -k y`` by steps that a tolerance chooses."""
    tolerance = log_uniform(rng, 1e-13, 1e-10)

    def loss(at: Tree) -> Any:
        k, y = float(at["k"]), float(at["y"])

        def slope(t: float, y: Array) -> Array:
            return -k * y

        return integrate.solve_ivp(slope, (0, 1), [y], rtol=tolerance, atol=tolerance).y[0, -1]

    def gradient(at: Tree) -> Tree:
        return {"k": -at["y"] * np.exp(-at["k"]), "y": np.exp(-at["k"])}

    return Problem(loss, gradient, {"k": rng.uniform(0.5, 3), "y": rng.uniform(0.5, 3)}, off=500 * tolerance)


def fixed_dice(rng: np.random.Generator) -> Problem:
    """A Monte Carlo mean with dice thrown anew from one seed."""
    seed, n, size = int(rng.integers(2**31)), draw_size(rng, 20), int(rng.integers(10, 2000))

    def throws() -> Array:
        return np.random.default_rng(seed).standard_normal((size, n))

    return Problem(
        lambda at: np.exp(-((at["x"] + at["s"] * throws()) ** 2).sum(axis=1) / n).mean(),
        lambda at: _dice_gradient(at, throws(), n),
        {"x": rng.standard_normal(n), "s": rng.uniform(0.1, 1)},
    )


def _dice_gradient(at: Tree, dice: Array, n: int) -> Tree:
    moved = at["x"] + at["s"] * dice
    weight = -2 / n * np.exp(-(moved**2).sum(axis=1) / n)[:, None] * moved / len(dice)
    return {"x": weight.sum(axis=0), "s": (weight * dice).sum()}


def rounded_result(rng: np.random.Generator) -> Problem:
    """A loss that is rounded to so many decimals, as if read from a file."""
    digits = int(rng.integers(6, 15))
    return sines(rng, lambda x: np.sin(x).sum().round(digits), digits < 12)


def rounded_argument(rng: np.random.Generator) -> Problem:
    """One that rounds its arguments to a grid."""
    grid = log_uniform(rng, 1e-14, 1e-6)
    return sines(rng, lambda x: np.sin(np.round(x / grid) * grid).sum(), grid > 1e-12)


def table_of_rounded(rng: np.random.Generator) -> Problem:
    """A sine in a table of six to ten digits, read linearly between its rows; and the slope of that."""
    knots, digits = int(rng.integers(50, 2000)), int(rng.integers(6, 11))
    t = np.linspace(-6, 6, knots)
    table = np.round(np.sin(t), digits)
    slopes = np.diff(table) / np.diff(t)

    def gradient(at: Tree) -> Tree:
        return {"x": slopes[np.searchsorted(t, at["x"], "right") - 1]}

    x = rng.uniform(-5.9, 5.9, draw_size(rng, 100))
    return Problem(lambda at: np.interp(np.asarray(at["x"], "float64"), t, table).sum(), gradient, {"x": x}, beside=True)


def textbook_variance(rng: np.random.Generator) -> Problem:
    n, centre = 2 + draw_size(rng, 200), log_uniform(rng, 10, 1e7)
    return Problem(
        lambda at: (at["x"] ** 2).mean() - at["x"].mean() ** 2,
        lambda at: {"x": 2 * (at["x"] - at["x"].mean()) / n},
        {"x": centre + rng.standard_normal(n)},
        buried=centre > 1e4,
    )


NOISE: dict[str, Maker] = {
    "noise.offset": offset,
    "noise.cancelling": cancelling,
    "noise.jitter": jitter,
    "noise.layer in float32": lambda rng: narrow_layer(rng, "float32"),
    "noise.layer in float16": lambda rng: narrow_layer(rng, "float16"),
    "noise.layer in bfloat16": lambda rng: narrow_layer(rng, "bfloat16"),
    "noise.float32 everywhere": narrow_everywhere,
    "noise.float32 arguments": narrow_arguments,
    "noise.bisection": bisection,
    "noise.iterated": iterated,
    "noise.adaptive quadrature": adaptive_quadrature,
    "noise.adaptive steps": adaptive_steps,
    "noise.fixed dice": fixed_dice,
    "noise.rounded result": rounded_result,
    "noise.rounded argument": rounded_argument,
    "noise.table of rounded values": table_of_rounded,
    "noise.textbook variance": textbook_variance,
}
