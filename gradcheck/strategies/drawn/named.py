"""Tensors whose axes have names: one name is one size in all that is drawn for a test."""

from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from typing import Any, cast

from hypothesis import reject
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from gradcheck.errors import DescriptionError
from gradcheck.foundation.wording import shown
from gradcheck.strategies.arguments import several
from gradcheck.strategies.drawn.axes import Size, axes_of, check_known, extents, mentioned, named
from gradcheck.strategies.drawn.boundaries import sizes as boundary_sizes
from gradcheck.strategies.drawn.looks import LIBRARIES, choice_of, looks, made

SIZES: st.SearchStrategy[dict[str, Size]] = st.shared(st.builds(dict[str, Size]), key="gradcheck: sizes of named axes")
"""Those of the test that is being drawn for, as far as they are known by now."""

SEVERAL = st.lists(st.integers(1, 3), max_size=2).map(tuple)  # the axes that a name with a star stands for
USUAL = boundary_sizes()


def tensors(
    shape: str | int | Iterable[str | int],
    *,
    dtypes: Any = "float32",
    sizes: Mapping[str, Any] | None = None,
    values: Iterable[str] | None = None,
    layouts: Iterable[str] | None = None,
    below: str | int | None = None,
    requires_grad: bool = False,
    library: str = "torch",
) -> st.SearchStrategy[Any]:
    """Tensors of PyTorch, or arrays of NumPy, as kernels meet them.

    Entries come from a seed, which is fast; what shrinks is their size and what is unusual about them. Shrinks to small,
    contiguous, Gaussian tensors of the first dtype.

    Parameters
    ----------
    shape : str, or sequence of str and int
        ``"batch rows 2*columns 4"``, as jaxtyping writes it. One name is one size in all tensors of a test; `sizes` draws it
        unless a tensor that was drawn before has it. ``*batch`` stands for none to two axes.
    dtypes : str or sequence, optional
        One of them: ``"float32"``, ``"bfloat16"``, ``"float16"``, ``"float64"``, ``"int64"``, ``"int32"``, ``"bool"``, or
        dtypes of either library.
    sizes : dict of str to int, sequence or strategy, optional
        Of named axes, or what to choose from.
    values : str or sequence of str, optional
        Of floating tensors: ``"gaussian"``, ``"heavy"`` tails, ``"tiny"``, ``"offset"`` by a thousand, ``"saturated"``,
        ``"ties"``, equal ``"rows"``, ``"zeros"``. Of others: ``"uniform"``, all ``"first"``, all ``"last"``. By default all;
        of booleans all but ``"first"``, which is False everywhere.
    layouts : str or sequence of str, optional
        ``"contiguous"``, ``"shifted"`` by one in its storage, ``"transposed"`` in the last two axes, ``"padded"`` rows,
        ``"sliced"`` with a step of two, ``"expanded"`` along the first axis, where nothing requires a gradient. By default
        all. What lies between a tensor's entries is NaN.
    below : int or str, optional
        What integers are less than: a number, the name of a size, or an expression in them.
    requires_grad : bool
        Of floating tensors of PyTorch.
    library : {"torch", "numpy"}
        NumPy has no bfloat16.

    Raises
    ------
    InvalidArgument
        At once, with the argument's name and value.

    Examples
    --------
    >>> from hypothesis import given
    >>> @given(tensors("rows columns", layouts="transposed"), tensors("columns", dtypes=["float32", "bfloat16"]))
    ... def test_a_tensor_is_as_long_as_the_rows_of_another(x, weight):
    ...     assert x.shape[1] == len(weight)
    """
    with _refused():
        axes = axes_of(shape, "shape")
        choice = choice_of("dtypes", dtypes, values, layouts, requires_grad=requires_grad)
        limits = axes_of(below, "below") if below is not None else ("2",) if choice.dtypes == ("bool",) else ()
        own = {name: size_strategy(given, f"sizes[{name!r}]") for name, given in (sizes or {}).items()}
        check_known(own, [*named(axes), *(name for limit in limits for name in mentioned(limit))], "sizes")
        if choice.floats == bool(limits) or len(limits) > 1:
            raise DescriptionError(f"expected one limit of integers, and none of floating dtypes, got {below!r}", "below")
        if library not in LIBRARIES or (library == "numpy" and "bfloat16" in choice.dtypes):
            raise DescriptionError(f"expected 'torch', or 'numpy' without bfloat16, got {library!r}", "library")
    return _tensors(axes, limits, own, choice, library)


@contextmanager
def _refused() -> Any:
    """Strategies refuse arguments as Hypothesis's own do."""
    try:
        yield
    except DescriptionError as error:
        raise InvalidArgument(str(error)) from None


def size_strategy(given: Any, owner: str) -> st.SearchStrategy[Any]:
    """Of one size: a number, what to choose from, or a strategy."""
    if isinstance(given, st.SearchStrategy):
        return cast("st.SearchStrategy[Any]", given)
    choices = several(given)
    if not choices or any(isinstance(each, bool) or not isinstance(each, int) or each < 0 for each in choices):
        raise DescriptionError(f"expected int >= 0, a sequence of them, or a strategy, got {shown(given)}", owner)
    return st.sampled_from(sorted(choices))


@st.composite
def _tensors(
    draw: st.DrawFn, axes: tuple[str, ...], limits: tuple[str, ...], own: Mapping[str, Any], choice: Any, library: str
) -> Any:
    known = draw(SIZES)
    for word in [*named(axes), *(name for each in (*axes, *limits) for name in mentioned(each))]:
        name = word.removeprefix("*")
        if name not in known:
            known[name] = draw(own.get(name, SEVERAL if word.startswith("*") else USUAL))
    shape, below = fitted(axes, known), limit(limits, known)
    look = draw(looks(choice, shape))
    return made(look, shape, below, library, requires_grad=choice.requires_grad)


def fitted(axes: tuple[str, ...], sizes: Mapping[str, Size]) -> tuple[int, ...]:
    """The shape at these sizes, if there is such a tensor."""
    shape = extents(axes, sizes)
    return shape if min(shape, default=0) >= 0 else reject()


def limit(limits: tuple[str, ...], sizes: Mapping[str, Size]) -> int | None:
    """What integers are below at these sizes, if there are such integers; None of real numbers."""
    if not limits:
        return None
    (below,) = extents(limits, sizes)
    return below if below >= 1 else reject()
