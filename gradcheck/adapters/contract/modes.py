# pyright: reportUnknownMemberType=false
# (PyTorch's annotations are partial.)
"""Other modes that a function declares: forward derivatives beside the backward pass, and batches through ``vmap``."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

import numpy as np
import torch
from torch.autograd import forward_ad

from gradcheck.adapters.contract.answers import Breach, Examined, Gradients, Optionals, Told, shortly, wide
from gradcheck.adapters.contract.graph import Node, nodes_of
from gradcheck.adapters.pytorch_function import Call, Tensors, tensor_of
from gradcheck.adapters.pytorch_state import seed_all
from gradcheck.foundation.arrays import Array
from gradcheck.verdict.causes import Cause

Function = torch.autograd.Function
BATCH = 3  # cotangents, and points, at once


def forward(examined: Examined) -> Told:
    """What a ``jvp`` says of a tangent is what the backward pass says of it: c . (J t) = (c J) . t."""
    if not any(defines(node, "jvp") for node in nodes_of(examined.call().outputs.values()).custom):
        return
    directions = _tangents(examined)
    wrong: list[tuple[str, str]] = []
    for name in (None, *examined.judged):
        moved = {each: t if name in (None, each) else np.zeros_like(t) for each, t in directions.items()}
        try:
            said, size = _pushed(examined, moved)
        except NotImplementedError:
            return
        except Exception as error:
            if "forward" in str(error) and "not" in str(error):  # an operator beside it has no forward derivative
                return
            yield Breach(Cause.FORWARD_MODE, frozenset(examined.gradients), f"the forward derivative {shortly(error)}")
            return
        products = [np.abs(examined.gradients[each] * t).sum() for each, t in moved.items()]
        pulled = float(sum(np.sum(examined.gradients[each] * t) for each, t in moved.items()))
        if not abs(said - pulled) <= examined.eps**0.5 * (sum(products) + size):
            wrong.append(
                (name or "", f"the forward derivative along a tangent is {said:.6g}, the backward pass has {pulled:.6g}")
            )
        elif name is None:
            return
    blocks = frozenset(name for name, _ in wrong if name) or examined.judged
    yield Breach(Cause.FORWARD_MODE, blocks, wrong[-1][1])


def defines(node: Node, name: str) -> bool:
    """Whether the class of a node has a method of its own."""
    kind = getattr(node, "_forward_cls", None)
    return kind is not None and getattr(kind, name, None) is not getattr(Function, name)


def _tangents(examined: Examined) -> dict[str, Array]:
    draws = np.random.default_rng(examined.function.seed)
    return {name: draws.standard_normal(value.shape) for name, value in examined.point.items()}


def _pushed(examined: Examined, tangents: Mapping[str, Array]) -> tuple[float, float]:
    """The derivative along the tangents, reduced by the cotangents, and the size of what was added up."""

    def hand_on(name: str, tensor: torch.Tensor) -> torch.Tensor:
        if name in tangents:
            value = tensor.detach().clone()
            tangent = tensor_of(tangents[name], tensor.shape).to(value)
            with torch.no_grad():  # written into the very leaf, which may be a parameter
                tensor.copy_(forward_ad.make_dual(value, tangent))
        return tensor

    with forward_ad.dual_level():
        call = examined.function.handing(hand_on).call(examined.point)
        pushed = {name: forward_ad.unpack_dual(output).tangent for name, output in call.outputs.items()}
    drawn = examined.function.cotangents
    products = [drawn[name] * wide(t) for name, t in pushed.items() if t is not None and name in drawn]
    return float(sum(map(np.sum, products))), float(sum(np.abs(product).sum() for product in products))


def batched(examined: Examined) -> Told:
    """Where a function declares that it can be batched, several cotangents, and several points, are as each alone."""
    nodes = nodes_of(examined.call().outputs.values()).custom
    declared = any(defines(node, "vmap") or _generates(node) for node in nodes)
    if not declared or examined.function.random:
        return
    certain = all(_generates(node) for node in nodes)
    for breach in (*_of_cotangents(examined), *_of_points(examined)):
        yield breach if certain or " raised " not in breach.sentence else breach.sentence


def _generates(node: Node) -> bool:
    return bool(getattr(getattr(node, "_forward_cls", None), "generate_vmap_rule", False))


def _of_cotangents(examined: Examined) -> Iterator[Breach]:
    call = examined.call()
    given = examined.cotangents(call)
    factors = [1.0, -0.5, 2.0][:BATCH]
    several = {name: torch.stack([factor * each for factor in factors]) for name, each in given.items()}
    batch = list[Gradients]()

    def alone(i: int) -> Gradients:
        if not batch:
            batch.extend(_split(_batched(examined, call, several)))
        return batch[i]

    for i, factor in enumerate(factors):
        expected = {name: factor * gradient for name, gradient in examined.gradients.items()}
        breaches = list(
            examined.answers(Cause.VMAP, f"for {len(factors)} cotangents at once", lambda i=i: alone(i), expected)
        )
        yield from breaches
        if breaches:
            return


def _batched(examined: Examined, call: Call, several: Tensors) -> dict[str, torch.Tensor]:
    seed_all(examined.function.seed)
    leaves = call.leaves
    found = torch.autograd.grad(
        [call.outputs[name] for name in several],
        list(leaves.values()),
        list(several.values()),
        allow_unused=True,
        is_grads_batched=True,
    )
    pairs = zip(leaves.items(), cast("Optionals", found), strict=True)
    return {name: leaf.new_zeros((BATCH, *leaf.shape)) if g is None else g for (name, leaf), g in pairs}


def _split(several: Mapping[str, Any]) -> list[Gradients]:
    return [{name: wide(each[i]) for name, each in several.items()} for i in range(BATCH)]


def _of_points(examined: Examined) -> Iterator[Breach]:
    """Values and gradients of a batch of points; only arguments can be batched, a parameter is one for all."""
    function = examined.function
    names = [name for name in function.arguments.names if name in examined.point]
    first = examined.call()
    stacked = {name: torch.stack([first.leaves[name].detach()] * BATCH).requires_grad_() for name in names}
    if not names:
        return

    def one(moved: Tensors) -> Tensors:
        # Evaluated at no point of ours: what a batch goes through may not require a gradient of itself.
        return function.handing(lambda name, tensor: moved.get(name, tensor)).call({}).outputs

    def gradients() -> Gradients:
        outputs = torch.vmap(one, randomness="same")(stacked)
        cotangents = examined.cotangents(first)
        given = [torch.stack([factor * cotangents[name] for factor in (1.0, 0.0, -1.0)]) for name in cotangents]
        found = torch.autograd.grad([outputs[name] for name in cotangents], list(stacked.values()), given, allow_unused=True)
        pairs = zip(names, found, strict=True)
        return {name: _whole(stacked[name], g) for name, g in pairs}

    alone = {name: examined.gradients[name] for name in names}
    expected = {name: np.stack([g, 0 * g, -g]) for name, g in alone.items()}
    yield from examined.answers(Cause.VMAP, "for three points at once", gradients, expected)


def _whole(stacked: torch.Tensor, gradient: torch.Tensor | None) -> Array:
    return np.zeros(stacked.shape) if gradient is None else wide(gradient)
