"""Any nesting of dict, list, tuple and dataclass as named arrays, and back."""

import dataclasses
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple, cast

import numpy as np
import optree

from gradcheck.errors import DataError
from gradcheck.foundation.arrays import Array

NAMESPACE = "gradcheck"
BARE = "x"  # the name of a point that is a single array


class Pytree(NamedTuple):
    """A point taken apart: the arrays that can be moved, by name, and all that is needed to put it together again.

    Attributes
    ----------
    arrays : dict of str to array
        The leaves of floating dtype, copied; names are paths joined with dots.
    names : tuple of str
        Of all leaves, in order.
    leaves : tuple
        All leaves as they were given: what is no floating array (an integer, say) is handed on as it is.
    structure : optree.PyTreeSpec
    """

    arrays: dict[str, Array]
    names: tuple[str, ...]
    leaves: tuple[Any, ...]
    structure: Any

    def rebuild(self, arrays: Mapping[str, Array]) -> Any:
        """The point with these arrays in place of its own; leaves that were Python floats are so again."""
        leaves = [
            _like(leaf, arrays[name]) if name in arrays else leaf for name, leaf in zip(self.names, self.leaves, strict=True)
        ]
        return optree.tree_unflatten(self.structure, leaves)


def take_apart(point: Any, what: str = "at") -> Pytree:
    """Flatten a point, dictionaries in their own order; two leaves that would get the same name raise `DataError`."""
    _register_dataclasses(point)
    with optree.dict_insertion_ordered(True, namespace=NAMESPACE):
        paths, leaves, structure = optree.tree_flatten_with_path(point, namespace=NAMESPACE)
    names = tuple(".".join(map(str, path)) or BARE for path in paths)
    twice = [name for name in names if names.count(name) > 1] if len(set(names)) < len(names) else []
    if twice:
        raise DataError(f"{what}: two leaves are called {twice[0]!r}")
    arrays = {name: np.array(leaf) for name, leaf in zip(names, leaves, strict=True) if is_movable(leaf)}
    return Pytree(arrays, names, tuple(leaves), structure)


class Flat(NamedTuple):
    """Any nesting as named leaves, None among them, and the way back."""

    names: tuple[str, ...]
    leaves: tuple[Any, ...]
    structure: Any

    def rebuild(self, leaves: Iterable[Any]) -> Any:
        """The same nesting of other leaves."""
        return optree.tree_unflatten(self.structure, leaves)


def flatten(tree: Any, bare: str = BARE) -> Flat:
    """Names are paths joined with dots; a leaf alone is called ``bare``."""
    with optree.dict_insertion_ordered(True, namespace=NAMESPACE):
        paths, leaves, structure = optree.tree_flatten_with_path(tree, none_is_leaf=True, namespace=NAMESPACE)
    return Flat(tuple(".".join(map(str, path)) or bare for path in paths), tuple(leaves), structure)


def is_movable(leaf: Any) -> bool:
    """Whether a leaf is a real floating scalar or array."""
    if not isinstance(leaf, float | np.ndarray | np.generic):
        return False
    return np.issubdtype(np.asarray(cast("Any", leaf)).dtype, np.floating)


def _like(leaf: Any, array: Array) -> Any:
    return array.item() if isinstance(leaf, float) and not isinstance(leaf, np.generic) else array


def _register_dataclasses(point: Any) -> None:
    """Teach optree the dataclasses that occur in a point: their fields are their children, by name."""
    if dataclasses.is_dataclass(point) and not isinstance(point, type):
        names = [field.name for field in dataclasses.fields(point)]
        with suppress(ValueError):  # registered by an earlier point
            _register(type(point), names)
        children: list[Any] = [getattr(point, name) for name in names]
    elif isinstance(point, Mapping):
        children = list(cast("Mapping[Any, Any]", point).values())
    else:
        children = list(cast("list[Any]", point)) if isinstance(point, list | tuple) else []
    for child in children:
        _register_dataclasses(child)


def _register(kind: Any, names: list[str]) -> None:
    def flatten(node: Any) -> tuple[list[Any], None, list[str]]:
        return [getattr(node, name) for name in names], None, names

    def unflatten(_: Any, children: Any) -> Any:
        return kind(**dict(zip(names, children, strict=True)))

    optree.register_pytree_node(  # pyright: ignore[reportUnknownMemberType] its type holds for collections only
        kind, flatten, unflatten, namespace=NAMESPACE
    )
