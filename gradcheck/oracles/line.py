"""A function along a line through a point: what every oracle evaluates, with the points counted."""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from math import isfinite
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from gradcheck.foundation.arithmetic import UNIT
from gradcheck.foundation.arrays import Array, dot, norm

Point: TypeAlias = Mapping[str, Array]
Function: TypeAlias = Callable[[dict[str, Array]], Any]
Many: TypeAlias = Callable[[Mapping[str, Array]], Array]
"""A function at k points at once: from those arrays that move, each of shape (k, *shape), to the k values."""

Nearest: TypeAlias = Callable[[str, Array], Array]
"""From a block's name and an array to the nearest numbers that the function takes, in float64."""


HELD = 2**17  # numbers in the points that are held at once: what a cache holds. Measured, not derived.


class Estimate(NamedTuple):
    """A derivative along a direction: ``|value - truth| <= bound``.

    Attributes
    ----------
    value, bound : float
    evaluations : int
        How many this estimate has cost.
    noise : float
        Of the function, where it was measured.
    step, near : float
        The widest one of the window that was chosen, and the smallest.
    unit : float
        Roundoff of the arithmetic that the function's values show.
    staircase : bool
        Whether the function is flat nearby and sloped further off; the bound is then infinite.
    still : bool
        Whether the function did not move at all at the widest steps.
    """

    value: float
    bound: float
    evaluations: int
    noise: float = 0.0
    step: float = 0.0
    unit: float = UNIT
    staircase: bool = False
    still: bool = False
    near: float = 0.0


class Sample(NamedTuple):
    """One evaluation on the line: f(x + h v), and f(x + h v) - f(x) - g . d with d = fl(x + h v) - x taken exactly."""

    residual: float
    value: float


class Meter:
    """Evaluations that have been spent, by all lines that share it.

    Parameters
    ----------
    spent : int
        To begin with.
    told : callable, optional
        Is called with how many there are, after each.
    """

    def __init__(self, spent: int = 0, told: Callable[[int], None] | None = None) -> None:
        self.spent, self._told = spent, told

    def spend(self, count: int = 1) -> None:
        """So many more."""
        self.spent += count
        if self._told:
            self._told(self.spent)


class Line:
    """``h -> f(x + h v)`` minus what a claimed gradient predicts.

    Parameters
    ----------
    function : callable
        From arrays by name to a real scalar.
    point, direction, gradient : mapping of str to array
        The direction may name some of the point's arrays only; the others stay where they are.
    origin : float, optional
        The function's value at the point, where that is known.
    many : callable, optional
        The function at many points at once, for what is known to be needed.
    meter : Meter, optional
        Counts what this line spends, too.
    nearest : callable, optional
        Where the function takes not all numbers of float64. How far a point has then moved is taken exactly all the same.
    unit : float
        Unit roundoff of the numbers that it takes.
    """

    def __init__(
        self,
        function: Function,
        point: Point,
        direction: Point,
        gradient: Point,
        origin: float | None = None,
        many: Many | None = None,
        meter: Meter | None = None,
        nearest: Nearest | None = None,
        unit: float = UNIT,
    ) -> None:
        self.function, self.point, self.direction, self.gradient, self.many = function, point, direction, gradient, many
        self.evaluations, self._meter, self._nearest, self.unit = 0, meter or Meter(), nearest, unit
        self._known: dict[float, Sample] = {}
        self.origin = self._evaluate({}) if origin is None else origin

    def prepare(self, distances: Iterable[float]) -> None:
        """Evaluate at all these distances at once, where the function can."""
        new = [h for h in dict.fromkeys(distances) if h not in self._known]
        room = max(1, HELD // max(1, sum(v.size for v in self.direction.values())))
        parts = [new[start : start + room] for start in range(0, len(new), room)] if self.many else []
        for part in parts:
            self._known.update(zip(part, self._samples(np.array(part)), strict=True))

    def sample(self, h: float) -> Sample:
        """Residual of the claim at distance ``h``, and the value of f there; each distance is evaluated once."""
        if h not in self._known:
            self._known[h] = self._sample(h)
        return self._known[h]

    def changes(self, h: float) -> tuple[float, float]:
        """Of the value, by a step ahead and by one back."""
        return self.sample(h).value - self.origin, self.sample(-h).value - self.origin

    @property
    def is_alone(self) -> bool:
        """Whether the function has no value wherever it was looked at, but at what cannot be told from the point itself."""
        values = {sample.value for sample in self._known.values() if sample.value != self.origin}
        return bool(values) and not any(map(isfinite, values))

    def moves(self, h: float) -> bool:
        """Whether either step changes the value, or leads where there is none."""
        return self.changes(h) != (0.0, 0.0)

    def distance(self, h: float) -> float:
        """How far along the direction the numbers lie that stand for the point at distance ``h``."""
        away = {name: self._moved(name, h) - self.point[name] for name in self.direction}
        size = norm(np.array([norm(v) for v in self.direction.values()]))
        return sum(dot(away[name] / size, v / size) for name, v in self.direction.items())

    def _moved(self, name: str, h: float) -> Array:
        moved = self.point[name] + h * self.direction[name]
        return self._nearest(name, moved) if self._nearest else moved

    def _sample(self, h: float) -> Sample:
        moved = {name: self._moved(name, h) for name in self.direction}
        with np.errstate(all="ignore"):  # before the call, which may change what it is given
            predicted = sum(_product(x - self.point[name], self.gradient[name]) for name, x in moved.items())
            value = self._evaluate(moved)
            return Sample(value - self.origin - predicted, value)

    def _samples(self, distances: Array) -> list[Sample]:
        assert self.many
        self._spend(len(distances))
        moved = {name: self.point[name] + np.multiply.outer(distances, v) for name, v in self.direction.items()}
        with np.errstate(all="ignore"):
            predicted = sum(_products(moved[name] - self.point[name], self.gradient[name]) for name in moved)
            values = self.many(moved)
            residuals = values - self.origin - predicted
        return [Sample(float(residual), float(value)) for residual, value in zip(residuals, values, strict=True)]

    def _spend(self, count: int) -> None:
        self.evaluations += count
        self._meter.spend(count)

    @cached_property
    def product(self) -> float:
        """g . v"""
        return sum(dot(self.gradient[name], v) for name, v in self.direction.items())

    @cached_property
    def spread(self) -> float:
        """Euclidean norm of the entrywise product of g and v: the size that rounding of g . v scales with."""
        return norm(np.array([norm(self.gradient[name] * v) for name, v in self.direction.items()]))

    def _evaluate(self, moved: Mapping[str, Array]) -> float:
        self._spend(1)
        with np.errstate(all="ignore"):
            return float(self.function({**self.point, **moved}))


def _product(away: Array, gradient: Array) -> float:
    """g . d, where d is overwritten."""
    return float(np.sum(np.multiply(away, gradient, out=away if away.ndim else None)))


def _products(away: Array, gradient: Array) -> Array:
    """g . d for each of a stack of d, which is overwritten."""
    away *= gradient
    return away.reshape(len(away), -1).sum(axis=1)
