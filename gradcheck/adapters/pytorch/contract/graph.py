"""The graph of a backward pass: its nodes, those of somebody's own functions, the arithmetic that it is computed in."""

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeAlias

import torch
from torch.autograd.function import BackwardCFunction

Node: TypeAlias = Any  # PyTorch's classes of nodes have nothing in common but what is asked of them here
Cotangents: TypeAlias = tuple[torch.Tensor | None, ...]


class Graph(NamedTuple):
    """What lies between outputs and leaves.

    ``eps`` is that of the coarsest arithmetic of any cotangent, ``kinds`` are the names of the nodes, of which there are
    ``size``.
    """

    custom: list[Node]
    kinds: frozenset[str]
    eps: float
    size: int


def nodes_of(outputs: Iterable[torch.Tensor]) -> Graph:
    """Walked through with a list of what is to be done: a graph may be deeper than Python's stack."""
    todo: list[Node] = [output.grad_fn for output in outputs if output.grad_fn is not None]
    found: dict[Node, None] = {}
    eps = max((unit(output.dtype) for output in outputs), default=0.0)
    while todo:
        node = todo.pop()
        if node in found:
            continue
        found[node] = None
        eps = max(eps, *(unit(each.dtype) for each in metadata(node)), 0.0)
        todo += [following for following, _ in node.next_functions if following is not None]
    return Graph([node for node in found if is_custom(node)], frozenset(node.name() for node in found), eps, len(found))


def is_custom(node: Node) -> bool:
    """Whether it is of an ``autograd.Function``, a custom operator or a function of C++."""
    return isinstance(node, BackwardCFunction) or "CppNode" in node.name()


def class_of(node: Node) -> Any:
    """The ``autograd.Function`` of a node; none of one of C++."""
    return getattr(node, "_forward_cls", None)


def defines(kind: Any, name: str) -> bool:
    """Whether a class has a method of its own."""
    return kind is not None and getattr(kind, name, None) is not getattr(torch.autograd.Function, name)


def metadata(node: Node) -> Any:
    """Of the cotangents that a node takes: shapes and dtypes."""
    return getattr(node, "_input_metadata", ())


def unit(dtype: torch.dtype) -> float:
    """The spacing of 1; 0 of what does not float."""
    return torch.finfo(dtype).eps if dtype.is_floating_point or dtype.is_complex else 0.0


@contextmanager
def replaced(nodes: Iterable[Node], change: Callable[[Cotangents], Cotangents]) -> Generator[None]:
    """Nodes are given in place of their cotangents what is made of these."""
    handles = [node.register_prehook(change) for node in nodes]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
