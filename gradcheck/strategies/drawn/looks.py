"""What one tensor is beside its shape, in four words: ``"float32 transposed gaussian 17"``."""

from collections.abc import Iterable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from hypothesis import strategies as st

from gradcheck.errors import DescriptionError
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.wording import nearest, shown
from gradcheck.strategies.arguments import several
from gradcheck.strategies.drawn.entries import REALS, WHOLE, filled
from gradcheck.strategies.drawn.memory import LAYOUTS, as_numpy, as_torch, fitting

FLOATING = ("float32", "bfloat16", "float16", "float64")
COUNTING = ("int64", "int32", "bool")
LIBRARIES = {"torch": as_torch, "numpy": as_numpy}
SEEDS = st.integers(0, 2**16 - 1)


Names: TypeAlias = Iterable[str] | None


class Look(NamedTuple):
    """A tensor beside its shape; as text the words that `read` reads."""

    dtype: str = "float32"
    layout: str = "contiguous"
    values: str = "gaussian"
    seed: int = 0

    def __str__(self) -> str:
        return " ".join(map(str, self))


class Choice(NamedTuple):
    """What the look of one tensor is chosen from; booleans and integers are indices below a number."""

    dtypes: tuple[str, ...] = ("float32",)
    layouts: tuple[str, ...] = tuple(LAYOUTS)
    values: tuple[str, ...] = tuple(REALS)
    requires_grad: bool = True

    @property
    def floats(self) -> bool:
        """Whether its numbers are real ones."""
        return self.dtypes[0] in FLOATING

    @property
    def usual(self) -> Look:
        """The look that all others shrink to."""
        return Look(self.dtypes[0], self.layouts[0], self.values[0])


def choice_of(
    owner: str, dtypes: object, values: Iterable[str] | None, layouts: Iterable[str] | None, *, requires_grad: bool
) -> Choice:
    """The choice that was asked for, or one sentence that says what cannot be."""
    floating = dtypes_of(dtypes, owner)
    floats = floating[0] in FLOATING
    if any((dtype in FLOATING) != floats for dtype in floating):
        raise DescriptionError(f"expected dtypes that are all floating or none, got {shown(dtypes)}", owner)
    usual = list(REALS) if floats else [name for name in WHOLE if name != "first" or floating[0] != "bool"]
    chosen = among(values, REALS if floats else WHOLE, "values", usual)
    return Choice(floating, among(layouts, LAYOUTS, "layouts"), chosen, requires_grad and floats)


def dtypes_of(dtypes: object, owner: str = "dtypes") -> tuple[str, ...]:
    """Names of dtypes, of one or of several, which may be PyTorch's or NumPy's own."""
    return among(tuple(map(_dtype_name, several(dtypes))), (*FLOATING, *COUNTING), owner, kind="dtype")


def _dtype_name(dtype: Any) -> str:
    text = str(dtype)
    if isinstance(dtype, str) or text.startswith("torch."):
        return text.removeprefix("torch.")
    try:
        return np.dtype(dtype).name
    except TypeError:
        return text


def among(given: Names, known: Iterable[str], what: str, usual: Names = None, kind: str = "name") -> tuple[str, ...]:
    """Some of what there is, by name; where nobody says which, the usual."""
    known = list(known)
    names = (given,) if isinstance(given, str) else tuple((usual or known) if given is None else given)
    for name in names:
        if name not in known:
            raise DescriptionError(f"unknown {kind} {shown(name)}, {nearest(str(name), known)}", what)
    if not names:
        raise DescriptionError(f"expected at least one {kind}", what)
    return names


@st.composite
def looks(draw: st.DrawFn, choice: Choice, shape: tuple[int, ...], dtype: str | None = None) -> Look:
    """Looks that a tensor of this shape can have; half of them are the usual one in each regard."""
    dtype = draw(st.sampled_from(choice.dtypes)) if dtype is None else dtype
    layout = draw(_mostly(fitting(shape, choice.layouts, written=choice.requires_grad)))
    return Look(dtype, layout, draw(_mostly(choice.values)), draw(SEEDS))


def _mostly(names: tuple[str, ...]) -> st.SearchStrategy[str]:
    """The first as often as all others together; shrinks to it."""
    return st.sampled_from(((names[0],) * (len(names) - 2) + names) if len(names) > 1 else names)


def read(text: object, choice: Choice, owner: str) -> Look:
    """A look from some of its words in any order; what is not said is as usual."""
    look = choice.usual
    for word in str(text).split():
        if word.isdecimal():
            look = look._replace(seed=int(word))
        elif word in (*FLOATING, *COUNTING):
            look = look._replace(dtype=word)
        elif word in LAYOUTS:
            look = look._replace(layout=word)
        elif word in (REALS if choice.floats else WHOLE):
            look = look._replace(values=word)
        else:
            known = (*FLOATING, *COUNTING, *LAYOUTS, *(REALS if choice.floats else WHOLE))
            raise DescriptionError(f"expected words as in {str(look)!r}, got {word!r}, {nearest(word, known)}", owner)
    return look


def made(look: Look, shape: tuple[int, ...], below: int | None, library: str, *, requires_grad: bool) -> Any:
    """The array or tensor itself."""
    entries: Array = filled(look.values, look.seed, shape, below)
    array: Any = LIBRARIES[library](entries, look.dtype, look.layout)
    return array.requires_grad_() if requires_grad and library == "torch" else array
