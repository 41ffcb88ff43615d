"""Functions of single entries: a row of a table is a function with its slope, its constants and where it is taken.

One wrapper makes problems of a row: summed with weights, beside ordinary blocks, squared so that every entry bends with
every other, as a bare array or as a single number. Which one is drawn, so that a row is tried in all of them.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from base import Array, Maker, Problem, Tree, draw_size, log_uniform

Generator = np.random.Generator
Points = Callable[[Generator, int], Any]
Range = tuple[float, float]


class Row(NamedTuple):
    """A function ``value(x, *k)`` and its slope.

    Attributes
    ----------
    k : tuple
        Log-uniform ranges of the constants.
    points : callable
        Where it is taken: ``points(rng, n)``, or ``points(rng, n, *k)``.
    most : int
        Entries at most.
    flags : dict
        Of the problem.
    """

    value: Any
    slope: Any
    k: tuple[Range, ...]
    points: Any
    most: int = 60
    flags: Mapping[str, Any] = {}


# One for each number of constants, so that the arguments of a lambda have types.


def plain(value: Callable[[Array], Any], slope: Callable[[Array], Any], points: Points, most: int = 60, **flags: Any) -> Row:
    return Row(value, slope, (), points, most, flags)


def one(
    value: Callable[[Array, float], Any],
    slope: Callable[[Array, float], Any],
    k: Range,
    points: Points | Callable[[Generator, int, float], Any],
    most: int = 60,
    **flags: Any,
) -> Row:
    return Row(value, slope, (k,), points, most, flags)


def two(
    value: Callable[[Array, float, float], Any],
    slope: Callable[[Array, float, float], Any],
    k: tuple[Range, Range],
    points: Points | Callable[[Generator, int, float, float], Any],
    most: int = 60,
    **flags: Any,
) -> Row:
    return Row(value, slope, k, points, most, flags)


def normal(rng: Generator, n: int) -> Array:
    return rng.standard_normal(n)


def positive(low: float, high: float) -> Points:
    return lambda rng, n: low * (high / low) ** rng.random(n)


def between(low: float, high: float) -> Points:
    return lambda rng, n: rng.uniform(low, high, n)


def problem_of(rng: np.random.Generator, row: Row) -> Problem:
    """A row in one of five surroundings."""
    k = [log_uniform(rng, *each) for each in row.k]
    surrounding = str(rng.choice(["alone", "rest", "squared", "bare", "number"]))
    accepts = inspect.signature(row.points).parameters
    constants = k if len(accepts) > 2 else []  # most points need none of them
    n = 1 if surrounding == "number" else draw_size(rng, row.most)
    x, weights = np.asarray(row.points(rng, n, *constants), "float64"), rng.uniform(0.2, 2, n) * rng.choice([-1, 1], n)
    value, slope = partial(weighed, row.value, weights, k), partial(sloped, row.slope, weights, k)
    if surrounding == "number":
        return Problem(
            lambda at: value(np.asarray(at)[None]), lambda at: slope(np.asarray(at)[None])[0], float(x[0]), **row.flags
        )
    if surrounding == "bare":
        return Problem(value, slope, x, **row.flags)
    if surrounding == "squared":
        shift = 1.0 - float(value(x))  # the sum is about 1 at the point, whatever the row
        return Problem(
            lambda at: (value(at["x"]) + shift) ** 2 / 2,
            lambda at: {"x": (value(at["x"]) + shift) * slope(at["x"])},
            {"x": x},
            **row.flags,
        )
    rest = {"rest": rng.standard_normal(8)} if surrounding == "rest" else {}
    return Problem(partial(_summed, value), partial(_both, slope), {"x": x} | rest, **row.flags)


def weighed(value: Any, weights: Array, k: list[float], x: Array) -> Any:
    return (weights * value(x, *k)).sum()


def sloped(slope: Any, weights: Array, k: list[float], x: Array) -> Any:
    return weights * slope(x, *k)


def _summed(value: Any, at: Tree) -> Any:
    return value(at["x"]) + (np.sin(at["rest"]).sum() if "rest" in at else 0.0)


def _both(slope: Any, at: Tree) -> Tree:
    return {"x": slope(at["x"])} | ({"rest": np.cos(at["rest"])} if "rest" in at else {})


def makers(family: str, table: Mapping[str, Row]) -> dict[str, Maker]:
    return {f"{family}.{name}": partial(problem_of, row=row) for name, row in table.items()}
