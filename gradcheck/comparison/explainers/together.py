"""What a kernel does from the other end, or along the other axis: with all that it reads, and what it hands back."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from gradcheck.comparison.explainers.subject import Subject
from gradcheck.comparison.pair import Inputs
from gradcheck.foundation.arrays import Array
from gradcheck.verdict.causes import Cause
from gradcheck.verdict.findings import Diagnosis

Change = Callable[[Array], Array]


class Turn(NamedTuple):
    """A change of arrays that undoes itself."""

    change: Change
    cause: Cause
    evidence: dict[str, Any]


def explain(subject: Subject) -> Iterator[Diagnosis]:
    """Of what nothing else has explained: two evaluations for each turn, one with the arguments and one without."""
    axes = range(max((array.ndim for array in subject.given.cotangents.values()), default=0))
    for turn in (*map(_from_the_other_end, axes), *([_ALONG_THE_OTHER] if len(axes) > 1 else [])):
        for whole in (True, False):
            if not subject.open:
                return
            found = subject.at(_turned(subject.given, turn.change, whole=whole))
            if found is not None:
                back = {name: turn.change(array) for name, array in found.items() if whole or name in subject.given.point}
                yield from subject.sayings(back, turn.cause, **turn.evidence)


def _turned(given: Inputs, change: Change, *, whole: bool) -> Inputs:
    def each(arrays: Mapping[str, Array]) -> dict[str, Array]:
        return {name: change(array) for name, array in arrays.items()}

    return Inputs(each(given.point) if whole else given.point, each(given.cotangents))


def _from_the_other_end(axis: int) -> Turn:
    def change(array: Array) -> Array:
        return np.flip(array, axis) if axis < array.ndim else array

    return Turn(change, Cause.REORDERED, {"of": "everything", "how": "gone through from the other end", "axis": axis})


def _transposed(array: Array) -> Array:
    return np.swapaxes(array, -1, -2) if array.ndim > 1 else array


_ALONG_THE_OTHER = Turn(_transposed, Cause.WRONG_AXIS, {})
