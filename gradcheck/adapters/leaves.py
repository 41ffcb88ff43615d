"""Functions of arrays in whatever framework: the floating leaves of their arguments, and of what they return, by path."""

from collections.abc import Callable, Collection, Iterator, Mapping
from copy import copy
from functools import partial
from typing import Any, Self, TypeVar

import numpy as np

from gradcheck.adapters.numbers import (
    arrays_of,
    as_numpy,
    dtype_of,
    is_complex,
    is_inexact,
    is_key,
    real_dtype_of,
    unit_of,
)
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

    ``point`` has the floating leaves of the arguments by path, ``"args.0"``, ``"kwargs.mask"``, as numbers of float64; of a
    complex one real and imaginary part along a last axis, as of complex outputs. The function is given them as ``typed``
    makes them: in float64, or where it is asked ``as_given``, or refuses that, in the dtypes of ``given``. The rest is
    handed on as it is, as are those that are called ``constants``.

    ``library`` is the framework's own NumPy, and ``refused`` what the function said of float64.

    Raises
    ------
    DataError
        Where no argument is floating, or one holds numbers that nobody moves.
    """

    def __init__(
        self,
        f: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        asked: Asked,
        library: Any = np,
        typed: Callable[[Any], Any] = lambda leaf: leaf,
        constants: Collection[str] = (),
    ) -> None:
        self.f, self.name, self.library, self.typed = f, name_of(f), library, typed
        self.as_given, self.refused, self.seed = asked.dtype is not None, "", asked.seed
        self.arguments = flatten({"args": args, "kwargs": dict(kwargs)}, what=self.name)
        leaves = list(zip(self.arguments.names, self.arguments.leaves, strict=True))
        for name, leaf in leaves:
            _refuse(f"{self.name}: {name}", leaf)
        floating = {name: leaf for name, leaf in leaves if is_inexact(leaf) and name not in constants}
        if not floating:
            raise DataError(f"{self.name}: nothing to check: no argument is a floating array")
        self.complex = frozenset(name for name, leaf in floating.items() if is_complex(leaf))
        self.given = {name: named(asked.dtype) or real_dtype_of(typed(leaf)) for name, leaf in floating.items()}
        self.point = {name: self.nearest(name, as_numpy(leaf)) for name, leaf in floating.items()}
        self.brought = holders(f, _is_large)
        self.passed = {name: described(leaf) for name, leaf in leaves if is_passed(leaf) or name in constants}
        self.cotangents = draw(arrays_of(self._first(asked.dtype)), asked.seed)

    def _first(self, dtype: str | None) -> dict[str, Any]:
        """Outputs of a first call, which says in what the function can be asked."""
        try:
            return self.outputs(self.cast(self.point))
        except CallFailed as failed:
            if dtype is not None:
                raise CallFailed(f"{failed} (dtype={dtype!r})") from failed.__cause__
            self.as_given, self.refused = True, str(failed)
            return self.outputs(self.cast(self.point))

    def cast(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """The numbers that the function is given."""
        return {name: array.astype(self.given[name] if self.as_given else np.float64) for name, array in arrays.items()}

    def call(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        """Floating outputs by path, where the arguments have these leaves in place of their own."""
        pairs = zip(self.arguments.names, self.arguments.leaves, strict=True)
        given = [self._leaf(name, arrays[name]) if name in arrays else leaf for name, leaf in pairs]
        return self.parts(called(self._called, self.name, self.arguments.rebuild(given)))

    def _leaf(self, name: str, array: Any) -> Any:
        return self.typed(array[..., 0] + 1j * array[..., 1] if name in self.complex else array)

    def _called(self, given: Any) -> Any:
        return self.f(*given["args"], **given["kwargs"])

    def parts(self, value: Any) -> dict[str, Any]:
        """Floating leaves of what it returned, of complex ones real and imaginary part."""
        real, imaginary, stack = (getattr(self.library, name) for name in ("real", "imag", "stack"))
        found = output_leaves(value, self.name)
        return {n: stack([real(leaf), imaginary(leaf)], -1) if is_complex(leaf) else leaf for n, leaf in found.items()}

    def outputs(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        """The same as a call, by whatever way is quickest."""
        return self.call(arrays)

    def loss(self, arrays: Mapping[str, Array]) -> float:
        """The outputs reduced by the cotangents."""
        return combine(arrays_of(self.outputs(self.cast(arrays))), self.cotangents)

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
        yield from (f"{name} is complex: its last axis has the real and the imaginary part" for name in sorted(self.complex))
        if self.refused:
            yield f"judged in {self.coarsest[0]}, as given: in float64 {self.refused}"

    @property
    def unchecked(self) -> tuple[str, ...]:
        """The names of these."""
        return (*self.passed, *self.brought)

    @property
    def coarsest(self) -> tuple[str, float]:
        """The narrowest dtype that it was given, and its unit roundoff."""
        return max(((str(dtype), unit_of(dtype)) for dtype in self.given.values()), key=lambda each: each[1])


F = TypeVar("F", bound=Function)


def settled(function: F, gradient: Callable[[F], Gradient], asked: Asked) -> tuple[F, Arithmetic]:
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
        found = (*function.outputs(function.cast(function.point)).values(), *gradient(function.point).values())
    except CallFailed:
        return False
    return all(dtype_of(value) == np.float64 for value in found)


def is_passed(leaf: Any) -> bool:
    """Whether a leaf is handed on and named: whole numbers, and keys of random ones."""
    return is_whole(leaf) or is_key(leaf)


def _is_large(value: Any) -> bool:
    return is_array(value) and value.ndim > 0


def _refuse(what: str, leaf: Any) -> None:
    """What holds numbers and is moved by nobody."""
    if not is_inexact(leaf) and (problem := refusal(leaf, is_array)):
        raise DataError(f"{what} is {problem}")


def output_leaves(value: Any, what: str) -> dict[str, Any]:
    """Floating leaves of what a function returned, by path; they may be tracers or boxes of a framework."""
    flat = flatten(value, "output")
    found = {name: leaf for name, leaf in zip(flat.names, flat.leaves, strict=True) if is_inexact(leaf)}
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
