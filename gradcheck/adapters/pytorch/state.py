# pyright: reportPrivateUsage=false, reportUnknownMemberType=false
# (What a module holds is public in no other way; PyTorch's annotations are partial.)
"""What a check moves and puts back: all that a module holds, and the state of the random numbers."""

import random
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def module_of(f: Callable[..., Any]) -> torch.nn.Module:
    """The module itself, or that of a method; an empty one of a function."""
    owner = getattr(f, "__self__", f)
    return owner if isinstance(owner, torch.nn.Module) else torch.nn.Module()


@contextmanager
def kept(modules: Iterable[torch.nn.Module], tensors: Iterable[torch.Tensor]) -> Generator[None]:
    """Tensors, their gradients, and all attributes of modules are afterwards what they were before."""
    holders: list[dict[str, Any]] = []
    for part in (part for module in modules for part in module.modules()):
        holders += [vars(part), part._parameters, part._buffers]
    contents = [(holder, dict(holder)) for holder in holders]
    data = [(tensor, tensor.data, tensor.grad) for tensor in tensors if tensor.is_leaf]
    try:
        yield
    finally:
        for holder, content in contents:
            holder.clear()
            holder.update(content)
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


def random_state() -> tuple[object, ...]:
    """Of the three generators of the processor."""
    name, keys, *rest = np.random.get_state(legacy=True)
    return torch.get_rng_state().numpy().tobytes(), name, np.asarray(keys).tobytes(), *rest, random.getstate()


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
