"""Functions that SciPy computes, and eigenvalues: none of them knows long double."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import scipy
from base import Array, Maker, Problem, Tree, draw_size

special: Any = scipy.special
Function = Callable[[Array], Any]


@dataclass(frozen=True)
class Special:
    """A function with its slope, taken between two numbers."""

    value: Function
    slope: Function
    low: float
    high: float


def special_function(rng: np.random.Generator, row: Special) -> Problem:
    x, weight = rng.uniform(row.low, row.high, draw_size(rng, 60)), rng.standard_normal()
    return Problem(
        lambda at: weight * row.value(_double(at["x"])).sum(),
        lambda at: {"x": weight * row.slope(_double(at["x"]))},
        {"x": x},
    )


def _double(x: Array) -> Array:
    return np.asarray(x, "float64")


SPECIAL: dict[str, Special] = {
    "bessel j0": Special(special.j0, lambda x: -special.j1(x), 0.1, 30),
    "bessel k1": Special(special.k1, lambda x: -special.k0(x) - special.k1(x) / x, 0.05, 10),
    "log gamma": Special(special.gammaln, special.digamma, 0.01, 200),
    "digamma": Special(special.digamma, lambda x: special.polygamma(1, x), 0.05, 50),
    "erf": Special(special.erf, lambda x: 2 / np.sqrt(np.pi) * np.exp(-x * x), -3, 3),
    "log of normal tail": Special(
        special.log_ndtr,
        lambda x: np.exp(-x * x / 2 - special.log_ndtr(x)) / np.sqrt(2 * np.pi),
        -20,
        4,
    ),
    "airy": Special(lambda x: special.airy(x)[0], lambda x: special.airy(x)[1], -15, 4),
    "elliptic k": Special(special.ellipk, lambda m: (special.ellipe(m) / (1 - m) - special.ellipk(m)) / (2 * m), 0.1, 0.95),
    "lambert w": Special(
        lambda x: special.lambertw(x).real,
        lambda x: special.lambertw(x).real / (x * (1 + special.lambertw(x).real)),
        0.1,
        20,
    ),
}


def least_eigenvalue(rng: np.random.Generator) -> Problem:
    """Of a symmetric matrix whose eigenvalues are apart."""
    n = 1 + draw_size(rng, 12)
    a = rng.standard_normal((n, n))
    a = a + a.T + 5 * np.diag(np.arange(n))

    def least(x: Array) -> Any:
        return np.linalg.eigh(_double(x + x.T) / 2)

    def gradient(at: Tree) -> Tree:
        return {"a": np.outer(v := least(at["a"])[1][:, 0], v)}

    return Problem(lambda at: least(at["a"])[0][0], gradient, {"a": a})


SPECIALS: dict[str, Maker] = {
    **{f"special.{name}": partial(special_function, row=row) for name, row in SPECIAL.items()},
    "special.least eigenvalue": least_eigenvalue,
}
