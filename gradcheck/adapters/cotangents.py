"""Functions of many outputs: one random cotangent for each, so that one number is left."""

from collections.abc import Mapping

import numpy as np

from gradcheck.foundation.arrays import Array, dot
from gradcheck.oracles.directions import signs


def draw(outputs: Mapping[str, Array], seed: int) -> dict[str, Array]:
    """A cotangent for each output, in float64: 1 for a single number, so that its own derivative is shown."""
    if sum(value.size for value in outputs.values()) == 1:
        return {name: np.ones(value.shape) for name, value in outputs.items()}
    return {name: signs(name, value.shape, seed + 1) for name, value in outputs.items()}


def combine(outputs: Mapping[str, Array], cotangents: Mapping[str, Array]) -> float:
    """Sum over all outputs of the products of their entries with the cotangent's."""
    return sum(dot(value.astype(np.float64), cotangents[name]) for name, value in outputs.items())
