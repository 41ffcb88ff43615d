"""Correct gradients whose scale is not that of their parameters: far from 0, saturated, zero as far as rounding can tell."""

from typing import Any

import numpy as np
from subjects_common import Array, Blocks, Problem
from subjects_losses import Maker


def far_from_zero(rng: np.random.Generator) -> Problem:
    """Sigmoids a few units wide of parameters about 1.7e9, such as seconds in unix time."""
    centre = np.round(1.7e9 + 1e6 * rng.standard_normal(3))

    def loss(at: Blocks) -> Any:
        return np.tanh(at["t"] - centre.astype(at["t"].dtype)).sum()

    def gradient(at: Blocks) -> Blocks:
        return {"t": 1 / np.cosh(at["t"] - centre.astype(at["t"].dtype)) ** 2}

    return Problem("sigmoid", loss, gradient, {"t": centre + np.round(rng.uniform(-1.5, 1.5, 3), 3)})


def sure(rng: np.random.Generator) -> Problem:
    """Cross entropy that is right by a wide margin, so that its value rounds to next to nothing."""
    at = rng.standard_normal(4)
    at[0] += rng.uniform(25, 45)

    def gradient(at: Blocks) -> Blocks:
        rest = np.exp(at["z"][1:] - at["z"][0])
        p = rest / (1 + rest.sum())
        return {"z": np.concatenate([[-p.sum()], p])}

    def loss(at: Blocks) -> Any:
        z = at["z"]
        return z.max() + np.log(np.exp(z - z.max()).sum()) - z[0]

    return Problem("cross entropy", loss, gradient, {"z": at})


def normalised(rng: np.random.Generator) -> Problem:
    """A layer and its bias before a batch normalisation, by which the bias is of no account."""
    x, s = rng.standard_normal((12, 3)), rng.standard_normal((12, 4))

    def forward(at: Blocks) -> tuple[Array, Array]:
        z = x.astype(at["w"].dtype) @ at["w"] + at["b"]
        deviation = np.sqrt(z.var(axis=0) + 1e-5)
        return (z - z.mean(axis=0)) / deviation, deviation

    def loss(at: Blocks) -> Any:
        return (np.tanh(forward(at)[0]) * s).sum()

    def gradient(at: Blocks) -> Blocks:
        y, deviation = forward(at)
        d = s * (1 - np.tanh(y) ** 2)
        dz = (d - d.mean(axis=0) - y * (d * y).mean(axis=0)) / deviation
        return {"w": x.T @ dz, "b": dz.sum(axis=0)}

    return Problem("normalised", loss, gradient, {"w": rng.standard_normal((3, 4)), "b": rng.standard_normal(4)})


AT_SCALES: dict[str, Maker] = {
    "far from zero: sigmoids": far_from_zero,
    "right by a margin: cross entropy": sure,
    "zero to rounding: bias before a norm": normalised,
}
