"""What comes of reading memory in its order, where two axes lie there the other way round."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from gradcheck.comparison.explainers.subject import Subject
from gradcheck.foundation.arrays import Array
from gradcheck.verdict.causes import Cause
from gradcheck.verdict.findings import Diagnosis

Axes = tuple[int, int]


def explain(subject: Subject) -> Iterator[Diagnosis]:
    """Of blocks that were written so; no evaluation."""
    for name, suspect in subject.blocks.items():
        if any(suspect.is_claimed(each) for other, each in subject.measured.centre.items() if other != name):
            subject.explained.add(name)  # another block's: `gradcheck.diagnosis.corrections` names it
        for axes, read in misreadings(suspect.reference):
            if suspect.is_claimed(read):
                subject.explained.add(name)
                yield wording(suspect.reference, axes).of(name, axes=list(axes))


def misreadings(array: Array) -> Iterator[tuple[Axes, Array]]:
    """What is read in the order of memory of an array two axes of which are exchanged there."""
    longer = [axis for axis, size in enumerate(array.shape) if size > 1]
    for axes in combinations(longer, 2):
        yield axes, np.swapaxes(array, *axes).reshape(array.shape)


def unread(array: Array, axes: Axes) -> Array:
    """The other way."""
    swapped = list(array.shape)
    swapped[axes[0]], swapped[axes[1]] = swapped[axes[1]], swapped[axes[0]]
    return np.swapaxes(array.reshape(swapped), *axes)


def wording(array: Array, axes: Axes) -> Cause:
    """Of axes that are as long as each other it is a transpose."""
    return Cause.TRANSPOSED if array.shape[axes[0]] == array.shape[axes[1]] else Cause.WRONG_STRIDE
