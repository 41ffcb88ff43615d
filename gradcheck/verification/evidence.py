"""What is known of a case when a wrong build of it is to be explained."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from gradcheck.diagnosis.corrections import DIRECTIONS, Known
from gradcheck.foundation.arrays import Array, dot, norm, rms
from gradcheck.network.batch import Batch, Parameters
from gradcheck.network.network import Network
from gradcheck.oracles.directions import signs
from gradcheck.verdict.compare import Allowance, Settlement
from gradcheck.verdict.settle import Slope

MATCH = {"float64": 1e-9, "float32": 1e-4}  # of a block's RMS, to which a mistake gives the claim. Chosen, not derived.
TELLING = 1e-3  # of what a claim is off by: what explains it must come so much nearer. Chosen, not derived.


class Scene(NamedTuple):
    """All that there is to know about one case.

    Attributes
    ----------
    network, given, batch, dtype
        The case, made concrete.
    allowed : dict of str to Allowance
    slope : callable
        From a block's name to its oracle.
    settled : dict of str to Settlement
        References, where the claims or the oracle have settled on one.
    seed : int
    """

    network: Network
    given: Parameters
    batch: Batch
    dtype: str
    allowed: Mapping[str, Allowance]
    slope: Callable[[str], Slope]
    settled: Mapping[str, Settlement]
    seed: int

    def known(self, name: str, reference: Array, unseen: Array | float) -> list[Known]:
        """The reference's slopes along a few directions, each with what a right claim may differ by."""
        directions = [signs(name, reference.shape, self.seed, attempt) for attempt in range(DIRECTIONS)]
        return [Known(v, dot(reference, v), 2 * self.allowed[name].along(v) + norm(unseen * v)) for v in directions]

    def tolerance(self, name: str, gradient: Array, off: float) -> float:
        """Within which a mistake of this gradient gives a claim that is off by so much: the right gradient must not."""
        return 4 * float(np.max(self.allowed[name].rounding)) + min(MATCH[self.dtype] * rms(gradient), TELLING * off)
