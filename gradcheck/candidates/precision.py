"""In which arithmetic a candidate is judged: float64 where it follows, else the dtype that its point was given in.

Differences in float64 see a thousand million times more than in float32, and most code follows its arguments' dtype. A
kernel that takes one dtype only is asked in that, at numbers that the dtype has: how far it has moved is then known exactly.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from gradcheck.candidates.functions import Beside, Loss, Subject, gradients, loss_function
from gradcheck.candidates.given import Narrow
from gradcheck.errors import CallFailed, DescriptionError
from gradcheck.foundation.arithmetic import UNIT
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.objects.pytree import Pytree
from gradcheck.foundation.wording import enumerated, shown
from gradcheck.oracles.line import Nearest

AS_GIVEN = "as given"
DTYPES = ("float64", "float32", "float16")


class Arithmetic(NamedTuple):
    """What a loss is given, and what its gradient is computed in.

    Attributes
    ----------
    unit : float
        Unit roundoff.
    nearest : callable, optional
        To the numbers that it has, where these are not all of float64.
    narrow : Narrow, optional
        The same candidate in the dtype that was given, where it is judged in float64 and that was another.
    """

    unit: float = UNIT
    nearest: Nearest | None = None
    narrow: Narrow | None = None

    @property
    def given(self) -> tuple[Nearest | None, float]:
        """Which numbers a function is given, and their roundoff."""
        return self.nearest, self.unit


def cast(tree: Pytree, dtype: str | None) -> Pytree:
    """The point in the dtype that was asked for, if one was."""
    asked = named(dtype)
    if not asked:
        return tree
    return tree._replace(arrays={name: value.astype(_like(value, asked)) for name, value in tree.arrays.items()})


def _like(value: Array, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The complex dtype of that precision where the values are complex; there is none that is half as wide."""
    return np.result_type(dtype, np.complex64) if value.dtype.kind == "c" else dtype


def named(dtype: str | None) -> np.dtype[Any] | None:
    """The dtype that was asked for by name, if one was."""
    return None if dtype in (None, AS_GIVEN) else np.dtype(one_of(dtype, DTYPES))


def one_of(dtype: object, names: Sequence[str]) -> str:
    """The name of a dtype.

    Raises
    ------
    DescriptionError
        Where none of these is called so.
    """
    if dtype not in names:
        raise DescriptionError(f"expected {AS_GIVEN!r}, {enumerated(names)}, got {shown(dtype)}", "dtype")
    return str(dtype)


def is_narrow(value: Array) -> bool:
    """Whether there are numbers of float64 that it cannot hold."""
    return bool(np.finfo(value.dtype).eps > np.finfo(float).eps)


def asking(subject: Subject, wide: Mapping[str, Array], beside: Beside, as_given: bool) -> tuple[Loss, float, Arithmetic]:
    """The loss of float64 arrays, its value at the point, and what it computes in.

    In float64; in the dtype of its point where it refuses float64, or where that is asked for.

    Raises
    ------
    CallFailed
        Where it refuses both: with what it says in the dtype that was given.
    """
    function = loss_function(subject, wide, beside)
    given = subject.coordinates
    narrow = [value for value in given.values() if is_narrow(value)]
    if not narrow:
        return function, function(wide), Arithmetic()
    own = loss_function(subject, wide, beside, {name: value.dtype for name, value in given.items()})
    low = _narrow(subject, own)
    if not as_given:
        with suppress(CallFailed):
            return function, function(wide), Arithmetic(narrow=low)
    return own, own(wide), Arithmetic(low.unit, low.nearest)


def _narrow(subject: Subject, loss: Loss) -> Narrow:
    arrays = subject.coordinates
    coarsest = max((value.dtype for value in arrays.values()), key=lambda dtype: np.finfo(dtype).eps)

    def nearest(name: str, value: Array) -> Array:
        return value.astype(arrays[name].dtype).astype(np.float64)

    def gradient(at: Mapping[str, Array]) -> Mapping[str, Array]:
        return gradients(subject, {name: value.astype(arrays[name].dtype) for name, value in at.items()}).gradients

    return Narrow(str(coarsest), float(np.finfo(coarsest).eps) / 2, nearest, loss, gradient)
