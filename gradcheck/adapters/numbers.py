"""Arrays and numbers of whatever framework as NumPy's, and their dtypes; bfloat16 is one of them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from gradcheck.candidates.complex_points import as_real
from gradcheck.foundation.arithmetic import COARSE
from gradcheck.foundation.arrays import Array


def dtype_of(leaf: Any) -> Any:
    """NumPy's dtype; bool where there is none, or one that it does not have (a key of random numbers)."""
    if isinstance(leaf, float | complex):
        return np.dtype(float if isinstance(leaf, float) else complex)
    try:
        return np.dtype(getattr(leaf, "dtype", bool))
    except TypeError:
        return np.dtype(bool)


def is_floating(leaf: Any) -> bool:
    """Whether it is a real floating number or array."""
    return bool(np.issubdtype(dtype_of(leaf), np.floating)) or dtype_of(leaf).name == "bfloat16"


def is_complex(leaf: Any) -> bool:
    """Whether it is a complex number or array."""
    return bool(np.issubdtype(dtype_of(leaf), np.complexfloating))


def is_inexact(leaf: Any) -> bool:
    """Whether it is a real or complex floating number or array."""
    return is_floating(leaf) or is_complex(leaf)


def is_key(leaf: Any) -> bool:
    """Whether it is one of JAX's keys of random numbers, or an array of them."""
    return str(getattr(leaf, "dtype", "")).startswith("key<")


def real_dtype_of(leaf: Any) -> Any:
    """Of its real part, where it is complex."""
    dtype = dtype_of(leaf)
    return np.empty(0, dtype).real.dtype if is_complex(leaf) else dtype


def unit_of(dtype: Any) -> float:
    """Unit roundoff."""
    return COARSE["bfloat16"] if dtype.name == "bfloat16" else float(np.finfo(dtype).eps) / 2


def as_numpy(leaf: Any) -> Array:
    """A copy as NumPy has it: bfloat16 in float32, a complex one with its parts along a last axis."""
    array = np.array(leaf)
    if np.iscomplexobj(array):
        return as_real(array)
    return array if np.issubdtype(array.dtype, np.floating) else array.astype(np.float32)


def arrays_of(leaves: Mapping[str, Any]) -> dict[str, Array]:
    """Each as NumPy has it."""
    return {name: as_numpy(leaf) for name, leaf in leaves.items()}
