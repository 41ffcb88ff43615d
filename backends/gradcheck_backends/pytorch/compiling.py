"""``torch.compile``, where there is a compiler to compile with."""

import os
import shutil
from collections.abc import Callable, Mapping
from typing import TypeAlias, cast

import torch
from torch import Tensor

from gradcheck.errors import BackendNotInstalled

Loss: TypeAlias = Callable[[Mapping[str, Tensor], Tensor, Tensor], Tensor]


def compiled(loss: Loss) -> Loss:
    """The loss, compiled at its first call, and again where shapes change.

    Raises `BackendNotInstalled` at once, where there is no C++ compiler.
    """
    compiler = os.environ.get("CXX", "g++")  # as TorchInductor looks for it
    if shutil.which(compiler) is None:
        raise BackendNotInstalled(f"torch.compile needs a C++ compiler, and {compiler!r} (CXX, or g++) is not installed")

    def own(tensors: Mapping[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return loss(tensors, x, y)

    # What is compiled is kept by code object, eight for each: every model has one of its own.
    own.__code__ = own.__code__.replace()
    # A graph that breaks would be timed as what it is not.
    return cast("Loss", torch.compile(own, fullgraph=True))  # pyright: ignore[reportUnknownMemberType]
