"""A claim that is a multiple of what is right, by a number that the size of an axis explains: a scale."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from gradcheck.comparison.explainers.subject import Subject, Suspect
from gradcheck.foundation.arrays import Array, dot, norm
from gradcheck.verdict.causes import Cause
from gradcheck.verdict.findings import Diagnosis

# Powers of a size that kernels scale by.
POWERS = {0.5: "sqrt(n)", 1.0: "n"}
LEAST = 2  # so small a factor needs no axis to explain it
# Relative; so near to a power of a size a factor is taken for one, if it is known so well.
NEAR = 1e-6
KNOWN = 1e-2
# So near to 1 a factor may be an eps.
LITTLE = 1e-3


class Size(NamedTuple):
    """Of one axis of an array."""

    n: int
    axis: int
    of: str


def explain(subject: Subject) -> Iterator[Diagnosis]:
    """No evaluation."""
    for name, suspect in subject.open.items():
        if _is_multiple(suspect):
            subject.explained.add(name)  # `gradcheck.diagnosis.corrections` names it, where nothing here does
        for factor, formula, size in _scales(subject, suspect):
            subject.explained.add(name)
            side = "larger" if factor > 1 else "smaller"
            yield Cause.SCALE.of(name, side=side, factor=max(factor, 1 / factor), formula=formula, **size._asdict())
            break


def _is_multiple(suspect: Suspect) -> bool:
    factor = ratio(suspect)[0]
    far = abs(factor - 1) > LITTLE and suspect.claimed.size > 1
    return far and suspect.is_claimed(factor * suspect.reference)


def _scales(subject: Subject, suspect: Suspect) -> Iterator[tuple[float, str, Size]]:
    factor, uncertain = ratio(suspect)
    if factor <= 0 or uncertain > KNOWN or not suspect.is_claimed(factor * suspect.reference):
        return
    arrays = {**subject.given.point, **{name: subject.measured.centre[name] for name in subject.outputs}}
    for size in sizes(arrays):
        for power, formula in POWERS.items():
            scale = size.n**power
            if scale > LEAST and abs(max(factor, 1 / factor) / scale - 1) <= max(NEAR, uncertain):
                yield (scale if factor > 1 else 1 / scale), formula, size


def ratio(suspect: Suspect) -> tuple[float, float]:
    """The factor between what is claimed and what is right that fits best, and how far it may be off, relative to it."""
    whole = norm(suspect.reference) ** 2
    factor = dot(suspect.claimed, suspect.reference) / whole if whole else 0.0
    return factor, norm(suspect.bound * suspect.reference) / whole / abs(factor) if factor else np.inf


def sizes(arrays: Mapping[str, Array]) -> Iterator[Size]:
    """Of all axes, the last of each array first; each number once."""
    seen = set[int]()
    for of, array in arrays.items():
        for axis in reversed(range(array.ndim)):
            if array.shape[axis] not in seen and array.shape[axis] > 1:
                seen.add(array.shape[axis])
                yield Size(array.shape[axis], axis, of)


def scalings(array: Array) -> Iterator[tuple[float, str, int, int]]:
    """By what an argument may be multiplied once too often or not: factor, formula, and the size of its last axis."""
    n, axis = array.shape[-1] if array.ndim else 1, array.ndim - 1
    for power, formula in POWERS.items() if n > 1 else ():
        yield n**power, formula, n, axis
        yield n**-power, f"1 / {formula}", n, axis
