"""The derivatives that SciPy's solvers are given."""

from collections.abc import Callable
from typing import Any

from gradcheck.foundation.state.found import as_found
from gradcheck.foundation.validation import Asked
from gradcheck.report import Report
from gradcheck.report.reproducer.recipe import reproducible


@as_found
@reproducible
def check_scipy(
    fun: Callable[..., Any],
    x0: Any,
    jac: Any = None,
    hess: Any = None,
    hessp: Any = None,
    args: tuple[Any, ...] = (),
    *,
    accuracy: float = 1e-6,
    resolve: float = 1e-3,
    max_evaluations: int = 400,
    diagnose: bool = True,
    seed: int = 0,
    dtype: str | None = None,
) -> Report:
    """Whether ``jac``, ``hess`` and ``hessp`` are the derivatives of ``fun``, as `scipy.optimize.minimize` means them.

    Parameters
    ----------
    fun : callable
        ``fun(x, *args) -> float``, or, with ``jac=True``, ``(float, gradient)``.
    x0 : array
        Where.
    jac : callable or True
        ``jac(x, *args)``, of the shape of x. The strings that ask SciPy for differences leave nothing to check.
    hess : callable, optional
        ``hess(x, *args)``: a matrix, sparse matrix or linear operator. Its products and its symmetry are checked.
    hessp : callable, optional
        ``hessp(x, p, *args)``, the product of the Hessian with p.
    accuracy, resolve, max_evaluations, diagnose, seed, dtype
        As `check` takes them.
    """
    from gradcheck.adapters import minimize

    asked = Asked(accuracy, resolve, max_evaluations, diagnose, seed, dtype).checked()
    return minimize.check_scipy(fun, x0, jac, hess, hessp, args, asked)
