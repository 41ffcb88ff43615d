"""Sums of pieces that meet at 0: a few entries lie as near to where they meet as drawn, or exactly there.

Distances are of the parameter's scale, from 1e-9 to 1 for kinks and from 1e-7 to 1e-1 for jumps. What is claimed at a
kink itself is the slope of the left side.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from base import Array, Maker, Problem, Tree, draw_sign, draw_size, log_uniform

Function = Callable[[Array], Array]


@dataclass(frozen=True)
class Piece:
    """A function of pieces and its slope."""

    value: Function
    slope: Function


def above(u: Array) -> Array:
    """1 to the right, in the dtype of what it gets."""
    return (u > 0).astype(u.dtype)


def relu(u: Array) -> Array:
    return np.maximum(u, 0)


def sign(u: Array) -> Array:
    return np.where(u > 0, 1.0, -1.0)


BENT: dict[str, Piece] = {
    "relu": Piece(relu, above),
    "abs": Piece(np.abs, sign),
    "leaky": Piece(lambda u: np.maximum(0.01 * u, u), lambda u: np.where(u > 0, 1, 0.01)),
    "clip": Piece(lambda u: np.clip(u, 0, 1), lambda u: above(u) * (u < 1)),
    "pinball": Piece(lambda u: np.maximum(0.9 * u, -0.1 * u), lambda u: np.where(u > 0, 0.9, -0.1)),
    "elastic": Piece(lambda u: np.abs(u) + u * u, lambda u: sign(u) + 2 * u),
    "hidden 1e-3": Piece(lambda u: np.sin(u) + 1e-3 * np.abs(u), lambda u: np.cos(u) + 1e-3 * sign(u)),
    "hidden 1e-6": Piece(lambda u: np.sin(u) + 1e-6 * np.abs(u), lambda u: np.cos(u) + 1e-6 * sign(u)),
    "abs of sine": Piece(lambda u: np.abs(np.sin(9 * u)), lambda u: 9 * np.where(np.sin(9 * u) > 0, 1, -1) * np.cos(9 * u)),
    "cusp of exp": Piece(lambda u: np.exp(-np.abs(u)), lambda u: -sign(u) * np.exp(-np.abs(u))),
    "abs to the 1.1": Piece(lambda u: np.abs(u) ** 1.1, lambda u: 1.1 * sign(u) * np.abs(u) ** 0.1),
    "root of abs": Piece(lambda u: np.sqrt(np.abs(u)), lambda u: sign(u) / (2 * np.sqrt(np.abs(u)))),
    "max of curve": Piece(lambda u: np.maximum(np.sin(u), u * u), lambda u: np.where(np.sin(u) > u * u, np.cos(u), 2 * u)),
    "steep side": Piece(lambda u: np.maximum(u, -1e4 * u), lambda u: np.where(u > 0, 1, -1e4)),
}
JOINED: dict[str, Piece] = {
    "squared relu": Piece(lambda u: relu(u) ** 2, lambda u: 2 * relu(u)),
    "cubed relu": Piece(lambda u: relu(u) ** 3, lambda u: 3 * relu(u) ** 2),
    "huber": Piece(
        lambda u: np.where(np.abs(u + 1) < 1, (u + 1) ** 2 / 2, np.abs(u + 1) - 0.5), lambda u: np.clip(u + 1, -1, 1)
    ),
    "selu": Piece(lambda u: np.where(u > 0, u, np.expm1(np.minimum(u, 0))), lambda u: np.exp(np.minimum(u, 0))),
    "abs to the 1.5": Piece(lambda u: np.abs(u) ** 1.5, lambda u: 1.5 * sign(u) * np.sqrt(np.abs(u))),
    "u |u|": Piece(lambda u: u * np.abs(u) + u, lambda u: 2 * np.abs(u) + 1),
}
JUMPING: dict[str, Piece] = {
    "step": Piece(lambda u: np.sin(u) + above(u), np.cos),
    "step of 1e-3": Piece(lambda u: np.sin(u) + 1e-3 * above(u), np.cos),
    "step of 1e-6": Piece(lambda u: np.sin(u) + 1e-6 * above(u), np.cos),
    "floor": Piece(lambda u: np.floor(u) + u, np.ones_like),
    "sawtooth": Piece(lambda u: u - np.floor(u), np.ones_like),
    "modulo": Piece(lambda u: np.mod(3 * u, 1.0) ** 2 + u, lambda u: 6 * np.mod(3 * u, 1.0) + 1),
    "bounce": Piece(lambda u: np.abs(np.mod(u, 2.0) - 1), lambda u: np.where(np.mod(u, 2.0) > 1, 1.0, -1.0)),
    "gate": Piece(lambda u: above(u) * (1 + u), above),
    "quantised term": Piece(lambda u: np.sin(u) + 1e-2 * np.floor(10 * u) / 10, np.cos),
    "fine quantised term": Piece(lambda u: u * u + 1e-7 * np.floor(1e3 * u), lambda u: 2 * u),
    "turn": Piece(lambda u: np.where(u > 0, 2 - u, u), lambda u: np.where(u > 0, -1.0, 1.0)),
}


def pieces(rng: np.random.Generator, piece: Piece, nearest: float, farthest: float) -> Problem:
    """One to three of the entries are near; ``nearest`` 0 is exactly there."""
    n, unit = draw_size(rng, 200), log_uniform(rng, 1e-3, 1e3)
    x, weights, pull = rng.uniform(0.5, 2, n), rng.standard_normal(n), float(rng.choice([0.0, 1.0, 1e-2]))
    x *= rng.choice([-1, 1], n) * unit
    centres = x - unit * rng.uniform(0.05, 2, n) * rng.choice([-1, 1], n)
    near = rng.choice(n, min(n, int(rng.integers(1, 4))), replace=False)
    for i in near:
        centres[i] = x[i] - (unit * log_uniform(rng, nearest, farthest) * draw_sign(rng) if nearest else 0.0)

    def loss(at: Tree) -> object:
        return (weights * piece.value((at["x"] - centres) / unit)).sum() + pull * np.sin(at["x"] / unit).sum()

    def gradient(at: Tree) -> Tree:
        return {"x": (weights * piece.slope((at["x"] - centres) / unit) + pull * np.cos(at["x"] / unit)) / unit}

    return Problem(loss, gradient, {"x": x}, exact=not nearest, beside=bool(nearest))


def makers(family: str, table: Mapping[str, Piece], nearest: float, farthest: float) -> dict[str, Maker]:
    return {f"{family}.{name}": partial(pieces, piece=p, nearest=nearest, farthest=farthest) for name, p in table.items()}


PIECES: dict[str, Maker] = {
    **makers("kink", BENT, 1e-9, 1),
    **makers("joint", JOINED, 1e-9, 1),
    **makers("jump", JUMPING, 1e-7, 1e-1),
    **makers("exact kink", {name: BENT[name] for name in BENT if name != "root of abs"}, 0, 0),
    **makers("exact jump", JUMPING, 0, 0),
}
