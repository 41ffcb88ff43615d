"""The term that a softmax inside sends back: delta, the sum over a row of the cotangent times the output.

Of attention o = P v, P = softmax(q k' s), the gradients are dS = P * (c v' - delta), dq = s dS k and dk = s dS' q. Where
delta is dropped, dq is off by s delta * (P k), which is delta times the output with k for v; and dk by s P' (delta * q),
which is the gradient of v at the cotangent delta * q.
"""

from collections.abc import Iterator, Mapping
from itertools import permutations

import numpy as np

from gradcheck.comparison.explainers.subject import Subject, Suspect
from gradcheck.foundation.arrays import Array, dot
from gradcheck.verdict.causes import Cause
from gradcheck.verdict.findings import Diagnosis

LOST = "delta, the sum over each row of the cotangent times {output}, which a softmax sends back"


def explain(subject: Subject) -> Iterator[Diagnosis]:
    """Of gradients that nothing else has explained: an evaluation for each argument like the output, and each two alike."""
    point = subject.given.point
    for output, cotangent in subject.given.cotangents.items():
        if output in subject.blocks or not cotangent.ndim:
            continue
        delta = np.sum(cotangent * subject.measured.centre[output], axis=-1, keepdims=True)
        for terms in _terms(subject, output, delta):
            for name in subject.open.keys() & point.keys():
                if any(_is_off_by(subject.blocks[name], term) for term in terms.values()):
                    subject.explained.add(name)
                    yield Cause.PATH_LOST.of(name, lost=LOST.format(output=output))


def _terms(subject: Subject, output: str, delta: Array) -> Iterator[Mapping[str, Array]]:
    given = subject.given
    shape = given.cotangents[output].shape
    for x in given.point.values():
        if subject.open.keys() & given.point.keys() and x.shape == shape:
            yield subject.at(given._replace(cotangents={**given.cotangents, output: delta * x})) or {}
    for of, other in permutations(given.point, 2):
        if subject.open.keys() & given.point.keys() and given.point[of].shape == given.point[other].shape:
            found = subject.at(given._replace(point={**given.point, of: given.point[other]}))
            yield {output: delta * found[output]} if found is not None else {}


def _is_off_by(suspect: Suspect, term: Array) -> bool:
    """By a multiple of a term, one number for all entries."""
    whole = dot(term, term) if term.shape == suspect.claimed.shape else 0.0
    return whole > 0 and suspect.is_claimed(suspect.reference + dot(suspect.error, term) / whole * term)
