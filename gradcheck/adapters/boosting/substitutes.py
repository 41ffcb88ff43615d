"""What may stand in place of a second derivative, and what of it can be checked."""

import numpy as np

from gradcheck.adapters.boosting.judging import Known
from gradcheck.errors import DescriptionError
from gradcheck.foundation.arrays import Array

NOT_COMPARED = {
    "constant": "held to be one positive number",
    "fisher": "held to be nowhere negative, as Fisher's is",
    "gauss-newton": "held to be nowhere negative, as Gauss and Newton's is",
}
MEANINGS = ("exact", "clipped", "upper-bound", *NOT_COMPARED)


def meant(meaning: str | float, exact: Known, claim: Array, weights: Array | None) -> Known:
    """What a claim is held against, where it is not the second derivative itself.

    Raises
    ------
    DescriptionError
        Where nothing is meant by that.
    """
    if isinstance(meaning, int | float) and not isinstance(meaning, bool) and 0 < meaning < np.inf:
        return exact.mapped(lambda h: float(meaning) * h, float(meaning))
    if meaning == "exact":
        return exact
    if meaning == "clipped":
        floor = np.min(claim)
        return exact.mapped(lambda h: np.maximum(h, floor))
    if meaning == "upper-bound":
        return exact.mapped(lambda h: np.maximum(h, claim))
    if meaning == "constant":
        weight = np.ones_like(claim) if weights is None else np.broadcast_to(np.reshape(weights, (-1, 1)), claim.shape)
        level = np.median(claim[weight > 0] / weight[weight > 0])
        return _exactly(weight * (level if level > 0 else 1.0))
    if meaning in NOT_COMPARED:
        return _exactly(np.maximum(claim, 0))
    raise DescriptionError(f"expected one of {', '.join(map(repr, MEANINGS))} or a number > 0, got {meaning!r}", "hessian")


def _exactly(value: Array) -> Known:
    return Known(value, np.zeros_like(value), value, value)
