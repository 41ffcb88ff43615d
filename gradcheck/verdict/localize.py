"""Where a refuted claim is wrong: bisection with an oracle, to single entries.

Each part is probed along random signs on its entries alone; a part whose residual is within its bound is left, any
other is halved. One wrong entry among P costs about 2 log2(P) probes.
"""

from typing import NamedTuple

import numpy as np

from gradcheck.arrays import Array
from gradcheck.oracles.directions import signs
from gradcheck.verdict.compare import LISTED, Allowance
from gradcheck.verdict.settle import Slope, residual

BUDGET = 256


class Located(NamedTuple):
    """Flat indices of entries found wrong, the oracle's values there, and whether the search ended before its budget."""

    indices: list[int]
    values: list[float]
    complete: bool


def localize(name: str, claim: Array, allowed: Allowance, slope: Slope, seed: int, lengths: Array | None = None) -> Located:
    """The first few wrong entries of a block, by bisection; ``lengths`` says how far each entry is to be moved."""
    parts = [np.arange(claim.size)]
    found = Located([], [], True)
    plain = signs(name, (claim.size,), seed, attempt=2)
    if lengths is not None:
        plain = plain * lengths.ravel()
    spent = 0
    while parts and spent < BUDGET and len(found.indices) < LISTED:
        part = parts.pop()
        v = np.zeros(claim.size)
        v[part] = plain[part]
        seen = residual(slope, v.reshape(claim.shape), claim, allowed)
        spent += 1
        if seen.within:
            continue
        if len(part) == 1:
            found.indices.append(int(part[0]))
            found.values.append(float(claim.flat[part[0]]) + seen.value / float(v[part[0]]))
        else:
            parts += np.array_split(part, 2)
    return found._replace(complete=not parts)
