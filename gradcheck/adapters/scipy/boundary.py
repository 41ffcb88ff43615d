"""Boundary value problems: the derivatives by the solution and by unknown parameters, along the mesh and at its ends."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any, NamedTuple, cast

import numpy as np

from gradcheck.adapters.scipy.given import Function, ours
from gradcheck.adapters.scipy.questions import Asking, First, missing
from gradcheck.candidates.answer import described
from gradcheck.errors import DataError
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.calling import called

Given = Mapping[str, Any]
NODES = 1000  # at most, of the mesh on which the solution is looked for


class Guess(NamedTuple):
    """A mesh, values on it, a column a node, and unknown parameters."""

    x: Array
    y: Array
    p: Array | None

    @property
    def parameters(self) -> tuple[Array, ...]:
        """As arguments: none where there are none."""
        return () if self.p is None else (self.p,)


def boundary_values(given: Given) -> Asking:
    """Of `solve_bvp`: ``fun_jac`` and ``bc_jac`` return a matrix for each argument."""
    for name in ("fun_jac", "bc_jac"):
        if not callable(given[name]):
            yield missing(name, given[name])
    guess = _near_the_solution(given)
    if callable(given["fun_jac"]):
        for node in sorted({0, guess.x.size // 2, guess.x.size - 1}):
            yield from _inside(given, guess, node)
    if callable(given["bc_jac"]):
        yield from _at_the_ends(given, guess)


def _near_the_solution(given: Given) -> Guess:
    """The solution, by SciPy's own differences, for a first guess is often zero and says little; or the guess."""
    x, y = np.asarray(given["x"], float), np.asarray(given["y"], float)
    p = None if given["p"] is None else np.atleast_1d(np.asarray(given["p"], float))
    solve, own = import_module("scipy.integrate").solve_bvp, {name: given[name] for name in ("fun", "bc", "p", "S")}
    with warnings.catch_warnings(), suppress(Exception):  # what fails is asked at the guess, and told there
        warnings.simplefilter("ignore")
        found = called(solve, "solve_bvp", x=x, y=y, max_nodes=NODES, **own)
        if np.isfinite(found.y).all():
            return Guess(found.x, found.y, found.p)
    return Guess(x, y, p)


def _inside(given: Given, guess: Guess, node: int) -> Asking:
    """At one node: as columns of one."""
    fun, jac, x = given["fun"], given["fun_jac"], guess.x[[node]]

    def values(y: Array, *p: Array) -> Array:
        return np.asarray(fun(x, y[:, None], *p))[:, 0]

    def matrices(y: Array, *p: Array) -> list[Array]:
        return [np.asarray(each)[:, :, 0] for each in _several(jac(x, y[:, None], *p), "fun_jac", len(p) + 1)]

    point = (guess.y[:, node], *guess.parameters)
    for index, name in enumerate(("df_dy", "df_dp")[: len(point)]):
        yield First(
            f"fun_jac: {name} at x = {x[0]:g}",
            ours(fun, _by(index, point, values)),
            ours(jac, _by(index, point, matrices, index)),
            point[index],
        )


def _at_the_ends(given: Given, guess: Guess) -> Asking:
    bc, jac, point = given["bc"], given["bc_jac"], (guess.y[:, 0], guess.y[:, -1], *guess.parameters)

    def matrices(*at: Array) -> Sequence[Any]:
        return _several(jac(*at), "bc_jac", len(at))

    for index, name in enumerate(("dbc_dya", "dbc_dyb", "dbc_dp")[: len(point)]):
        f, matrix = ours(bc, _by(index, point, bc)), ours(jac, _by(index, point, matrices, index))
        yield First(f"bc_jac: {name}", f, matrix, point[index])


def _by(index: int, point: Sequence[Array], f: Callable[..., Any], which: int | None = None) -> Function:
    """A function of one of its arguments, the others held; of several values ``which`` one."""

    def moved(x: Array) -> Any:
        found = f(*(x if place == index else each for place, each in enumerate(point)))
        return found if which is None else found[which]

    return moved


def _several(found: Any, name: str, count: int) -> Sequence[Any]:
    """What was returned, as matrices: one of them may come alone."""
    matrices = cast("Sequence[Any]", found if isinstance(found, tuple | list) else (found,))
    if len(matrices) != count:
        raise DataError(f"{name}: expected {count} matrices, got {described(found)}")
    return matrices
