"""Arguments as SciPy reads them: points, extra arguments, pairs of a value and its derivative, matrices, bounds."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, cast

import numpy as np

from gradcheck.adapters.leaves import name_of
from gradcheck.errors import DataError
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.calling import standing_for
from gradcheck.foundation.wording import shown

Function: TypeAlias = Callable[[Array], Any]
Sides: TypeAlias = tuple[Array, Array]
INSIDE = 0.4  # of the way from one bound to the other: the very middle is often one of symmetry, where slopes are zero


def vector(x0: Any, name: str = "x0") -> Array:
    """A point, whose whole numbers become floating ones."""
    x = np.atleast_1d(np.asarray(x0))
    if x.dtype.kind not in "fiu" or x.ndim != 1 or not x.size:
        raise DataError(f"{name}: expected a vector of real numbers, got shape {x.shape} of {x.dtype}")
    return x if x.dtype.kind == "f" else x.astype(float)


def between(lower: Any, upper: Any) -> Any:
    """A place inside, where no point is given."""
    return lower + INSIDE * (upper - lower)


def wrapped(args: Any) -> tuple[Any, ...]:
    """What is no tuple is one extra argument, as `minimize` has it."""
    return cast("tuple[Any, ...]", args) if isinstance(args, tuple) else (args,)


def unpacked(args: Any) -> tuple[Any, ...]:
    """Any sequence holds several, as `least_squares` and `solve_ivp` have it."""
    if args is None:
        return ()
    return tuple(cast("list[Any]", args)) if isinstance(args, list) else wrapped(args)


def ours(f: Any, function: Function) -> Function:
    """A function of ours in the place of a user's, under its name."""
    return standing_for(function, f, name_of(f))


def applied(f: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None = None, name: str = "fun") -> Callable[..., Any]:
    """A function without its extra arguments."""
    if not callable(f):
        raise DataError(f"{name}: expected a function, got {shown(f)}")
    return standing_for(lambda *point: f(*point, *args, **(kwargs or {})), f, name_of(f))


def split(fun: Any, jac: Any, args: tuple[Any, ...], what: str, kwargs: Any = None) -> tuple[Function, Function | None]:
    """A function and its derivative, which it may return itself where ``jac`` is true; none where that is no function."""
    f = applied(fun, args, kwargs)
    if jac is True:
        return part(f, 0, what), part(f, 1, what)
    return f, applied(jac, args, kwargs) if callable(jac) else None


def part(f: Function, index: int, what: str, least: int = 2) -> Function:
    """One of the values that a function returns together."""
    return ours(f, lambda x: several(f(x), f"{f.__name__}: {what}=True", least)[index])


def several(found: Any, what: str, least: int) -> Any:
    """What was returned, if that is a value and derivatives: SciPy takes them by their places."""
    if not isinstance(found, tuple | list) or len(cast("list[Any]", found)) < least:
        expected = "a pair (value, gradient)" if least == 2 else "(value, first derivative, second derivative)"
        raise DataError(f"{what}: expected {expected}, got {type(cast('Any', found)).__name__}")
    return cast("Any", found)


def as_matrix(found: Any) -> Any:
    """A sparse matrix or an operator as it is; else an array: a nested list is a matrix, and NumPy's own are arrays."""
    is_other = found is None or hasattr(found, "matvec") or hasattr(found, "tocsr")
    return found if is_other else np.asarray(found)


def transposed(jac: Callable[..., Any]) -> Callable[..., Any]:
    """With ``col_deriv`` a row has the derivatives by one variable."""
    return standing_for(lambda *point: as_matrix(jac(*point)).T, jac)


def as_dense(found: Any) -> Array:
    """A gradient, which may come as a sparse row or a list."""
    return np.asarray(found.toarray() if hasattr(found, "toarray") else found)


def pairs(bounds: Any, x: Array) -> Sides | None:
    """Bounds as `minimize` takes them: an object with both sides, or a pair for each entry, None where there is none."""
    if bounds is None or hasattr(bounds, "lb"):
        return sides(bounds, x)
    rows: list[Any] = list(bounds) if np.iterable(bounds) else []
    if not rows and np.iterable(bounds):  # as fmin_slsqp has it
        return None
    if len(rows) != x.size or any(np.shape(row) != (2,) for row in rows):
        raise DataError(f"bounds: expected {x.size} pairs (lower, upper), got {shown(bounds)}")
    return _side([row[0] for row in rows], -np.inf, x), _side([row[1] for row in rows], np.inf, x)


def sides(bounds: Any, x: Array) -> Sides | None:
    """Bounds as `least_squares` takes them: an object with both sides, or a pair of numbers or vectors."""
    if bounds is None:
        return None
    given = (bounds.lb, bounds.ub) if hasattr(bounds, "lb") else bounds
    both: tuple[Any, ...] = tuple(given) if np.iterable(given) else ()
    if len(both) != 2:
        raise DataError(f"bounds: expected a pair (lower, upper), got {shown(bounds)}")
    lower, upper = _side(both[0], -np.inf, x), _side(both[1], np.inf, x)
    return None if np.isinf(lower).all() and np.isinf(upper).all() else (lower, upper)


def _side(values: Any, open_end: float, x: Array) -> Array:
    try:
        numbers = np.array(values, dtype=float)  # None becomes nan
        return np.broadcast_to(np.where(np.isnan(numbers), open_end, numbers), x.shape).copy()
    except (TypeError, ValueError):
        raise DataError(f"bounds: expected a number for each of {x.size} entries, got {shown(values)}") from None
