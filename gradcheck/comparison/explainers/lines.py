"""Lines (rows, columns, heads) each of which is off by a number of its own: a statistic, or a path through what it shares.

A line off by a factor has a statistic that is stale; one off by a multiple of the argument, the output, the cotangent, or by
a constant, lacks the term that a mean or a length sends back. Numbers are fitted line by line, a few to many entries.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np

from gradcheck.comparison.explainers.subject import Subject, Suspect
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.wording import enumerated
from gradcheck.verdict.causes import Cause
from gradcheck.verdict.findings import Diagnosis

SPARE = 2  # entries of a line for each number that is fitted to it, and one more
# Relative; where numbers differ by no more they are one number, for which there are simpler causes.
ALIKE = 1e-3


def explain(subject: Subject) -> Iterator[Diagnosis]:
    """No evaluation. A stale statistic is also what another eps looks like: it spares no further look."""
    for name, suspect in subject.open.items():
        yield from _of_block(subject, name, suspect)


def _of_block(subject: Subject, name: str, suspect: Suspect) -> Iterator[Diagnosis]:
    for axes in _lines(suspect.claimed.shape):
        factors = fitted(suspect, suspect.claimed, [suspect.reference], axes)
        if factors is not None:
            if not _one_number(factors[0]):
                along, least, most = _said(axes), float(factors[0].min()), float(factors[0].max())
                yield Cause.STALE_STATISTICS.of(name, along=along, least=least, most=most)
            return
    for axes in _lines(suspect.claimed.shape):
        for what, terms in _terms(subject, suspect.claimed.shape):
            numbers = fitted(suspect, suspect.error, terms, axes)
            if numbers is not None and not all(map(_one_number, numbers)):
                subject.explained.add(name)
                cause = Cause.PATH_LOST if name in subject.given.point else Cause.STALE_STATISTICS
                yield cause.of(name, along=_said(axes), multiple=what)
                return


def _lines(shape: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Axes that lines may run along: one, or all but one; of several lines, and the last axis first."""
    axes = [axis for axis, size in enumerate(shape) if size > 1]
    for count in dict.fromkeys((1, len(axes) - 1)):
        if 0 < count < len(axes):
            yield from list(combinations(axes, count))[::-1]


def _terms(subject: Subject, shape: Sequence[int]) -> Iterator[tuple[str, list[Array]]]:
    known: Mapping[str, Array] = {
        **subject.given.point,
        **{name: subject.measured.centre[name] for name in subject.outputs},
        **{f"the cotangent of {name}": array for name, array in subject.given.cotangents.items()},
    }
    fitting = {name: array for name, array in known.items() if array.shape == tuple(shape)}
    constant = np.ones(shape)
    yield "a constant", [constant]
    for name, array in fitting.items():
        yield f"a multiple of {name}", [array]
    for name, array in fitting.items():
        yield f"a constant and a multiple of {name}", [constant, array]


def fitted(suspect: Suspect, what: Array, terms: Sequence[Array], axes: tuple[int, ...]) -> list[Array] | None:
    """The number of each term and line with which they add up to something; None where they do not, or anything would."""
    count = int(np.prod([suspect.claimed.shape[axis] for axis in axes]))
    if count <= SPARE * len(terms):
        return None
    smallest = float(np.min(suspect.bound, where=suspect.bound > 0, initial=np.inf))
    weights = smallest / np.maximum(suspect.bound, smallest) if smallest < np.inf else np.ones(what.shape)
    numbers = _solved(what, terms, weights, axes)
    if numbers is None:
        return None
    total = sum((number * term for number, term in zip(numbers, terms, strict=True)), np.zeros(what.shape))
    supposed = total if what is suspect.claimed else suspect.reference + total
    return numbers if suspect.is_claimed(supposed) else None


def _solved(what: Array, terms: Sequence[Array], weights: Array, axes: tuple[int, ...]) -> list[Array] | None:
    """Least squares in each line."""

    def product(a: Array, b: Array) -> Array:
        return np.sum(a * b * weights**2, axis=axes, keepdims=True)

    with np.errstate(all="ignore"):
        if len(terms) == 1:
            below = product(terms[0], terms[0])
            return [np.where(below > 0, product(what, terms[0]) / below, 0.0)]
        a, b = terms
        aa, ab, bb, wa, wb = product(a, a), product(a, b), product(b, b), product(what, a), product(what, b)
        determinant = aa * bb - ab * ab
        found = [(wa * bb - wb * ab) / determinant, (wb * aa - wa * ab) / determinant]
    return found if all(np.isfinite(each).all() for each in found) else None


def _one_number(numbers: Array) -> bool:
    return float(np.ptp(numbers)) <= ALIKE * float(np.max(np.abs(numbers), initial=0.0))


def _said(axes: Sequence[int]) -> str:
    return f"{'axis' if len(axes) == 1 else 'axes'} {enumerated([str(axis) for axis in axes])}"
