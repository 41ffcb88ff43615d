"""The first look at a claim: two directions over all blocks, and what they tell of the function itself."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gradcheck.checking.probe import Probe
from gradcheck.checking.prober import Knowledge, Prober
from gradcheck.foundation.arithmetic import UNIT
from gradcheck.foundation.arrays import norm
from gradcheck.oracles.analytic import refusal
from gradcheck.oracles.differences import AT_LARGE, Start, second_look
from gradcheck.oracles.line import Estimate
from gradcheck.oracles.noise import quiet

# An error that a check must see to say "correct", in whatever precision. At 1e-3 two correct ones in float16 were undecided;
# at 1 four fewer of 674, and no more faults missed.
COARSEST = 0.1
# How well real differences must know a slope to vouch for the complex step. At 1e-9, 46 of 525 were no longer vouched for;
# at 1e-3 two more were, and both were right.
VOUCHED = 1e-6
# Rungs of a cheap probe, and how much nearer it begins: fewer rungs extrapolate less far. With 2 rungs 4% fewer evaluations,
# with 5 11% more; beginning where others do a fault took 396 evaluations, not 366, at 64 365. No verdict of 460 changed.
QUICK = 3
NEARER = 8
LOUD = 40  # roundings of the value; at 4 or 4000 no verdict of 460 changed


class Overview(NamedTuple):
    """What two directions over all blocks say."""

    first: Probe
    second: Probe

    @property
    def within(self) -> bool:
        """Whether the claim stands in both."""
        return self.first.within and self.second.within

    @property
    def refuting(self) -> Probe:
        """The one that refutes the claim, if one does."""
        return self.first if not self.first.within else self.second

    def coarser(self, prober: Prober, name: str) -> Probe:
        """Of those that have seen enough of a block the one that has seen less: each would have flagged an error."""
        first, second = self
        both = prober.is_fine(name, second)
        return second if both and second.bound / norm(second.v[name]) > first.bound / norm(first.v[name]) else first


def look(prober: Prober, names: Sequence[str], complex_step: bool) -> tuple[Prober, Overview]:
    """One direction with every care, one at the three steps that the noise is measured at; and what they have taught."""
    beside = prober.draw(names, 3)
    first = prober.probe(names, 0, AT_LARGE._replace(noise=quiet(beside), sided=True))
    prober = prober.knowing(**_learned(prober, first.estimate)._asdict())
    if first.estimate.sided and not first.within:  # one side may acquit, but not accuse
        first = prober.carefully(first.line)
    if complex_step:
        prober, first = _vouched(prober, first)
    if prober.known.analytic:
        return prober, Overview(first, prober.again(beside, AT_LARGE))
    # Nearly free: these are the steps at which the noise was looked for, far from those of the first direction.
    second = prober.judged(beside, second_look(beside, prober.known.noise, prober.known.unit))
    if not second.within:  # three steps may agree by accident
        second = prober.carefully(beside)
    overview = Overview(first, second)
    rounded = None if overview.within else prober.knowing_rounded(first.line, beside)
    if rounded is None:
        return prober, overview
    return rounded, Overview(*(rounded.again(line, rounded.known.large) for line in (first.line, beside)))


def _learned(prober: Prober, estimate: Estimate) -> Knowledge:
    """Noise, precision and a step to begin at, from a first estimate."""
    known, noise, unit = prober.known, estimate.noise, estimate.unit
    # One block may be louder than another; but where a narrow function stands still there is nothing to measure.
    loud = noise > LOUD * UNIT * abs(prober.claim.loss) and unit == UNIT
    step = (estimate.step or AT_LARGE.step) / NEARER
    known = known._replace(
        noise=noise,
        unit=unit,
        large=AT_LARGE._replace(noise=None if loud else noise),
        quick=Start(step=step, noise=noise, rungs=QUICK, patient=False),
    )
    if unit == UNIT:
        return known
    seeing = max(prober.accuracy, min(100 * unit**0.5, COARSEST))  # judged at its own precision
    note = f"the loss has unit roundoff {unit:.1e}: errors below {seeing:.1e} may pass"
    return known._replace(seeing=seeing, notes=(*known.notes, note))


def _vouched(prober: Prober, real: Probe) -> tuple[Prober, Probe]:
    """The same probe by complex step, if real differences vouch for it; all further probes then use it too."""
    estimate = prober.by_complex_step(real.line)
    size = norm(np.array([norm(prober.scale[name] * v) for name, v in real.v.items()]))
    reason = refusal(estimate, real.estimate, fine=real.bound <= VOUCHED * size)
    if reason:
        return prober.knowing(notes=(*prober.known.notes, reason)), real
    return prober.knowing(analytic=True), prober.judged(real.line, estimate)
