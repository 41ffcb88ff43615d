# pyright: reportUnknownMemberType=false
# (PyTorch's annotations are partial.)
"""The arithmetic that a PyTorch function is judged in."""

import numpy as np
import torch

from gradcheck.adapters.pytorch.function import TorchFunction
from gradcheck.adapters.pytorch.numbers import WIDE, retyped
from gradcheck.candidates.given import Narrow
from gradcheck.candidates.precision import Arithmetic
from gradcheck.foundation.arrays import Array


def arithmetic(function: TorchFunction) -> Arithmetic:
    """In which it is judged: where it follows float64, beside the dtypes that it was given in."""
    own = {name: retyped(value.dtype, function.dtype) for name, value in function.blocks.items()}
    given = {name: value.dtype for name, value in function.blocks.items()} if function.wide else own
    coarsest = max(given.values(), key=lambda dtype: torch.finfo(dtype).eps)
    unit = float(torch.finfo(coarsest).eps) / 2

    def nearest(name: str, array: Array) -> Array:
        return torch.from_numpy(np.asarray(array, np.float64)).to(given[name].to_real()).to(WIDE).numpy()

    if function.wide:
        narrow = function.in_dtype(None)
        return Arithmetic(narrow=Narrow(str(coarsest).rpartition(".")[2], unit, nearest, narrow.loss, narrow.gradient))
    return Arithmetic(unit, nearest) if coarsest.to_real() != WIDE else Arithmetic()
