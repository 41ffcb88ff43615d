"""A gradient by a symmetric matrix that is right along symmetric directions, and wrong by single entries.

`np.linalg.cholesky` reads one triangle of its argument: the derivative by an entry of the other one is zero. A formula such
as A^-1, for log det A, spreads it over both. Along symmetric directions the two agree, which is all that is meant there.
"""

from collections.abc import Iterator

import numpy as np

from gradcheck.diagnosis.corrections import Correction, Known
from gradcheck.diagnosis.evidence import Evidence
from gradcheck.foundation.arrays import Array, dot, norm
from gradcheck.verdict.causes import Cause
from gradcheck.verdict.findings import Diagnosis

# Of what a claim is off by along directions of any kind: so well it must be known to be right along symmetric ones.
FINER = 0.01
ROUNDED = 1e-6  # relative: an inverse is symmetric but for its rounding


def symmetrised(evidence: Evidence, name: str) -> Iterator[Diagnosis]:
    """Whether a claim, or what it is without counting entries twice, is right along symmetric directions only."""
    x, claimed = evidence.point[name], evidence.claims[name]
    if x.ndim != 2 or x.shape[0] != x.shape[1] or len(x) < 2 or not _is_symmetric(x):
        return
    off = max((abs(dot(claimed, k.v) - k.slope) for k in evidence.known(name)), default=0.0)
    known = [each for each in evidence.known_along(name, _half) if each.bound <= FINER * off]
    single = (claimed + np.diag(np.diag(claimed))) / 2
    if len(known) > 1 and _is_right(claimed, known):
        yield Cause.SYMMETRISED.of(name, **_read(evidence, name, _half(claimed)))
    elif len(known) > 1 and _is_symmetric(claimed) and _is_right(single, known):
        yield Cause.SYMMETRISED.of(name, twice="2 g - diag(g)")


def _is_symmetric(a: Array) -> bool:
    return norm(a - a.T) <= ROUNDED * norm(a)


def _half(a: Array) -> Array:
    return (a + a.T) / 2


def _is_right(claimed: Array, known: list[Known]) -> bool:
    return all(abs(dot(claimed, each.v) - each.slope) <= each.bound for each in known)


def _read(evidence: Evidence, name: str, g: Array) -> dict[str, str]:
    """Which entries of the matrix the loss reads, as far as the true slopes tell, g being the symmetric gradient."""
    both = g + g.T - np.diag(np.diag(g))
    none: dict[str, str] = {}
    entrywise = [
        Correction(Cause.SYMMETRISED, np.tril(both), {"reads": "the lower triangle"}),
        Correction(Cause.SYMMETRISED, np.triu(both), {"reads": "the upper triangle"}),
        Correction(Cause.SYMMETRISED, g, {"each": "each triangle for itself"}),
    ]
    return next((one.evidence for one in entrywise if one.explains(evidence.known(name))), none)
