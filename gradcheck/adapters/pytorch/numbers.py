# pyright: reportUnknownMemberType=false
# (PyTorch's annotations are partial.)
"""Tensors as NumPy's arrays and back."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from gradcheck.adapters.pytorch.holdings import Tensors
from gradcheck.errors import DataError
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.objects.pytree import flatten

NUMPY = (torch.float64, torch.float32, torch.float16)  # NumPy has no bfloat16
DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in (*NUMPY, torch.bfloat16)}
WIDE = torch.float64


def array_of(tensor: torch.Tensor) -> Array:
    """A copy; bfloat16 in float32."""
    plain = tensor.to_dense() if tensor.layout != torch.strided else tensor
    return (plain if plain.dtype in NUMPY else plain.to(torch.float32)).numpy(force=True).copy()


def arrays_of(tensors: Mapping[str, torch.Tensor]) -> dict[str, Array]:
    """Each of them."""
    return {name: array_of(tensor) for name, tensor in tensors.items()}


def tensor_of(array: Array, shape: torch.Size) -> torch.Tensor:
    """A copy; contiguous, which a tensor from an empty array is not."""
    copy = torch.from_numpy(np.array(array, order="C")).reshape(shape)
    return copy if copy.numel() else torch.empty(shape, dtype=copy.dtype)


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


def floating_tensors(output: Any, name: str) -> Tensors:
    """Those of a function's output, by path; complex ones as pairs of real ones."""
    if isinstance(output, torch.Tensor):  # as nearly all are, and taking nestings apart takes longer than most functions
        leaves = {"output": output}
    else:
        flat = flatten(output, "output", what=name)
        leaves = dict(zip(flat.names, flat.leaves, strict=True))
    found: Tensors = {}
    for path, leaf in leaves.items():
        if isinstance(leaf, torch.Tensor) and (leaf.is_floating_point() or leaf.is_complex()):
            dense = leaf if leaf.layout == torch.strided else leaf.to_dense()
            found[path] = torch.view_as_real(dense.resolve_conj()) if dense.is_complex() else dense
    if not found:
        kind = "None" if output is None else f"a value of type {type(output).__name__}"
        raise DataError(f"{name} returned no floating tensor, but {kind}")
    return found
