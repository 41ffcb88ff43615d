"""A function of many outputs as a vector of rows: called on copies, each point once, so that all rows know what it said."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from gradcheck.candidates.answer import is_another
from gradcheck.candidates.bounds import bounded
from gradcheck.candidates.claim import REPEATS
from gradcheck.errors import CallFailed, DataError
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.calling import guarded
from gradcheck.foundation.objects.pytree import BARE, Flat, Pytree, flatten, take_apart
from gradcheck.verdict.entrywise import place


class Part(NamedTuple):
    """One leaf of the outputs or of the inputs: where it lies among all rows or columns, and its shape."""

    name: str
    start: int
    shape: tuple[int, ...]

    @property
    def stop(self) -> int:
        """Behind its last row or column."""
        return self.start + int(np.prod(self.shape))

    @property
    def span(self) -> slice:
        """Its rows or columns."""
        return slice(self.start, self.stop)

    def indices(self, flat: int) -> tuple[int, ...]:
        """Of a row or column among all, the index within the leaf."""
        return place(flat - self.start, self.shape)

    @property
    def is_bare(self) -> bool:
        """Whether it is all that there is, in no nesting."""
        return self.name == BARE


class Sides(NamedTuple):
    """The leaves of the outputs, which are the rows, and of the inputs, which are the columns."""

    outputs: tuple[Part, ...]
    inputs: tuple[Part, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Of the matrix: all outputs by all inputs."""
        return self.outputs[-1].stop, self.inputs[-1].stop

    def place(self, row: int, column: int) -> tuple[Part, Part]:
        """The leaves that a row and a column belong to."""
        return (
            next(part for part in self.outputs if part.start <= row < part.stop),
            next(part for part in self.inputs if part.start <= column < part.stop),
        )

    def indices(self, row: int, column: int) -> tuple[int, ...]:
        """Within their pair of leaves."""
        output, given = self.place(row, column)
        return (*output.indices(row), *given.indices(column))

    def pair(self, output: Part, given: Part, of: str = "jacobian") -> str:
        """What the block of derivatives of an output by an input is called."""
        if output.is_bare:
            return of if given.is_bare else f"{of} by {given.name}"
        return f"{output.name} by {given.name}"


class System:
    """Values of a function, raveled; each point is evaluated once.

    Parameters
    ----------
    f : callable
        From a pytree like the point to an array, a list of numbers, or a pytree of arrays.
    tree : Pytree
        The point.
    args : tuple
        Handed on to ``f``.
    bounds
        As `check` takes them; outside of them it has no values.

    Attributes
    ----------
    evaluations : int
        Points at which it was called.
    here : array
        Its values at the point.
    repeats : bool
        Whether two calls there said the same.
    """

    def __init__(self, f: Callable[..., Any], tree: Pytree, args: tuple[Any, ...] = (), bounds: Any = None) -> None:
        self.tree, self.args, self.evaluations = tree, args, 0
        self.f = guarded(f, "f")
        self._known: dict[bytes, Array] = {}
        first = _outputs(self._call(self.point()))
        self.sides = Sides(
            parts({n: v.shape for n, v in first.items()}), parts({n: v.shape for n, v in tree.arrays.items()})
        )
        self.here = self._raveled(first)
        again = self._raveled(_outputs(self._call(self.point())))
        self.repeats = not is_another(self.here, again, REPEATS)
        self.x = raveled(tree.arrays)
        _, self.box, _, self.fast = bounded(tree, bounds) if bounds is not None else (tree, None, {}, ())

    def point(self, x: Array | None = None) -> Any:
        """The point on a copy, or where these numbers stand in place of its own."""
        if x is None:
            return self.tree.rebuild({name: value.copy() for name, value in self.tree.arrays.items()})
        return self.tree.rebuild(self.by_name(x))

    def by_name(self, x: Array) -> dict[str, Array]:
        """Numbers for all columns, as the leaves have them."""
        return {part.name: x[part.span].reshape(part.shape) for part in self.sides.inputs}

    def values(self, point: Any) -> Array:
        """All rows at a point."""
        key = key_of(take_apart(point).arrays)
        if key not in self._known:
            self._known[key] = self._raveled(_outputs(self._call(point)))
        return self._known[key]

    def at(self, x: Array) -> Array:
        """All rows where the columns' numbers are ``x``; nan outside the domain, and the bounds."""
        if self.box and not self.box.holds(self.by_name(x)):
            return np.full(self.here.shape, np.nan)
        try:
            return self.values(self.point(x))
        except CallFailed:
            return np.full(self.here.shape, np.nan)

    def inside(self, v: Array) -> Array:
        """A direction that points inside the bounds, and leaves what they hold."""
        if self.box is None:
            return v
        turned = v.copy()
        for part in self.sides.inputs:
            if part.name in self.box.lower:
                held = self.box.lower[part.name] == self.box.upper[part.name]
                turned[part.span] = np.where(held, 0.0, self.box.turned(part.name, v[part.span].reshape(part.shape))).ravel()
            else:
                turned[part.span] = 0.0
        return turned

    def _call(self, point: Any) -> Any:
        self.evaluations += 1
        return self.f(point, *self.args)

    def _raveled(self, outputs: Mapping[str, Array]) -> Array:
        """In float64; another form than at the first call is a `DataError`."""
        shapes = {name: value.shape for name, value in outputs.items()}
        if hasattr(self, "sides") and (known := {p.name: p.shape for p in self.sides.outputs}) != shapes:
            raise DataError(f"{self.f.__name__} returned shapes {shapes}, and at the first call {known}")
        return raveled(outputs)


def parts(shapes: Mapping[str, tuple[int, ...]]) -> tuple[Part, ...]:
    """Leaves one behind the other."""
    found: list[Part] = []
    for name, shape in shapes.items():
        found.append(Part(name, found[-1].stop if found else 0, shape))
    return tuple(found)


def raveled(arrays: Mapping[str, Array]) -> Array:
    """All leaves, one behind the other."""
    return np.concatenate([np.asarray(value, np.float64).ravel() for value in arrays.values()])


def key_of(arrays: Mapping[str, Array]) -> bytes:
    """What tells one point from another."""
    return b"".join(value.dtype.char.encode() + value.tobytes() for value in arrays.values())


def plain(value: Any) -> Any:
    """Lists of numbers as the array that they stand for; arrays of other libraries as NumPy's."""
    given: Any = value
    flat = flatten(given, what="the output")
    if type(given) in (list, tuple) and flat.leaves and all(np.ndim(leaf) == 0 for leaf in flat.leaves):
        array = _as_array(given)
        return given if array is None or array.dtype.kind == "O" else array
    foreign = [hasattr(leaf, "__array__") and not isinstance(leaf, np.generic) for leaf in flat.leaves]
    return flat.rebuild([np.asarray(leaf) if other else leaf for leaf, other in zip(flat.leaves, foreign, strict=True)])


def _as_array(value: Any) -> Array | None:
    try:
        return np.asarray(value)
    except Exception:  # rows of different lengths, or what refuses to be one
        return None


def _outputs(value: Any) -> dict[str, Array]:
    """The floating leaves of an output, all of which must be real.

    Raises
    ------
    DataError
        Where one is complex, or none is floating.
    """
    if type(value) is np.ndarray and value.dtype.kind == "f" and value.size:  # as nearly always
        return {BARE: value.copy()}
    flat: Flat = flatten(plain(value), none_is_leaf=False, what="the output")
    found: dict[str, Array] = {}
    for name, leaf in zip(flat.names, flat.leaves, strict=True):
        array = np.asarray(leaf)
        if array.dtype.kind == "c":
            raise DataError(f"f returned {array.dtype} at {name!r}: only real outputs are supported")
        if array.dtype.kind == "f":
            found[name] = np.array(array)
    if not any(array.size for array in found.values()):
        what = f"an array of {np.asarray(flat.leaves[0]).dtype}" if len(flat.leaves) == 1 else f"{type(value).__name__}"
        raise DataError(f"f returned {what}, expected a floating array or a nesting of some")
    return found
