"""Rows that are analytic where they are taken: ordinary ones, fast ones, narrow features, steep roots and powers."""

from collections.abc import Callable

import numpy as np
from base import Array, Maker
from curves import between, makers, normal, one, plain, positive, two


def sech2(x: Array) -> Array:
    return 1 / np.cosh(np.minimum(np.abs(x), 5000)) ** 2


def sigmoid(x: Array) -> Array:
    return np.exp(-np.logaddexp(0, -x))


def about(low: float, high: float, centre: float = 0.0) -> Callable[..., Array]:
    """Around a centre, at so many widths; the width is the first constant of the row."""

    def points(rng: np.random.Generator, n: int, width: float, *_: float) -> Array:
        return centre + width * rng.uniform(low, high, n)

    return points


ORDINARY = {
    "cubic": one(lambda x, a: x**3 - a * x, lambda x, a: 3 * x * x - a, (0.1, 10), normal, 10_000),
    "power 17": one(lambda x, a: (x / a) ** 17, lambda x, a: 17 / a * (x / a) ** 16, (0.5, 2), normal),
    "rational": one(lambda x, a: x / (a + x * x), lambda x, a: (a - x * x) / (a + x * x) ** 2, (0.01, 10), normal, 1000),
    "exponential": one(lambda x, a: np.exp(a * x), lambda x, a: a * np.exp(a * x), (0.01, 8), normal),
    "softplus": one(lambda x, a: np.logaddexp(0, a * x), lambda x, a: a * sigmoid(a * x), (0.1, 100), normal, 1000),
    "gelu": one(
        lambda x, a: x * (1 + np.tanh(a * (x + 0.04 * x**3))) / 2,
        lambda x, a: (
            (1 + np.tanh(a * (x + 0.04 * x**3))) / 2 + x / 2 * sech2(a * (x + 0.04 * x**3)) * a * (1 + 0.12 * x * x)
        ),
        (0.5, 1.5),
        normal,
        1000,
    ),
    "mish": plain(
        lambda x: x * np.tanh(np.logaddexp(0, x)),
        lambda x: np.tanh(np.logaddexp(0, x)) + x * sech2(np.logaddexp(0, x)) * sigmoid(x),
        normal,
    ),
    "arctan": one(lambda x, a: np.arctan(a * x), lambda x, a: a / (1 + (a * x) ** 2), (0.1, 100), normal, 10_000),
    "x to the x": plain(lambda x: x**x, lambda x: x**x * (np.log(x) + 1), positive(0.05, 4)),
    "log cosh": plain(lambda x: np.logaddexp(x, -x), np.tanh, normal, 300),
    "sinc": one(
        lambda x, a: np.sin(a * x) / (a * x),
        lambda x, a: (np.cos(a * x) - np.sin(a * x) / (a * x)) / x,
        (0.5, 20),
        positive(0.2, 3),
    ),
    "runge": one(lambda x, a: 1 / (1 + a * x * x), lambda x, a: -2 * a * x / (1 + a * x * x) ** 2, (1, 1e4), normal),
    "hundred thousand": one(lambda x, a: np.sin(a * x), lambda x, a: a * np.cos(a * x), (0.5, 2), normal, 100_000),
}
FAST = {
    "sine 10": one(lambda x, k: np.sin(k * x), lambda x, k: k * np.cos(k * x), (10, 1e3), normal, 1000),
    "sine 1e3": one(lambda x, k: np.sin(k * x), lambda x, k: k * np.cos(k * x), (1e3, 1e5), normal),
    "sine 1e5": one(lambda x, k: np.sin(k * x), lambda x, k: k * np.cos(k * x), (1e5, 1e7), normal),
    "chirp": one(lambda x, k: np.sin(k * x * x), lambda x, k: 2 * k * x * np.cos(k * x * x), (10, 1e5), normal),
    "reciprocal chirp": plain(lambda x: np.sin(1 / x), lambda x: -np.cos(1 / x) / x**2, positive(1e-4, 1)),
    "ripple": two(
        lambda x, k, a: x * x + a * np.sin(k * x),
        lambda x, k, a: 2 * x + a * k * np.cos(k * x),
        ((1e2, 1e6), (1e-8, 1e-2)),
        normal,
    ),
    "ripple of slope 1": one(lambda x, k: x * x + np.sin(k * x) / k, lambda x, k: 2 * x + np.cos(k * x), (1e2, 1e7), normal),
    "ripple on a line": two(
        lambda x, k, a: 3 * x + a / k * np.sin(k * x),
        lambda x, k, a: 3 + a * np.cos(k * x),
        ((1e2, 1e6), (1e-5, 1e-1)),
        normal,
    ),
    "fast times slow": one(
        lambda x, k: np.exp(-x * x) * np.sin(k * x),
        lambda x, k: np.exp(-x * x) * (k * np.cos(k * x) - 2 * x * np.sin(k * x)),
        (10, 1e6),
        normal,
    ),
    "two tones": two(
        lambda x, k, q: np.sin(k * x) + np.cos(q * x),
        lambda x, k, q: k * np.cos(k * x) - q * np.sin(q * x),
        ((1, 1e5), (1, 1e5)),
        normal,
    ),
    "frequency comb": one(
        lambda x, k: sum(np.sin(k * 3.0**j * x) / 3.0**j for j in range(8)),
        lambda x, k: k * sum(np.cos(k * 3.0**j * x) for j in range(8)),
        (1, 1e3),
        normal,
    ),
    "sawtooth of arctan": one(
        lambda x, k: np.arctan2(0.9 * np.sin(k * x), 1 - 0.9 * np.cos(k * x)),
        lambda x, k: k * 0.9 * (np.cos(k * x) - 0.9) / (1 - 1.8 * np.cos(k * x) + 0.81),
        (1, 1e5),
        normal,
    ),
}
NARROW = {
    "bump here": two(
        lambda x, w, a: np.sin(x) + a * np.exp(-((x / w) ** 2)),
        lambda x, w, a: np.cos(x) - 2 * a * x / w**2 * np.exp(-((x / w) ** 2)),
        ((1e-6, 1e-3), (1e-8, 1)),
        about(-2, 2),
    ),
    "bump beside": two(
        lambda x, w, a: np.sin(x) + a * np.exp(-(((x - 1) / w) ** 2)),
        lambda x, w, a: np.cos(x) - 2 * a * (x - 1) / w**2 * np.exp(-(((x - 1) / w) ** 2)),
        ((1e-6, 1e-3), (1e-8, 1)),
        about(-12, 12, 1.0),
    ),
    "lorentzian": two(
        lambda x, w, a: np.sin(x) + a / (1 + ((x - 1) / w) ** 2),
        lambda x, w, a: np.cos(x) - 2 * a * (x - 1) / w**2 / (1 + ((x - 1) / w) ** 2) ** 2,
        ((1e-6, 1e-3), (1e-8, 1)),
        about(-30, 30, 1.0),
    ),
    "well of square roots": one(
        lambda x, w: np.sqrt((x - 1) ** 2 + w * w),
        lambda x, w: (x - 1) / np.sqrt((x - 1) ** 2 + w * w),
        (1e-6, 1e-2),
        about(-3, 3, 1.0),
    ),
    "log well": one(
        lambda x, w: np.log((x - 1) ** 2 + w * w),
        lambda x, w: 2 * (x - 1) / ((x - 1) ** 2 + w * w),
        (1e-6, 1e-2),
        about(-3, 3, 1.0),
    ),
    "step of tanh": two(
        lambda x, w, a: x + a * np.tanh((x - 1) / w),
        lambda x, w, a: 1 + a / w * sech2((x - 1) / w),
        ((1e-6, 1e-3), (1e-8, 1)),
        about(-15, 15, 1.0),
    ),
    "boundary layer": one(
        lambda x, w: np.exp(-x / w) + np.cos(x),
        lambda x, w: -np.exp(-x / w) / w - np.sin(x),
        (1e-6, 1e-2),
        about(0.1, 30),
    ),
    "sharp softplus": one(
        lambda x, w: w * np.logaddexp(0, (x - 1) / w) + np.sin(x),
        lambda x, w: sigmoid((x - 1) / w) + np.cos(x),
        (1e-8, 1e-3),
        about(-20, 20, 1.0),
    ),
    "packet": one(
        lambda x, w: x + w * np.exp(-(((x - 1) / w) ** 2)) * np.sin(9 * (x - 1) / w),
        lambda x, w: (
            1 + np.exp(-(((x - 1) / w) ** 2)) * (9 * np.cos(9 * (x - 1) / w) - 2 * (x - 1) / w * np.sin(9 * (x - 1) / w))
        ),
        (1e-6, 1e-2),
        about(-3, 3, 1.0),
    ),
}
STEEP = {
    "square root": plain(np.sqrt, lambda x: 0.5 / np.sqrt(x), positive(1e-14, 1)),
    "power 0.3": one(lambda x, p: x**p, lambda x, p: p * x ** (p - 1), (0.05, 0.9), positive(1e-14, 1)),
    "logarithm": plain(np.log, lambda x: 1 / x, positive(1e-14, 1)),
    "log1p at -1": plain(np.log1p, lambda x: 1 / (1 + x), lambda rng, n: -1 + 10 ** rng.uniform(-12, -1, n)),
    "arcsine": plain(
        np.arcsin, lambda x: 1 / np.sqrt((1 - x) * (1 + x)), lambda rng, n: 1 - 10 ** rng.uniform(-12, -0.1, n)
    ),
    "arccosh": plain(np.arccosh, lambda x: 1 / np.sqrt((x - 1) * (x + 1)), lambda rng, n: 1 + 10 ** rng.uniform(-12, 1, n)),
    "arctanh": plain(np.arctanh, lambda x: 1 / ((1 - x) * (1 + x)), lambda rng, n: 1 - 10 ** rng.uniform(-12, -0.1, n)),
    "entropy": plain(lambda p: -p * np.log(p), lambda p: -np.log(p) - 1, positive(1e-12, 0.9), 300),
    "box barrier": one(
        lambda x, m: -m * (np.log(x) + np.log1p(-x)) + x * x,
        lambda x, m: -m * (1 / x - 1 / (1 - x)) + 2 * x,
        (1e-6, 1),
        positive(1e-9, 0.9),
    ),
    "power -12": one(lambda x, p: x**-p, lambda x, p: -p * x ** (-p - 1), (1, 12), positive(0.05, 5)),
    "lennard-jones": one(
        lambda r, s: 4 * ((s / r) ** 12 - (s / r) ** 6),
        lambda r, s: 4 / r * (6 * (s / r) ** 6 - 12 * (s / r) ** 12),
        (0.5, 1),
        positive(0.6, 4),
    ),
    "exp 30": one(lambda x, k: np.exp(k * x), lambda x, k: k * np.exp(k * x), (10, 60), between(-0.5, 0.5)),
    "exp of exp": one(
        lambda x, k: np.exp(np.exp(k * x)), lambda x, k: k * np.exp(k * x + np.exp(k * x)), (0.5, 2), between(-2, 1.5)
    ),
    "tangent": plain(np.tan, lambda x: 1 + np.tan(x) ** 2, lambda rng, n: np.pi / 2 - 10 ** rng.uniform(-8, 0, n)),
    "reciprocal": plain(lambda x: 1 / x, lambda x: -1 / x**2, positive(1e-9, 1)),
    "exp(-1/x)": plain(lambda x: np.exp(-1 / x), lambda x: np.exp(-1 / x) / x**2, positive(0.02, 2)),
    "cube root": plain(np.cbrt, lambda x: 1 / (3 * np.cbrt(x) ** 2), positive(1e-15, 1)),
}
SMOOTH_CURVES: dict[str, Maker] = {
    **makers("smooth", ORDINARY),
    **makers("fast", FAST),
    **makers("narrow", NARROW),
    **makers("steep", STEEP),
}
