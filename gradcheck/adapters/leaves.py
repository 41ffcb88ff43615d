"""Functions of arrays in whatever framework: the floating leaves of their arguments, and of what they return, by path.

One random cotangent for each output leaves one number of many.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from gradcheck.errors import DataError
from gradcheck.foundation.arrays import Array, dot
from gradcheck.foundation.pytree import Flat, flatten
from gradcheck.oracles.directions import signs


class Arguments(NamedTuple):
    """Positional arguments taken apart: the floating leaves by path, ``"args.0"``, and the rest as it is."""

    flat: Flat
    arrays: dict[str, Array]

    def rebuild(self, arrays: Mapping[str, Any]) -> tuple[Any, ...]:
        """The arguments with these leaves in place of their own."""
        pairs = zip(self.flat.names, self.flat.leaves, strict=True)
        return self.flat.rebuild([arrays.get(name, leaf) for name, leaf in pairs])["args"]


def argument_leaves(args: tuple[Any, ...], what: str) -> Arguments:
    """Flatten; complex leaves are refused."""
    flat = flatten({"args": args})
    arrays: dict[str, Array] = {}
    for name, leaf in zip(flat.names, flat.leaves, strict=True):
        if np.issubdtype(_dtype(leaf), np.complexfloating):
            raise DataError(f"{what}: {name} is complex: only real arrays are supported")
        if _is_floating(leaf):
            arrays[name] = as_numpy(leaf)
    if not arrays:
        raise DataError(f"{what}: nothing to check: no argument is a floating array")
    return Arguments(flat, arrays)


def output_leaves(value: Any, what: str) -> dict[str, Any]:
    """Floating leaves of what a function returned, by path; they may be tracers or boxes of a framework."""
    flat = flatten(value, "output")
    found = {name: leaf for name, leaf in zip(flat.names, flat.leaves, strict=True) if _is_floating(leaf)}
    if not found:
        raise DataError(f"{what} returned no floating array, but a value of type {type(value).__name__}")
    return found


def draw(outputs: Mapping[str, Array], seed: int) -> dict[str, Array]:
    """A cotangent for each output, in float64: 1 for a single number, so that its own derivative is shown."""
    if sum(value.size for value in outputs.values()) == 1:
        return {name: np.ones(value.shape) for name, value in outputs.items()}
    return {name: signs(name, value.shape, seed + 1) for name, value in outputs.items()}


def combine(outputs: Mapping[str, Array], cotangents: Mapping[str, Array]) -> float:
    """Sum over all outputs of the products of their entries with the cotangent's."""
    return sum(dot(value.astype(np.float64), cotangents[name]) for name, value in outputs.items())


def name_of(f: Callable[..., Any]) -> str:
    """What a function is called in a report."""
    return str(getattr(f, "__name__", type(f).__name__))


def _dtype(leaf: Any) -> Any:
    """NumPy's dtype; bool where there is none, or one that it does not have (a key of random numbers)."""
    if isinstance(leaf, float | complex):
        return np.dtype(float if isinstance(leaf, float) else complex)
    try:
        return np.dtype(getattr(leaf, "dtype", bool))
    except TypeError:
        return np.dtype(bool)


def _is_floating(leaf: Any) -> bool:
    return bool(np.issubdtype(_dtype(leaf), np.floating)) or _dtype(leaf).name == "bfloat16"


def as_numpy(leaf: Any) -> Array:
    """A copy as NumPy has it: bfloat16 in float32."""
    array = np.array(leaf)
    return array if np.issubdtype(array.dtype, np.floating) else array.astype(np.float32)
