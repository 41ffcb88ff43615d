"""Asked again: what a backward pass overwrites, of what it saved and was given; what a call of the user's adds to."""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch

from gradcheck.adapters.contract.breaches import Breach, Told, shortly
from gradcheck.adapters.contract.first import size
from gradcheck.adapters.pytorch.contract.answers import Examined
from gradcheck.adapters.pytorch.contract.graph import Cotangents, Node, nodes_of
from gradcheck.adapters.pytorch.function import TorchFunction
from gradcheck.adapters.pytorch.numbers import array_of, arrays_of
from gradcheck.foundation.arrays import Array
from gradcheck.verdict.causes import Cause

TIMES = 3
ADDS = "a second call adds to what .grad holds, as backward() does: set it to None in between"


def twice(examined: Examined) -> Told:
    """A second backward pass through one graph answers as the first.

    Where the first one refuses to keep its graph, as a compiled function does, nobody goes through it twice.
    """
    call = examined.call()
    try:
        first = examined.backward(call)
    except Exception as error:
        examined.spoils = True
        yield f"its graph is not to be kept: the backward pass {shortly(error)}"
        return
    when = "the second time through one graph"
    for breach in examined.answers(Cause.MUTATES_SAVED, when, partial(examined.backward, call), first):
        examined.spoils = True
        yield breach


def cotangents(examined: Examined) -> Told:
    """A backward pass leaves its cotangent as it was, and so does each function deep inside."""
    call = examined.call()
    given = examined.cotangents(call)
    with watched(nodes_of(call.outputs.values()).custom) as changed:
        found = examined.backward(call, given, retain=False)
    pairs = zip(given.values(), examined.cotangents(call).values(), strict=True)
    if changed or any(is_changed(now, before) for now, before in pairs):
        examined.overwrites = True
        whose = ", ".join(sorted(changed)) or "the output"
        yield Breach(Cause.MUTATES_COTANGENT, frozenset(found), f"the call changes the cotangent of {whose}")


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


def added(function: TorchFunction) -> Told:
    """What is returned is the same each time; what stands in ``.grad`` may be added to, which is a note.

    What differs otherwise, where a step of an optimiser is part of the call or buffers go on, says nothing.
    """
    calls = function.stepped(function.point(), TIMES)
    known = [{name: g for name, g in gradients.items() if g is not None} for _, gradients in calls]
    first, second, third = map(arrays_of, known)
    standing = {name: leaf.grad for name, leaf in calls[-1][0].items()}
    for name in (name for name in first if name in second and name in third):
        if not _adds_up(first[name], second[name], third[name]):
            continue
        gradient = standing[name]
        if gradient is not None and np.array_equal(array_of(gradient), third[name]):
            yield ADDS
        else:
            said = "a second call adds its gradient to that of the first, which was not set to zero"
            yield Breach(Cause.SHARED_STATE, frozenset({name}), said)


def _adds_up(first: Array, second: Array, third: Array) -> bool:
    """Whether each call adds the same again."""
    once, twice = second - first, third - second
    rounding = np.finfo(first.dtype).eps ** 0.5 * size(third)
    return size(once) > rounding and size(once - twice) <= rounding
