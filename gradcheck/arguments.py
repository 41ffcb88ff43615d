"""What the checks ask of their arguments: one sentence with the name and the value where it is not so."""

import math
from numbers import Integral, Real

from gradcheck.errors import DescriptionError


def accuracy_of(value: object) -> float:
    """A finite number >= 0."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) < math.inf:
        raise DescriptionError(f"expected a finite float >= 0, got {value!r}", "accuracy")
    return float(value)


def seed_of(value: object) -> int:
    """An integer >= 0."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 0:
        raise DescriptionError(f"expected int >= 0, got {value!r}", "seed")
    return int(value)
