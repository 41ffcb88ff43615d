"""SciPy's derivatives, and special functions whose derivatives are others."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from real_subjects import Subject, matrix, pointwise
from scipy import optimize, special

from gradcheck import check, check_hvp


def rosenbrock(order: int, size: int, seed: int) -> Subject:
    at = np.random.default_rng(seed).standard_normal(size)
    if order == 1:
        return Subject(check, optimize.rosen, optimize.rosen_der, at)
    return Subject(check_hvp, optimize.rosen_der, optimize.rosen_hess_prod, at)


def rosenbrock_matrix(size: int, seed: int) -> Subject:
    return matrix(optimize.rosen_der, optimize.rosen_hess, np.random.default_rng(seed).standard_normal(size))


def special_function(function: Callable[..., Any], derivative: Callable[..., Any], seed: int) -> Subject:
    return pointwise(function, derivative, np.random.default_rng(seed).uniform(0.1, 0.9, 6))


def bessel(name: str, nu: float, order: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """SciPy's derivative of one order, and the one before it."""
    derivative = getattr(special, f"{name}p")
    return lambda x: derivative(nu, x, order - 1), lambda x: derivative(nu, x, order)


FUNCTIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    **{
        f"{name}, order {order}": bessel(name, nu, order)
        for name in ("jv", "yv", "iv", "kv")
        for nu, order in ((0, 1), (1.3, 1), (2, 2))
    },
    "airy Ai": (lambda x: special.airy(x)[0], lambda x: special.airy(x)[1]),
    "airy Bi": (lambda x: special.airy(x)[2], lambda x: special.airy(x)[3]),
    "gammaln": (special.gammaln, special.digamma),
    "digamma": (special.digamma, lambda x: special.polygamma(1, x)),
    "trigamma": (lambda x: special.polygamma(1, x), lambda x: special.polygamma(2, x)),
    "erf": (special.erf, lambda x: 2 / np.sqrt(np.pi) * np.exp(-(x**2))),
    "dawson": (special.dawsn, lambda x: 1 - 2 * x * special.dawsn(x)),
    "log_ndtr": (special.log_ndtr, lambda x: np.exp(-(x**2) / 2 - special.log_ndtr(x)) / np.sqrt(2 * np.pi)),
    "ndtri": (special.ndtri, lambda p: np.sqrt(2 * np.pi) * np.exp(special.ndtri(p) ** 2 / 2)),
    "elliptic K": (special.ellipk, lambda m: (special.ellipe(m) / (1 - m) - special.ellipk(m)) / (2 * m)),
    "elliptic E": (special.ellipe, lambda m: (special.ellipe(m) - special.ellipk(m)) / (2 * m)),
    "lambert W": (
        lambda x: special.lambertw(x).real,
        lambda x: 1 / (np.exp(special.lambertw(x).real) * (1 + special.lambertw(x).real)),
    ),
    "spherical j": (partial(special.spherical_jn, 2), partial(special.spherical_jn, 2, derivative=True)),
    "spherical y": (partial(special.spherical_yn, 2), partial(special.spherical_yn, 2, derivative=True)),
    "spherical i": (partial(special.spherical_in, 2), partial(special.spherical_in, 2, derivative=True)),
    "spherical k": (partial(special.spherical_kn, 2), partial(special.spherical_kn, 2, derivative=True)),
    "kelvin ber": (special.ber, special.berp),
    "kelvin ker": (special.ker, special.kerp),
    "struve": (partial(special.struve, 0), lambda x: 2 / np.pi - special.struve(1, x)),
    "incomplete gamma": (partial(special.gammainc, 1.7), lambda x: np.exp(-x + 0.7 * np.log(x) - special.gammaln(1.7))),
    "exponential integral": (special.exp1, lambda x: -np.exp(-x) / x),
    "sine integral": (lambda x: special.sici(x)[0], lambda x: np.sin(x) / x),
    "fresnel": (lambda x: special.fresnel(x)[0], lambda x: np.sin(np.pi * x**2 / 2)),
    "expit": (special.expit, lambda x: special.expit(x) * special.expit(-x)),
}
SUBJECTS = (
    {f"rosenbrock {order} of {size}": partial(rosenbrock, order, size) for order in (1, 2) for size in (2, 10)}
    | {"rosenbrock matrix": partial(rosenbrock_matrix, 5)}
    | {name: partial(special_function, *pair) for name, pair in FUNCTIONS.items()}
)
