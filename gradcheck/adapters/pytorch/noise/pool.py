"""Random numbers between -1 and 1 that are drawn once and used from many places.

Noise on every operation needs as many random numbers as an evaluation computes, and drawing them takes longer than most
operations. So there is one pool, and an operation uses pieces of it, each from a place of its own which seed and order of
operations give. The second half of the pool is the first with its signs turned: pieces that meet again are as often
opposite as equal, so that sums over more numbers than there are in the pool are off as those of independent ones are.
"""

from collections.abc import Iterator
from functools import lru_cache

import torch

POOL = 2**19
PIECE = 2**14
_MASK = 2**64 - 1


@lru_cache(maxsize=4)
def _pool(device: torch.device) -> torch.Tensor:
    half = torch.rand(POOL // 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64).mul_(2).sub_(1)
    return torch.cat([half, -half]).to(device)


@lru_cache(maxsize=24)
def factors(size: float, device: torch.device) -> torch.Tensor:
    """1 + size times the pool: what numbers are multiplied with."""
    return _pool(device).mul(size).add_(1)


class Places:
    """Where in the pool one piece after the other begins."""

    def __init__(self, seed: int) -> None:
        self._state = (seed * 0x9E3779B97F4A7C15 + 0x1234567) & _MASK
        self.next()

    def next(self) -> int:
        """One of them."""
        self._state = (self._state * 6364136223846793005 + 1442695040888963407) & _MASK
        return (self._state >> 33) % (POOL - PIECE)

    def piece(self, of: torch.Tensor, n: int) -> torch.Tensor:
        """The next n numbers, at most `PIECE`."""
        start = self.next()
        return of[start : start + n]

    def pieces(self, of: torch.Tensor, n: int) -> Iterator[tuple[int, int, torch.Tensor]]:
        """Pieces for n numbers, and from where to where each is for."""
        for first in range(0, n, PIECE):
            last = min(n, first + PIECE)
            yield first, last, self.piece(of, last - first)

    def whole(self, of: torch.Tensor, n: int) -> torch.Tensor:
        """Any n numbers."""
        return self.piece(of, n) if n <= PIECE else torch.cat([piece for _, _, piece in self.pieces(of, n)])


def flat(x: torch.Tensor) -> torch.Tensor | None:
    """The same memory as one row, where it is without gaps; None where it is not."""
    if x.is_contiguous():
        return x.view(-1)
    order = sorted(range(x.ndim), key=x.stride, reverse=True)
    dense = x.permute(order)
    return dense.view(-1) if dense.is_contiguous() else None
