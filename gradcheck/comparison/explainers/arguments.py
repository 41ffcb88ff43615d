"""What a kernel may have read in place of an argument: another one, its transpose, another order, a multiple of it."""

from collections.abc import Callable, Iterator, Mapping
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from gradcheck.comparison.explainers.factors import scalings
from gradcheck.comparison.explainers.memory import misreadings, unread, wording
from gradcheck.comparison.explainers.subject import Subject
from gradcheck.errors import GradcheckError
from gradcheck.foundation.arrays import Array
from gradcheck.verdict.causes import Cause
from gradcheck.verdict.findings import Diagnosis

# Evaluations that are spent on a diagnosis at most.
MOST = 48


class Read(NamedTuple):
    """What is read in place of some arguments; and how gradients of these are handed back, where it is not as they are."""

    point: Mapping[str, Array]
    cause: Cause
    evidence: dict[str, Any]
    back: Mapping[str, Callable[[Mapping[str, Array]], Array]]


def explain(subject: Subject) -> Iterator[Diagnosis]:
    """Of what nothing else has explained: an evaluation for each way, as long as something is open."""
    yield from _of_results(subject)
    other = _shuffled(subject)
    for (read, again), _ in zip(zip(_ways(subject.given.point), _ways(other), strict=True), range(MOST), strict=False):
        if not subject.open:
            return
        returned = _returned(subject, subject.given.point, read)
        if returned is not None and any(each.is_claimed(returned[name]) for name, each in subject.open.items()):
            yield from subject.sayings(_confirmed(subject, other, returned, again), read.cause, **read.evidence)


def _returned(subject: Subject, point: Mapping[str, Array], read: Read) -> Mapping[str, Array] | None:
    found = subject.at(subject.given._replace(point={**point, **read.point}))
    if found is None or not read.back.keys() <= found.keys():  # what is compared may be values alone
        return found
    return {**found, **{name: back(found) for name, back in read.back.items()}}


def _shuffled(subject: Subject) -> Mapping[str, Array]:
    """Other arguments of the same numbers: what explains a claim by accident, as where a hinge is closed, does not there."""
    draws = np.random.default_rng(subject.measured.seed)
    return {name: draws.permutation(x.ravel()).reshape(x.shape) for name, x in subject.given.point.items()}


def _confirmed(
    subject: Subject, other: Mapping[str, Array], returned: Mapping[str, Array], again: Read
) -> Mapping[str, Array]:
    """Of what explains a claim those blocks that do so at the other arguments as well."""
    at = subject.given._replace(point=other)
    right, supposed = subject.at(at), _returned(subject, other, again)
    if right is None or supposed is None:
        return {}
    confirmed: dict[str, Array] = {}
    for name, suspect in subject.blocks.items():
        try:
            claimed = subject.shown[name].pair.candidate(at)[name]
        except GradcheckError:
            continue
        if suspect._replace(claimed=claimed, reference=right[name]).is_claimed(supposed[name]):
            confirmed[name] = returned[name]
    return confirmed


def _of_results(subject: Subject) -> Iterator[Diagnosis]:
    """The same of what is written."""
    for name, suspect in list(subject.open.items()):
        for how, axis, change, _ in orders(suspect.reference):
            if suspect.is_claimed(change(suspect.reference)):
                subject.explained.add(name)
                yield Cause.REORDERED.of(name, of="the result", how=how, axis=axis)


def _ways(point: Mapping[str, Array]) -> Iterator[Read]:
    yield from _exchanged(point)
    for name, x in point.items():
        yield Read({name: np.ones(x.shape)}, Cause.SCALE, {"of": name, "instead": "ones"}, {})
    for name, x in point.items():
        yield Read({name: np.zeros(x.shape)}, Cause.PATH_LOST, {"lost": f"what goes through {name}"}, {})
    for name, x in point.items():
        yield from _misread(name, x)
    for name, x in point.items():
        for factor, formula, n, axis in scalings(x):
            evidence = {"of": name, "factor": factor, "formula": formula, "n": n, "axis": axis}
            yield Read({name: factor * x}, Cause.SCALE, evidence, {name: _own(name, _multiplied(factor))})
    for name, x in point.items():
        yield from (
            Read({name: change(x)}, Cause.REORDERED, {"of": name, "how": how, "axis": axis}, {name: _own(name, back)})
            for how, axis, change, back in orders(x)
        )


def _taken(name: str) -> Callable[[Mapping[str, Array]], Array]:
    return lambda found: found[name]


def _own(name: str, back: Callable[[Array], Array]) -> Callable[[Mapping[str, Array]], Array]:
    return lambda found: back(found[name])


def _exchanged(point: Mapping[str, Array]) -> Iterator[Read]:
    for one, other in combinations(point, 2):
        if point[one].shape == point[other].shape:
            yield Read(
                {one: point[other], other: point[one]},
                Cause.EXCHANGED,
                {"of": [one, other]},
                {one: _taken(other), other: _taken(one)},
            )


def _misread(name: str, x: Array) -> Iterator[Read]:
    for axes, read in misreadings(x):
        evidence = {"of": name, "axes": list(axes)}
        yield Read({name: read}, wording(x, axes), evidence, {name: _own(name, _unread(axes))})


Change = Callable[[Array], Array]


def orders(array: Array) -> Iterator[tuple[str, int, Change, Change]]:
    """In words, along which axis, and there and back."""
    for axis in reversed(range(array.ndim)):
        n = array.shape[axis]
        if n > 1:
            yield "turned round", axis, _flipped(axis), _flipped(axis)
        if n > 2 and n % 2 == 0:
            yield "with its halves exchanged", axis, _rolled(n // 2, axis), _rolled(n // 2, axis)
        if n > 2:
            yield "one place on", axis, _rolled(1, axis), _rolled(-1, axis)
            yield "one place back", axis, _rolled(-1, axis), _rolled(1, axis)


def _flipped(axis: int) -> Change:
    return lambda array: np.flip(array, axis)


def _rolled(places: int, axis: int) -> Change:
    return lambda array: np.roll(array, places, axis)


def _multiplied(factor: float) -> Change:
    return lambda array: factor * array


def _unread(axes: tuple[int, int]) -> Change:
    return lambda array: unread(array, axes)
