"""What is known of an objective that is not right, and of how near a correction must come."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from gradcheck.adapters.boosting.conventions import Objective
from gradcheck.adapters.boosting.judging import Claimed, Known, in_float32
from gradcheck.adapters.boosting.losses import Loss
from gradcheck.errors import GradcheckError
from gradcheck.foundation.arithmetic import UNIT_FLOAT32
from gradcheck.foundation.arrays import Array
from gradcheck.verdict.causes import Cause
from gradcheck.verdict.entrywise import entry_scales

NEAR = 1e-8  # of an entry's scale: so near a correction must come; a choice
ROUNDED = 64  # unit roundoffs that a correction may be off by
TINY = float(np.finfo(np.float64).tiny)

Found = Iterator[tuple[Cause, dict[str, Any], Array]]
"""Causes that may be, each with its evidence and what the claim would then be."""


class Problem(NamedTuple):
    """An objective, where, what it says, and what is true; blocks whose truth is not known are absent.

    The loss is there if it has a value for each row; ``meaning`` is what the second derivative is said to be.
    """

    objective: Objective
    at: Array
    said: Claimed
    known: dict[str, Known]
    loss: Loss | None
    meaning: str | float

    def fits(self, name: str, corrected: Array, near: float = NEAR) -> bool:
        """Whether a corrected claim is true in every entry."""
        truth = self.known[name]
        if corrected.shape != truth.value.shape or not np.isfinite(corrected).all():
            return False
        unit = UNIT_FLOAT32 if in_float32(self.said.blocks[name]) else self.said.unit
        room = 4 * truth.bound + max(near, ROUNDED * unit) * entry_scales(corrected, truth.value, TINY)
        inside = (corrected >= truth.low - room) & (corrected <= truth.high + room)
        return bool((inside if truth.looked is None else inside | ~truth.looked).all())


def claims_of(objective: Objective, raw: Array) -> tuple[Array, Array] | None:
    """Both blocks that an objective claims elsewhere, if it can be asked."""
    try:
        answer = objective.answer(raw)
    except GradcheckError:
        return None
    first, second = (objective.rows.block(part, "")[0] for part in answer[:2])
    return None if first is None or second is None else (objective.sign * first, objective.sign * second)
