"""Whose registry knows a class: its objects are then containers, whose parts have names.

People register their classes where they use them: with JAX, with PyTorch, with optree; a dataclass says by itself what it
holds. Libraries are asked only where somebody has imported them.
"""

import dataclasses
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import optree

NAMESPACE = "gradcheck"


class Level(NamedTuple):
    """One level of a container: its parts by name, and a container like it of other parts."""

    names: tuple[str, ...]
    parts: tuple[Any, ...]
    rebuild: Callable[[Iterable[Any]], Any]


def one_level(node: Any) -> Level | None:
    """What a container that optree does not know holds, by the first registry that does; None where none does."""
    if hasattr(node, "__next__"):  # what can be read once is none
        return None
    jax, torch = (sys.modules.get(name) for name in ("jax.tree_util", "torch.utils._pytree"))
    if jax is not None and (level := _registered(jax, node)) is not None:
        return level
    # PyTorch's flattening keeps what it has seen until the garbage is collected: large leaves, too.
    if torch is not None and type(node) in torch.SUPPORTED_NODES:
        return _registered(torch, node)
    return _dataclass(node)


def teach(tree: Any) -> None:
    """Let optree know, in our namespace, of every container in a nesting that one of the registries knows."""
    while True:
        strangers: dict[type[Any], Any] = {type(leaf): leaf for leaf in _leaves(tree)}
        learnt = [kind for kind, leaf in strangers.items() if one_level(leaf) is not None]
        if not learnt:
            return
        for kind in learnt:
            _register(kind)


def _leaves(tree: Any) -> Iterator[Any]:
    plain = (int, float, complex, str, bytes, type(None))
    with optree.dict_insertion_ordered(True, namespace=NAMESPACE):
        leaves: list[Any] = optree.tree_leaves(tree, namespace=NAMESPACE)
    return (leaf for leaf in leaves if type(leaf) not in plain)


def _registered(library: Any, node: Any) -> Level | None:
    """By a library that flattens as JAX and PyTorch do: everything below the node itself is taken for a leaf."""

    def is_leaf(each: Any) -> bool:
        return each is not node

    leaves, structure = library.tree_flatten(node, is_leaf=is_leaf)
    if len(leaves) == 1 and leaves[0] is node:
        return None

    def rebuild(parts: Iterable[Any]) -> Any:
        unflatten, new = library.tree_unflatten, list(parts)
        return unflatten(structure, new) if library.__name__.startswith("jax") else unflatten(new, structure)

    try:
        names = tuple(name_of_part(path[0]) for path, _ in library.tree_flatten_with_path(node, is_leaf=is_leaf)[0])
    except ValueError:  # PyTorch's may be registered without names
        names = tuple(map(str, range(len(leaves))))
    return Level(names, tuple(leaves), rebuild)


def name_of_part(key: Any) -> str:
    """Of a part, from an attribute's key, a dictionary's or a place in a sequence."""
    return str(next(getattr(key, kind) for kind in ("name", "key", "idx") if hasattr(key, kind)))


def _dataclass(node: Any) -> Level | None:
    """What its constructor takes; what it derives from that, it derives again."""
    if not dataclasses.is_dataclass(node) or isinstance(node, type):
        return None
    names = tuple(field.name for field in dataclasses.fields(node) if field.init)

    def rebuild(parts: Iterable[Any]) -> Any:
        return dataclasses.replace(node, **dict(zip(names, parts, strict=True)))

    return Level(names, tuple(getattr(node, name) for name in names), rebuild)


def _register(kind: type[Any]) -> None:
    """Which registry knows it is asked anew each time: it may have been told since."""

    def flatten(node: Any) -> tuple[tuple[Any, ...], Callable[[Iterable[Any]], Any], tuple[str, ...]]:
        level = one_level(node)
        assert level is not None
        return level.parts, level.rebuild, level.names

    def unflatten(rebuild: Callable[[Iterable[Any]], Any], parts: Iterable[Any]) -> Any:
        return rebuild(parts)

    optree.register_pytree_node(  # pyright: ignore[reportUnknownMemberType] its type holds for collections only
        kind,  # pyright: ignore[reportArgumentType]
        flatten,  # pyright: ignore[reportArgumentType]
        unflatten,  # pyright: ignore[reportArgumentType]
        namespace=NAMESPACE,
    )
