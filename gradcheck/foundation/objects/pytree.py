"""Any nesting of dict, list, tuple, dataclass and registered container as named arrays, and back."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, cast

import numpy as np
import optree

from gradcheck.errors import DataError
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.calling import called
from gradcheck.foundation.objects.registries import NAMESPACE, teach

BARE = "x"  # the name of a point that is a single array


class Flat(NamedTuple):
    """Any nesting as named leaves, and the way back."""

    names: tuple[str, ...]
    leaves: tuple[Any, ...]
    structure: Any

    def rebuild(self, leaves: Iterable[Any]) -> Any:
        """The same nesting of other leaves.

        Raises
        ------
        CallFailed
            Where a container of somebody's cannot be built again.
        """
        return called(optree.tree_unflatten, "building the point again from its leaves", self.structure, leaves)


class Pytree(NamedTuple):
    """A point taken apart: the arrays that can be moved, by name, and all that is needed to put it together again.

    Attributes
    ----------
    arrays : dict of str to array
        The leaves of floating dtype, copied; names are paths joined with dots.
    flat : Flat
        All leaves as they were given: what is no floating array (an integer, say) is handed on as it is.
    """

    arrays: dict[str, Array]
    flat: Flat

    @property
    def names(self) -> tuple[str, ...]:
        """Of all leaves, in order."""
        return self.flat.names

    @property
    def leaves(self) -> tuple[Any, ...]:
        """All of them, as they were given."""
        return self.flat.leaves

    def rebuild(self, arrays: Mapping[str, Array]) -> Any:
        """The point with these arrays in place of its own, each of the class of the leaf that it stands for."""
        pairs = zip(self.names, self.leaves, strict=True)
        return self.flat.rebuild([_like(leaf, arrays[name]) if name in arrays else leaf for name, leaf in pairs])


def take_apart(point: Any, what: str = "at") -> Pytree:
    """Flatten a point, dictionaries in their own order; two leaves that would get the same name raise `DataError`."""
    flat = flatten(point, none_is_leaf=False, what=what)
    names = flat.names
    twice = [name for name in names if names.count(name) > 1] if len(set(names)) < len(names) else []
    if twice:
        raise DataError(f"{what}: two leaves are called {twice[0]!r}")
    pairs = zip(names, flat.leaves, strict=True)
    return Pytree({name: np.array(leaf) for name, leaf in pairs if is_movable(leaf)}, flat)


def flatten(tree: Any, bare: str = BARE, *, none_is_leaf: bool = True, what: str = "an argument") -> Flat:
    """Names are paths joined with dots; a leaf alone is called ``bare``."""
    try:
        teach(tree)
        with optree.dict_insertion_ordered(True, namespace=NAMESPACE):
            paths, leaves, structure = optree.tree_flatten_with_path(tree, none_is_leaf=none_is_leaf, namespace=NAMESPACE)
    except RecursionError:
        raise DataError(f"{what}: it holds itself, or is nested too deeply") from None
    return Flat(tuple(".".join(map(str, path)) or bare for path in paths), tuple(leaves), structure)


def is_movable(leaf: Any) -> bool:
    """Whether a leaf is a real floating scalar or array."""
    if not isinstance(leaf, float | np.ndarray | np.generic):
        return False
    return np.issubdtype(np.asarray(cast("Any", leaf)).dtype, np.floating)


def _like(leaf: Any, array: Array) -> Any:
    """A Python float again where there was one; a matrix or masked array with all that belongs to it."""
    if isinstance(leaf, np.generic) or type(leaf) is np.ndarray:
        return array
    if isinstance(leaf, float | complex):
        return array.item()
    own = leaf.astype(array.dtype)
    np.asarray(own)[...] = array
    return own
