"""Whether what was returned as a gradient has the form of one, before any arithmetic."""

from typing import Any, NamedTuple

import numpy as np

from gradcheck.foundation.arrays import Array


class Defect(NamedTuple):
    """What is wrong, or cannot be decided, before any arithmetic: a stable identifier and one sentence."""

    cause: str
    sentence: str


def comparable(value: Any, like: Array) -> tuple[Array | None, str]:
    """The gradient as an array, if it has the form of one, and why it cannot be compared."""
    try:
        array = np.asarray(value)
    except Exception as error:
        return None, f"the gradient is {described(value)} and no array: {' '.join(str(error).split())}"
    if array.dtype.kind not in "fiu":
        return None, f"the gradient is {described(value)} of dtype {array.dtype}, expected real numbers"
    if array.shape != like.shape:
        return None, f"the gradient has shape {array.shape}, expected {like.shape}"
    if not np.isfinite(array).all():
        index = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        return array, f"the gradient is {array[index]} at {list(index)}"
    return array, ""


def described(value: Any) -> str:
    """A value that is not what it should be, in few words."""
    if value is None:
        return "None"
    shape = getattr(value, "shape", ())
    return f"a value of type {type(value).__name__}" + (f" and shape {tuple(shape)}" if shape else "")
