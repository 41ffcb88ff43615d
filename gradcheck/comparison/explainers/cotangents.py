"""What a backward pass may have taken for its cotangent: ones, one number, one row, or what lies elsewhere in memory."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from gradcheck.comparison.explainers.memory import misreadings
from gradcheck.comparison.explainers.subject import Subject
from gradcheck.foundation.arrays import Array, dot, norm
from gradcheck.verdict.causes import Cause
from gradcheck.verdict.findings import Diagnosis


class Taken(NamedTuple):
    """What a cotangent is taken for."""

    cotangent: Array
    cause: Cause
    evidence: dict[str, Any]


def explain(subject: Subject) -> Iterator[Diagnosis]:
    """Of gradients: one evaluation for each way to misread a cotangent, of all outputs together and of each alone."""
    if not any(name in subject.given.point for name in subject.blocks):
        return
    cotangents = subject.given.cotangents
    several = len(cotangents) > 1
    ways = {name: list(_taken(name, array, alone=not several)) for name, array in cotangents.items()}
    for name, each in ways.items():
        for taken in each:
            changed = {**cotangents, name: taken.cotangent}
            yield from _asked(subject, changed, taken, name)
    for place in range(2 if several else 0):  # ones, or first entries, for all
        first = [each[place] for each in ways.values() if len(each) > place]
        if len(first) == len(cotangents) and len({each.cause for each in first}) == 1:
            changed = {name: each[place].cotangent for name, each in ways.items()}
            yield from _asked(subject, changed, first[0], "every output")


def _asked(subject: Subject, cotangents: dict[str, Array], taken: Taken, output: str) -> Iterator[Diagnosis]:
    found = subject.at(subject.given._replace(cotangents=cotangents))
    gradients = {name: array for name, array in (found or {}).items() if name in subject.given.point}
    key = "of" if taken.cause is Cause.WRONG_STRIDE else "output"
    named = {key: f"the cotangent of {output}" if key == "of" else output}
    yield from subject.sayings(gradients, taken.cause, **named, **taken.evidence)
    if taken.evidence.get("taken_for") == "zeros":
        yield from _weighed(subject, gradients, output)


def _weighed(subject: Subject, without: dict[str, Array], output: str) -> Iterator[Diagnosis]:
    """What one output contributes, so many times."""
    for name in without.keys() & subject.open.keys():
        suspect = subject.blocks[name]
        part = suspect.reference - without[name]
        whole = norm(part) ** 2
        excess = dot(suspect.error, part) / whole if whole else 0.0
        if part.size > 1 and suspect.is_claimed(suspect.reference + excess * part):
            subject.explained.add(name)
            yield Cause.FACTOR.of(name, contributor=output, factor=1 + excess)


def _taken(name: str, cotangent: Array, *, alone: bool) -> Iterator[Taken]:
    """Each way, once."""
    seen = [cotangent]
    for taken in _ways(cotangent, alone=alone):
        if not any(np.array_equal(taken.cotangent, each) for each in seen):
            seen.append(taken.cotangent)
            yield taken


def _ways(cotangent: Array, *, alone: bool) -> Iterator[Taken]:
    shape = cotangent.shape
    yield Taken(np.ones(shape), Cause.COTANGENT_IGNORED, {"taken_for": "ones"})
    if not cotangent.size:
        return
    yield Taken(np.full(shape, cotangent.flat[0]), Cause.COTANGENT_SCALAR, {})
    if not alone:  # else the whole gradient is zero
        yield Taken(np.zeros(shape), Cause.COTANGENT_IGNORED, {"taken_for": "zeros"})
    if cotangent.ndim > 1:
        yield from (_first_along(cotangent, axis) for axis in range(cotangent.ndim))
    if cotangent.ndim > 2:
        row = cotangent.reshape(-1, shape[-1])[0]
        yield Taken(np.broadcast_to(row, shape).copy(), Cause.COTANGENT_FIRST_ROW, {"axis": "0 and others"})
    for axes, read in misreadings(cotangent):
        yield Taken(read, Cause.WRONG_STRIDE, {"axes": list(axes)})


def _first_along(cotangent: Array, axis: int) -> Taken:
    first = np.take(cotangent, [0], axis)
    return Taken(np.repeat(first, cotangent.shape[axis], axis), Cause.COTANGENT_FIRST_ROW, {"axis": axis})
