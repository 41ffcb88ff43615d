"""The first look at a claim: two directions over all blocks, and what they tell of the function itself."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gradcheck.checking.probe import Probe
from gradcheck.checking.prober import Knowledge, Prober
from gradcheck.foundation.arithmetic import UNIT
from gradcheck.foundation.arrays import norm, rms
from gradcheck.oracles.analytic import refusal
from gradcheck.oracles.differences import AT_LARGE, Start, is_sloped, second_look
from gradcheck.oracles.directions import own_sizes
from gradcheck.oracles.line import Line
from gradcheck.oracles.noise import QUIET, quiet
from gradcheck.oracles.richardson import ladder

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
NOTHING = 1e3  # bounds: what the whole gradient contributes may be nothing at all
TINY = 1e-6  # a length of steps, in the numbers' own unit, from which on they are taken for the parameters' scale
ZERO = 1e3  # unit roundoffs of the whole gradient: a block that contributes no more is zero, for all that rounding tells
# In bfloat16 1000 roundoffs are more than the whole: no block is zero that contributes this much. At 1e-5 or 10 no verdict
# on 24 attentions in narrow formats changed, but the resolution that was stated.
NEXT_TO_NOTHING = 1e-3
# The same where it is known to what errors are relative: a few additions leave so much of a zero. At 1 or 1000 no verdict on
# 38 right Jacobians of fits and 47 wrong ones changed.
RESIDUE = 8
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
    first = prober.probe(names, 0, AT_LARGE._replace(noise=quiet(beside)))
    prober = _learned(prober, first)
    first = prober.judged(first.line, first.estimate)
    if complex_step:
        prober, first = _vouched(prober, first)
    if prober.known.analytic:
        return prober, Overview(first, prober.again(beside, AT_LARGE))
    # Nearly free: these are the steps at which the noise was looked for, far from those of the first direction.
    second = prober.judged(beside, second_look(beside, prober.known.noise, prober.known.values))
    if first.within and not second.within:  # three steps may agree by accident
        second = prober.carefully(beside)
    overview = Overview(first, second)
    rounded = prober.knowing_rounded(overview.refuting)
    if rounded is None:
        return prober, overview
    return rounded, Overview(*(rounded.again(line, rounded.known.large) for line in (first.line, beside)))


def _learned(prober: Prober, first: Probe) -> Prober:
    """With what a first probe over all blocks tells of the function, and of the sizes of their contributions."""
    known = _of_function(prober, first)
    line, step = first.line, first.estimate.step or 1.0
    parts = {name: norm(prober.claim.gradient[name] * own_sizes(prober.claim.point[name])) for name in line.direction}
    nothing = first.within and first.quiet and line.spread <= NOTHING * first.bound and step >= AT_LARGE.step / 8
    far = max(step, 1.0) if nothing else step
    changed = max(map(abs, line.changes(far))) / far
    worth = abs(prober.claim.loss)
    natural = all(rms(v) >= TINY for v in line.direction.values())
    if natural and not line.spread and changed <= LOUD * UNIT * worth:
        # Claimed to be nothing at all, and to move by their own size changes the value by no more than it may round by: the
        # last bits of a bisection, say, that ends where its interval is that small. Over steps of millions that shows.
        changed = worth
    elif not nothing and line.spread <= ZERO * UNIT * changed:
        # By shorter steps, too: beside a pole what changes over a long one says nothing of the slope.
        changed = min(changed, max(map(abs, line.changes(far / NEARER))) / (far / NEARER))
    # Where the function does not move but by its noise, what it is worth itself is all that there is to compare with.
    moved = changed > QUIET * known.noise / far
    beside = changed if moved else worth if known.noise <= QUIET * 2 * known.unit * worth else 0.0
    magnitude = beside if line.spread <= (ZERO if moved else 1.0) * UNIT * beside < np.inf else line.spread
    zeros = frozenset(name for name, part in parts.items() if _is_nothing(prober, line, name, part, magnitude))
    curved, hidden = _at_an_optimum(known, first, worth)
    known = known._replace(magnitude=magnitude, moves=not first.estimate.still, curved=curved, hidden=hidden)
    prober = prober.knowing(**known._asdict())
    return prober if _steps_over(prober, zeros) else prober.knowing(zeros=zeros)


def _at_an_optimum(known: Knowledge, first: Probe, worth: float) -> tuple[float, float]:
    """The second derivative along a line, where the claim is no more than the values there hide; and how much they hide.

    A slope of s goes down by s^2 / 2c to where it is 0, if c is the second derivative: where that is within the noise of the
    value, nothing tells the point from an optimum. Nor does it within so many roundoffs of the point itself.
    """
    (h,) = ladder(AT_LARGE.step, 1)
    curved = abs(sum(first.line.changes(h))) / h**2
    spread = max(known.noise, 2 * known.unit * worth)
    hidden = max((spread * curved) ** 0.5, min(ZERO * known.unit, NEXT_TO_NOTHING) * curved)
    return (curved, hidden) if first.line.spread <= hidden < np.inf else (0.0, 0.0)


def _is_nothing(prober: Prober, line: Line, name: str, part: float, magnitude: float) -> bool:
    """Whether what a block contributes is rounding of the whole, or its own.

    One of tiny numbers is followed by itself: how far it may be moved is not known from their size.
    """
    unit = prober.claim.unit[name]
    if prober.claim.scale:  # a block is not beside others; but rounding may have left something in place of a zero
        return 0 < part <= RESIDUE * unit * line.spread
    whole = min(ZERO * unit, NEXT_TO_NOTHING) * magnitude
    return part <= max(whole, prober.allowed[name].along(line.direction[name])) and rms(line.direction[name]) >= TINY


def _steps_over(prober: Prober, zeros: frozenset[str]) -> bool:
    """Whether blocks that are claimed to be zero have a slope all the same, which only long steps show: of a staircase."""
    if not zeros:
        return False
    line, steps = prober.draw(sorted(zeros), 0), ladder(AT_LARGE.step, 2)
    loud = QUIET * max(prober.known.noise, UNIT * abs(prober.claim.loss))
    return max(map(abs, line.changes(steps[0]))) > loud and is_sloped(line, steps)


def _of_function(prober: Prober, first: Probe) -> Knowledge:
    """Noise, precision and a step to begin at, from a first estimate."""
    known, estimate = prober.known, first.estimate
    noise, unit = estimate.noise, max(estimate.unit, prober.claim.arithmetic.unit)
    # One block may be louder than another; but where a narrow function stands still there is nothing to measure.
    loud = noise > LOUD * UNIT * abs(prober.claim.loss) and unit == UNIT
    # Of a window of many steps the nearest is what its limit rests on.
    step = min((estimate.step or AT_LARGE.step) / NEARER, (2 ** (QUICK - 1) * estimate.near) or np.inf)
    several = len(first.v) > 1
    known = known._replace(
        noise=noise,
        values=estimate.unit,
        unit=unit,
        large=AT_LARGE._replace(step=max(AT_LARGE.step, estimate.step), noise=None if loud and several else noise),
        quick=Start(step=step, noise=noise, rungs=QUICK, patient=False),
    )
    if unit == UNIT:
        return known
    narrow = min(100 * unit**0.5, COARSEST)  # judged at its own precision
    seeing, resolving = max(prober.asked.accuracy, narrow), max(prober.asked.resolve, narrow)
    note = f"the loss has unit roundoff {unit:.1e}: errors below {seeing:.1e} may pass"
    return known._replace(seeing=seeing, resolving=resolving, notes=(*known.notes, note))


def _vouched(prober: Prober, real: Probe) -> tuple[Prober, Probe]:
    """The same probe by complex step, if real differences vouch for it; all further probes then use it too."""
    estimate = prober.by_complex_step(real.line)
    size = norm(np.array([norm(prober.scale[name] * v) for name, v in real.v.items()]))
    reason = refusal(estimate, real.estimate, fine=real.bound <= VOUCHED * size)
    if reason:
        return prober.knowing(notes=(*prober.known.notes, reason)), real
    return prober.knowing(analytic=True), prober.judged(real.line, estimate)
