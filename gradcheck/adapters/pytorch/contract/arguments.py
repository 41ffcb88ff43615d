"""Arguments as others may have them: in another layout of memory, and with a gradient wanted of some only."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch

from gradcheck.adapters.contract.breaches import Breach, Told
from gradcheck.adapters.contract.first import Gradients, chosen, only
from gradcheck.adapters.pytorch.contract.answers import Examined, arrays_of
from gradcheck.adapters.pytorch.contract.layouts import LAYOUTS, is_laid_out, repeated, written_out
from gradcheck.adapters.pytorch.function import TorchFunction
from gradcheck.verdict.causes import Cause

READS_MEMORY = "AsStrided"  # the one operator whose value is defined by its argument's strides


def layouts(examined: Examined) -> Told:
    """Value and gradient are the same, whatever the layout of the arguments; a forward pass may refuse one."""
    if any(READS_MEMORY in kind for kind in examined.kinds):
        return
    for name, change in LAYOUTS.items():
        changes: list[bool] = []
        function = examined.function.handing(_laid(examined.function.arguments.names, change, changes))
        try:
            call = function.call(examined.point)
        except Exception as error:
            yield f"with {name} arguments it is refused: {error}"
            continue
        if not any(changes):
            continue
        when = f"with {name} arguments"
        if examined.same_outputs(arrays_of(call.outputs)):
            yield from examined.answers(Cause.INPUT_LAYOUT, when, partial(examined.backward, call, retain=False))
        elif not examined.function.random:  # whose numbers may be drawn in the order of memory
            yield Breach(Cause.INPUT_LAYOUT, examined.judged, f"{when} the output is another")


def expanded(examined: Examined) -> Told:
    """Of arguments whose rows are one and the same, there once, value and gradient are numbers where they are of copies.

    By how much rounding differs where all rows are the same nobody knows; what lies behind the first row is NaN.
    """
    if any(READS_MEMORY in kind for kind in examined.kinds):
        return
    changes: list[bool] = []
    try:
        if not all(map(_is_finite, _both(examined, written_out, []))):
            return
        found = _both(examined, repeated, changes)
    except Exception:  # it may refuse either, or not work in place where memory is shared
        return
    names = ("the output", "the gradient")
    for name, arrays in zip(names, found, strict=True):
        if any(changes) and not _is_finite(arrays):
            yield Breach(Cause.INPUT_LAYOUT, examined.judged, f"with expanded arguments {name} is not finite")
            return


def _both(
    examined: Examined, change: Callable[[torch.Tensor], torch.Tensor], changes: list[bool]
) -> tuple[Gradients, Gradients]:
    """Outputs and gradients, of arguments that are laid otherwise."""
    call = examined.function.handing(_laid(examined.function.arguments.names, change, changes)).call(examined.point)
    return arrays_of(call.outputs), examined.backward(call, retain=False)


def _is_finite(arrays: Gradients) -> bool:
    return all(bool(np.isfinite(each).all()) for each in arrays.values())


def _laid(
    names: tuple[str, ...], change: Callable[[torch.Tensor], torch.Tensor], changes: list[bool]
) -> Callable[[str, torch.Tensor], torch.Tensor]:
    def hand_on(name: str, tensor: torch.Tensor) -> torch.Tensor:
        if name in names and is_laid_out(tensor):
            moved = change(tensor.data)
            changes.append(moved.stride() != tensor.stride())
            if not tensor.requires_grad:
                return moved
            tensor.data = moved
        return tensor

    return hand_on


def subsets(examined: Examined) -> Told:
    """The gradients of some blocks are the same where the others require none; a forward pass may refuse that."""
    names = list(examined.gradients)
    for subset in chosen(names, examined.function.seed):
        left = frozenset(names) - subset
        with requiring_none(examined, left) as function:
            try:
                call = function.call(examined.point)
            except Exception as error:
                yield f"where {only(subset, names)} it is refused: {error}"
                return
            if not examined.same_outputs(
                arrays_of(call.outputs)
            ):  # it draws, or reads what requires a gradient: another function
                continue
            expected = {name: gradient for name, gradient in examined.gradients.items() if name in subset}
            backward = partial(examined.backward, call, retain=False)
            yield from examined.answers(Cause.NEEDS_INPUT_GRAD, f"where {only(subset, names)}", backward, expected)


@contextmanager
def requiring_none(examined: Examined, left: frozenset[str]) -> Generator[TorchFunction]:
    """The function, of which these blocks require no gradient; afterwards they do again."""
    seen: list[torch.Tensor] = []

    def hand_on(name: str, tensor: torch.Tensor) -> torch.Tensor:
        if name in left:
            seen.append(tensor.requires_grad_(False))
        return tensor

    try:
        yield examined.function.handing(hand_on)
    finally:
        for tensor in seen:
            tensor.requires_grad_()
