"""The words of a verdict, as data."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

import msgspec


class Verdict(StrEnum):
    """What a check found out."""

    CORRECT = "correct"
    INEXACT = "inexact"
    WRONG = "wrong"
    UNRESOLVED = "unresolved"
    NONSMOOTH = "nonsmooth"
    UNSUPPORTED = "unsupported"


LISTED = 8  # entries of a block that a finding names
PRECEDENCE = (Verdict.WRONG, Verdict.UNRESOLVED, Verdict.NONSMOOTH, Verdict.INEXACT, Verdict.CORRECT)


def overall(verdicts: Iterable[Verdict]) -> Verdict:
    """The first that occurs of wrong, unresolved, nonsmooth, inexact, correct; `UNRESOLVED` where nothing was checked.

    What somebody does not support says nothing of the others.
    """
    found = set(verdicts)
    return next((verdict for verdict in PRECEDENCE if verdict in found), Verdict.UNRESOLVED)


class Entry(msgspec.Struct, frozen=True):
    """One entry of a block beyond its bound, in the units of the gradient."""

    index: tuple[int, ...]
    claimed: float
    reference: float
    bound: float


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on one block of one backend.

    ``error``, ``bound`` and ``resolution`` are dimensionless, relative to ``max(|g_i|, RMS of the block)`` of the
    claimed gradient (of the reference where the claimed one is zero; absolute where both are).

    Attributes
    ----------
    name : str
        Of the parameter; ``"loss"`` for the loss, ``"network"`` where a build does not support that.
    error, bound : float
        Of the worst entry, the one with the largest error in units of its bound.
    resolution : float
        The smallest error of any one entry that would have been flagged.
    block_resolution : float
        The smallest relative change of the whole block that would have been flagged.
    worst_index : tuple of int, optional
    entries : tuple of Entry
        The worst entries beyond their bound, worst first.
    reason : str
        Why not correct, in one sentence.
    slopes : (float, float), optional
        At a kink: the derivatives to the left and right along the entry at ``worst_index``.
    shape : tuple of int
        Of the block, where it could be compared.
    heat : tuple of rows
        Where the error sits: the block as a matrix (its first axis by all others; a vector is a row), cut into a grid of at
        most `HEAT_ROWS` by `HEAT_COLUMNS` cells of nearly equal size, as ``numpy.array_split`` cuts; in each cell the error
        in units of its bound, of its worst entry or along a direction over all of them. Empty where nobody looked.
    """

    name: str
    backend: str
    verdict: Verdict
    error: float = 0.0
    bound: float = 0.0
    resolution: float = float("inf")
    block_resolution: float = float("inf")
    worst_index: tuple[int, ...] | None = None
    entries: tuple[Entry, ...] = ()
    reason: str = ""
    slopes: tuple[float, float] | None = None
    shape: tuple[int, ...] = ()
    heat: tuple[tuple[float, ...], ...] = ()

    @property
    def ratio(self) -> float:
        """Error in units of the bound: above 1 is an excess."""
        if self.error == 0:
            return 0.0
        return self.error / self.bound if self.bound else float("inf")


class Diagnosis(msgspec.Struct, frozen=True):
    """A named cause of what is wrong with a block.

    Attributes
    ----------
    name : str
        Of the block.
    cause : str
        A stable identifier: ``"factor"``, ``"sign"``, ``"transposed"``, ...
    evidence : dict
        The numbers that belong to it.
    backend : str
        Whose block; the first one's where several have it in common.
    """

    name: str
    cause: str
    evidence: dict[str, Any] = {}
    backend: str = ""
