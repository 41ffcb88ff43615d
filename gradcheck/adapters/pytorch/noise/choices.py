"""What an evaluation decided, in order, and taking the same decisions again.

A comparison, an order or the place of a largest entry can come out otherwise for numbers that are a little off, and what
follows from it is then another function. So noise moves numbers and never a decision, unless it is asked to.
"""

from typing import Any, NamedTuple

import torch


class Decision(NamedTuple):
    """One: by which operation, about what shape of operand, and how."""

    by: Any
    about: torch.Size
    taken: torch.Tensor


class Range(NamedTuple):
    """Of a rounded result: its smallest number that is not 0, its largest finite one, and whether all are whole numbers."""

    smallest: float
    largest: float
    whole: bool


class Decisions:
    """What an unperturbed evaluation decided, in order.

    Attributes
    ----------
    taken : list of Decision
    ranges : list of Range
        Of each rounded result, so that nothing is looked for that does not occur.
    wide : bool or None
        As `Exact` was told.
    """

    def __init__(self, wide: bool | None = None) -> None:
        self.taken: list[Decision] = []
        self.ranges: list[Range] = []
        self.wide = wide

    def record(self, by: Any, about: torch.Size, taken: torch.Tensor) -> None:
        """Keep one; a copy, since masks are changed in place."""
        self.taken.append(Decision(by, about, taken.clone()))


class Replay:
    """Decisions taken again, one after the other.

    Attributes
    ----------
    flips : int
        Entries that came out otherwise; 1 where the evaluation went another way, after which all choices are its own.
    """

    def __init__(self, decisions: Decisions | None, free: bool) -> None:
        self._taken = decisions.taken if decisions is not None else None
        self._free = free
        self._next = 0
        self.flips = 0

    def choose(self, by: Any, about: torch.Size, own: torch.Tensor) -> torch.Tensor:
        """What was decided before; `own` itself where that is the same, or free, or nothing is known of it."""
        if self._taken is None:
            return own
        before = self._taken[self._next] if self._next < len(self._taken) else None
        if before is None or before.by is not by or before.about != about or before.taken.dtype != own.dtype:
            return self._lost(own)
        self._next += 1
        if torch.equal(before.taken, own):
            return own
        same = before.taken.shape == own.shape
        differing = _differing(before.taken, own) if same else 1
        self.flips += differing
        return own if self._free or not differing else before.taken.clone()

    def finish(self) -> None:
        """Decisions that were not asked for again are another way, too."""
        if self._taken is not None and self._next < len(self._taken):
            self.flips += 1
            self._taken = None

    def _lost(self, own: torch.Tensor) -> torch.Tensor:
        self.flips += 1
        self._taken = None
        return own


def _differing(before: torch.Tensor, own: torch.Tensor) -> int:
    differ = before != own
    if own.is_floating_point():
        differ &= ~(before.isnan() & own.isnan())
    return int(differ.sum())


def picked(operand: torch.Tensor, places: torch.Tensor, dim: int, window: int) -> torch.Tensor:
    """The numbers of an operand that stand in given places: along an axis, or in its last axes taken as one."""
    if window:
        flat = operand.flatten(-window)
        return flat.gather(-1, places.flatten(-window)).view(places.shape)
    if operand.ndim == places.ndim:
        return operand.gather(dim, places) if operand.ndim else operand.clone()
    return operand.gather(dim, places.unsqueeze(dim)).squeeze(dim)
