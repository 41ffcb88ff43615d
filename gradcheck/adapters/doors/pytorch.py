"""PyTorch's backward pass through any function, and ours in the place of its own checker."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gradcheck.errors import DescriptionError
from gradcheck.foundation.loading import needing
from gradcheck.foundation.state.found import as_found
from gradcheck.foundation.validation import Asked
from gradcheck.foundation.wording import shown
from gradcheck.report import Report
from gradcheck.report.reproducer.recipe import reproducible

if TYPE_CHECKING:
    from gradcheck.adapters.pytorch.suites import DropIn


@as_found
@reproducible
def check_torch(
    f: Callable[..., Any],
    *args: Any,
    reference: Any = None,
    module: Any = None,
    backward: Callable[..., Any] | None = None,
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
        Whose parameters are blocks, too, where ``f`` brings it along; several in a list or dict, whose keys come first in
        their names. Without arguments and without it everything that a closure brings along is a block.
    backward : callable, optional
        What you call, with the same arguments, to have gradients of the loss ``f``: they are taken from ``.grad``, which is
        None before, or from what it returns, by the names of blocks, in their order, or nested like the arguments. A closure
        that calls ``backward()`` itself, as LBFGS takes it, needs none.
    order : int
        2 judges the double backward, too: the second derivative by every block and by the cotangents, against differences of
        the first one, as findings of the backend ``"torch, second order"``.
    modes : tuple of str, optional
        ``"reverse"``, ``"forward"`` or both. By default reverse mode, and forward mode where a function of the graph that is
        not PyTorch's own defines a ``jvp``: its findings have the backend ``"torch forward"``. Asked for by name it is that
        of PyTorch's operators, too.
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
        Where nothing requires a gradient, or what does is sparse; where an argument can be read only once, or ``f`` does not
        depend on ``module``; where there are no gradients after ``backward``; where ``f`` has no forward mode, and that is
        asked for.
    DescriptionError
        Where ``order`` is neither 1 nor 2, or what `check` takes, too, is none.
    CallFailed
        Where ``f`` raises.
    """
    with needing("torch"):
        from gradcheck.adapters.pytorch import checking
        from gradcheck.adapters.pytorch.derivatives.wanted import Derivatives
    dtype, kwargs = checking.own_dtype(dtype, kwargs)
    usual = 1e-6 if reference is None else 0.0
    asked = Asked(usual if accuracy is None else accuracy, resolve, max_evaluations, diagnose, seed, dtype).checked()
    if backward is not None and (reference is not None or not callable(backward)):
        raise DescriptionError(f"expected a function, and no reference beside it, got {shown(backward)}", "backward")
    derivatives = Derivatives.of(order, modes, reference)
    if backward is not None and (order, modes) not in ((1, None), (1, "reverse"), (1, ("reverse",))):
        raise DescriptionError("it leaves first derivatives in reverse mode behind: leave out order and modes", "backward")
    if reference is None:
        look = derivatives if backward is None else None
        return checking.check_torch(f, args, kwargs, module, asked, contract, step=backward, look=look)
    from gradcheck.adapters.pytorch.reference import check_against

    return check_against(f, reference, args, kwargs, module, asked, contract)


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
