"""`check_jacobian`: any function of many outputs with any matrix -> Report."""

from collections.abc import Callable
from typing import Any

from gradcheck.checking.jacobians.reporting import jacobian_report
from gradcheck.foundation.state.found import as_found
from gradcheck.foundation.validation import Asked
from gradcheck.report import Report
from gradcheck.report.reproducer.recipe import reproducible


@as_found
@reproducible
def check_jacobian(
    f: Callable[..., Any],
    jac: Any,
    at: Any,
    *,
    sparsity: Any = None,
    bounds: Any = None,
    args: tuple[Any, ...] = (),
    accuracy: float = 1e-6,
    resolve: float = 1e-3,
    max_evaluations: int = 400,
    diagnose: bool = True,
    seed: int = 0,
    dtype: str | None = None,
) -> Report:
    """Whether ``jac`` returns the matrix of derivatives of ``f`` at a point.

    A right matrix of any size takes a few dozen evaluations of ``f``: products with random vectors from both sides refute a
    wrong one, which takes more, to name its entries by row and column.

    Parameters
    ----------
    f : callable
        From a pytree like ``at``, and ``args``, to an array, a list of numbers, or a pytree of arrays.
    jac : callable, or a matrix
        From the same to d f_i / d x_j: an array of shape ``f.shape + x.shape`` or (m, n), all outputs by all inputs in
        order; a matrix or array of `scipy.sparse`; a `scipy.sparse.linalg.LinearOperator`, whose two products are held
        against each other; or blocks nested as `jax.jacobian` nests them, the structure of the outputs outside. A matrix
        itself stands for a function that is constant. ``None`` checks ``sparsity`` alone.
    at : pytree
        As `check` takes it.
    sparsity : array or sparse matrix, optional
        The declared structure, as SciPy's ``jac_sparsity``: zero where all derivatives are. Its finding is ``"sparsity"``.
    bounds
        As `check` takes them.
    args : tuple
        Handed on to ``f`` and ``jac``.
    accuracy, resolve
        As `check` takes them, relative to the larger of an entry and of what is usual in its row and its column:
        rows_i columns_j, with numbers for all rows and columns divided by which the claimed matrix has a largest entry of 1
        in each of them. The units of outputs and inputs do not matter. A column that contributes less than 1000 roundoffs
        of ``f`` is taken to contribute so much.
    max_evaluations, diagnose, seed, dtype
        As `check` takes them.

    Returns
    -------
    Report
        Of one finding for each leaf of the outputs by each of the inputs: ``"velocity by mass"``, ``"jacobian by mass"``
        where ``f`` returns one array, ``"jacobian"`` where ``at`` is one, too. The indices of its entries are those of the
        output, then those of the input. Of an operator there is one more, ``"adjoint"``.

    Raises
    ------
    DataError
        Where ``f`` returns no floating array, or ``jac`` or ``sparsity`` no matrix of real numbers of the right shape; and
        as `check`.
    DescriptionError, CallFailed, Interrupted
        As `check`.
    """
    asked = Asked(accuracy, resolve, max_evaluations, diagnose, seed, dtype).checked()
    return jacobian_report(f, jac, at, asked, sparsity=sparsity, bounds=bounds, args=args)
