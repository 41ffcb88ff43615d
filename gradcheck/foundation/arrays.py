"""What every room shares: the type of an array, an inner product, and a norm that is safe at every size."""

from functools import cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

SQUARED = 1e-140  # of this size and more squares do not underflow in double precision

Array: TypeAlias = NDArray[Any]


def dot(a: Array, b: Array) -> float:
    """Sum of the products of entries, pairwise: more accurate than BLAS, whose threads get in the way of a framework's."""
    return float(np.sum(a * b))


def zeros(shape: tuple[int, ...]) -> Array:
    """Zeros that take no memory, and may not be written to."""
    return np.broadcast_to(0.0, shape)


def norm(x: Array) -> float:
    """Euclidean norm over all entries, also of what is too small or too large to be squared."""
    with np.errstate(all="ignore"):
        plain = float(np.sqrt(np.sum(x * x)))
    if SQUARED < plain < 1 / SQUARED:
        return plain
    largest = float(np.max(np.abs(x), initial=0.0))
    return largest * float(np.sqrt(np.sum((x / largest) ** 2))) if 0 < largest < np.inf else largest


def rms(x: Array) -> float:
    """Root of the mean square, at every size; 0 of nothing."""
    return norm(x) / max(x.size, 1) ** 0.5


@cache
def keep_memory() -> None:
    """Once a process: free a block of 31 MiB, so that glibc keeps the memory of smaller temporaries for the next ones.

    Else it gives back every array above 128 KiB, and each new one costs a page fault for 4 KiB: four times the arithmetic
    (``M_MMAP_THRESHOLD`` in mallopt(3), which grows to the largest block that was freed, 32 MiB at most).
    """
    np.empty(31 << 20, np.uint8)
