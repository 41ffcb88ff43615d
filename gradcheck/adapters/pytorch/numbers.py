# pyright: reportUnknownMemberType=false
# (PyTorch's annotations are partial.)
"""Tensors as NumPy's arrays of real numbers and back; complex ones are pairs, whose last axis is real and imaginary part."""

from collections.abc import Mapping

import numpy as np
import torch

from gradcheck.candidates.precision import AS_GIVEN, one_of
from gradcheck.foundation.arrays import Array

NUMPY = (torch.float64, torch.float32, torch.float16)  # NumPy has no bfloat16
DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in (*NUMPY, torch.bfloat16)}
WIDE = torch.float64


def dtype_of(dtype: str | None) -> torch.dtype | None:
    """Of this name; none where it is as given.

    Raises
    ------
    DescriptionError
        Where none is called so.
    """
    return None if dtype in (None, AS_GIVEN) else DTYPES[one_of(dtype, list(DTYPES))]


def retyped(dtype: torch.dtype, asked: torch.dtype | None) -> torch.dtype:
    """The dtype that is asked for, complex where it was; what does not float stays as it is."""
    if asked is None or not (dtype.is_floating_point or dtype.is_complex):
        return dtype
    return asked.to_complex() if dtype.is_complex else asked


def as_real(tensor: torch.Tensor) -> torch.Tensor:
    """A dense view of real numbers."""
    dense = tensor if tensor.layout == torch.strided else tensor.to_dense()
    return torch.view_as_real(dense.resolve_conj()) if dense.is_complex() else dense


def shape_of(tensor: torch.Tensor) -> tuple[int, ...]:
    """That of its array."""
    return (*tensor.shape, 2) if tensor.is_complex() else tuple(tensor.shape)


def array_of(tensor: torch.Tensor) -> Array:
    """A copy; bfloat16 in float32."""
    plain = as_real(tensor.detach())
    return (plain if plain.dtype in NUMPY else plain.to(torch.float32)).numpy(force=True).copy()


def arrays_of(tensors: Mapping[str, torch.Tensor]) -> dict[str, Array]:
    """Each of them."""
    return {name: array_of(tensor) for name, tensor in tensors.items()}


def tensor_of(array: Array, shape: tuple[int, ...]) -> torch.Tensor:
    """A copy; contiguous, which a tensor from an empty array is not."""
    copy = torch.from_numpy(np.array(array, order="C")).reshape(shape)
    return copy if copy.numel() else torch.empty(shape, dtype=copy.dtype)


def tensor_like(array: Array, tensor: torch.Tensor) -> torch.Tensor:
    """A copy of the shape, dtype and device of a tensor, complex where that is."""
    real = tensor_of(array, shape_of(tensor))
    return (torch.view_as_complex(real) if tensor.is_complex() else real).to(dtype=tensor.dtype, device=tensor.device)


def copied(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """A copy with the same strides, on which a backward pass may depend.

    PyTorch's own keeps them where entries lie without gaps. Rows of something wider are copied with what lies between them.
    """
    extent = _extent(tensor)
    if not extent:
        return tensor.detach().to(dtype, copy=True)
    span = tensor.detach().as_strided((extent,), (1,)).to(dtype, copy=True)
    return span.as_strided(tensor.shape, tensor.stride())


def _extent(tensor: torch.Tensor) -> int:
    """How far its first and last entry are apart, both counted; 0 where there are no gaps, or entries that coincide."""
    if type(tensor) not in (torch.Tensor, torch.nn.Parameter) or tensor.layout != torch.strided or not tensor.numel():
        return 0
    extent = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size > 1 and stride < extent:
            return 0
        extent += stride * (size - 1)
    return extent if extent > tensor.numel() else 0
