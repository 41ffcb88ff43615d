"""Where the entries of a tensor lie: layouts, and arrays of PyTorch and NumPy that have them.

What lies between the entries of a tensor is NaN: a kernel that reads there and uses what it finds shows it.
"""

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from gradcheck.foundation.arrays import Array
from gradcheck.foundation.loading import needing

Shape: TypeAlias = tuple[int, ...]


class Layout(NamedTuple):
    """What is stored for a tensor of some shape, and how the tensor is seen in that; for arrays of either library.

    ``axes`` is how many a tensor must have at least.
    """

    axes: int
    stored: Callable[[Shape], Shape]
    seen: Callable[[Any, Shape], Any]


def _as_they_are(shape: Shape) -> Shape:
    return shape


def _one_more(shape: Shape) -> Shape:
    return (prod(shape) + 1,)


def _exchanged(shape: Shape) -> Shape:
    return (*shape[:-2], shape[-1], shape[-2])


def _wider(shape: Shape) -> Shape:
    return (*shape[:-1], shape[-1] + 3)


def _twice(shape: Shape) -> Shape:
    return (*shape[:-1], 2 * shape[-1])


def _one_row(shape: Shape) -> Shape:
    return (1, *shape[1:])


def _all(stored: Any, _shape: Shape) -> Any:
    return stored


def _behind_the_first(stored: Any, shape: Shape) -> Any:
    return stored[1:].reshape(shape)


def _transposed(stored: Any, _shape: Shape) -> Any:
    return stored.swapaxes(-1, -2)


def _first_columns(stored: Any, shape: Shape) -> Any:
    return stored[..., : shape[-1]]


def _every_second(stored: Any, _shape: Shape) -> Any:
    return stored[..., ::2]


def _expanded(stored: Any, shape: Shape) -> Any:
    return stored.expand(shape) if hasattr(stored, "expand") else np.broadcast_to(stored, shape)


LAYOUTS: dict[str, Layout] = {
    "contiguous": Layout(0, _as_they_are, _all),
    "shifted": Layout(0, _one_more, _behind_the_first),
    "transposed": Layout(2, _exchanged, _transposed),
    "padded": Layout(2, _wider, _first_columns),
    "sliced": Layout(1, _twice, _every_second),
    "expanded": Layout(1, _one_row, _expanded),
}
"""By name, in the order in which they shrink: one number in front of it, its last two axes exchanged, rows of a wider array,
every second entry, and one row for all."""


def fitting(shape: Shape, layouts: tuple[str, ...], *, written: bool) -> tuple[str, ...]:
    """Those that a tensor of this shape can have; what is ``written`` to in place has its entries to itself."""
    alone = written or shape[:1] == (0,)
    can = [name for name in layouts if LAYOUTS[name].axes <= len(shape) and not (alone and name == "expanded")]
    return tuple(can) or ("contiguous",)


def placed(entries: Array, layout: str) -> Array:
    """The entries in a larger array, as `Layout.stored` has it."""
    where = LAYOUTS[layout]
    gap = np.nan if entries.dtype.kind == "f" else 0
    stored = np.full(where.stored(entries.shape), gap, entries.dtype)
    if layout == "expanded":
        stored[...] = entries[:1]
    else:
        where.seen(stored, entries.shape)[...] = entries
    return stored


def as_numpy(entries: Array, dtype: str, layout: str) -> Array:
    """A NumPy array of these entries."""
    stored = placed(entries, layout).astype(dtype)
    return LAYOUTS[layout].seen(stored, entries.shape)


def as_torch(entries: Array, dtype: str, layout: str) -> Any:
    """A PyTorch tensor of these entries, a leaf."""
    with needing("torch"):
        import torch
    from_numpy: Any = torch.from_numpy  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    stored = from_numpy(placed(entries, layout)).to(getattr(torch, dtype))
    return LAYOUTS[layout].seen(stored, entries.shape)
