# pyright: reportPrivateUsage=false, reportUnknownMemberType=false
# (What a module holds is public in no other way; PyTorch's annotations are partial.)
"""What a check moves and puts back: all that a module holds, and the state of the random numbers."""

import random
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def module_of(f: Callable[..., Any]) -> torch.nn.Module | None:
    """The module itself, or that of a method."""
    owner = getattr(f, "__self__", f)
    return owner if isinstance(owner, torch.nn.Module) else None


@contextmanager
def kept(module: torch.nn.Module | None) -> Generator[None]:
    """Parameters, buffers, gradients, modes and other attributes of a module are afterwards what they were before."""
    parts = list(module.modules()) if module is not None else []
    attributes = [(part, dict(vars(part)), dict(part._parameters), dict(part._buffers)) for part in parts]
    tensors = [*module.parameters(), *module.buffers()] if module is not None else []
    data = [(tensor, tensor.data, tensor.grad) for tensor in tensors]
    try:
        yield
    finally:
        for part, values, parameters, buffers in attributes:
            vars(part).clear()
            vars(part).update(values)
            part._parameters.clear()
            part._parameters.update(parameters)
            part._buffers.clear()
            part._buffers.update(buffers)
        for tensor, value, gradient in data:
            tensor.data, tensor.grad = value, gradient


@contextmanager
def random_kept() -> Generator[None]:
    """PyTorch's, NumPy's and Python's random numbers go on afterwards as if none had been drawn."""
    numbers, python = np.random.get_state(), random.getstate()
    with torch.random.fork_rng():
        try:
            yield
        finally:
            np.random.set_state(numbers)
            random.setstate(python)


def random_state() -> tuple[bytes, str, object]:
    """Of the three generators of the processor."""
    return torch.get_rng_state().numpy().tobytes(), repr(np.random.get_state()), random.getstate()


def seed_all(seed: int) -> None:
    """The generators that a function may draw from.

    Not by ``torch.manual_seed``: for every kind of device that is not there it formats the stack and keeps it for ever.
    """
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
    if torch.backends.mps.is_available():
        torch.mps.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)
