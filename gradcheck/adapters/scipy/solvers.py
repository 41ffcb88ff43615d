"""Solvers of SciPy by name: what each is called with is bound as it binds it, and each derivative among it is a question."""

import inspect
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from gradcheck.adapters.leaves import name_of
from gradcheck.adapters.scipy import boundary, evolution, fits, objectives, roots, systems
from gradcheck.adapters.scipy.given import sides, split, vector, wrapped
from gradcheck.adapters.scipy.objectives import Names
from gradcheck.adapters.scipy.questions import Asking, First, Left, answered
from gradcheck.errors import DataError
from gradcheck.foundation.calling import called
from gradcheck.foundation.validation import Asked
from gradcheck.report import Report

Reader = Callable[[Mapping[str, Any]], Asking]

READERS: Mapping[str, Mapping[str, Reader]] = {
    "scipy.optimize": {
        "minimize": objectives.minimised,
        "basinhopping": objectives.around,
        "dual_annealing": objectives.around,
        "shgo": objectives.around,
        "differential_evolution": objectives.around,
        "fmin_bfgs": partial(objectives.minimised, names=Names("f", "fprime")),
        "fmin_cg": partial(objectives.minimised, names=Names("f", "fprime")),
        "fmin_ncg": partial(objectives.minimised, names=Names("f", "fprime", "fhess", "fhess_p")),
        "fmin_l_bfgs_b": partial(objectives.paired, names=Names("func", "fprime")),
        "fmin_tnc": partial(objectives.paired, names=Names("func", "fprime")),
        "fmin_slsqp": objectives.slsqp,
        "least_squares": systems.residuals,
        "root": systems.equations,
        "fsolve": partial(systems.minpack, jac="fprime"),
        "leastsq": systems.minpack,
        "curve_fit": systems.model,
        "check_grad": partial(objectives.minimised, names=Names("func", "grad")),
        "root_scalar": roots.root,
        "newton": partial(roots.root, fun="func"),
    },
    "scipy.integrate": {
        "solve_ivp": evolution.initial_value,
        "odeint": evolution.integrated,
        "solve_bvp": boundary.boundary_values,
    },
}
# They take functions and no derivatives.
WITHOUT = (
    "minimize_scalar", "fmin", "fmin_powell", "fmin_cobyla", "fminbound", "brent", "golden", "brute", "direct", "brentq",
    "brenth", "ridder", "bisect", "toms748", "fixed_point", "broyden1", "broyden2", "newton_krylov", "anderson",
    "linearmixing", "diagbroyden", "excitingmixing", "linprog", "milp", "lsq_linear", "nnls",
)  # fmt: skip


def check_scipy(args: tuple[Any, ...], kwargs: Mapping[str, Any], asked: Asked) -> Report:
    """What `gradcheck.check_scipy` does."""
    solver: Any = args[0] if args else None
    rest = args[1:]
    if reader_of(getattr(solver, "func", None)):  # of a partial one
        solver, rest, kwargs = solver.func, (*solver.args, *rest), {**solver.keywords, **kwargs}
    reader = reader_of(solver)
    if reader is None:
        given = _bound(directly, "check_scipy", args, kwargs)
        return answered(name_of(given["fun"]), directly(**given), asked)
    return answered(name_of(solver), reader(_bound(solver, name_of(solver), rest, kwargs)), asked)


def reader_of(solver: Any) -> Reader | None:
    """Of one of SciPy's solvers; of another function none: `scipy.optimize` has objectives, too.

    Raises
    ------
    DataError
        Where the solver takes no derivative.
    """
    name, home = name_of(solver), str(getattr(solver, "__module__", ""))
    for module, readers in READERS.items():
        if home.startswith(module) and getattr(sys.modules.get(module), name, None) is solver:
            if name in WITHOUT:
                raise DataError(f"{name} takes no derivative: nothing to check")
            return readers.get(name)
    return fits.reader_of(solver)


def _bound(f: Any, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments by name, as the call would have them."""
    try:
        bound = inspect.signature(f).bind(*args, **kwargs)
    except TypeError as error:
        raise DataError(f"{name}: {error}") from None
    bound.apply_defaults()
    return bound.arguments


def directly(
    fun: Any,
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
) -> Asking:
    """Derivatives of an objective where ``fun`` returns one number, of a system where it returns several."""
    fun, jac, hess, hessp = (_knowing(each, kwargs) for each in (fun, jac, hess, hessp))
    x, (value, derivative) = vector(x0), split(fun, jac, wrapped(args), "jac")
    size = np.size(called(value, value.__name__, x.copy())) if derivative is not None else 1
    if derivative is None or size == 1:
        for each in objectives.minimised(locals()):
            if isinstance(each, Left) and each.label in ("hess", "hessp"):
                raise DataError(f"{each.label}: {each.why}")
            yield each
        return
    if hess is not None or hessp is not None:
        raise DataError(f"hess: {value.__name__} returns {size} values, and a Hessian is that of one number")
    yield First("jac", value, derivative, x, sides(bounds, x), jac_sparsity)


def _knowing(f: Any, kwargs: Any) -> Any:
    return partial(f, **kwargs) if kwargs and callable(f) else f
