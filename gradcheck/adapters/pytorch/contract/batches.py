# pyright: reportUnknownMemberType=false
# (PyTorch's annotations are partial.)
"""Several at once through ``vmap``, where a function declares that it can be batched: as one by one."""

import traceback
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple, cast

import numpy as np
import torch

from gradcheck.adapters.contract.breaches import Breach, Told, origin, shortly
from gradcheck.adapters.contract.first import FACTORS, Gradients
from gradcheck.adapters.pytorch.contract.answers import Examined, Optionals, wide
from gradcheck.adapters.pytorch.contract.graph import defines
from gradcheck.adapters.pytorch.holdings import Tensors
from gradcheck.adapters.pytorch.numbers import shape_of
from gradcheck.comparison.pair import output_block
from gradcheck.foundation.arrays import Array
from gradcheck.verdict.causes import Cause

PYTORCH = Path(torch.__file__).parent
NODES = ("AccumulateGrad", "ViewBackward", "AliasBackward")  # of a graph that is one function and its arguments


def batched(examined: Examined) -> Told:
    """Cotangents, points, and one argument of several alone; the function around them may not be made for a batch."""
    kinds = examined.classes
    if examined.function.random or not any(generates(kind) or defines(kind, "vmap") for kind in kinds):
        return
    generated = all(map(generates, kinds))
    found = _told(of_cotangents(examined), certain=generated)
    rules = frozenset(getattr(kind.vmap, "__code__", None) for kind in kinds if defines(kind, "vmap"))
    names = [name for name in examined.function.arguments.names if name in examined.point]
    names_of_nodes = [name.rpartition("::")[2] for name in examined.kinds]
    alone = all(name.startswith((*NODES, *examined.custom)) for name in names_of_nodes)
    batches = [Batch(tuple(names)), Batch(tuple(names[:1])), *([Batch(tuple(names), -1)] if rules else [])]
    for batch in batches if len(names) > 1 else batches[1:]:
        breached = any(isinstance(each, Breach) for each in found)
        found += [] if breached else _told(of_points(examined, batch, rules), certain=alone)
    yield from found


class Batch(NamedTuple):
    """Which arguments are batched, and along which new axis; PyTorch's own rules know every axis."""

    names: tuple[str, ...]
    axis: int = 0


class OtherOutput(Exception):
    """A batched output is not what one by one gives."""


def generates(kind: Any) -> bool:
    """Whether a class leaves the rule to PyTorch."""
    return bool(getattr(kind, "generate_vmap_rule", False))


def _told(told: Told, certain: bool) -> list[Breach | str]:
    """Without what is raised where something else may have raised it, which declares nothing."""
    return [each for each in told if certain or (isinstance(each, Breach) and not each.raised)]


def _answers(
    examined: Examined,
    when: str,
    backward: Callable[[], Gradients],
    expected: Gradients,
    rules: Collection[CodeType | None] = (),
) -> Told:
    """A breach as elsewhere, but for what is no answer: a rule that refuses, or a rule that PyTorch does not have."""
    try:
        found = backward()
    except OtherOutput as other:
        yield Breach(Cause.VMAP, frozenset(examined.gradients), f"{when} {other}")
        return
    except Exception as error:
        frames = [frame for frame, _ in traceback.walk_tb(origin(error).__traceback__)]
        refused = any(frame.f_code in rules for frame in frames)
        if refused or Path(frames[-1].f_code.co_filename).is_relative_to(PYTORCH):
            yield f"{when} it is not to be had: it {shortly(error)}"
        else:
            yield Breach(Cause.VMAP, frozenset(examined.gradients), f"{when} the backward pass {shortly(error)}")
        return
    yield from examined.differing(Cause.VMAP, when, found, expected)


def of_cotangents(examined: Examined) -> Told:
    """Several through one graph."""
    expected = {name: np.stack([factor * g for factor in FACTORS]) for name, g in examined.gradients.items()}
    when = f"for {len(FACTORS)} cotangents at once"
    yield from _answers(examined, when, partial(_pulled, examined), expected)


def _pulled(examined: Examined) -> Gradients:
    call = examined.call()
    several = {name: _multiples(each) for name, each in examined.cotangents(call).items()}
    outputs, leaves = [call.outputs[name] for name in several], list(call.leaves.values())
    with examined.function.draws.again():
        found = torch.autograd.grad(outputs, leaves, list(several.values()), allow_unused=True, is_grads_batched=True)
    pairs = zip(call.leaves.items(), cast("Optionals", found), strict=True)
    return {name: np.zeros((len(FACTORS), *shape_of(leaf))) if g is None else wide(g) for (name, leaf), g in pairs}


def _multiples(tensor: torch.Tensor) -> torch.Tensor:
    return torch.stack([factor * tensor for factor in FACTORS])


def of_points(examined: Examined, batch: Batch, rules: Collection[CodeType | None]) -> Told:
    """The point and another one; only arguments can be batched, a parameter is one for all."""
    names, first = batch.names, next(iter(batch.names), None)
    if first is None:
        return
    function, moved = examined.function, examined.elsewhere(examined.function.seed)
    other = {name: moved[name] if name in names else value for name, value in examined.point.items()}
    try:
        there = function.gradient(other)
    except Exception:  # out of its domain
        return
    if all(np.isfinite(each).all() for each in there.values()):
        expected = {name: np.stack([examined.gradients[name], 2 * there[name].astype(np.float64)]) for name in names}
        which = "two points" if len(names) == len(examined.point) else f"two of {first}"
        when = f"for {which} at once{', along the last axis,' if batch.axis else ''}"
        yield from _answers(examined, when, partial(_pushed, examined, batch, other), expected, rules)


def _pushed(examined: Examined, batch: Batch, other: dict[str, Array]) -> Gradients:
    """Gradients of a batch of points, evaluated as one.

    Raises
    ------
    OtherOutput
        Where its outputs have another shape than all points together, or the first is another.
    """
    function = examined.function
    # Copies: a function's leaves may be the same tensors, moved.
    here, there = (
        {name: leaf.detach().clone() for name, leaf in function.call(point).leaves.items()}
        for point in (examined.point, other)
    )
    call = examined.call()
    stacked = {name: torch.stack([here[name], there[name]], batch.axis).requires_grad_() for name in batch.names}

    def one(moved: Tensors) -> Tensors:
        # Evaluated at no point of ours: what a batch goes through may not require a gradient of itself.
        return function.handing(lambda name, tensor: moved.get(name, tensor)).call({}).outputs

    outputs = torch.vmap(one, in_dims=(dict.fromkeys(stacked, batch.axis),), randomness="same")(stacked)
    for name, output in call.outputs.items():
        if outputs[name].shape[1:] != output.shape:
            found, wanted = tuple(outputs[name].shape), (2, *output.shape)
            raise OtherOutput(f"{output_block(name)} has shape {found}, expected {wanted}")
    if not examined.same_outputs({name: wide(output[0]) for name, output in outputs.items()}):
        raise OtherOutput("the output is another")
    cotangents = {name: torch.stack([each, 2 * each]) for name, each in examined.cotangents(call).items()}
    found = torch.autograd.grad(
        [outputs[name] for name in cotangents], list(stacked.values()), list(cotangents.values()), allow_unused=True
    )
    pairs = zip(stacked.items(), cast("Optionals", found), strict=True)
    return {
        name: np.moveaxis(np.zeros(shape_of(each)) if g is None else wide(g), batch.axis, 0) for (name, each), g in pairs
    }
