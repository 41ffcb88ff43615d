# pyright: reportUnknownMemberType=false
# (PyTorch's annotations are partial.)
"""Two ways to evaluate a PyTorch program: as it is, keeping what it decided; and with noise on every operation."""

import math
from typing import Any

import torch

from gradcheck.adapters.pytorch.noise import pool
from gradcheck.adapters.pytorch.noise.arithmetic import Arithmetic
from gradcheck.adapters.pytorch.noise.choices import Decisions, Range, Replay
from gradcheck.comparison.levels import Level

ANY = Range(0.0, math.inf, False)


class Exact(Arithmetic):
    """Evaluates without noise and keeps what was decided.

    Parameters
    ----------
    wide : bool, optional
        Whether the program is evaluated in float64, so that casts to float32 are lifted to that. As long as it is not told,
        it is where the first tensor it meets is not of float32, or any is of float64.

    Attributes
    ----------
    decisions : Decisions
    """

    def __init__(self, *, wide: bool | None = None) -> None:
        super().__init__(wide)
        self.decisions = Decisions(wide)

    def _term(self, x: torch.Tensor, n: int, product: bool) -> torch.Tensor:
        return x.clone() if n < 0 else x

    def _settle(self, x: torch.Tensor, n: int, closed: bool = False) -> None:
        size = x.abs()
        least, most = (bound.item() for bound in size.aminmax())
        if not math.isfinite(most):
            most = size.masked_fill_(~size.isfinite(), 0).amax().item()
            least = 0.0
        if not least:
            least = size.masked_fill_(size == 0, math.inf).amin().item()
        whole = closed and least >= 1 and bool((x == x.round()).all())
        self.decisions.ranges.append(Range(least, most, whole))

    def _whole(self) -> bool:
        return False

    def _choose(self, by: Any, about: torch.Size, own: torch.Tensor) -> torch.Tensor:
        self.decisions.record(by, about, own)
        return own


class Noise(Arithmetic):
    """Evaluates with every operation off as a level has it, and takes the decisions that were taken without.

    Parameters
    ----------
    level : Level
    seed : int
        One seed is one noise, whatever becomes of decisions.
    decisions : Decisions or None
        Of the same evaluation under `Exact`.
    free : bool
        Takes its own decisions, and counts how many are others.

    Attributes
    ----------
    flips : int
        Entries of decisions that came out otherwise, whether or not they were then taken as before. An evaluation that goes
        another way from somewhere on (`if` in Python) is one, and all decisions after it are its own.
    """

    def __init__(self, level: Level, seed: int, decisions: Decisions | None, *, free: bool = False) -> None:
        super().__init__(decisions.wide if decisions is not None else None)
        self._level = level
        self._places = pool.Places(seed)
        self._underflow = pool.Places(~seed)  # its own, so that who needs none has the same noise
        self._replay = Replay(decisions, free)
        self._ranges = decisions.ranges if decisions is not None else []
        self._results = 0
        self._found: dict[Any, torch.Tensor] = {}

    @property
    def flips(self) -> int:
        """How many entries of decisions came out otherwise."""
        return self._replay.flips

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)
        if raised[0] is None:
            self._replay.finish()

    def _range(self) -> Range:
        """Of the next result, without noise."""
        return self._ranges[self._results] if self._results < len(self._ranges) else ANY

    def _whole(self) -> bool:
        return self._range().whole and self._range().largest * self._level.unit < 1

    def _choose(self, by: Any, about: torch.Size, own: torch.Tensor) -> torch.Tensor:
        return self._replay.choose(by, about, own)

    def _factors(self, x: torch.Tensor, n: int, product: bool | None) -> torch.Tensor:
        """What x is multiplied with: as a factor of a product, as another term, or (None) as a result."""
        key = n, product, x.dtype, x.device
        found = self._found.get(key)
        if found is None:
            # Less than half a unit is lost where float32 rounds to the nearest.
            size = self._size(n, product) + (2.0**-24 if x.dtype == torch.float32 else 0.0)
            found = self._found[key] = pool.factors(size, x.device)
        return found

    def _size(self, n: int, product: bool | None) -> float:
        level = self._level
        if product is None:
            return max(level.unit, level.total(n)) if n else level.unit
        return math.hypot(level.term(n), level.factors) if product else level.term(n)

    def _term(self, x: torch.Tensor, n: int, product: bool) -> torch.Tensor:
        if x.is_complex():
            shaken = x.resolve_conj().clone(memory_format=torch.contiguous_format)
            self._multiply(torch.view_as_real(shaken), self._factors(torch.view_as_real(shaken), n, product))
            return shaken
        if x.numel() <= pool.PIECE and x.dtype == torch.float64 and x.is_contiguous():
            return x * self._factors(x, n, product).as_strided(x.shape, x.stride(), self._places.next())
        shaken = x.clone()
        self._multiply(shaken, self._factors(x, n, product))
        return shaken

    def _settle(self, x: torch.Tensor, n: int, closed: bool = False) -> None:
        level, before, exact = self._level, self._range(), self._whole()
        self._results += 1
        if exact:
            return
        self._multiply(x, self._factors(x, n, None))
        if before.smallest < 2 * level.tiny:
            off = self._underflow.whole(pool.factors(1.0, x.device), x.numel()).sub(1).view(x.shape)
            x.add_(off.mul_(x != 0), alpha=level.unit * level.tiny)
            x.masked_fill_(x.abs() < level.unit * level.tiny, 0.0)  # half of the smallest number that there is
        if before.largest > level.largest / 2:
            x.copy_(torch.where(x.abs() > level.largest, x.sign() * math.inf, x))

    def _multiply(self, x: torch.Tensor, by: torch.Tensor) -> None:
        n = x.numel()
        if x.dtype != torch.float64:
            x.copy_(x.double().mul_(self._places.whole(by, n).view(x.shape)))
        elif n <= pool.PIECE and x.is_contiguous():
            x.mul_(by.as_strided(x.shape, x.stride(), self._places.next()))
        elif (row := pool.flat(x)) is None:
            x.mul_(self._places.whole(by, n).view(x.shape))
        else:
            for first, last, piece in self._places.pieces(by, n):
                row[first:last].mul_(piece)
