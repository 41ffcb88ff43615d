# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false
# (PyTorch's annotations are partial.)
"""In which arithmetic a candidate runs, and a candidate with one entry off."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.autograd import Function
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.kernels.operation import Change, Kernel, bfloat16, each, gradient, output

LOW = (torch.bfloat16, torch.float16)
CHUNKS = 16  # of a sum, after each of which it is rounded
ABOVE = 0.3  # of the RMS of its block: an entry that is not nearly zero
aten: Any = torch.ops.aten
# Where the factors of each product stand among its arguments.
FACTORS: dict[Any, tuple[int, ...]] = {
    aten.mm.default: (0, 1),
    aten.bmm.default: (0, 1),
    aten.mv.default: (0, 1),
    aten.dot.default: (0, 1),
    aten.addmm.default: (1, 2),
    aten.baddbmm.default: (1, 2),
    aten.convolution.default: (0, 1),
    aten.convolution_backward.default: (0, 1, 2),
    aten._scaled_dot_product_flash_attention_for_cpu.default: (0, 1, 2),
    aten._scaled_dot_product_flash_attention_for_cpu_backward.default: (0, 1, 2, 3),
}


class Products(TorchDispatchMode):
    """The factors of every product rounded."""

    def __init__(self, rounded: Change) -> None:
        super().__init__()
        self.rounded = rounded

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        places = FACTORS.get(func, ())
        args = [self.rounded(arg) if place in places else arg for place, arg in enumerate(args)]
        return func(*args, **(kwargs or {}))


class Sums(TorchDispatchMode):
    """Sums and products added up in bfloat16, chunk by chunk."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (aten.mm.default, aten.bmm.default):
            pairs = zip(args[0].chunk(CHUNKS, -1), args[1].chunk(CHUNKS, -2), strict=True)
            return self.added([func(a, b) for a, b in pairs])
        if func is aten.addmm.default:
            return args[0] + self.__torch_dispatch__(aten.mm.default, types, args[1:])
        if func in (aten.sum.dim_IntList, aten.mean.dim) and args[1] and len(args[1]) == 1 and args[0].is_floating_point():
            dim, rest = args[1][0], args[2:]
            total = self.added([aten.sum.dim_IntList(part, [dim], *rest) for part in args[0].chunk(CHUNKS, dim)])
            return total / args[0].shape[dim] if func is aten.mean.dim else total
        return func(*args, **(kwargs or {}))

    def added(self, terms: list[Tensor]) -> Tensor:
        total = torch.zeros_like(terms[0])
        for term in terms:
            total = bfloat16(total + term)
        return total


def tf32(x: Tensor) -> Tensor:
    """To ten bits behind the first, ties to even."""
    bits = x.contiguous().view(torch.int32)
    return ((bits + 0xFFF + ((bits >> 13) & 1)) & ~0x1FFF).view(torch.float32)


def under(mode: Callable[[], AbstractContextManager[Any]]) -> Callable[[Kernel], Kernel]:
    """A kernel, forward and backward pass, inside this."""

    def wrapped(kernel: Kernel) -> Kernel:
        class Inside(Function):
            @staticmethod
            def forward(ctx: Any, *args: Tensor) -> Any:
                with torch.enable_grad(), mode():
                    ctx.inside = [arg.detach().requires_grad_(arg.requires_grad) for arg in args]
                    ctx.outputs = kernel(*ctx.inside)
                return each(lambda y: y.detach().clone(), ctx.outputs)

            @staticmethod
            def backward(ctx: Any, *cotangents: Tensor) -> Any:
                outputs = ctx.outputs if isinstance(ctx.outputs, tuple) else (ctx.outputs,)
                leaves = [leaf for leaf in ctx.inside if leaf.requires_grad]
                with mode():
                    found = iter(torch.autograd.grad(outputs, leaves, cotangents, retain_graph=True, allow_unused=True))
                return tuple(next(found) if leaf.requires_grad else None for leaf in ctx.inside)

        return cast("Kernel", Inside.apply)

    return wrapped


def fused(kernel: Kernel) -> Kernel:
    """Loads what it is given, computes in float32 and rounds what it stores: outputs and gradients."""

    def wrapped(*args: Tensor) -> Any:
        stored = next(arg.dtype for arg in args if arg.is_floating_point())
        return each(lambda y: y.to(stored), kernel(*(arg.float() if arg.dtype in LOW else arg for arg in args)))

    return wrapped


def as_it_is(kernel: Kernel) -> Kernel:
    return kernel


class Way(NamedTuple):
    """The dtype that arguments are stored in, and what is done to a kernel."""

    dtype: torch.dtype
    wrapped: Callable[[Kernel], Kernel]

    def arguments(self, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(
            x.detach().to(self.dtype).requires_grad_(x.requires_grad) if x.is_floating_point() else x for x in given
        )


WAYS = {
    "float32": Way(torch.float32, as_it_is),
    "bfloat16": Way(torch.bfloat16, fused),
    "float16": Way(torch.float16, fused),
    "bfloat16-eager": Way(torch.bfloat16, as_it_is),
    "float16-eager": Way(torch.float16, as_it_is),
    "tf32-inside": Way(torch.float32, under(lambda: Products(tf32))),
    "bfloat16-products": Way(torch.float32, under(lambda: Products(bfloat16))),
    "bfloat16-sums": Way(torch.float32, under(Sums)),
}


class OneOff:
    """The same tensor with one entry off by a part of it: one of those that are not nearly zero, always the same."""

    def __init__(self, size: float, seed: int) -> None:
        self.size, self.generator, self.place = size, torch.Generator().manual_seed(seed), -1

    def __call__(self, x: Tensor) -> Tensor:
        flat = x.reshape(-1)
        if self.place < 0:
            wide = flat.float().abs()
            above = torch.nonzero(wide >= ABOVE * wide.square().mean().sqrt()).flatten()
            self.place = int(above[torch.randint(len(above), (), generator=self.generator)])
        changed = flat.clone()
        changed[self.place] = flat[self.place] * (1 + self.size)
        return changed.reshape(x.shape)


def planted(kernel: Kernel, place: int, change: OneOff) -> Kernel:
    """A kernel whose output, or the gradient of whose argument at a place, has one entry off."""
    return output(kernel, change) if place < 0 else gradient(kernel, place, change)
