"""The derivatives that SciPy's solvers are given."""

from collections.abc import Callable
from typing import Any, overload

from gradcheck.foundation.state.found import as_found
from gradcheck.foundation.validation import Asked
from gradcheck.report import Report
from gradcheck.report.reproducer.recipe import reproducible


@overload
def check_scipy(
    fun: Callable[..., Any],
    x0: Any,
    jac: Any = None,
    hess: Any = None,
    hessp: Any = None,
    args: Any = (),
    *,
    bounds: Any = None,
    constraints: Any = (),
    jac_sparsity: Any = None,
    kwargs: Any = None,
    accuracy: float = 1e-6,
    resolve: float = 1e-3,
    max_evaluations: int = 400,
    diagnose: bool = True,
    seed: int = 0,
    dtype: str | None = None,
) -> Report: ...
@overload
def check_scipy(solver: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Report: ...
@as_found
@reproducible
def check_scipy(
    *args: Any,
    accuracy: float = 1e-6,
    resolve: float = 1e-3,
    max_evaluations: int = 400,
    diagnose: bool = True,
    seed: int = 0,
    dtype: str | None = None,
    **kwargs: Any,
) -> Report:
    """Whether the derivatives that one of SciPy's solvers is given are those of its function.

    Parameters
    ----------
    fun : callable
        ``fun(x, *args)``: a number, as `minimize` takes it; a vector, as `least_squares` and `root` do; or, with
        ``jac=True``, a pair of it and its derivative.
    x0 : array
        Where.
    jac : callable or True
        ``jac(x, *args)``: of the shape of x, or a matrix with a row for each value: dense, sparse or a linear operator.
        The strings that ask SciPy for differences leave nothing to check.
    hess : callable, optional
        ``hess(x, *args)``: a matrix in any of these forms. It is checked against ``jac``, and for symmetry.
    hessp : callable, optional
        ``hessp(x, p, *args)``, the product of the Hessian with p.
    args, kwargs
        More arguments of all of these, as SciPy hands them on.
    bounds : optional
        As the solver takes them: pairs or `scipy.optimize.Bounds`, for a system two sides. ``fun`` is called inside only.
    constraints : optional
        Dicts and objects as `minimize` takes them: the ``jac`` of each is checked, and the ``hess`` of nonlinear ones.
    jac_sparsity : optional
        Where entries may be that are not zero.
    solver, *args, **kwargs
        In place of all that: the solver itself, and what one calls it with: `minimize`, `least_squares`, `root`,
        `curve_fit`, `solve_ivp` and others of ``scipy.optimize`` and ``scipy.integrate``, and lmfit's.
    accuracy, resolve, max_evaluations, diagnose, seed, dtype
        As `check` takes them; they are never the solver's.
    """
    from gradcheck.adapters.scipy.solvers import check_scipy

    asked = Asked(accuracy, resolve, max_evaluations, diagnose, seed, dtype).checked()
    return check_scipy(args, kwargs, asked)
