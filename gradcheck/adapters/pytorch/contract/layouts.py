"""The same values in another place of memory: transposed, sliced, expanded."""

from collections.abc import Callable, Mapping

import torch

from gradcheck.adapters.pytorch.contract.graph import Cotangents


def transposed(tensor: torch.Tensor) -> torch.Tensor:
    """Its first axis is the one that lies together in memory."""
    order = tuple(reversed(range(tensor.dim())))
    return tensor.permute(order).contiguous().permute(order)


def sliced(tensor: torch.Tensor) -> torch.Tensor:
    """Every second element of a buffer that is NaN in between: whoever reads on in memory reads that, or shows it."""
    buffer = tensor.new_full((*tensor.shape, 2), float("nan"))
    buffer[..., 1] = tensor
    return buffer[..., 1]


def expanded(tensor: torch.Tensor) -> torch.Tensor:
    """One number, its largest, which is there once for all entries; whoever reads on in memory reads NaN, and no further."""
    size = tensor.detach().abs().max() if tensor.numel() else tensor.new_zeros(())
    buffer = tensor.new_full((max(tensor.numel(), 1),), float("nan"))
    buffer[0] = torch.where(size > 0, size, torch.ones_like(size))
    return buffer[0].expand(tensor.shape)


def flat(tensor: torch.Tensor) -> torch.Tensor:
    """The values of `expanded`, one after the other."""
    return expanded(tensor).clone(memory_format=torch.contiguous_format)


def repeated(tensor: torch.Tensor) -> torch.Tensor:
    """Its first row, which is there once for all; whoever reads on in memory reads NaN, and no further."""
    if tensor.dim() < 2 or not tensor.numel():
        return tensor
    buffer = torch.full_like(tensor, float("nan"), memory_format=torch.contiguous_format)
    buffer[0] = tensor[0]
    return buffer[:1].expand(tensor.shape)


def written_out(tensor: torch.Tensor) -> torch.Tensor:
    """The values of `repeated`, one after the other."""
    return repeated(tensor).clone(memory_format=torch.contiguous_format)


LAYOUTS: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {"transposed": transposed, "sliced": sliced}


def is_laid_out(tensor: torch.Tensor) -> bool:
    """Whether it has strides that can be others, and values that float."""
    floating = tensor.is_floating_point() or tensor.is_complex()
    return type(tensor) in (torch.Tensor, torch.nn.Parameter) and tensor.layout == torch.strided and floating


def of_each(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Cotangents], Cotangents]:
    """The same change of each cotangent that there is."""

    def changed(cotangents: Cotangents) -> Cotangents:
        return tuple(change(each) if each is not None and is_laid_out(each) else each for each in cotangents)

    return changed
