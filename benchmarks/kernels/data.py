"""Numbers that kernels are called with: kinds of data, sizes, and what is drawn of them."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

STANDARD = ("gaussian", "heavy", "tiny")
HARD = ("offset", "saturated")
KINDS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "gaussian": lambda normal, _: normal,
    "heavy": lambda normal, other: normal / (other / 2).sqrt(),  # Student's t of 2 degrees of freedom
    "tiny": lambda normal, _: 1e-4 * normal,
    "offset": lambda normal, _: 1e3 + normal,
    "saturated": lambda normal, _: 30 * normal,
}
"""Of Gaussian numbers, and others that are distributed as the sum of two of their squares."""


class Size(NamedTuple):
    rows: int
    columns: int


SIZES = {"small": Size(5, 8), "odd": Size(33, 65), "medium": Size(256, 256)}


class Draw:
    """One draw: the same seed, kind and size, the same numbers of float32."""

    def __init__(self, kind: str, size: Size, seed: int) -> None:
        self.kind, (self.rows, self.columns) = kind, size
        self.generator = torch.Generator().manual_seed(seed)

    def normal(self, *shape: int, scale: float = 1.0) -> Tensor:
        """Weights: Gaussian whatever the kind of the data."""
        drawn = torch.randn(shape, generator=self.generator, dtype=torch.float64)
        return (scale * drawn).float().requires_grad_()

    def data(self, *shape: int) -> Tensor:
        """Of the kind that is asked for; without a shape, rows by columns."""
        shape = shape or (self.rows, self.columns)
        normal = torch.randn(shape, generator=self.generator, dtype=torch.float64)
        other = -2 * torch.rand(shape, generator=self.generator, dtype=torch.float64).clamp_min(1e-12).log()
        return KINDS[self.kind](normal, other).float().requires_grad_()

    def unit(self, *shape: int) -> Tensor:
        """Between 0.05 and 0.95."""
        drawn = torch.rand(shape, generator=self.generator, dtype=torch.float64)
        return (0.05 + 0.9 * drawn).float().requires_grad_()

    def integers(self, high: int, *shape: int) -> Tensor:
        return torch.randint(high, shape, generator=self.generator)
