"""A candidate and its reference as plain functions of one pytree, which return arrays in any nesting."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

import numpy as np

from gradcheck.candidates.point import held, point_of
from gradcheck.comparison.levels import Level
from gradcheck.comparison.noise import Choices, Noise
from gradcheck.comparison.pair import Blocks, Inputs, Shaken, moved
from gradcheck.comparison.shaken.arrays import ShakenArray, shaken
from gradcheck.comparison.shaken.made import MadeShaken
from gradcheck.comparison.shaken.running import Run, during, plain
from gradcheck.errors import CallFailed, DataError
from gradcheck.foundation.arithmetic import UNITS
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.calling import called, name_of
from gradcheck.foundation.objects.pytree import BARE, Pytree, flatten

VALUE, OUTPUT = "value", "output"
JAX = ("jax", "jaxlib")
WIDE = 8  # bytes of a float64


class Point(NamedTuple):
    """Where both are called: the leaves that float, and the formats that they were given in."""

    tree: Pytree
    dtypes: Mapping[str, np.dtype[Any]]

    @property
    def unit(self) -> float:
        """Roundoff of the finest array; of numbers where there are no arrays."""
        arrays = [dtype for name, dtype in self.dtypes.items() if not self.is_number(name)] or list(self.dtypes.values())
        return min(UNITS[format_of(dtype)] for dtype in arrays)

    def is_number(self, name: str) -> bool:
        """Whether a leaf is one of Python's, which has the format of what it meets."""
        return isinstance(self.tree.leaves[self.tree.names.index(name)], float)

    def nearest(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """In the formats that were given."""
        return {name: np.asarray(array, self.dtypes[name]) for name, array in arrays.items()}

    def is_ordinary(self) -> bool:
        """Whether it is of arrays and numbers, and no matrices or masked arrays, whose operations are others."""
        return all(type(leaf) is np.ndarray or not isinstance(leaf, np.ndarray) for leaf in self.tree.leaves)

    def shaken(self, arrays: Mapping[str, Array]) -> Any:
        """The point with these arrays under noise."""
        leaves = {name: shaken(np.array(array)) for name, array in arrays.items()}
        leaves = {name: leaf[()] if self.is_number(name) else leaf for name, leaf in leaves.items()}
        pairs = zip(self.tree.names, self.tree.leaves, strict=True)
        return self.tree.flat.rebuild([leaves.get(name, leaf) for name, leaf in pairs])


def taken(at: Any) -> Point:
    """The point taken apart; arrays of JAX as NumPy has them.

    Raises
    ------
    DataError
        As `gradcheck.candidates.point.point_of`; and where a format is none that is known.
    """
    given = flatten(at, none_is_leaf=False, what="at")
    leaves = [np.asarray(leaf) if type(leaf).__module__.split(".")[0] in JAX else leaf for leaf in given.leaves]
    own = dict(zip(given.names, leaves, strict=True))
    tree = point_of(given.rebuild([_wide(leaf) for leaf in leaves]))
    dtypes = {name: np.asarray(own[name]).dtype for name in tree.arrays}
    for name, dtype in dtypes.items():
        if format_of(dtype) not in UNITS:
            raise DataError(f"at: {name} is of {dtype}, expected one of {', '.join(UNITS)}")
    return Point(tree, dtypes)


def format_of(dtype: Any) -> str:
    """The name of a format; extended precision counts as float64."""
    return "float64" if dtype.kind == "f" and dtype.itemsize > 8 else str(dtype)


def _wide(leaf: Any) -> Any:
    """What NumPy has no arithmetic of its own for in float32."""
    return leaf.astype(np.float32) if str(getattr(leaf, "dtype", "")) == "bfloat16" else leaf


class Way(NamedTuple):
    """How a reference can be asked: in float64 or the candidate's formats; by operations or as a whole."""

    narrow: bool
    whole: bool


WAYS = (Way(False, False), Way(False, True), Way(True, False), Way(True, True))


class Functions:
    """The two of them at a point: a `gradcheck.comparison.pair.Pair`.

    Attributes
    ----------
    passed : dict of str to str
        Leaves that are handed on as they are.
    extra : list of str
        What the candidate returns and the reference does not.
    is_whole : bool
        Whether nothing is known of the operations within the reference.

    Raises
    ------
    DataError
        Where the point is none, or the reference returns no floating array.
    CallFailed
        Where one raises there.
    """

    doubt = ""

    def __init__(self, candidate: Callable[[Any], Any], reference: Callable[[Any], Any], at: Any) -> None:
        self._candidate, self._reference, self._point = candidate, reference, taken(at)
        self._names = name_of(candidate) or "the candidate", name_of(reference) or "the reference"
        self.name = " against ".join(self._names)
        self.given = Inputs({name: array.astype(np.float64) for name, array in self._point.tree.arrays.items()}, {})
        self._decided: tuple[Inputs | None, list[Array]] = (None, [])
        self._way, self._paired = WAYS[0], False
        expected = self._first()
        mine = self._asked(self._point.dtypes, self.given)
        self.formats = {name: self._format(mine.get(name)) for name in expected}
        self.extra = [name for name in mine if name not in expected]
        self.passed = held(self._point.tree)
        arrays: list[Any] = [value for value in expected.values() if np.ndim(value)]  # a number may have left on purpose
        self.is_whole = bool(arrays) and not any(isinstance(value, ShakenArray) for value in arrays)

    def candidate(self, at: Inputs) -> Blocks:
        """On copies in the formats that were given."""
        return _widened(self._asked(self._point.dtypes, at))

    def in_float32(self, at: Inputs) -> Blocks | None:
        """None where the point is of float32 or finer, or the candidate refuses."""
        if self._point.unit <= UNITS["float32"]:
            return None
        try:
            return _widened(self._asked(dict.fromkeys(self._point.dtypes, np.dtype(np.float32)), at))
        except CallFailed:
            return None

    def exact(self, at: Inputs) -> Blocks | None:
        """None where it raises on float64, or answers in a narrower format."""
        return None if self._way.narrow else _widened(self._quiet(at))

    def shaken(self, at: Inputs, level: Level, seed: int, *, free: bool = False) -> Shaken:
        """Arguments are moved, then every operation is off; of what compiled code has made, the last one."""
        if self._decided[0] is not at:
            self._quiet(at)
        run = Run(Noise(level, seed), Choices(self._decided[1], free=free), not self._way.narrow)
        found = self._run(run, moved(at, level, seed))
        blocks = {name: value if isinstance(value, ShakenArray) else run.noise.result(np.asarray(value))
                  for name, value in found.items()}  # fmt: skip
        return Shaken(_widened(blocks), run.choices.ended())

    def nearest(self, at: Inputs) -> Inputs:
        """The nearest numbers of the formats that were given."""
        return Inputs(_widened(self._point.nearest(at.point)), at.cotangents)

    def _first(self) -> dict[str, Any]:
        """The reference's first answer, which says how it can be asked, and what its blocks are called."""
        failed: CallFailed | None = None
        for way in WAYS if self._point.is_ordinary() else WAYS[1::2]:
            self._way = way
            try:
                found = self._quiet(self.given)
            except CallFailed as error:
                failed = failed or error
                continue
            if way.narrow or all(np.asarray(value).dtype.itemsize >= WIDE for value in found.values()):
                return found
        assert failed is not None  # the last way takes whatever is returned
        raise failed

    def _quiet(self, at: Inputs) -> dict[str, Any]:
        """Without noise; its choices are kept."""
        run = Run(Noise(), Choices(), not self._way.narrow)
        found = self._run(run, at)
        self._decided = at, run.choices.made
        return found

    def _run(self, run: Run, at: Inputs) -> dict[str, Any]:
        """The reference on arrays under noise, or as a whole on arrays."""
        arrays = self._point.nearest(at.point) if self._way.narrow else dict(at.point)
        if self._way.whole:
            found = called(self._reference, self._names[1], self._point.tree.rebuild(_copies(arrays)))
        else:
            point = self._point.shaken(arrays)
            with MadeShaken(), during(run):
                found = called(self._reference, self._names[1], point)
        self._paired = is_pair(found, self._point.tree)
        return blocks_of(found, self._paired, self._names[1])

    def _asked(self, dtypes: Mapping[str, np.dtype[Any]], at: Inputs) -> dict[str, Any]:
        arrays = {name: np.array(array).astype(dtypes[name]) for name, array in at.point.items()}
        return blocks_of(called(self._candidate, self._names[0], self._point.tree.rebuild(arrays)), self._paired)

    def _format(self, value: Any) -> str:
        """A float64 that was computed from coarser arrays and nothing else is no finer than these."""
        point = next(name for name, unit in UNITS.items() if unit == self._point.unit)
        own = point if value is None else format_of(np.asarray(value).dtype)
        return max(own, point, key=lambda name: UNITS.get(name, 0.0))


def is_pair(found: Any, tree: Pytree) -> bool:
    """Whether a result is a value and gradients: a number or array, and a nesting of leaves of the point, or of some."""
    parts = cast("tuple[Any, ...]", found) if isinstance(found, tuple) else ()
    if len(parts) != 2 or not _is_leaf(parts[0]) or VALUE in tree.arrays:
        return False
    shapes = {name: np.shape(leaf) for name, leaf in _named(parts[1]).items()}
    of_one_array = shapes.keys() == {BARE} and np.size(parts[0]) > 1  # two outputs may have the shape of the argument
    alike = all(name in tree.arrays and tree.arrays[name].shape == shape for name, shape in shapes.items())
    return bool(shapes) and alike and not of_one_array


def blocks_of(found: Any, paired: bool, required: str = "") -> dict[str, Any]:
    """What floats in a result by name; of a value and its gradients ``"value"`` and the names of the leaves.

    Raises
    ------
    DataError
        Where nothing does, of who is ``required`` to return something.
    """
    named = {VALUE: found[0], **_named(found[1])} if paired and _is_two(found) else _named({OUTPUT: found})
    if required and not named:
        raise DataError(f"{required} returned no floating array, but a value of type {type(found).__name__}")
    return named


def _is_two(found: Any) -> bool:
    return isinstance(found, tuple | list) and len(found) == 2 and _is_leaf(found[0])  # pyright: ignore


def _named(found: Any) -> dict[str, Any]:
    flat = flatten(found, none_is_leaf=False, what="the result")
    return {name: leaf for name, leaf in zip(flat.names, flat.leaves, strict=True) if _is_leaf(leaf)}


def _is_leaf(leaf: Any) -> bool:
    """Whether it is a floating number or array that NumPy can read, of whichever library."""
    named = str(getattr(leaf, "dtype", "")) if hasattr(leaf, "__array__") else ""
    return isinstance(leaf, float) or ("float" in named and not named.startswith("torch"))


def _widened(blocks: Mapping[str, Any]) -> dict[str, Array]:
    return {name: np.asarray(plain(value)).astype(np.float64) for name, value in blocks.items()}


def _copies(arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {name: np.array(array) for name, array in arrays.items()}
