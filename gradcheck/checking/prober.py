"""Probes of one claim, with what has been found out about its function so far.

Knowledge is a value. Probing changes none of it; a step that learns something returns a prober that knows more, and the
procedure hands that one on.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, NamedTuple

import numpy as np

from gradcheck.candidates.claim import Claim
from gradcheck.checking.probe import Probe, times
from gradcheck.foundation.arithmetic import UNIT, rounding
from gradcheck.foundation.arrays import Array, norm, zeros
from gradcheck.foundation.validation import Asked
from gradcheck.oracles.analytic import analytic_slope
from gradcheck.oracles.differences import AT_LARGE, Start, slope
from gradcheck.oracles.directions import direction
from gradcheck.oracles.lattice import is_rounded
from gradcheck.oracles.line import Estimate, Line, Meter
from gradcheck.oracles.noise import grain, noise, noise_at, stands_still
from gradcheck.oracles.regression import regression
from gradcheck.oracles.sides import NEAREST, Slopes, across, sides
from gradcheck.verdict.bounds import Allowance
from gradcheck.verdict.entrywise import entry_scales

# Entries of a block from which on the block's own resolution counts. At 50 two of 460 fewer were undecided, with 8% fewer
# evaluations; at 1e9 nothing changed.
MANY = 1000
# Of what must be seen: finer than this no further step is worth its evaluations. At 1e-8 five of 370 correct ones, beside
# kinks, were undecided; at 1 a correct one was accused and a fault missed.
ENOUGH = 1e-4
TINIER = (2**16, 2**21, 2**26, 2**31, 2**34, 2**37)  # times than the steps that an accusation rests on
SMALLER = (2**5, 2**11, *TINIER)
VANISHED = 1e-4  # of a residual: an error of a thousandth is never taken for none
# Noises that a residual must amount to at a smaller step for that step to be telling. At 1 or 100 no verdict of 970 changed,
# nor of 460 at 0 or 1e6.
SEEN = 4
FINER, CHEAP = 10, 60  # ten times finer than what must be seen is worth no more evaluations than this
BEYOND = 1000.0  # bounds: no noise beside a step that the one at the point does not show explains this much
OTHER = 1.37  # digits at random: longer than the steps that a refutation rests on, and in no simple ratio to them
LONG = (1.0, 1 / 8, 1 / 64)
FLAT = 0.75  # of the slope that is claimed: what refutes it may be that there is next to none
SUPPORTED = 4  # times smaller than what refutes a claim is a residual that supports it


class Nearer(Enum):
    """What smaller steps say of a claim that larger ones refute."""

    REFUTES = "as the larger ones"
    SUPPORTS = "the claim is right"
    STILL = "the function does not change at all"


class Knowledge(NamedTuple):
    """What is known of a function.

    Attributes
    ----------
    seeing : float
        The relative error that is looked for: the accuracy asked for, or in a narrow precision less.
    resolving : float
        The relative error of a single entry that must be seen to say "correct"; in a narrow precision less, too.
    magnitude : float
        What the whole gradient contributes along a direction; where that is nothing, by what the function changes.
    zeros : frozenset of str
        Blocks whose claim is nothing beside that: zero, for all that rounding can tell.
    moves : bool
        Whether the function changes at all along a direction over all blocks.
    curved, hidden : float
        Of a point that is an optimum, for all that the values tell: by what the slope changes over the function's natural
        scale, and the slopes that they do not tell from 0 there. Else nothing.
    aside : int
        Evaluations that were spent on accusing blocks, which the rest does not pay for.
    accused : int
        Blocks of which every care has found that they are wrong, and that the function is smooth there.
    rough : bool
        Whether others have not confirmed what refuted a block.
    noise, values : float
        Of its values: noise, and the roundoff that they show.
    unit : float
        Roundoff of its arithmetic: of its values, or of what it is given.
    quick, large : Start
        Where a cheap probe begins, and one with every care.
    analytic : bool
        Whether real differences vouch for the complex step, which is then used.
    rounded : bool
        Whether it rounds some of its arguments: noise is then measured along each line.
    notes : tuple of str
        What of this a reader should know.
    """

    seeing: float
    resolving: float
    magnitude: float = 0.0
    zeros: frozenset[str] = frozenset()
    moves: bool = True
    curved: float = 0.0
    hidden: float = 0.0
    aside: int = 0
    accused: int = 0
    rough: bool = False
    noise: float = 0.0
    values: float = UNIT
    unit: float = UNIT
    quick: Start = AT_LARGE
    large: Start = AT_LARGE
    analytic: bool = False
    rounded: bool = False
    notes: tuple[str, ...] = ()


def _moves_further_off(probe: Probe) -> bool:
    """Whether the function changes further off: one that never does is no staircase."""
    return any(probe.line.moves(h) for h in (AT_LARGE.step, probe.estimate.step))


def _is_flat_only_nearby(probe: Probe) -> bool:
    """Whether a claim is refuted by a function that stands still nearby, and borne out by its slope over long steps."""
    line = probe.line
    if abs(probe.residual + line.product) > FLAT * abs(line.product) or not stands_still(line, ends=(-1, 1)):
        return False
    return any(abs(across(line, h)) <= abs(line.product) / SUPPORTED for h in LONG)


@dataclass(frozen=True)
class Prober:
    """Directions and oracles for one claim.

    Parameters
    ----------
    claim : Claim
    asked : Asked
        The accuracy, what must be resolved, at how many evaluations, and the seed of the directions.
    known : Knowledge
    allowed : dict of str to Allowance
        How far the claim's own rounding may put it off.
    scale : dict of str to array
        To which the error of each entry is relative.
    meter : Meter
        Counts what all probes of this claim spend.
    """

    claim: Claim
    asked: Asked
    known: Knowledge
    allowed: Mapping[str, Allowance]
    scale: Mapping[str, Array]
    meter: Meter

    @classmethod
    def of(cls, claim: Claim, asked: Asked, told: Callable[[int], None] | None = None) -> "Prober":
        """One that knows nothing yet."""
        zero = {name: zeros(g.shape) for name, g in claim.gradient.items()}
        allowed = {name: Allowance(claim.rounding[name], z, z, z) for name, z in zero.items()}
        scale = claim.scale or {n: entry_scales(g, g, np.finfo(float).tiny) for n, g in claim.gradient.items() if g.size}
        known = Knowledge(asked.accuracy, asked.resolve, unit=claim.arithmetic.unit, notes=claim.notes)
        return cls(claim, asked, known, allowed, scale, Meter(claim.evaluations, told))

    def knowing(self, **more: Any) -> "Prober":
        """The same with more knowledge."""
        return replace(self, known=self.known._replace(**more))

    def knowing_rounded(self, *probes: Probe) -> "Prober | None":
        """The same, once some of the arguments turn out to be rounded along one of these probes, which was not known."""
        if self.known.rounded or self.known.unit > UNIT:
            return None
        seen = any(self._supports_further_off(one) and is_rounded(one.line, one.estimate.noise) for one in probes)
        return self.knowing(rounded=True) if seen else None

    def _supports_further_off(self, probe: Probe) -> bool:
        """Whether a step longer than a probe's agrees with a claim that the probe refutes, as over many small jumps."""
        h, refuted = AT_LARGE.step, not probe.within
        while refuted and h > 2 * probe.estimate.step:
            if abs(across(probe.line, h)) <= abs(probe.residual) / SUPPORTED:
                return True
            h /= 8
        return False

    def draw(self, names: Sequence[str], attempt: int) -> Line:
        """A random direction over these blocks, one for each attempt."""
        claim, gradient = self.claim, {name: self.claim.gradient[name] for name in names}
        turned = claim.box.turned if claim.box else None
        return self.line(direction(claim.point, gradient, self.asked.seed + 1000 * attempt, turned))

    def line(self, v: Mapping[str, Array]) -> Line:
        """Along any direction."""
        claim, gradient = self.claim, {name: self.claim.gradient[name] for name in v}
        return Line(claim.function, claim.point, v, gradient, claim.loss, None, self.meter, *claim.arithmetic.given)

    def along_entry(self, name: str, index: int, length: float) -> Line:
        """The line that moves one entry."""
        unit = np.zeros(self.scale[name].shape)
        unit.flat[index] = length
        return self.line({name: unit})

    def probe(self, names: Sequence[str], attempt: int, start: Start) -> Probe:
        """Along a random direction over these blocks."""
        return self.again(self.draw(names, attempt), start)

    def again(self, line: Line, start: Start) -> Probe:
        """Along a line, some of whose samples may be known."""
        return self.judged(line, self._slope(line, start))

    def carefully(self, line: Line) -> Probe:
        """With patience."""
        return self.again(line, self.known.large)

    def block_slope(self, name: str, v: Array, start: Start) -> Estimate:
        """The slope of one block along a direction of its own."""
        return self.again(self.line({name: v}), start).estimate

    def otherwise(self, probe: Probe) -> Probe:
        """The same line by steps of another base, and by the noise beside those that a refutation rests on.

        What does not stand that was a bound too narrow: it is then as wide as what it has refuted. A residual far beyond its
        bound stands as it is.
        """
        line, estimate = probe.line, probe.estimate
        if probe.within or abs(probe.residual) > BEYOND * probe.bound:
            return probe
        noise = max(estimate.noise, noise_at(line, estimate.step)) if estimate.step else estimate.noise
        other = self.again(line, self.known.large._replace(step=OTHER * estimate.step or AT_LARGE.step, noise=noise))
        return other._replace(bound=max(other.bound, abs(probe.residual))) if other.within else other

    def regressed(self, probe: Probe) -> Probe:
        """By many steps along the same line, which average the noise."""
        estimate = regression(probe.line, self.known.values * abs(self.claim.loss) / 2)
        return self.judged(probe.line, estimate._replace(noise=probe.estimate.noise))

    def sides(self, line: Line, spread: float, rungs: int = 12, step: float = AT_LARGE.step) -> Slopes:
        """Either side of the point along a line, where the function's noise is known to be ``spread``, if it is not 0."""
        return sides(line, step or AT_LARGE.step, self.known.values, spread or None, rungs)

    def nearer(self, probe: Probe) -> Nearer:
        """What steps far smaller than a probe's say of its residual, as far as the noise lets them see it."""
        line, still = probe.line, True
        if self.known.unit == UNIT and _is_flat_only_nearby(probe):
            return Nearer.STILL
        own = probe.bound - probe.estimate.bound
        for ratio in SMALLER:
            h = probe.estimate.step / ratio
            carried = max(probe.estimate.noise, 2 * UNIT * abs(self.claim.loss)) / h if h else np.inf
            if h < NEAREST or not abs(probe.residual) > SEEN * (carried + own):
                break
            still &= not line.moves(h)
            if abs(across(line, h)) <= 2 * carried + own:
                return Nearer.STILL if still and _moves_further_off(probe) else Nearer.SUPPORTS
        return Nearer.REFUTES if self.settles(line, probe.residual, probe.estimate.step) else Nearer.SUPPORTS

    def settles(self, line: Line, residual: float, step: float) -> bool:
        """Whether a residual along a line does not vanish at steps far smaller than this one.

        Of a function that is much faster than its parameters' size all that larger steps see is that it goes nowhere, as
        clearly as one likes; and to them it is noise, so the noise that was measured cannot say how small a step may be. But
        what is left of the residual of a right claim falls with the square of the step, until rounding shows. That of a
        wrong one ends at its error; and noise, which grows, would have to hit 0 to four digits.
        """
        before = abs(residual)
        for h in (step / ratio for ratio in TINIER):
            if h < NEAREST or not line.moves(h):
                continue
            left = abs(across(line, h))
            if before <= abs(residual) / 2 and left <= VANISHED * abs(residual):
                return False
            before = left
        return True

    def is_fine(self, name: str, probe: Probe) -> bool:
        """Whether a probe would have seen all that is looked for."""
        return probe.seen <= 2 * self.level(name, probe.v[name]) and self.resolves(name, probe)

    def resolves(self, name: str, probe: Probe) -> bool:
        """Whether a probe has seen enough of a block to say that it is correct."""
        return self.resolution(name, probe) <= self.known.resolving

    def is_at_an_optimum(self, probe: Probe) -> bool:
        """Whether neither what is claimed nor what a probe could have missed is more than values hide at an optimum."""
        return probe.within and probe.seen <= self.known.hidden

    def resolution(self, name: str, probe: Probe) -> float:
        """The smallest error of one entry that a probe would have shown: of a zero, relative to the whole gradient."""
        if name not in self.known.zeros:
            return probe.resolution(name, self.scale[name])
        whole = self.known.magnitude
        return 2 * probe.seen / whole if whole else float("inf") if probe.seen else 0.0

    def level(self, name: str, v: Array) -> float:
        """The bound at which a probe along ``v`` sees an error of the accuracy asked for.

        In a single entry; in the block where it has very many, or where the function is of a narrow precision: single
        entries are then beyond any one probe. Of a zero it is relative to the whole gradient.
        """
        if name in self.known.zeros or not self.claim.gradient[name].any():
            return self.known.seeing * self.known.magnitude / 4
        moved = times(np.abs(v), self.scale[name])
        moved = moved if (v != 0).all() else moved[v != 0]
        if moved.size >= MANY or self.known.unit > UNIT:
            return self.known.seeing * norm(moved) / 2
        return self.known.seeing * float(np.min(moved)) / 2

    def may_spend(self, resolution: float, besides: int = 0) -> bool:
        """Whether a finer look is worth its evaluations: all that were asked for up to what must be seen, few beyond.

        A claim that is not simply right may cost more ``besides``.
        """
        enough = self.asked.max_evaluations if resolution > self.known.resolving / FINER else CHEAP
        return self.meter.spent - self.known.aside < max(enough, besides)

    def judged(self, line: Line, estimate: Estimate) -> Probe:
        """An estimate held against the claim."""
        rounding = norm(np.array([self._rounding(name, v) for name, v in line.direction.items()]))
        known = self.known.moves or not estimate.still or not line.product or self.claim.loss
        bound = estimate.bound + rounding if known else np.inf  # of what is always 0 nobody knows the rounding
        return Probe(line, estimate.value - line.product, bound, estimate)

    def _rounding(self, name: str, v: Array) -> float:
        """Of a block's claim along ``v``; where that is nothing but rounding, the size of it is not its own."""
        own = self.allowed[name].along(v)
        return own if name not in self.known.zeros else own + rounding(self.claim.unit[name]) * self.known.magnitude

    def by_complex_step(self, line: Line) -> Estimate:
        """The slope along a line, without real differences."""
        return analytic_slope(self.claim.analytic, self.claim.point, line, self.meter)

    def _slope(self, line: Line, start: Start) -> Estimate:
        if self.known.analytic:
            return self.by_complex_step(line)
        level = min(self.level(name, v) for name, v in line.direction.items())
        if self.known.rounded:
            start = start._replace(noise=max(noise(line), grain(line)))
        return slope(line, start._replace(unit=self.known.values, enough=ENOUGH * level))
