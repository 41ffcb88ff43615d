"""JAX's derivatives of any function."""

from collections.abc import Callable
from typing import Any

from gradcheck.errors import DataError
from gradcheck.foundation.loading import needing
from gradcheck.foundation.state.found import as_found
from gradcheck.foundation.validation import Asked
from gradcheck.report import Report
from gradcheck.report.reproducer.recipe import reproducible


@as_found
@reproducible
def check_jax(
    f: Callable[..., Any],
    *args: Any,
    reference: Callable[..., Any] | None = None,
    order: int = 1,
    modes: str | tuple[str, ...] | None = None,
    accuracy: float | None = None,
    resolve: float = 1e-3,
    max_evaluations: int = 400,
    diagnose: bool = True,
    contract: bool = True,
    seed: int = 0,
    dtype: Any = None,
    **kwargs: Any,
) -> Report:
    """Whether JAX's derivatives of ``f(*args, **kwargs)`` are right, jitted or not; or whether ``f`` is its reference.

    Parameters
    ----------
    f : callable
        From pytrees of arrays to a pytree of arrays, with ``custom_vjp`` and ``custom_jvp`` functions or without.
    *args, **kwargs
        Handed on. Every floating leaf is a block: ``"args.0"``, ``"args.1.weight"``, ``"kwargs.mask"``; modules of Flax and
        Equinox are pytrees. The rest stays what it is: numbers for ``static_argnums``, strings, functions; whole numbers and
        keys of random ones are named in `Report.unchecked`, as are the Python numbers in an Equinox module, which
        ``equinox.filter_grad`` does not move either. A complex leaf is a block whose last axis has real and imaginary part.
    reference : callable, optional
        A plain implementation of the same that JAX can trace. Outputs and gradients of ``f`` in reverse mode, at the dtypes
        that are given and for random cotangents, are then held against it in float64, within what the arithmetic of ``f``
        does to it; no difference is taken.
    order : int
        2 judges the derivative of the gradient, too, by every block and by the cotangents (``"cotangent"``), against
        differences of the gradient: findings of the backends ``"reverse over reverse"`` and ``"forward over reverse"``.
    modes : tuple of str, optional
        ``"reverse"``, ``"forward"`` or both; by default those that ``f`` has: a ``custom_vjp`` has no forward mode, a
        ``while_loop`` no reverse mode.
    accuracy : float, optional
        By how much a gradient may be off and is called inexact, not wrong: 1e-6, and against a reference 0. Of a kernel that
        approximates on purpose, how far.
    resolve, max_evaluations, diagnose, seed
        As `check` takes them; the first two are not asked where there is a reference.
    dtype : str, optional
        As `check` takes it; ``jnp.float32`` and its like are handed on to ``f``.
    contract : bool
        Whether to ask of a function with a ``custom_vjp``, too, what no differences see: that reverse mode answers the same
        under ``jax.jit`` and ``jax.vmap``, whichever arguments are constants and whichever outputs are used, and whatever
        was called in between. A block whose gradient is right and whose backward function does not keep this is ``wrong``,
        with a cause; a forward function that refuses to be traced or batched is named in a note.

    Returns
    -------
    Report
        Judged in float64, if ``f`` follows its input's dtype; JAX's own setting is left alone. The findings' backend is
        ``"reverse"`` or ``"forward"``.

    Raises
    ------
    DataError
        Where no argument is floating, or ``f`` has no such mode.
    DescriptionError
        Where ``order`` is neither 1 nor 2, or what `check` takes, too, is none.
    CallFailed
        Where ``f`` raises.
    """
    with needing("jax"):
        from gradcheck.adapters.jax import functions
    dtype, kwargs = functions.own_dtype(dtype, kwargs)
    usual = 1e-6 if reference is None else 0.0
    asked = Asked(usual if accuracy is None else accuracy, resolve, max_evaluations, diagnose, seed, dtype).checked()
    if reference is None:
        return functions.check_jax(f, args, kwargs, functions.Wanted.of(modes, order, contract), asked)
    if modes not in (None, "reverse", ("reverse",)):
        raise DataError(f"modes: expected ('reverse',) where there is a reference, got {modes!r}")
    if order != 1:
        raise DataError(f"order: expected 1 where there is a reference, got {order!r}")
    from gradcheck.adapters.jax.reference import check_against

    return check_against(f, reference, args, kwargs, asked, contract)
