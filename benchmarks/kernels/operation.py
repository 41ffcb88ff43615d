# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false
# (PyTorch's annotations are partial.)
"""What an operation of this corpus is: a plain reference, other honest ways, faults, and pieces to make them of.

A kernel is a function of tensors, most often with a backward pass of its own. Faults are made by writing one wrong, or by
changing what passes through a right one: an output, a gradient, a cotangent.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor
from torch.autograd import Function

from benchmarks.kernels.data import Draw

Kernel: TypeAlias = Callable[..., Any]
One: TypeAlias = Callable[[Tensor], Any]
Two: TypeAlias = Callable[[Tensor, Tensor], Any]
Three: TypeAlias = Callable[[Tensor, Tensor, Tensor], Any]
Four: TypeAlias = Callable[[Tensor, Tensor, Tensor, Tensor], Any]
Five: TypeAlias = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Any]
Six: TypeAlias = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor], Any]
# A kernel as it is written; a lambda's arguments have a type by this.
Written: TypeAlias = One | Two | Three | Four | Five | Six
Change: TypeAlias = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Fault:
    """A kernel with one mistake.

    Attributes
    ----------
    cause : str
        What should be named first, a key of `causes.SAID`.
    kernel : callable
    rounding : bool
        It is one of low precision alone, of whatever size that has.
    dtype : torch.dtype, optional
        In which alone it is wrong; the kernel then takes this itself, and is not run in another way.
    """

    cause: str
    kernel: Written
    rounding: bool = False
    dtype: torch.dtype | None = None


@dataclass(frozen=True)
class Operation:
    """An operation.

    Attributes
    ----------
    name : str
    reference : callable
        Plain, differentiated by autograd.
    arguments : callable
        Of a `Draw`, what it is called with; what requires a gradient is a block.
    ways : dict of str to callable
        Honest ones, as accurate.
    faults : dict of str to Fault
    inexact : tuple of str
        Ways that lose digits on offset data: neither correct nor wrong there.
    """

    name: str
    reference: Written
    arguments: Callable[[Draw], tuple[Tensor, ...]]
    ways: Mapping[str, Written]
    faults: Mapping[str, Fault]
    inexact: tuple[str, ...] = ()


def kernel(written: Written) -> Kernel:
    """To be called."""
    return cast("Kernel", written)


def each(change: Kernel, outputs: Any) -> Any:
    """One tensor or a tuple of them, changed."""
    return tuple(change(output) for output in outputs) if isinstance(outputs, tuple) else change(outputs)


def by_hand(forward: Written, backward: Written) -> Kernel:
    """A kernel of a forward pass, which returns its output and what is kept, and a backward pass of cotangent and kept."""

    class Hand(Function):
        @staticmethod
        def forward(ctx: Any, *args: Tensor) -> Any:
            output, kept = kernel(forward)(*args)
            ctx.save_for_backward(*kept)
            return output

        @staticmethod
        def backward(ctx: Any, *cotangents: Tensor) -> Any:
            return kernel(backward)(*cotangents, *ctx.saved_tensors)

    return cast("Kernel", getattr(Hand, "apply"))  # noqa: B009 - its type is not known


def again(function: Written, backward: Written) -> Kernel:
    """By hand, from the arguments alone, which are kept."""
    return by_hand(cast("One", lambda *args: (kernel(function)(*args), args)), backward)


def slope(function: One, derivative: Change) -> Kernel:
    """An entrywise function by hand."""
    return again(function, lambda g, x: g * derivative(x))


def passing(change: Change) -> Kernel:
    """The identity, with this done to what comes back."""
    return by_hand(lambda x: (x.clone(), ()), change)


def cotangent(written: Written, change: Change) -> Kernel:
    """The kernel, its cotangent changed."""
    return lambda *args: each(passing(change), kernel(written)(*args))


def gradient(written: Written, place: int, change: Change) -> Kernel:
    """The kernel, the gradient of the argument at this place changed."""
    return lambda *args: kernel(written)(*args[:place], passing(change)(args[place]), *args[place + 1 :])


def output(written: Written, change: Change) -> Kernel:
    """The kernel, its output changed and its gradients as they were."""
    changed = by_hand(lambda y: (change(y), ()), lambda g: g)
    return lambda *args: each(changed, kernel(written)(*args))


def by_dtype(right: Written, wrong: Written, dtype: torch.dtype) -> Kernel:
    """Wrong in this dtype alone; float32 inside whatever is stored."""

    def chosen(*args: Tensor) -> Any:
        stored = args[0].dtype
        up = [arg.float() if arg.dtype == dtype else arg for arg in args]
        return each(lambda y: y.to(stored), kernel(wrong if stored == dtype else right)(*up))

    return chosen


def ones(x: Tensor) -> Tensor:
    """A cotangent that nobody looked at."""
    return torch.ones_like(x)


def first_entry(x: Tensor) -> Tensor:
    """A cotangent that was taken for a single number."""
    return x.reshape(-1)[0].expand_as(x).clone()


def first_row(x: Tensor) -> Tensor:
    """A cotangent that is read again from its start for every row."""
    return x[:1].expand_as(x).clone()


def misread(x: Tensor) -> Tensor:
    """What lies in memory transposed, read row by row."""
    return x.mT.reshape(-1).reshape(x.shape)


def block_below(n: int) -> int:
    """Where the last block begins that is not full: the largest power of two below n."""
    return 1 << max(n - 1, 1).bit_length() - 1


def without_tail(dim: int) -> Change:
    """Zero in the last block, which is not full."""

    def changed(x: Tensor) -> Tensor:
        start = block_below(x.shape[dim])
        return torch.where(places(x, dim) < start, x, 0.0)

    return changed


def places(x: Tensor, dim: int) -> Tensor:
    """The index of each entry along a dimension, to be broadcast."""
    shape = [1] * x.ndim
    shape[dim] = x.shape[dim]
    return torch.arange(x.shape[dim]).reshape(shape)


def without(dim: int, index: int) -> Change:
    """Zero at one index: a row, a column, a head that is left out."""
    return lambda x: torch.where(places(x, dim) == index % x.shape[dim], 0.0, x)


def times(factor: float) -> Change:
    return lambda x: factor * x


def bfloat16(x: Tensor) -> Tensor:
    """Through a register of bfloat16."""
    return x.bfloat16().to(x.dtype)


def in_chunks(x: Tensor, dim: int = -1, parts: int = 3) -> Tensor:
    """The sum, chunk by chunk."""
    total = torch.zeros_like(x.select(dim, 0))
    for chunk in x.chunk(parts, dim):
        total = total + chunk.sum(dim)
    return total


def backwards(x: Tensor, dim: int = -1) -> Tensor:
    """The sum, last term first."""
    return x.flip(dim).sum(dim)


def coarse_sum(x: Tensor, dim: int = -1) -> Tensor:
    """The sum, in an accumulator of bfloat16."""
    total = torch.zeros_like(x.select(dim, 0))
    for term in x.unbind(dim):
        total = bfloat16(total + term)
    return total
