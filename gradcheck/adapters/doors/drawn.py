"""Tests of kernels that Hypothesis draws."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from gradcheck.adapters.doors.pytorch import check_torch
from gradcheck.errors import DescriptionError, LibraryNotInstalled
from gradcheck.foundation.validation import accuracy_of, count_of, seed_of
from gradcheck.foundation.wording import shown


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
