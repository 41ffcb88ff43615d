"""Framework objects as they are: each adapter turns one framework's functions into (loss, gradient, point).

The functions here are the doors; each imports its framework when it is called.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gradcheck.errors import DataError, DescriptionError, LibraryNotInstalled
from gradcheck.foundation.loading import needing
from gradcheck.foundation.state.found import as_found
from gradcheck.foundation.validation import Asked, accuracy_of, count_of, seed_of
from gradcheck.foundation.wording import shown
from gradcheck.report import Report
from gradcheck.report.reproducer.recipe import reproducible

if TYPE_CHECKING:
    from gradcheck.adapters.pytorch.suites import DropIn

__all__ = ["check_autograd", "check_jax", "check_scipy", "check_torch", "drop_in", "kernels"]


@as_found
@reproducible
def check_torch(
    f: Callable[..., Any],
    *args: Any,
    reference: Any = None,
    module: Any = None,
    accuracy: float | None = None,
    resolve: float = 1e-3,
    max_evaluations: int = 400,
    diagnose: bool = True,
    contract: bool = True,
    seed: int = 0,
    dtype: Any = None,
    **kwargs: Any,
) -> Report:
    """Whether PyTorch's backward pass through ``f(*args, **kwargs)`` is its derivative; or whether ``f`` is its reference.

    Parameters
    ----------
    f : callable
        A function of tensors, an ``autograd.Function``'s ``apply``, or an ``nn.Module``. What it returns, a tensor or any
        nesting of them, is reduced to a number by one random cotangent.
    *args, **kwargs
        Handed on. Blocks are the tensors among them that require a gradient, ``"args.0"``, ``"kwargs.mask"``, and every
        parameter of a module that does, under its name in the ``state_dict``; also those in objects, and up to a million
        numbers that a closure brings along, ``"net.0.weight"``. Leaves are handed on themselves, moved in place.
    reference : callable, optional
        A plain implementation of the same, differentiated by PyTorch. Outputs and gradients of ``f``, at the dtypes that
        are given and for random cotangents, are then held against it in float64, within what the arithmetic of ``f`` does
        to it; no difference is taken. A module of the same ``state_dict`` for a module; ``"eager"`` stands for what
        ``torch.compile`` was given.
    module : Module, optional
        Whose parameters are blocks, too, where ``f`` brings it along.
    accuracy : float, optional
        By how much a gradient may be off and is called inexact, not wrong: 1e-6, and against a reference 0. Of a kernel that
        approximates on purpose, how far.
    resolve, max_evaluations, diagnose, seed
        As `check` takes them; the first two are not asked where there is a reference. PyTorch's, NumPy's and Python's random
        numbers have the seed before every call: dropout is a function, too.
    dtype : str, optional
        As `check` takes it, ``"bfloat16"`` besides; a ``torch.dtype`` is handed on to ``f``.
    contract : bool
        Whether to ask, too, what no differences see: that the backward pass overwrites neither what was saved nor its
        cotangent, takes cotangents and arguments in any layout of memory, answers the same whichever arguments require a
        gradient and whatever was called in between, and agrees with the forward derivative and batches that it declares. A
        block whose gradient is right and whose backward pass does not keep this is ``wrong``, with a cause. Functions of
        PyTorch's own are asked where they are few.

    Returns
    -------
    Report
        What is not float64 is judged in float64 if ``f`` follows its input's dtype. Parameters, buffers, gradients, mode
        and random state of a module are left as they were found, also after an exception.

    Raises
    ------
    DataError
        Where nothing requires a gradient, or what does is complex or sparse; where an argument can be read only once, or
        ``f`` does not depend on ``module``.
    CallFailed
        Where ``f`` raises.
    """
    with needing("torch"):
        from gradcheck.adapters.pytorch import checking
    dtype, kwargs = checking.own_dtype(dtype, kwargs)
    usual = 1e-6 if reference is None else 0.0
    asked = Asked(usual if accuracy is None else accuracy, resolve, max_evaluations, diagnose, seed, dtype).checked()
    if reference is None:
        return checking.check_torch(f, args, kwargs, module, asked, contract)
    from gradcheck.adapters.pytorch.reference import check_against

    return check_against(f, reference, args, kwargs, module, asked, contract)


@as_found
@reproducible
def check_jax(
    f: Callable[..., Any],
    *args: Any,
    reference: Callable[..., Any] | None = None,
    modes: tuple[str, ...] | None = None,
    accuracy: float | None = None,
    resolve: float = 1e-3,
    max_evaluations: int = 400,
    diagnose: bool = True,
    contract: bool = True,
    seed: int = 0,
    dtype: str | None = None,
) -> Report:
    """Whether JAX's derivatives of ``f(*args)`` are right, jitted or not; or whether ``f`` is its reference.

    Parameters
    ----------
    f : callable
        From pytrees of arrays to a pytree of arrays, with ``custom_vjp`` and ``custom_jvp`` functions or without.
    *args
        Every leaf of floating dtype is a block: ``"args.0"``, ``"args.1.weight"``.
    reference : callable, optional
        A plain implementation of the same that JAX can trace. Outputs and gradients of ``f`` in reverse mode, at the dtypes
        that are given and for random cotangents, are then held against it in float64, within what the arithmetic of ``f``
        does to it; no difference is taken.
    modes : tuple of str, optional
        ``"reverse"``, ``"forward"`` or both; by default both, forward where ``f`` has it (a ``custom_vjp`` has not).
    accuracy : float, optional
        By how much a gradient may be off and is called inexact, not wrong: 1e-6, and against a reference 0. Of a kernel that
        approximates on purpose, how far.
    resolve, max_evaluations, diagnose, seed, dtype
        As `check` takes them; the first two are not asked where there is a reference.
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
    """
    with needing("jax"):
        from gradcheck.adapters.jax import functions
    usual = 1e-6 if reference is None else 0.0
    asked = Asked(usual if accuracy is None else accuracy, resolve, max_evaluations, diagnose, seed, dtype).checked()
    if reference is None:
        return functions.check_jax(f, args, modes, asked, contract)
    if modes not in (None, ("reverse",)):
        raise DataError(f"modes: expected ('reverse',) where there is a reference, got {modes!r}")
    from gradcheck.adapters.jax.reference import check_against

    return check_against(f, reference, args, asked, contract)


@as_found
@reproducible
def check_autograd(
    f: Callable[..., Any],
    *args: Any,
    accuracy: float = 1e-6,
    resolve: float = 1e-3,
    max_evaluations: int = 400,
    diagnose: bool = True,
    seed: int = 0,
    dtype: str | None = None,
) -> Report:
    """Whether HIPS Autograd's derivative of ``f(*args)`` is right, primitives with ``defvjp`` included.

    Parameters
    ----------
    f : callable
        From arrays (or nestings of dicts, lists and tuples of them) to an array or such a nesting.
    *args
        Every leaf of floating dtype is a block: ``"args.0"``.
    accuracy, resolve, max_evaluations, diagnose, seed, dtype
        As `check` takes them.
    """
    with needing("autograd"):
        from gradcheck.adapters import hips
    return hips.check_autograd(f, args, Asked(accuracy, resolve, max_evaluations, diagnose, seed, dtype).checked())


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


def drop_in(
    *,
    accuracy: float = 1e-6,
    resolve: float = 1e-3,
    max_evaluations: int = 400,
    diagnose: bool = True,
    seed: int = 0,
    contract: bool = True,
    told: Callable[[Report], None] | None = None,
) -> "DropIn":
    """Put `check_torch` in the place of ``torch.autograd.gradcheck``, at once, for whoever calls that.

    What is wrong raises PyTorch's own ``GradcheckError`` with the whole report; where nothing is decided, or the inputs are
    refused, the original is asked. A suite's ``rtol`` and ``atol`` are the accuracy that it asks for. Where and why a
    gradient is off within that is not looked for; a claim where there is no slope is held against the whole gradient.

    Parameters
    ----------
    accuracy, resolve, max_evaluations, diagnose, seed, contract
        As `check_torch` takes them.
    told : callable
        Is handed each report.

    Returns
    -------
    DropIn
        A context manager, whose end, like its method ``undo()``, puts the original back; ``calls`` has what was found.
    """
    with needing("torch"):
        from gradcheck.adapters.pytorch.suites import DropIn
    return DropIn(Asked(accuracy, resolve, max_evaluations, diagnose, seed).checked(), contract, told)


def kernels(
    *,
    reference: Any,
    shapes: Mapping[str, Any] | None = None,
    dtypes: Any = "float32",
    blocks: Mapping[str, int | Iterable[int]] | None = None,
    sizes: Mapping[str, Any] | None = None,
    arguments: Mapping[str, Any] | None = None,
    constants: Iterable[str] = (),
    masks: Iterable[str] = (),
    indices: Mapping[str, str | int] | None = None,
    values: Iterable[str] | None = None,
    layouts: Iterable[str] | None = None,
    configurations: Sequence[Mapping[str, Any]] = (),
    examples: int = 20,
    accuracy: float | None = None,
    contract: bool = True,
    seed: int = 0,
) -> Callable[[Callable[..., Any]], Callable[..., None]]:
    """Make a test of a kernel: Hypothesis draws its tensors, and `check_torch` holds it against a reference.

    The function that is decorated is the kernel, or calls it and returns what it returns. Sizes lie around the boundaries of
    blocks, tensors have any strides, values are also such that sums, exponentials and choices are hard. A failure shrinks to
    the smallest sizes, contiguous tensors and Gaussian values, and says in one line what was drawn.

    Parameters
    ----------
    reference : callable
        A plain implementation of the same arguments, as `check_torch` takes it. What it has no parameter for, such as the
        size of a block, it is not given.
    shapes : dict of str to str, optional
        Of each parameter that is a tensor, ``{"x": "rows columns", "weight": "columns"}``, as
        `gradcheck.strategies.tensors` takes it. By default what jaxtyping's annotations of the function say.
    dtypes : str or sequence, or dict, optional
        One of them for all floating tensors; in a dict those of each tensor, which is float32 where it is not named.
    blocks : dict of str to int or sequence of int, optional
        How many of an axis the kernel takes at once: `gradcheck.strategies.sizes` draws around that.
    sizes : dict of str to int, sequence or strategy, optional
        Of axes of which not every size will do, and of what no axis is as long as, ``{"heads": [1, 2, 4]}``. A parameter of
        a size's name is given the size.
    arguments : dict, optional
        Strategies for other parameters; or functions of sizes, by their names, that return one:
        ``{"causal": st.booleans(), "window": lambda columns: st.integers(1, columns)}``.
    constants : sequence of str
        Tensors that require no gradient.
    masks : sequence of str
        Tensors of booleans.
    indices : dict of str to str or int, optional
        Tensors of integers, and what they are below: ``{"labels": "classes"}``.
    values, layouts : str or sequence of str, optional
        As `gradcheck.strategies.tensors` takes them; by default all.
    configurations : sequence of dict
        Tried besides, always and first, in the form in which a failure shows its own; of tensors as few words as are meant:
        ``{"rows": 4096, "columns": 11008, "x": "bfloat16"}``.
    examples : int
        How many are drawn, at most.
    accuracy, contract, seed
        As `check_torch` takes them.

    Returns
    -------
    callable
        A decorator. The test fails with `GradientMismatch` where a configuration is ``wrong``, and where more than half of
        them are neither correct nor inexact. Parameters that are not drawn are pytest's: fixtures, or parametrized. The
        test's ``at(configuration)`` returns the report on one configuration.

    Raises
    ------
    DescriptionError
        When it decorates: with the argument's name, what was expected and what was there.

    Examples
    --------
    >>> import torch
    >>> @kernels(reference=torch.sigmoid, shapes={"x": "rows columns"}, blocks={"columns": 64})
    ... def test_sigmoid(x):
    ...     return 1 / (1 + torch.exp(-x))
    """
    try:
        from gradcheck.strategies.drawn import judged
        from gradcheck.strategies.drawn.plans import Asked as Drawn
    except ModuleNotFoundError as error:
        if error.name != "hypothesis":
            raise
        raise LibraryNotInstalled("drawn tests need hypothesis: pip install 'gradcheck[fuzz]'") from None
    if not callable(reference) and reference != "eager":
        raise DescriptionError(f"expected a function, got {shown(reference)}", "reference")
    options = {"accuracy": accuracy if accuracy is None else accuracy_of(accuracy), "contract": bool(contract)}
    judge = judged.Judge(check_torch, reference, {**options, "seed": seed_of(seed)})
    count = count_of(examples, "examples")
    drawn = Drawn(
        shapes or {}, dtypes, blocks or {}, sizes or {}, arguments or {}, constants, masks, indices or {}, values, layouts
    )
    return lambda function: judged.tested(function, drawn.checked(), judge, count, configurations)
