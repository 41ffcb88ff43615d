"""Which part of a sum is missing: a gradient is linear in its cotangent, and many an output in its argument.

A gradient adds up J_i' c_i over the entries i of an output. What the indices along an axis contribute to it is told along
one direction v by two evaluations, since J v is a derivative of the output: <J_i' c_i, v> = c_i (J v)_i. Some of them add up
to what is missing along v; which they are is then held against every entry, by the gradient of the cotangent without them.
An output that is linear in an argument x adds up (dy/dx_j) x_j, which one gradient with a random cotangent tells.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from gradcheck.comparison.explainers.slabs import Slab, slab_of
from gradcheck.comparison.explainers.subject import Subject
from gradcheck.comparison.pair import Inputs
from gradcheck.foundation.arrays import Array, norm
from gradcheck.oracles.directions import normal, own_sizes, signs
from gradcheck.verdict.causes import Cause
from gradcheck.verdict.findings import Diagnosis

# Of the size of what is differentiated: differences are then off by its square, and by 1e-12 of rounding.
STEP = 1e-4
# Of all contributions added up: what is nearer to what is missing is held against every entry.
NEAR = 1e-6
TRIED = 4


class Parts(NamedTuple):
    """What the indices along one axis of an array contribute along a direction."""

    of: str
    axis: int
    contributions: Array


class Missing(NamedTuple):
    """Indices of which nothing is added up."""

    left_out: Array
    cause: Cause
    said: dict[str, object]


def explain(subject: Subject) -> Iterator[Diagnosis]:
    """Of what nothing else has explained: three to seven evaluations a block."""
    yield from _of_slabs(subject)
    for name in list(subject.open):
        if name not in subject.open:
            continue
        gradient = name in subject.given.point
        parts = _of_gradient(subject, name) if gradient else _of_output(subject, name)
        direction = _direction(subject, name) if gradient else _cotangent(subject, name)
        suspect = subject.blocks[name]
        target = float(np.sum(-suspect.error * direction))
        room = norm(suspect.bound * direction)
        for part, missing in _proposed(parts, target, room):
            at = _without(subject.given, part, missing.left_out)
            yield from subject.sayings(subject.at(at), missing.cause, axis=part.axis, of=part.of, **missing.said)


def _of_slabs(subject: Subject) -> Iterator[Diagnosis]:
    """Outputs that lack what an argument contributes where its gradient is zero."""
    for name, suspect in subject.blocks.items():
        slab = slab_of(suspect) if name in subject.given.point else None
        if slab is not None and subject.open.keys() & set(subject.outputs):
            left_out = slab.mask(1 + slab.axis).ravel()
            missing = _missing(left_out, slab)
            at = _without(subject.given, Parts(name, slab.axis, left_out), left_out)
            yield from subject.sayings(subject.at(at), missing.cause, axis=slab.axis, of=name, **missing.said)


def _direction(subject: Subject, name: str) -> Array:
    point = subject.given.point[name]
    return signs(name, point.shape, subject.measured.seed) * own_sizes(point)


def _cotangent(subject: Subject, name: str) -> Array:
    return normal(f"{name} again", subject.blocks[name].reference.shape, subject.measured.seed)


def _of_gradient(subject: Subject, name: str) -> list[Parts]:
    """By what is moved along a direction of the block, and how each entry of an output changes."""
    given, v = subject.given, _direction(subject, name)
    either = [
        subject.at(given._replace(point={**given.point, name: given.point[name] + sign * STEP * v})) for sign in (1, -1)
    ]
    if either[0] is None or either[1] is None:
        return []
    up, down = either[0], either[1]
    found = {of: c * (up[of] - down[of]) / (2 * STEP) for of, c in given.cotangents.items()}
    return _along_axes(found)


def _of_output(subject: Subject, name: str) -> list[Parts]:
    given = subject.given
    if name not in given.cotangents:
        return []
    others = {of: np.zeros(array.shape) for of, array in given.cotangents.items()}
    gradients = subject.at(given._replace(cotangents={**others, name: _cotangent(subject, name)}))
    return _along_axes({of: gradients[of] * x for of, x in given.point.items()}) if gradients is not None else []


def _along_axes(arrays: Mapping[str, Array]) -> list[Parts]:
    return [
        Parts(of, axis, array.sum(axis=tuple(other for other in range(array.ndim) if other != axis)))
        for of, array in arrays.items()
        for axis in range(array.ndim)
        if array.shape[axis] > 1
    ]


def _proposed(parts: list[Parts], target: float, room: float) -> Iterator[tuple[Parts, Missing]]:
    """A few sets of indices that contribute what is missing."""
    found: list[tuple[float, Parts, Missing]] = []
    for part in parts:
        near = max(room, NEAR * float(np.sum(np.abs(part.contributions))))
        for missing in _sets(part.axis, len(part.contributions)):
            gap = abs(float(part.contributions[missing.left_out].sum()) - target)
            if gap <= near:
                found.append((gap / near if missing.left_out.sum() > 1 else gap / near / 2, part, missing))
    for _, part, missing in sorted(found, key=lambda each: each[0])[:TRIED]:
        yield part, missing


def _sets(axis: int, n: int) -> Iterator[Missing]:
    """One index, all up to one and from one on; all but one; every so many."""
    indices = np.arange(n)
    for i in range(n):
        slab = Slab(axis, i, i, n)
        yield _missing(indices == i, slab)
    for i in range(2, n):
        yield _missing(indices < i, Slab(axis, 0, i - 1, n))
    for i in range(1, n - 1):
        yield _missing(indices >= i, Slab(axis, i, n - 1, n))
    for step in range(2, n // 2 + 1):
        for start in range(step):
            said = f"every index but {start}, {start + step}, ..."
            yield Missing(indices % step != start, Cause.LEFT_OUT, {"which": said})


def _missing(left_out: Array, slab: Slab) -> Missing:
    if slab.tail:
        return Missing(left_out, Cause.MASKED_TAIL, {"first": slab.first, "last": slab.last})
    return Missing(left_out, Cause.LEFT_OUT, {"which": slab.said})


def _without(given: Inputs, part: Parts, left_out: Array) -> Inputs:
    def masked(array: Array) -> Array:
        return np.where(left_out.reshape([-1 if axis == part.axis else 1 for axis in range(array.ndim)]), 0.0, array)

    if part.of in given.cotangents:
        return given._replace(cotangents={**given.cotangents, part.of: masked(given.cotangents[part.of])})
    return given._replace(point={**given.point, part.of: masked(given.point[part.of])})
