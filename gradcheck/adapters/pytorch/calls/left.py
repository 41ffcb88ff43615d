# pyright: reportUnknownMemberType=false
# (PyTorch's annotations are partial.)
"""Gradients that a call of the user's leaves behind: in ``.grad``, or in what it returns."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias, cast

import torch

from gradcheck.adapters.pytorch.holdings import Tensors
from gradcheck.errors import DataError
from gradcheck.foundation.objects.pytree import flatten
from gradcheck.foundation.wording import enumerated

Gradients: TypeAlias = dict[str, torch.Tensor | None]


class Before(NamedTuple):
    """The ``.grad`` of some tensors, and how often each had been written to."""

    gradients: list[tuple[torch.Tensor, torch.Tensor | None, int]]

    @classmethod
    def of(cls, tensors: Iterable[torch.Tensor]) -> "Before":
        """As they are now."""
        return cls([(each, each.grad, 0 if each.grad is None else each.grad._version) for each in tensors])

    def is_written(self) -> bool:
        """Whether there is one now that was not, or that was written to."""
        pairs = ((each.grad, gradient, version) for each, gradient, version in self.gradients if each.grad is not None)
        return any(now is not gradient or now._version != version for now, gradient, version in pairs)


def cleared(tensors: Iterable[torch.Tensor]) -> None:
    """None of them has a gradient."""
    for tensor in tensors:
        tensor.grad = None


def is_spent(outputs: Iterable[torch.Tensor], leaves: Iterable[torch.Tensor]) -> bool:
    """Whether no backward pass can be made any more: who returned them has made it, and no graph is left."""
    several = [output for output in outputs if output.requires_grad]
    wanted = [leaf for leaf in leaves if leaf.requires_grad]
    if not several or not wanted:
        return True
    try:
        zeros = [torch.zeros_like(output) for output in several]
        torch.autograd.grad(several, wanted, zeros, retain_graph=True, allow_unused=True)
    except RuntimeError:
        return True
    return False


def left_behind(returned: Any, leaves: Tensors, name: str) -> Gradients:
    """By block: what was returned for it, else its ``.grad``; None where there is neither.

    A dictionary by names of blocks, a sequence in their order (of all, or of those that have no ``.grad``), or a nesting
    like the arguments. What is no gradient, a loss or a dictionary of figures, is passed over where there is something in
    ``.grad``.

    Raises
    ------
    DataError
        Where what was returned is no gradient, and there is nothing in ``.grad``.
    """
    own: Gradients = {block: leaf.grad for block, leaf in leaves.items()}
    if returned is None:
        return own
    found = _by_block(returned, leaves)
    if any(gradient is not None for gradient in own.values()):
        is_loss = not isinstance(returned, Mapping | list | tuple) and getattr(returned, "ndim", 0) == 0
        fits = found and all(_fits(gradient, leaves[block]) for block, gradient in found.items())
        return {**own, **_tensors(found)} if fits and not is_loss else own
    if not found:
        what = f"a {type(returned).__name__}" + (f" of {len(returned)}" if hasattr(returned, "__len__") else "")
        raise DataError(
            f"{name} returned {what}, and left nothing in .grad: expected None, or gradients by name "
            f"({enumerated([repr(block) for block in leaves])}), in this order, or nested like the arguments"
        )
    return {**own, **_tensors(found)}


def _by_block(returned: Any, leaves: Tensors) -> dict[str, Any]:
    """As far as it can be told which is which."""
    if isinstance(returned, Mapping):
        pairs = ((_block(str(key), leaves), value) for key, value in cast("Mapping[Any, Any]", returned).items())
        if found := {block: value for block, value in pairs if block}:
            return found
    flat = flatten({"args": returned if isinstance(returned, tuple) else (returned,)}, what="what was returned")
    nested = {path: leaf for path, leaf in zip(flat.names, flat.leaves, strict=True) if path in leaves}
    if isinstance(returned, list | tuple):
        several = list(cast("list[Any]", returned))
        without = [block for block, leaf in leaves.items() if leaf.grad is None]
        for blocks in (list(leaves), without):
            if len(several) == len(blocks) and len(nested) < len(blocks):
                return dict(zip(blocks, several, strict=True))
    return nested


def _block(key: str, leaves: Tensors) -> str:
    """The block of this name, or the only one whose name ends in it: a parameter's within its module."""
    ending = [name for name in leaves if name.endswith(f".{key}")]
    return key if key in leaves else ending[0] if len(ending) == 1 else ""


def _fits(gradient: Any, leaf: torch.Tensor) -> bool:
    return gradient is None or tuple(getattr(gradient, "shape", ())) == tuple(leaf.shape)


def _tensors(found: Mapping[str, Any]) -> Gradients:
    return {block: None if value is None else torch.as_tensor(value) for block, value in found.items()}
