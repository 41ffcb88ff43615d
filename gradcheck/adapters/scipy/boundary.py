"""Boundary value problems: the derivatives by the solution and by unknown parameters, along the mesh and at its ends."""

import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from gradcheck.adapters.scipy.questions import Asking, First, missing
from gradcheck.candidates.answer import described
from gradcheck.errors import DataError
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.calling import standing_for

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
    from scipy.integrate import solve_bvp

    x, y = np.asarray(given["x"], float), np.asarray(given["y"], float)
    p = None if given["p"] is None else np.atleast_1d(np.asarray(given["p"], float))
    with warnings.catch_warnings(), suppress(Exception):  # what fails is asked at the guess, and told there
        warnings.simplefilter("ignore")
        found = solve_bvp(given["fun"], given["bc"], x, y, given["p"], given["S"], max_nodes=NODES)
        if np.isfinite(found.y).all():
            return Guess(found.x, found.y, found.p)
    return Guess(x, y, p)


def _inside(given: Given, guess: Guess, node: int) -> Asking:
    """At one node, as columns of one."""
    fun, jac, x, y, p = given["fun"], given["fun_jac"], guess.x[[node]], guess.y[:, node], guess.parameters
    where = f"at x = {guess.x[node]:g}"

    def found(y: Array, *p: Array) -> Array:
        return np.asarray(fun(x, y[:, None], *p))[:, 0]

    def matrices(y: Array, *p: Array) -> list[Array]:
        return [np.asarray(each)[:, :, 0] for each in _several(jac(x, y[:, None], *p), len(p) + 1)]

    yield from _by_each("fun_jac", ("df_dy", "df_dp"), where, (fun, jac), (found, matrices), (y, *p))


def _at_the_ends(given: Given, guess: Guess) -> Asking:
    bc, jac = given["bc"], given["bc_jac"]
    point = (guess.y[:, 0], guess.y[:, -1], *guess.parameters)
    names = ("dbc_dya", "dbc_dyb", "dbc_dp")
    yield from _by_each("bc_jac", names, "", (bc, jac), (bc, lambda *at: _several(jac(*at), len(point))), point)


def _by_each(
    label: str, names: Sequence[str], where: str, theirs: Sequence[Any], ours: Sequence[Any], point: Sequence[Array]
) -> Asking:
    """A question for each argument, the others held."""
    for index, name in enumerate(names[: len(point)]):

        def moved(x: Array, index: int = index) -> tuple[Array, ...]:
            return (*point[:index], x, *point[index + 1 :])

        f = standing_for(lambda x, moved=moved: ours[0](*moved(x)), theirs[0])
        jac = standing_for(lambda x, moved=moved, index=index: ours[1](*moved(x))[index], theirs[1])
        yield First(" ".join(filter(None, (f"{label}: {name}", where))), f, jac, point[index])


def _several(found: Any, count: int) -> Sequence[Any]:
    """What was returned, as matrices: one of them may come alone."""
    matrices = tuple(found) if isinstance(found, tuple | list) else (found,)
    if len(matrices) != count:
        raise DataError(f"expected {count} matrices, got {described(found)}")
    return matrices
