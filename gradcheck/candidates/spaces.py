r"""Named spaces of points that are not free: their projections P, and what these make of a gradient.

symmetric   P(S) = (S + S^T) / 2         g -> (g + g^T) / 2
skew        P(S) = (S - S^T) / 2         g -> (g - g^T) / 2
lower       the other triangle stays     g -> tril(g), and upper alike
simplex     the sum stays                g -> g - mean(g)
sphere      P(s) = r s / |s|             g -> g - s <s, g> / |s|^2
orthogonal  P(S) = S (S^T S)^(-1/2)      g -> g - S sym(S^T g)    (Absil, Mahony, Sepulchre 2008, 3.6.1)
"""

from collections.abc import Callable
from math import inf, prod
from typing import NamedTuple, Protocol

import numpy as np

from gradcheck.foundation.arrays import Array, norm


class Space(Protocol):
    """A named space of points: what it asks of them, its projection and that of a gradient."""

    @property
    def asked(self) -> str:
        """What it wants, in words."""
        ...

    def dimension(self, shape: tuple[int, ...]) -> int:
        """Of the tangents at a point of this shape; negative where it can have no such point."""
        ...

    def off(self, x: Array) -> float:
        """How far a point is off."""
        ...

    def lift(self, x: Array, s: Array) -> Array:
        """The point that coordinates stand for, of the part of the space in which ``x`` lies."""
        ...

    def pull(self, s: Array, g: Array) -> Array:
        """The gradient by the coordinates."""
        ...


def _t(a: Array) -> Array:
    return np.swapaxes(a, -1, -2)


def _is_square(shape: tuple[int, ...]) -> bool:
    return len(shape) > 1 and shape[-1] == shape[-2]


class _Symmetric(NamedTuple):
    """Or skew, by the sign."""

    asked: str
    sign: int

    def dimension(self, shape: tuple[int, ...]) -> int:
        return shape[-1] * (shape[-1] + self.sign) // 2 if _is_square(shape) else -1

    def off(self, x: Array) -> float:
        return norm(x - self.sign * _t(x))

    def lift(self, x: Array, s: Array) -> Array:
        return (s + self.sign * _t(s)) / 2

    def pull(self, s: Array, g: Array) -> Array:
        return (g + self.sign * _t(g)) / 2


class _Triangle(NamedTuple):
    """One triangle is moved and the other one stays."""

    part: Callable[[Array], Array]
    asked: str = "a square matrix"

    def dimension(self, shape: tuple[int, ...]) -> int:
        return shape[-1] * (shape[-1] + 1) // 2 if _is_square(shape) else -1

    def off(self, x: Array) -> float:
        return 0.0

    def lift(self, x: Array, s: Array) -> Array:
        return self.part(s) + (x - self.part(x))

    def pull(self, s: Array, g: Array) -> Array:
        return self.part(g)


class _Simplex(NamedTuple):
    """The sum of all entries stays."""

    asked: str = "an array"

    def dimension(self, shape: tuple[int, ...]) -> int:
        return prod(shape) - 1

    def off(self, x: Array) -> float:
        return 0.0

    def lift(self, x: Array, s: Array) -> Array:
        return s + (np.sum(x) - np.sum(s)) / x.size

    def pull(self, s: Array, g: Array) -> Array:
        return g - np.mean(g)


class _Sphere(NamedTuple):
    """Around zero, through the point."""

    asked: str = "a vector that is not zero"

    def dimension(self, shape: tuple[int, ...]) -> int:
        return prod(shape) - 1

    def off(self, x: Array) -> float:
        return 0.0 if x.any() else inf

    def lift(self, x: Array, s: Array) -> Array:
        return s * (norm(x) / norm(s))

    def pull(self, s: Array, g: Array) -> Array:
        return g - s * (np.sum(s * g) / np.sum(s * s))


class _Orthogonal(NamedTuple):
    """Matrices of orthonormal columns."""

    asked: str = "orthonormal columns, X^T X = 1"

    def dimension(self, shape: tuple[int, ...]) -> int:
        if len(shape) < 2 or shape[-2] < shape[-1]:
            return -1
        return shape[-2] * shape[-1] - shape[-1] * (shape[-1] + 1) // 2

    def off(self, x: Array) -> float:
        return norm(_t(x) @ x - np.eye(x.shape[-1])) * norm(x)

    def lift(self, x: Array, s: Array) -> Array:
        if not np.isfinite(s).all():
            return np.full_like(s, np.nan)
        u, _, v = np.linalg.svd(s, full_matrices=False)
        return np.asarray(u @ v)

    def pull(self, s: Array, g: Array) -> Array:
        inner = _t(s) @ g
        return g - s @ ((inner + _t(inner)) / 2)


SPACES: dict[str, Space] = {
    "symmetric": _Symmetric("a symmetric matrix", 1),
    "skew": _Symmetric("a skew-symmetric matrix", -1),
    "lower": _Triangle(np.tril),
    "upper": _Triangle(np.triu),
    "simplex": _Simplex(),
    "sphere": _Sphere(),
    "orthogonal": _Orthogonal(),
}
