"""Functions of arrays in whatever framework: the floating leaves of their arguments, and of what they return, by path."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gradcheck.errors import DataError
from gradcheck.foundation.arrays import Array, dot
from gradcheck.foundation.calling import called
from gradcheck.foundation.objects.pytree import Flat, flatten
from gradcheck.oracles.directions import signs


class Function:
    """A function at its arguments, whose outputs are reduced to one number by a random cotangent for each.

    ``point`` has the floating leaves of the arguments by path, ``"args.0"``, which the function is given as ``typed`` makes
    them; the rest is handed on as it is.
    """

    def __init__(
        self, f: Callable[..., Any], args: tuple[Any, ...], seed: int, typed: Callable[[Any], Any] = lambda leaf: leaf
    ) -> None:
        self.f, self.name, self.typed = f, name_of(f), typed
        self.arguments = flatten({"args": args})
        self.point = _floating(self.arguments, self.name)
        self.cotangents = draw(arrays_of(self.call(self.point)), seed)

    def call(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        """Floating outputs by path, where the arguments have these leaves in place of their own."""
        pairs = zip(self.arguments.names, self.arguments.leaves, strict=True)
        given = [self.typed(arrays[name]) if name in arrays else leaf for name, leaf in pairs]
        return output_leaves(called(self.f, self.name, *self.arguments.rebuild(given)["args"]), self.name)

    def loss(self, arrays: Mapping[str, Array]) -> float:
        """The outputs reduced by the cotangents."""
        return combine(arrays_of(self.call(arrays)), self.cotangents)


def _floating(arguments: Flat, what: str) -> dict[str, Array]:
    arrays: dict[str, Array] = {}
    for name, leaf in zip(arguments.names, arguments.leaves, strict=True):
        if np.issubdtype(_dtype(leaf), np.complexfloating):
            raise DataError(f"{what}: {name} is complex: only real arrays are supported")
        if _is_floating(leaf):
            arrays[name] = as_numpy(leaf)
    if not arrays:
        raise DataError(f"{what}: nothing to check: no argument is a floating array")
    return arrays


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


def arrays_of(leaves: Mapping[str, Any]) -> dict[str, Array]:
    """Each as NumPy has it."""
    return {name: as_numpy(leaf) for name, leaf in leaves.items()}
