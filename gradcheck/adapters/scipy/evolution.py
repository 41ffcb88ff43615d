"""Right-hand sides of differential equations: their Jacobians at the start, and where the solution goes from there."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from gradcheck.adapters.leaves import name_of
from gradcheck.adapters.scipy.given import Function, applied, as_matrix, ours, transposed, unpacked, vector, wrapped
from gradcheck.adapters.scipy.questions import Asking, First, missing
from gradcheck.adapters.scipy.systems import structure
from gradcheck.errors import DataError
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.calling import called, standing_for

Given = Mapping[str, Any]

# The solver's own clock is its steps: of so many the points at a third, two thirds and the end. Of 16 problems 12 ended
# by then, Robertson's to t = 1e11 in 238; Van der Pol's takes 493 for a period where mu is 1000, Lorenz's 941 to t = 20.
STEPS = 300
# Of the right-hand side. Of the 12 that ended 11 took at most 545, and a Brusselator of 120 unknowns 1984.
EVALUATIONS = 1000
MANY = 300  # unknowns: an implicit solver's own Jacobian is as many evaluations, so beyond an explicit one goes a few steps
FEW = 50


class Motion(NamedTuple):
    """y' = f(t, y) with the Jacobian that is given, from a start to an end."""

    f: Callable[[float, Array], Any]
    jac: Callable[[float, Array], Any]
    start: float
    y0: Array
    end: float
    options: Mapping[str, Any]

    def questions(self, label: str, sparsity: Any = None) -> Iterator[First]:
        """At the start, where many unknowns are zero and say little, and where the solution goes."""
        for t, y in ((self.start, self.y0), *self._reached()):
            yield First(f"{label} at t = {t:g}", _at(t, self.f), _at(t, self.jac), y, sparsity=sparsity)

    def _reached(self) -> list[tuple[float, Array]]:
        """Up to three points of the solution, by SciPy's own solver and its differences, as far as that gets."""
        steps = [(self.start, self.y0)]
        with warnings.catch_warnings(), suppress(Exception):  # what fails on the way is asked at the start, and told there
            warnings.simplefilter("ignore")
            kind, most = ("LSODA", STEPS) if self.y0.size <= MANY else ("RK23", FEW)
            solver = called(
                getattr(import_module("scipy.integrate"), kind), kind, self.f, self.start, self.y0, self.end, **self.options
            )
            while solver.status == "running" and len(steps) <= most and solver.nfev < EVALUATIONS:
                called(solver.step, kind)
                steps.append((float(solver.t), solver.y.copy()))
        distinct = [(t, y) for t, y in steps if np.isfinite(y).all() and not np.array_equal(y, self.y0)]
        return [distinct[len(distinct) * third // 3 - 1] for third in (1, 2, 3)] if len(distinct) > 2 else distinct


def initial_value(given: Given) -> Asking:
    """Of `solve_ivp`: ``jac(t, y, *args)``, or a matrix where it is constant."""
    options, rest = given["options"], unpacked(given["args"])
    jac, (start, end) = options.get("jac"), map(float, given["t_span"])
    f = applied(given["fun"], rest)
    if given["vectorized"]:
        f = _column_by_column(f)
    y0 = vector(given["y0"], "y0")
    if jac is None:
        yield missing("jac", jac)
        yield from structure(_at(start, f), y0, None, options.get("jac_sparsity"))
        return
    jac = applied(jac, rest) if callable(jac) else _constant(jac)
    if options.get("lband") is not None or options.get("uband") is not None:
        jac = unbanded(jac, options.get("lband") or 0, options.get("uband") or 0)
    tolerances = {name: options[name] for name in ("rtol", "atol") if name in options}
    motion = Motion(f, jac, start, y0, end, tolerances)
    yield from motion.questions("jac", options.get("jac_sparsity"))


def integrated(given: Given) -> Asking:
    """Of `odeint`: ``Dfun(y, t, *args)``, or t first, in rows or columns, whole or its diagonals."""
    rest, jac, times = wrapped(given["args"]), given["Dfun"], np.atleast_1d(given["t"])
    if not callable(jac):
        yield missing("Dfun", jac)
        return
    f, jac = (applied(each, rest) for each in (given["func"], jac))
    if not given["tfirst"]:
        f, jac = _swapped(f), _swapped(jac)
    if given["col_deriv"]:
        jac = transposed(jac)
    if given["ml"] is not None or given["mu"] is not None:
        jac = unbanded(jac, given["ml"] or 0, given["mu"] or 0)
    motion = Motion(f, jac, float(times[0]), vector(given["y0"], "y0"), float(times[-1]), {})
    yield from motion.questions("Dfun")


def unbanded(jac: Callable[[float, Array], Any], lower: int, upper: int) -> Callable[[float, Array], Any]:
    """The matrix of which row ``i - j + upper`` of what is returned has the entry ``[i, j]`` in column j."""
    dia_array = import_module("scipy.sparse").dia_array
    offsets = upper - np.arange(lower + upper + 1)

    def matrix(t: float, y: Array) -> Any:
        bands = np.asarray(jac(t, y))
        if bands.shape != (offsets.size, y.size):
            raise DataError(
                f"{name_of(jac)} returned shape {bands.shape}, expected {(offsets.size, y.size)}: a row for each diagonal"
            )
        return dia_array((bands, offsets), shape=(y.size, y.size))

    return standing_for(matrix, jac)


def _at(t: float, f: Callable[[float, Array], Any]) -> Function:
    return ours(f, lambda y: as_matrix(f(t, y)))


def _swapped(f: Callable[..., Any]) -> Callable[[float, Array], Any]:
    return standing_for(lambda t, y: f(y, t), f)


def _column_by_column(f: Callable[..., Any]) -> Callable[[float, Array], Any]:
    """As SciPy calls a vectorized function."""
    return standing_for(lambda t, y: np.asarray(f(t, y[:, None])).ravel(), f)


def _constant(matrix: Any) -> Callable[[float, Array], Any]:
    def jac(t: float, y: Array) -> Any:
        return matrix

    return jac
