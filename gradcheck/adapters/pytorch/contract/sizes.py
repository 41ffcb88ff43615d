"""Other shapes of the arguments that a function was given: which of their sizes may be others, and arguments of these."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias, cast

import torch

from gradcheck.adapters.pytorch.function import TorchFunction
from gradcheck.foundation.objects.captured import captured

Sizes: TypeAlias = Mapping[int, int]
"""Of each axis that is so long, how long it is instead."""

Arguments: TypeAlias = tuple[tuple[Any, ...], dict[str, Any]]
PLAIN = (torch.Tensor, torch.nn.Parameter)


def free(functions: Iterable[TorchFunction]) -> list[int]:
    """Sizes that nothing but the arguments has, of the functions that are given the same; in their order.

    What a function brings along, and a number that is handed in, stay as they are: of such a size no axis may be another.
    """
    several = list(functions)
    taken = {size for each in several for size in _taken(each)}
    tensors = tensors_of(several[0])
    if not all(type(each) in PLAIN and each.layout == torch.strided for each in tensors.values()):
        return []
    return [n for n in dict.fromkeys(n for each in tensors.values() for n in each.shape) if n > 1 and n not in taken]


def tensors_of(function: TorchFunction) -> dict[str, torch.Tensor]:
    """The arguments that are tensors, by name."""
    pairs = zip(function.arguments.names, function.arguments.leaves, strict=True)
    return {name: leaf for name, leaf in pairs if isinstance(leaf, torch.Tensor)}


def first_axis(function: TorchFunction) -> tuple[int, ...]:
    """The length of the first axis of the first argument that has one; none if there is none."""
    return next((tuple(each.shape[:1]) for each in tensors_of(function).values() if each.dim()), ())


def masked(function: TorchFunction) -> set[int]:
    """Sizes of masks: of one element the mask may leave nothing, of which only the given one speaks."""
    return {n for each in tensors_of(function).values() if each.dtype == torch.bool for n in each.shape}


def reads_beyond(function: TorchFunction, n: int, size: int) -> bool:
    """Whether an index, a length or an offset among the arguments may point behind the end of an axis that is cut.

    Integers that go along the axis, one for each place of it, point to something else.
    """
    whole = [each for each in tensors_of(function).values() if not each.is_floating_point() and each.dtype != torch.bool]
    indices = [each for each in whole if each.numel() and not each.is_complex()]
    return any(n not in each.shape and int(each.max()) >= size for each in indices)


def cut(function: TorchFunction, sizes: Sizes) -> Arguments:
    """New arguments: the first numbers of each axis of such a size; who handed in one tensor twice still does."""
    made: dict[int, torch.Tensor] = {}
    leaves: list[Any] = []
    for name, leaf in zip(function.arguments.names, function.arguments.leaves, strict=True):
        if isinstance(leaf, torch.Tensor):
            made.setdefault(id(leaf), _shortened(leaf, function.given[name], sizes))
        leaves.append(made.get(id(leaf), leaf))
    given = function.arguments.rebuild(leaves)
    return given["args"], given["kwargs"]


def shapes(function: TorchFunction, sizes: Sizes) -> str:
    """The arguments that have other shapes then, and these: ``args.0 of shape (15, 24)``."""
    changed = {
        name: tuple(sizes.get(n, n) for n in each.shape)
        for name, each in tensors_of(function).items()
        if any(n in sizes for n in each.shape)
    }
    return ", ".join(f"{name} of shape {shape}" for name, shape in changed.items())


def _shortened(leaf: torch.Tensor, value: torch.Tensor, sizes: Sizes) -> torch.Tensor:
    part = value[tuple(slice(sizes.get(n, n)) for n in value.shape)].detach().clone()
    return torch.nn.Parameter(part, leaf.requires_grad) if type(leaf) is torch.nn.Parameter else _like(leaf, part)


def _like(leaf: torch.Tensor, part: torch.Tensor) -> torch.Tensor:
    return part.requires_grad_() if leaf.requires_grad else part


def _taken(function: TorchFunction) -> Iterator[int]:
    """Sizes of what is brought along, and whole numbers that are handed in or read from a closure."""
    for name, (tensor, _) in function.state.items():
        if name not in function.arguments.names:
            yield from tensor.shape
    brought = captured(function.f).values() if not isinstance(function.f, torch.nn.Module) else ()
    for each in (*function.arguments.leaves, *brought):
        several = cast("tuple[Any, ...]", each) if isinstance(each, tuple) else (each,)
        yield from (number for number in several if isinstance(number, int))
