"""A candidate whose blocks are off: what it claims, what that should be, and when a supposed mistake explains it."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from gradcheck.comparison.judging import BOUND
from gradcheck.comparison.measured import Measured
from gradcheck.comparison.pair import Blocks, Inputs
from gradcheck.errors import GradcheckError
from gradcheck.foundation.arrays import Array, norm, rms
from gradcheck.verdict.causes import Cause
from gradcheck.verdict.findings import Diagnosis, Verdict

# Times less off than before, in root mean square, is a claim that was explained.
TELLING = 8.0
# Of a supposed gradient no scales are known. It is taken to be rounded like the right one, in parts of its size, and that
# twice as much.
ROOM = 2.0


class Suspect(NamedTuple):
    """One block: what is claimed, what is right, within which bound, and what was said of it."""

    claimed: Array
    reference: Array
    bound: Array
    verdict: Verdict

    @property
    def error(self) -> Array:
        """Signed."""
        return self.claimed - self.reference

    @property
    def wrong(self) -> Array:
        """Entries beyond their bound."""
        return np.abs(self.error) > self.bound

    def is_claimed(self, supposed: Array, room: float = ROOM) -> bool:
        """Whether the claim is what a mistake would give, entry by entry; and so much more so than what is right."""
        if supposed.shape != self.claimed.shape or not np.isfinite(supposed).all():
            return False
        size = rms(self.reference)
        share = rms(self.bound) / size if size else 0.0
        left = np.abs(self.claimed - supposed)
        within = left <= room * np.maximum(self.bound, share * np.maximum(np.abs(supposed), rms(supposed)))
        return bool(within.all()) and TELLING * norm(left) <= norm(self.error)


class Subject:
    """A candidate, its blocks that are off, and the reference to be asked again.

    Parameters
    ----------
    measured : Measured
        At the inputs that were given.
    shown : dict of str to Measured
        Of each block that is off: in which format that shows best.
    verdicts : dict of str to Verdict
        Of all blocks.
    """

    def __init__(self, measured: Measured, shown: Mapping[str, Measured], verdicts: Mapping[str, Verdict]) -> None:
        self.measured, self.shown, self.verdicts = measured, shown, verdicts
        self.given = measured.pair.given
        self.blocks = {name: _suspect(each, name, verdicts[name]) for name, each in shown.items()}
        self.explained = set[str]()  # no look that costs evaluations is needed any more

    @property
    def outputs(self) -> list[str]:
        """Names of all blocks that are no gradient."""
        return [name for name in self.measured.centre if name not in self.given.point]

    @property
    def open(self) -> dict[str, Suspect]:
        """Blocks that nothing has explained."""
        return {name: each for name, each in self.blocks.items() if name not in self.explained}

    def at(self, inputs: Inputs) -> Blocks | None:
        """The reference elsewhere; None where it has no answer there, or none in float64, which would cost too much."""
        if self.measured.exact is None:
            return None
        try:
            with np.errstate(all="ignore"):
                return self.measured.elsewhere(inputs)
        except GradcheckError:
            return None

    def sayings(self, supposed: Blocks | None, cause: Cause, **evidence: Any) -> Iterator[Diagnosis]:
        """The cause, of every block that is as a mistake would make it."""
        for name, suspect in self.blocks.items():
            if supposed is not None and name in supposed and suspect.is_claimed(supposed[name]):
                self.explained.add(name)
                yield cause.of(name, **evidence)


def _suspect(measured: Measured, name: str, verdict: Verdict) -> Suspect:
    scale = measured.scales(measured.best)[name]
    bound = BOUND * np.where(np.isfinite(scale), scale, 0.0)
    return Suspect(measured.furthest(name), measured.centre[name], bound, verdict)
