"""A cotangent in every layout that autograd may hand one in: strided otherwise, expanded, all zeros, undefined."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch

from gradcheck.adapters.contract.breaches import Breach, Told
from gradcheck.adapters.contract.first import Gradients
from gradcheck.adapters.pytorch.contract.answers import Examined
from gradcheck.adapters.pytorch.contract.graph import Cotangents, metadata, nodes_of, replaced
from gradcheck.adapters.pytorch.contract.layouts import LAYOUTS, expanded, flat, of_each
from gradcheck.adapters.pytorch.function import Call
from gradcheck.verdict.causes import Cause

OUTPUTS = 3  # of one node: so many are left undefined, one after the other


def layouts(examined: Examined) -> Told:
    """The gradient is the same, whatever the layout of the cotangent; of zeros it is zero."""
    call = examined.call()
    given = examined.cotangents(call)
    for name, change in LAYOUTS.items():
        if examined.custom or any(change(each).stride() != each.stride() for each in given.values()):
            yield from examined.answers(
                Cause.COTANGENT_LAYOUT, f"with a {name} cotangent", partial(everywhere, examined, call, change)
            )
    # What overwrites its cotangent raises on one that is expanded, and was told so.
    if not examined.overwrites and (examined.custom or any(each.numel() > 1 for each in given.values())):
        yield from _expanded(examined, call)
    nothing = {name: np.zeros_like(gradient) for name, gradient in examined.gradients.items()}
    zeros = {name: torch.zeros_like(cotangent) for name, cotangent in given.items()}
    yield from examined.answers(
        Cause.COTANGENT_LAYOUT, "with a cotangent of zeros", lambda: examined.backward(examined.again(call), zeros), nothing
    )


def _expanded(examined: Examined, call: Call) -> Told:
    """Against the same values one after the other; where these raise as well, it is not the layout."""
    try:
        expected = everywhere(examined, call, flat)
    except Exception:
        return
    when = "with an expanded cotangent"
    yield from examined.answers(Cause.COTANGENT_LAYOUT, when, partial(everywhere, examined, call, expanded), expected)


def everywhere(examined: Examined, call: Call, change: Callable[[torch.Tensor], torch.Tensor]) -> Gradients:
    """The backward pass with changed cotangents at the outputs, and at each node that is somebody's own."""
    call = examined.again(call)
    given = {
        name: cotangent if is_pairs(call.outputs[name]) else change(cotangent)
        for name, cotangent in examined.cotangents(call).items()
    }
    with replaced(nodes_of(call.outputs.values()).custom, of_each(change)):
        return examined.backward(call, given)


def is_pairs(output: torch.Tensor) -> bool:
    """Whether it is a complex output taken as pairs of numbers, which PyTorch demands to lie together."""
    return output.grad_fn is not None and "ViewAsReal" in output.grad_fn.name()


def undefined(examined: Examined) -> Told:
    """None in place of a cotangent is as good as zeros: of each output of a node that has several, and of all at once.

    The last is rare: a node above must have said that its gradient is None. What raises there is a note.
    """
    if not examined.custom:
        return
    call = examined.call()
    outputs = max(len(metadata(node)) for node in nodes_of(call.outputs.values()).custom)
    for place in range(min(outputs, OUTPUTS) if outputs > 1 else 0):
        yield from _undefined(examined, call, place, f"where the cotangent of output {place} is None")
    for breach in _undefined(examined, call, None, "where every cotangent is None"):
        yield breach.sentence if breach.raised else breach


def _undefined(examined: Examined, call: Call, place: int | None, when: str) -> Iterator[Breach]:
    expected = _with(examined, call, place, torch.zeros_like)
    backward = partial(_with, examined, call, place, lambda _: None)
    yield from examined.answers(Cause.COTANGENT_LAYOUT, when, backward, expected)


def _with(
    examined: Examined, call: Call, place: int | None, put: Callable[[torch.Tensor], torch.Tensor | None]
) -> Gradients:
    """With something else in one place of the cotangents of every node that has others, or in all places."""

    def change(given: Cotangents) -> Cotangents:
        if place is not None and len(given) == 1:
            return given
        chosen = range(len(given)) if place is None else (place,)
        return tuple(put(each) if i in chosen and each is not None else each for i, each in enumerate(given))

    call = examined.again(call)
    with replaced(nodes_of(call.outputs.values()).custom, change):
        return examined.backward(call)
