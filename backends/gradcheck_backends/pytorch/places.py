"""Where a model computes, and in which arithmetic: from arrays to tensors and back."""

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import RLock
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import DTypeLike
from torch import Tensor

from gradcheck.errors import BackendError
from gradcheck.foundation.arrays import Array

DTYPES = {"float64": torch.float64, "float32": torch.float32, "tf32": torch.float32, "bfloat16": torch.bfloat16}
MATMUL = torch.backends.cuda.matmul
# The older name raises where the newer has been used, and the newer came with PyTorch 2.9.
SETTING, ON, OFF = ("fp32_precision", "tf32", "ieee") if hasattr(MATMUL, "fp32_precision") else ("allow_tf32", True, False)
_LOCK = RLock()  # the setting is the process's, not the thread's


class Place(NamedTuple):
    """A device, by torch's name, and an arithmetic; None for that of the arrays."""

    device: str = "cpu"
    arithmetic: str | None = None

    def tensor(self, array: Array) -> Tensor:
        """The array here: where it needs neither moving nor rounding, in the array's own memory, which is only read."""
        # Of what must not be written torch makes a tensor only with a warning.
        own = array if array.flags.writeable else array.copy()
        shared = torch.from_numpy(own)  # pyright: ignore[reportUnknownMemberType] NumPy's generics are unknown to torch
        return shared if self == HOST else shared.to(self.device, self._dtype(shared))

    def array(self, tensor: Tensor, dtype: DTypeLike) -> Array:
        """A tensor as an array; by then the device has computed it."""
        if self == HOST:
            return tensor.numpy()
        here = tensor.cpu()
        return (here.float() if here.dtype == torch.bfloat16 else here).numpy().astype(dtype, copy=False)

    def arithmetic_in_force(self) -> AbstractContextManager[None]:
        """On an accelerator whether products of float32 are those of TF32; elsewhere they are what they are."""
        return nullcontext() if self.device == "cpu" else products(tf32=self.arithmetic == "tf32")

    def _dtype(self, tensor: Tensor) -> torch.dtype:
        """Class indices stay what they are."""
        return DTYPES.get(self.arithmetic or "", tensor.dtype) if tensor.is_floating_point() else tensor.dtype


HOST = Place()


@contextmanager
def products(*, tf32: bool) -> Generator[None]:
    """Let CUDA round the factors of float32 products to 11 bits, or forbid it; what was in force is put back."""
    with _LOCK:
        before = getattr(MATMUL, SETTING)
        setattr(MATMUL, SETTING, ON if tf32 else OFF)
        try:
            yield
        finally:
            setattr(MATMUL, SETTING, before)


def placed(device: str | None, arithmetic: str | None) -> Place:
    """A place that there is; raises `BackendError` where torch sees no such device, or cannot compute so on it."""
    device = device or "cpu"
    kind = _seen(device)
    if arithmetic not in (None, *DTYPES):
        raise BackendError(f"torch computes in {', '.join(DTYPES)}, not in {arithmetic!r}")
    if arithmetic == "tf32" and kind != "cuda":
        raise BackendError(f"tf32 is an arithmetic of CUDA devices: on {device!r} torch computes in float32")
    return Place(device, arithmetic)


def _seen(device: str) -> str:
    """The kind of a device on which there are numbers."""
    try:
        found = torch.empty(1, device=device)
        np.asarray(found.cpu())
        return found.device.type
    except (RuntimeError, AssertionError, NotImplementedError):  # AssertionError: "Torch not compiled with CUDA enabled"
        there = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
        raise BackendError(f"torch sees no device {device!r}; it sees {', '.join(there)}") from None
