"""Arguments as others may have them: in another layout of memory, and with a gradient wanted of some only."""

from collections.abc import Callable, Iterator

import numpy as np
import torch

from gradcheck.adapters.contract.answers import Breach, Examined, Told, shortly
from gradcheck.adapters.contract.layouts import LAYOUTS, is_laid_out
from gradcheck.verdict.causes import Cause

EACH = 4  # up to so many blocks, each is asked for alone and left out; of more, random halves
HALVES = 4  # and as many complements

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
        if examined.same_outputs(call):
            yield from examined.answers(Cause.INPUT_LAYOUT, when, lambda c=call: examined.backward(c, retain=False))
        elif not examined.function.random:  # whose numbers may be drawn in the order of memory
            yield Breach(Cause.INPUT_LAYOUT, examined.judged, f"{when} the output is another")


def _laid(
    names: tuple[str, ...], change: Callable[[torch.Tensor], torch.Tensor], changes: list[bool]
) -> Callable[[str, torch.Tensor], torch.Tensor]:
    def hand_on(name: str, tensor: torch.Tensor) -> torch.Tensor:
        if name in names and is_laid_out(tensor):
            before = tensor.stride()
            tensor.data = change(tensor.data)
            changes.append(tensor.stride() != before)
        return tensor

    return hand_on


def subsets(examined: Examined) -> Told:
    """The gradients of some blocks are the same where the others require none."""
    refused = ""
    for subset in chosen(list(examined.gradients), examined.function.seed):
        when = f"where {_only(subset, list(examined.gradients))}"
        seen: list[torch.Tensor] = []
        function = examined.function.handing(_requiring(subset, list(examined.gradients), seen))
        try:
            call = function.call(examined.point)
        except Exception as error:
            refused = refused or f"{when} the function {shortly(error)}"
            continue
        finally:
            for tensor in seen:
                tensor.requires_grad_()
        if examined.function.random and not examined.same_outputs(call):
            continue
        expected = {name: examined.gradients[name] for name in sorted(subset)}
        yield from examined.answers(
            Cause.NEEDS_INPUT_GRAD, when, lambda c=call: examined.backward(c, retain=False), expected
        )
    if refused:
        yield refused


def chosen(names: list[str], seed: int) -> Iterator[frozenset[str]]:
    """At most `EACH` alone and left out, else random halves and what they leave."""
    if len(names) < 2:
        return
    every = frozenset(names)
    if len(names) <= EACH:
        yield from (frozenset({name}) for name in names)
        yield from (every - {name} for name in names if len(names) > 2)
        return
    draws = np.random.default_rng(seed)
    for _ in range(HALVES):
        half = frozenset(str(name) for name in draws.permutation(names)[: len(names) // 2])
        yield from (half, every - half)


def _only(subset: frozenset[str], names: list[str]) -> str:
    kept, left = ([name for name in names if (name in subset) == inside] for inside in (True, False))
    if len(left) == 1 < len(kept):
        return f"{left[0]} requires no gradient"
    if len(kept) == 1:
        return f"only {kept[0]} requires a gradient"
    return f"{kept[0]} and {len(kept) - 1} more require a gradient, and {left[0]} and {len(left) - 1} more do not"


def _requiring(
    subset: frozenset[str], names: list[str], seen: list[torch.Tensor]
) -> Callable[[str, torch.Tensor], torch.Tensor]:
    def hand_on(name: str, tensor: torch.Tensor) -> torch.Tensor:
        if name in names and name not in subset:
            seen.append(tensor.requires_grad_(False))
        return tensor

    return hand_on
