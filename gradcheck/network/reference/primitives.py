"""Operations of which the meaning of a layer is made, beside those of NumPy.

A meaning is written once, in plain NumPy and with these, for arrays of any dtype. Where operations are recorded
(`gradcheck.network.analysis.tape`) something that behaves as an array takes an array's place: NumPy hands its own functions
over by its protocols, and these do so by themselves.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from typing import Any, TypeVar, cast

import numpy as np

from gradcheck.foundation.arrays import Array

F = TypeVar("F", bound=Callable[..., Any])


class Recorded:
    """What takes the place of an array where operations are recorded."""

    def recorded(self, operation: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Do and record an operation."""
        raise NotImplementedError

    def within(self, name: str) -> AbstractContextManager[None]:
        """Record what follows as part of the layer of this name."""
        raise NotImplementedError


def primitive(function: F) -> F:
    """A function that hands itself over where one of its arguments is recorded."""

    @wraps(function)
    def either(*arguments: Any, **options: Any) -> Any:
        recorder = next((each for each in arguments if isinstance(each, Recorded)), None)
        return function(*arguments, **options) if recorder is None else recorder.recorded(either, arguments, options)

    return cast("F", either)


@primitive
def windows(x: Array, *, kernel: int, stride: int, padding: int, dilation: int, fill: float = 0.0) -> Array:
    """The windows of images: from (n, channels, height, width) to (n, channels, rows, columns, kernel * kernel).

    The image is surrounded by ``padding`` entries of ``fill``; windows begin ``stride`` apart, and of each every
    ``dilation``-th entry is taken.
    """
    room = ((0, 0), (0, 0), (padding, padding), (padding, padding))
    wide = np.pad(x, room, constant_values=fill) if padding else x
    reach = dilation * (kernel - 1) + 1
    seen = np.lib.stride_tricks.sliding_window_view(wide, (reach, reach), axis=(2, 3))
    taken = seen[:, :, ::stride, ::stride, ::dilation, ::dilation]
    return taken.reshape(*taken.shape[:4], kernel * kernel)


@primitive
def largest(x: Array) -> Array:
    """The largest entry along the last axis, by its real part; the first of equals."""
    return np.take_along_axis(x, np.argmax(np.real(x), axis=-1)[..., None], axis=-1)[..., 0]


@primitive
def softmax(x: Array, keep: Any = True) -> Array:
    """``exp(x_i) / sum_j exp(x_j)`` along the last axis, over the entries that ``keep`` leaves in; 0 at the others."""
    kept = np.broadcast_to(keep, x.shape)
    top = np.max(np.real(x), axis=-1, keepdims=True, where=kept, initial=-np.inf)
    zero: Array = x.dtype.type(0)
    gap = np.where(kept, x - top, zero)
    e = np.where(kept, np.exp(gap), zero)
    return e / e.sum(axis=-1, keepdims=True)
