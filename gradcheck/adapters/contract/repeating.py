"""Twice through one graph: what the backward pass overwrites, of what it saved and of what it was given."""

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from typing import Any

import torch

from gradcheck.adapters.contract.answers import Breach, Examined, Gradients, Told, shortly
from gradcheck.adapters.contract.graph import Cotangents, Node, nodes_of
from gradcheck.verdict.causes import Cause

ONCE = "donated"  # in what a compiled function raises, which says itself that it goes once


def repeats(examined: Examined) -> Told:
    """A second backward pass through one graph answers as the first, and both leave their cotangents as they were."""
    call = examined.call()
    cotangents = examined.cotangents(call)
    given = {name: cotangent.clone() for name, cotangent in cotangents.items()}
    try:
        with watched(nodes_of(call.outputs.values()).custom) as changed:
            first = examined.backward(call, given)
    except Exception as error:
        examined.spoils = True
        yield f"with its graph kept the backward pass {shortly(error)}"
        return
    if not changed:
        changed = {name for name, cotangent in cotangents.items() if is_changed(given[name], cotangent)}
    if changed:
        examined.overwrites = True
        sentence = f"the call changes the cotangent of {', '.join(sorted(changed))}"
        yield Breach(Cause.MUTATES_COTANGENT, frozenset(first), sentence)
    yield from _second(examined, lambda: examined.backward(call, cotangents), first)


def _second(examined: Examined, again: Callable[[], Gradients], first: Gradients) -> Told:
    when = "the second time through one graph"
    for breach in examined.answers(Cause.MUTATES_SAVED, when, again, first):
        examined.spoils = True
        yield f"{when}: refused, the function says that it goes once" if ONCE in breach.sentence else breach


@contextmanager
def watched(nodes: Iterable[Node]) -> Generator[set[str]]:
    """The names of those nodes that change the cotangents which they are given."""
    changed: set[str] = set()
    handles = [handle for node in nodes for handle in _watch(node, changed)]
    try:
        yield changed
    finally:
        for handle in handles:
            handle.remove()


def _watch(node: Node, changed: set[str]) -> tuple[Any, Any]:
    before: list[Cotangents] = []

    def keep(given: Cotangents) -> None:
        before.append(tuple(None if each is None else each.clone() for each in given))

    def compare(_: Cotangents, given: Cotangents) -> None:
        pairs = zip(before.pop(), given, strict=True)
        if any(old is not None and new is not None and is_changed(new, old) for old, new in pairs):
            changed.add(node.name())

    return node.register_prehook(keep), node.register_hook(compare)


def is_changed(now: torch.Tensor, before: torch.Tensor) -> bool:
    """Whether any value is another."""
    if now.layout != torch.strided:
        return False
    return not torch.equal(torch.nan_to_num(now), torch.nan_to_num(before))
