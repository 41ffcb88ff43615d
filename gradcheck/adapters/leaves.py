"""Functions of arrays in whatever framework: the floating leaves of their arguments, and of what they return, by path."""

from collections.abc import Callable, Iterator, Mapping
from copy import copy
from functools import partial
from typing import Any, Self

import numpy as np

from gradcheck.adapters.numbers import arrays_of, as_numpy, dtype_of, is_floating, unit_of
from gradcheck.candidates.given import Gradient, Narrow
from gradcheck.candidates.point import brought_notes, described, handed_on, is_array, is_whole, refusal
from gradcheck.candidates.precision import Arithmetic, named
from gradcheck.errors import CallFailed, DataError
from gradcheck.foundation.arithmetic import UNIT
from gradcheck.foundation.arrays import Array, dot
from gradcheck.foundation.calling import called
from gradcheck.foundation.objects.captured import holders
from gradcheck.foundation.objects.pytree import flatten
from gradcheck.foundation.validation import Asked
from gradcheck.oracles.directions import signs


class Function:
    """A function at its arguments, whose outputs are reduced to one number by a random cotangent for each.

    ``point`` has the floating leaves of the arguments by path, ``"args.0"``, as numbers of float64. The function is given
    them as ``typed`` makes them: in float64, or where it is asked ``as_given``, or refuses that, in the dtypes of ``given``.
    The rest is handed on as it is.

    Raises
    ------
    DataError
        Where no argument is floating, or one holds numbers that nobody moves.
    """

    def __init__(
        self,
        f: Callable[..., Any],
        args: tuple[Any, ...],
        asked: Asked,
        typed: Callable[[Any], Any] = lambda leaf: leaf,
    ) -> None:
        self.f, self.name, self.typed, self.as_given = f, name_of(f), typed, asked.dtype is not None
        self.seed = asked.seed
        self.arguments = flatten({"args": args}, what=self.name)
        leaves = list(zip(self.arguments.names, self.arguments.leaves, strict=True))
        for name, leaf in leaves:
            _refuse(f"{self.name}: {name}", leaf)
        floating = {name: leaf for name, leaf in leaves if is_floating(leaf)}
        if not floating:
            raise DataError(f"{self.name}: nothing to check: no argument is a floating array")
        self.given = {name: named(asked.dtype) or dtype_of(leaf) for name, leaf in floating.items()}
        self.point = {name: self.nearest(name, as_numpy(leaf)) for name, leaf in floating.items()}
        self.brought = holders(f, _is_large)
        self.passed = {name: described(leaf) for name, leaf in leaves if is_whole(leaf)}
        self.cotangents = draw(arrays_of(self._first(asked.dtype)), asked.seed)

    def _first(self, dtype: str | None) -> dict[str, Any]:
        """Outputs of a first call, which says in what the function can be asked."""
        try:
            return self.call(self.cast(self.point))
        except CallFailed as failed:
            if dtype is not None:
                raise CallFailed(f"{failed} (dtype={dtype!r})") from failed.__cause__
            self.as_given = True
            return self.call(self.cast(self.point))

    def cast(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """The numbers that the function is given."""
        return {name: array.astype(self.given[name] if self.as_given else np.float64) for name, array in arrays.items()}

    def call(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        """Floating outputs by path, where the arguments have these leaves in place of their own."""
        pairs = zip(self.arguments.names, self.arguments.leaves, strict=True)
        given = [self.typed(arrays[name]) if name in arrays else leaf for name, leaf in pairs]
        return output_leaves(called(self.f, self.name, *self.arguments.rebuild(given)["args"]), self.name)

    def loss(self, arrays: Mapping[str, Array]) -> float:
        """The outputs reduced by the cotangents."""
        return combine(arrays_of(self.call(self.cast(arrays))), self.cotangents)

    def in_given_dtype(self) -> Self:
        """The same, asked in the dtypes that it was given."""
        other = copy(self)
        other.as_given = True
        return other

    def nearest(self, name: str, array: Array) -> Array:
        """The numbers of a leaf's own dtype."""
        return array.astype(self.given[name]).astype(np.float64)

    def notes(self) -> Iterator[str]:
        """What is handed on as it is, and what the function brings along."""
        yield from (*handed_on(self.passed), *brought_notes(self.brought, self.name))

    @property
    def unchecked(self) -> tuple[str, ...]:
        """The names of these."""
        return (*self.passed, *self.brought)

    @property
    def coarsest(self) -> tuple[str, float]:
        """The narrowest dtype that it was given, and its unit roundoff."""
        return max(((str(dtype), unit_of(dtype)) for dtype in self.given.values()), key=lambda each: each[1])


def settled(function: Function, gradient: Callable[[Function], Gradient], asked: Asked) -> tuple[Function, Arithmetic]:
    """The function as it is judged, in float64 if outputs and gradient follow that, and its arithmetic."""
    dtype, unit = function.coarsest
    if unit <= UNIT:
        return function, Arithmetic()
    low = function.in_given_dtype()
    if asked.dtype is not None or function.as_given or not _follows(function, gradient(function)):
        return low, Arithmetic(unit, function.nearest)
    return function, Arithmetic(narrow=Narrow(dtype, unit, function.nearest, low.loss, gradient(low)))


def _follows(function: Function, gradient: Gradient) -> bool:
    try:
        found = (*function.call(function.cast(function.point)).values(), *gradient(function.point).values())
    except CallFailed:
        return False
    return all(dtype_of(value) == np.float64 for value in found)


def _is_large(value: Any) -> bool:
    return is_array(value) and value.ndim > 0


def _refuse(what: str, leaf: Any) -> None:
    """What holds numbers and is moved by nobody."""
    if np.issubdtype(dtype_of(leaf), np.complexfloating):
        raise DataError(f"{what} is complex: only real arrays are supported")
    if not is_floating(leaf) and (problem := refusal(leaf, is_array)):
        raise DataError(f"{what} is {problem}")


def output_leaves(value: Any, what: str) -> dict[str, Any]:
    """Floating leaves of what a function returned, by path; they may be tracers or boxes of a framework."""
    flat = flatten(value, "output")
    found = {name: leaf for name, leaf in zip(flat.names, flat.leaves, strict=True) if is_floating(leaf)}
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
    """What a function is called in a report; one of which some arguments are given, as it is without."""
    return name_of(f.func) if isinstance(f, partial) else str(getattr(f, "__name__", type(f).__name__))
