"""Parameters far from 0, far from 1, or of very different scales, and functions that live on a scale of their own."""

from typing import Any

import numpy as np
from base import Array, Maker, Problem, Tree, draw_sign, draw_size, log_uniform
from curves import Row, makers, one, plain, two
from curves_smooth import sech2

UNIX = 1.7e9


SHIFTED: dict[str, Row] = {
    "tanh in unix time": one(
        lambda t, w: np.tanh((t - UNIX) / w),
        lambda t, w: sech2((t - UNIX) / w) / w,
        (1, 1e4),
        lambda rng, n, w: UNIX + w * rng.standard_normal(n),
    ),
    "hour in unix time": one(
        lambda t, w: np.exp(-(((t - UNIX) / w) ** 2)),
        lambda t, w: -2 * (t - UNIX) / w**2 * np.exp(-(((t - UNIX) / w) ** 2)),
        (600, 1e5),
        lambda rng, n, w: UNIX + w * rng.standard_normal(n),
    ),
    "daily wave in unix time": one(
        lambda t, p: np.sin(t / p), lambda t, p: np.cos(t / p) / p, (1e3, 1e6), lambda rng, n, p: UNIX + p * rng.random(n)
    ),
    "years": one(
        lambda y, w: np.tanh((y - 2010) / w) + y / 2000,
        lambda y, w: sech2((y - 2010) / w) / w + 1 / 2000,
        (1e-3, 10),
        lambda rng, n, w: 2010 + w * rng.standard_normal(n),
    ),
    "many turns": one(
        lambda x, k: np.sin(x) + 0 * k,
        lambda x, k: np.cos(x) + 0 * k,
        (1e3, 1e9),
        lambda rng, n, k: 2 * np.pi * np.round(k) + rng.standard_normal(n),
    ),
    "temperature": one(
        lambda h, w: h / 300 + np.tanh((h - 300) / w),
        lambda h, w: 1 / 300 + sech2((h - 300) / w) / w,
        (1e-4, 10),
        lambda rng, n, w: 300 + w * rng.standard_normal(n),
    ),
    "arrhenius": one(
        lambda h, e: np.exp(-e / h + e / 300),
        lambda h, e: e / h**2 * np.exp(-e / h + e / 300),
        (1e3, 2e4),
        lambda rng, n: 300 + 10 * rng.standard_normal(n),
    ),
    "points of 1e-12": plain(np.sin, np.cos, lambda rng, n: 1e-12 * rng.standard_normal(n)),
    "points of 1e-200": plain(np.exp, np.exp, lambda rng, n: 1e-200 * rng.standard_normal(n)),
    "denormals": plain(np.sin, np.cos, lambda rng, n: 5e-324 * rng.integers(1, 1000, n)),
    "points of 1e12": plain(
        lambda x: np.sin(x / 1e12), lambda x: np.cos(x / 1e12) / 1e12, lambda rng, n: 1e12 * rng.standard_normal(n)
    ),
    "own scale": two(
        lambda x, s, c: np.sin(x / s) + 0 * c,
        lambda x, s, c: np.cos(x / s) / s + 0 * c,
        ((1e-150, 1e150), (1, 2)),
        lambda rng, n, s, c: s * rng.standard_normal(n),
    ),
    "tiny beside zeros": plain(
        lambda x: np.sin(3 * x) + x * x,
        lambda x: 3 * np.cos(3 * x) + 2 * x,
        lambda rng, n: 10 ** rng.uniform(-16, -6, n) * rng.integers(0, 2, n),
    ),
    "entries of many scales": plain(np.arctan, lambda x: 1 / (1 + x * x), lambda rng, n: 10 ** rng.uniform(-9, 3, n)),
    "slow at 1e-3 of its point": one(
        lambda x, w: np.cosh((x - 1) / w),
        lambda x, w: np.sinh((x - 1) / w) / w,
        (1e-6, 1e-2),
        lambda rng, n, w: 1 + w * rng.standard_normal(n),
    ),
    "barrier at 1e6": one(
        lambda x, w: -np.log(1e6 + w - x),
        lambda x, w: 1 / (1e6 + w - x),
        (1e-2, 1e3),
        lambda rng, n, w: 1e6 - w * rng.random(n),
    ),
}


def rotation(rng: np.random.Generator) -> Problem:
    """A vector turned by a rotation vector that is almost 0, by series where the angle is small."""
    r, p, q = log_uniform(rng, 1e-17, 1) * rng.standard_normal(3), rng.standard_normal(3), rng.standard_normal(3)

    def parts(w: Array) -> tuple[Any, Any, Any, Any]:
        """``sin(t)/t``, ``(1 - cos t)/t^2`` and their derivatives by ``t``, over ``t``."""
        s = (w * w).sum()
        if s < 1e-3:
            a, b = (sum((-s) ** k / _factorial(2 * k + d) for k in range(9)) for d in (1, 2))
            da, db = (sum(-2 * k * (-s) ** (k - 1) / _factorial(2 * k + d) for k in range(1, 9)) for d in (1, 2))
            return a, b, da, db
        t = np.sqrt(s)
        a, b = np.sin(t) / t, (1 - np.cos(t)) / s
        return a, b, (np.cos(t) - a) / s, (a - 2 * b) / s

    def loss(at: Tree) -> object:
        a, b, *_ = parts(at)
        return q @ (p + a * np.cross(at, p) + b * np.cross(at, np.cross(at, p)))

    def gradient(at: Tree) -> Tree:
        a, b, da, db = parts(at)
        once, twice = q @ np.cross(at, p), q @ np.cross(at, np.cross(at, p))
        bent = (q @ at) * p + (at @ p) * q - 2 * at * (q @ p)
        return a * np.cross(p, q) + b * bent + at * (da * once + db * twice)

    return Problem(loss, gradient, r)


def _factorial(n: int) -> float:
    return float(np.prod(np.arange(1.0, n + 1)))


def block_scales(rng: np.random.Generator) -> Problem:
    """Blocks of sizes from 1e-8 to 1e8 whose contributions are as different; what falls below 1e-9 is buried."""
    names = [f"b{i}" for i in range(int(rng.integers(2, 12)))]
    unit = {name: log_uniform(rng, 1e-8, 1e8) for name in names}
    weight = {name: log_uniform(rng, 1e-12, 1) for name in names}
    at = {name: unit[name] * rng.standard_normal(draw_size(rng, 30)) for name in names}
    return Problem(
        lambda at: sum(weight[name] * np.sin(at[name] / unit[name]).sum() for name in names),
        lambda at: {name: weight[name] / unit[name] * np.cos(at[name] / unit[name]) for name in names},
        at,
        buried=min(weight.values()) < 1e-9,
    )


def valley(rng: np.random.Generator) -> Problem:
    """A quadratic form, its eigenvalues far apart, far from where it is least."""
    n = 1 + draw_size(rng, 50)
    basis = np.linalg.qr(rng.standard_normal((n, n)))[0]
    curvature, centre = 10 ** rng.uniform(-6, 6, n), log_uniform(rng, 1, 1e6) * draw_sign(rng)
    x = centre + basis @ (rng.standard_normal(n) / np.sqrt(curvature))
    return Problem(
        lambda at: (curvature * (basis.T @ (at - centre)) ** 2).sum() / 2,
        lambda at: basis @ (curvature * (basis.T @ (at - centre))),
        x,
    )


SHIFTED_PROBLEMS: dict[str, Maker] = {
    **makers("shifted", SHIFTED),
    "shifted.rotation": rotation,
    "shifted.block scales": block_scales,
    "shifted.valley": valley,
}
