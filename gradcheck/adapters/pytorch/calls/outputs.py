# pyright: reportUnknownMemberType=false
# (PyTorch's annotations are partial.)
"""What a function returned: its floating tensors, in whatever nesting or object they lie."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch

from gradcheck.adapters.pytorch.holdings import Tensors
from gradcheck.adapters.pytorch.numbers import WIDE, as_real
from gradcheck.errors import DataError
from gradcheck.foundation.objects.captured import within
from gradcheck.foundation.objects.pytree import flatten

PLAIN = (torch.Tensor, int, float, str, type(None))


class Outputs(NamedTuple):
    """Floating tensors by path, complex ones as ``pairs`` of real ones; and the dtypes of other tensors."""

    floating: Tensors
    pairs: frozenset[str]
    others: dict[str, str]


def outputs_of(output: Any, name: str, numbers: bool = False) -> Outputs:
    """What a function called ``name`` returned; ``numbers`` says that Python's count as well, as a loss has them.

    Raises
    ------
    DataError
        Where nothing in it floats.
    """
    floating: Tensors = {}
    others: dict[str, str] = {}
    leaves = list(_leaves(output, name))
    for path, leaf in leaves:
        if isinstance(leaf, float) and numbers:
            floating[path] = torch.tensor(leaf, dtype=WIDE)
        elif isinstance(leaf, torch.Tensor) and (leaf.is_floating_point() or leaf.is_complex()):
            floating[path] = as_real(leaf)
        elif isinstance(leaf, torch.Tensor):
            others[path] = str(leaf.dtype).removeprefix("torch.")
    if not floating:
        kind = "None" if output is None else f"a value of type {type(output).__name__}"
        raise DataError(f"{name} returned no floating tensor, but {kind}")
    pairs = frozenset(path for path, leaf in leaves if isinstance(leaf, torch.Tensor) and leaf.is_complex())
    return Outputs(floating, pairs, others)


def _leaves(output: Any, name: str) -> Iterator[tuple[str, Any]]:
    """By path; an object of an unknown class is looked into, a module is not."""
    if isinstance(output, torch.Tensor):  # as nearly all are, and taking nestings apart takes longer than most functions
        yield "output", output
        return
    flat = flatten(output, "output", what=name)
    for path, leaf in zip(flat.names, flat.leaves, strict=True):
        if isinstance(leaf, PLAIN):
            yield path, leaf
        else:
            found = within(leaf, path, lambda part: isinstance(part, torch.Tensor | torch.nn.Module))
            yield from (each for each in found if isinstance(each[1], torch.Tensor))
