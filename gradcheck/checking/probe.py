"""Probes of one claim: what a random direction says of it."""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import NamedTuple

import numpy as np

from gradcheck.candidates.claim import Claim
from gradcheck.foundation.arithmetic import UNIT
from gradcheck.foundation.arrays import Array, norm, zeros
from gradcheck.oracles.analytic import analytic_slope, refusal
from gradcheck.oracles.differences import AT_LARGE, Start, second_look, slope
from gradcheck.oracles.directions import direction
from gradcheck.oracles.line import Estimate, Line
from gradcheck.oracles.noise import grain, noise, quiet
from gradcheck.oracles.regression import regression
from gradcheck.oracles.sides import Slopes, across, sides
from gradcheck.verdict.compare import Allowance, entry_scales

COARSEST = 0.1  # an error that a check must see to say "correct", in whatever precision. Chosen, not derived.
LAST = AT_LARGE.step / 2 ** (AT_LARGE.rungs - 1)
MANY = 1000  # entries of a block from which on the block's own resolution counts. Chosen, not derived.
VOUCHED = 1e-6  # how well real differences must know a slope to vouch for the complex step. Chosen, not derived.
ENOUGH = 1e-4  # of what must be seen: finer than this no further step is worth its evaluations. Chosen, not derived.
SEEN = 10  # noises that a residual must amount to at a smaller step for that step to be telling. Chosen, not derived.
QUICK = 3  # rungs of a cheap probe,
NEARER = 8  # which begins nearer by this: fewer rungs extrapolate less far. Both chosen, not derived.
NOISY = 100  # a bound within so many times the noise at its step is the noise's doing. Chosen, not derived.

LOUD = 40  # roundings of the value. Chosen, not derived.


class Probe(NamedTuple):
    """A residual along a line: the oracle's slope minus the claimed one, and how much of it is honest."""

    line: Line
    residual: float
    bound: float
    estimate: Estimate

    @property
    def v(self) -> Mapping[str, Array]:
        """The direction."""
        return self.line.direction

    @property
    def within(self) -> bool:
        """Whether the claim stands; a bound that is not a number decides nothing."""
        return not abs(self.residual) > self.bound

    @property
    def noisy(self) -> bool:
        """Whether noise is what makes the bound coarse, and no kink nearby has forced the steps to be small."""
        return self.estimate.step >= LAST and self.quiet

    @property
    def quiet(self) -> bool:
        """Whether the bound is but noise, of the function here or of its values at the step: no kink has widened it."""
        step = self.estimate.step
        if not step > 0:
            return False
        values = max(abs(self.line.sample(side * step).value) for side in (1, -1))
        return self.bound <= NOISY * max(self.estimate.noise, 2 * UNIT * values) / step

    def resolution(self, name: str, scale: Array) -> float:
        """The smallest relative error of one entry of a block that would have moved this probe beyond its bound."""
        moved = _times(np.abs(self.v[name]), scale)
        return float(np.max(np.divide(self.bound + min(abs(self.residual), self.bound), moved, out=moved), initial=0.0))

    def block_resolution(self, name: str, scale: Array) -> float:
        """The same for an error of random sign in every entry of the block."""
        size = norm(scale * self.v[name])
        return 2 * self.bound / size if size else float("inf")


class Nearer(Enum):
    """What smaller steps say of a claim that larger ones refute."""

    REFUTES = "as the larger ones"
    SUPPORTS = "the claim is right"
    STILL = "the function does not change at all"


class Prober:
    """Directions, oracles and what has been found out on the way: the function's noise, its precision, a step to begin at.

    Parameters
    ----------
    claim : Claim
    accuracy : float
        Asked for; ``seeing`` is what can be asked of a function in a narrower precision.
    seed : int
    """

    def __init__(self, claim: Claim, accuracy: float, seed: int) -> None:
        self.claim, self.accuracy, self.seed = claim, accuracy, seed
        self.evaluations, self.notes = claim.evaluations, claim.notes
        self.quick = self.large = AT_LARGE
        self.noise, self.unit, self.seeing = 0.0, UNIT, accuracy
        self.vouched = self.grainy = False
        zero = {name: zeros(g.shape) for name, g in claim.gradient.items()}
        self.allowed = {name: Allowance(claim.rounding[name], z, z, z) for name, z in zero.items()}
        self.scale = {name: entry_scales(g, g, np.finfo(float).tiny) for name, g in claim.gradient.items() if g.size}

    def first(self, names: Sequence[str], complex_step: bool) -> tuple[Probe, Probe]:
        """Two directions over all blocks: one with every care, one at the three steps that the noise is measured at."""
        beside = self.draw(names, 3)
        spread = quiet(beside)
        self.evaluations += beside.evaluations
        probe = self.probe(names, 0, AT_LARGE._replace(noise=spread, sided=True))
        self._learn(probe.estimate)
        if not probe.within and probe.estimate.sided:
            probe = self.carefully(probe.line)
        if complex_step:
            probe = self._vouch(probe)
        if self.vouched:
            return probe, self.again(beside, AT_LARGE)
        second = self._judged(beside, second_look(beside, self.noise, self.unit))
        second = second if second.within else self.carefully(beside)  # three steps may agree by accident
        refuted = not (probe.within and second.within)
        if refuted and (self.finds_grain(probe.line) or self.finds_grain(beside)):
            return self.again(probe.line, self.large), self.again(beside, self.large)
        return probe, second

    def finds_grain(self, line: Line) -> bool:
        """Whether some of the arguments turn out to be rounded, which was not known; noise is then measured so."""
        if self.grainy or self.unit > UNIT:
            return False
        before = line.evaluations
        self.grainy = grain(line) > 0
        self.evaluations += line.evaluations - before
        return self.grainy

    def carefully(self, line: Line) -> Probe:
        """With patience; one side may speak for the claim, but what refutes it rests on both."""
        probe = self.again(line, self.large._replace(sided=True))
        return self.again(line, self.large) if probe.estimate.sided and not probe.within else probe

    def _learn(self, estimate: Estimate) -> None:
        self.noise, self.unit = estimate.noise, estimate.unit
        step = (estimate.step or AT_LARGE.step) / NEARER
        # One block may be louder than another; but where a narrow function stands still there is nothing to measure.
        loud = self.noise > LOUD * UNIT * abs(self.claim.loss) and self.unit == UNIT
        self.large = AT_LARGE._replace(noise=None if loud else self.noise)
        self.quick = Start(step=step, noise=self.noise, rungs=QUICK, patient=False)
        if self.unit > UNIT:  # a function in float32 is judged at its own precision
            self.seeing = max(self.accuracy, min(100 * self.unit**0.5, COARSEST))
            self.notes = (
                *self.notes,
                f"the loss has unit roundoff {self.unit:.1e}: errors below {self.seeing:.1e} may pass",
            )

    def probe(self, names: Sequence[str], attempt: int, start: Start) -> Probe:
        """Along a random direction over these blocks, one for each attempt."""
        return self.again(self.draw(names, attempt), start)

    def again(self, line: Line, start: Start) -> Probe:
        """Along a line, some of whose samples may be known."""
        return self._judged(line, self._slope(line, start))

    def nearer(self, probe: Probe) -> Nearer:
        """What steps far smaller than a probe's say of its residual, as far as the noise lets them see it."""
        line, still = probe.line, True
        before = line.evaluations
        own = probe.bound - probe.estimate.bound
        for ratio in (32, 256, 2048):
            h = probe.estimate.step / ratio
            noise = max(probe.estimate.noise, 2 * UNIT * abs(self.claim.loss)) / h if h else np.inf
            if not abs(probe.residual) > SEEN * (noise + own):
                break
            still &= line.sample(h).value == line.origin == line.sample(-h).value
            if abs(across(line, h)) <= 2 * noise + own:
                self.evaluations += line.evaluations - before
                return Nearer.STILL if still else Nearer.SUPPORTS
        self.evaluations += line.evaluations - before
        return Nearer.REFUTES

    def regressed(self, probe: Probe) -> Probe:
        """By many steps along the same line, which average the noise."""
        before = probe.line.evaluations
        estimate = regression(probe.line, self.unit * abs(self.claim.loss) / 2)
        self.evaluations += probe.line.evaluations - before
        return self._judged(probe.line, estimate._replace(noise=probe.estimate.noise))

    def part(self, name: str, v: Array, start: Start) -> Estimate:
        """The slope of one block along a direction of its own; what refutes the claim rests on both sides."""
        probe = self.again(self.line({name: v}), start)
        refuted = probe.estimate.sided and not probe.within
        return self.again(probe.line, start._replace(sided=False)).estimate if refuted else probe.estimate

    def sides(self, line: Line, noise: float, rungs: int = 12, step: float = AT_LARGE.step) -> Slopes:
        """Either side of the point along a line."""
        before = line.evaluations
        slopes = sides(line, step or AT_LARGE.step, self.unit, noise or None, rungs)
        self.evaluations += line.evaluations - before
        return slopes

    def line(self, v: Mapping[str, Array]) -> Line:
        """Along any direction."""
        gradient = {name: self.claim.gradient[name] for name in v}
        return Line(self.claim.function, self.claim.point, v, gradient, self.claim.loss)

    def is_fine(self, name: str, probe: Probe) -> bool:
        """Whether the probe would have seen an error of the accuracy asked for; a zero gradient is known to the noise."""
        seen = probe.bound + min(abs(probe.residual), probe.bound)
        zero = not self.claim.gradient[name].any()
        return seen <= 2 * self.level(name, probe.v[name]) or (zero and probe.quiet)

    def level(self, name: str, v: Array) -> float:
        """The bound at which a probe along ``v`` sees an error of the accuracy asked for.

        In a single entry; in the block where it has very many, or where the function is of a narrow precision: single
        entries are then beyond any one probe.
        """
        moved = _times(np.abs(v), self.scale[name])
        moved = moved if (v != 0).all() else moved[v != 0]
        if moved.size >= MANY or self.unit > UNIT:
            return self.seeing * norm(moved) / 2
        return self.seeing * float(np.min(moved)) / 2

    def draw(self, names: Sequence[str], attempt: int) -> Line:
        """A random direction over these blocks."""
        gradient = {name: self.claim.gradient[name] for name in names}
        return self.line(direction(self.claim.point, gradient, self.seed + 1000 * attempt))

    def _slope(self, line: Line, start: Start) -> Estimate:
        before = line.evaluations
        if self.vouched:
            estimate = analytic_slope(self.claim, line.direction, line.gradient)
            self.evaluations += estimate.evaluations
            return estimate
        level = min(self.level(name, v) for name, v in line.direction.items())
        if self.grainy:
            start = start._replace(noise=max(noise(line), grain(line)))
        estimate = slope(line, start._replace(unit=self.unit, enough=ENOUGH * level))
        self.evaluations += line.evaluations - before
        return estimate

    def _judged(self, line: Line, estimate: Estimate) -> Probe:
        rounding = norm(np.array([self.allowed[name].along(v) for name, v in line.direction.items()]))
        return Probe(line, estimate.value - line.product, estimate.bound + rounding, estimate)

    def _vouch(self, real: Probe) -> Probe:
        """The same probe by complex step, if real differences vouch for it; all further probes then use it too."""
        estimate = analytic_slope(self.claim, real.v, real.line.gradient)
        self.evaluations += estimate.evaluations
        size = norm(np.array([norm(self.scale[name] * v) for name, v in real.v.items()]))
        reason = refusal(estimate, real.estimate, fine=real.bound <= VOUCHED * size)
        self.vouched = not reason
        if reason:
            self.notes = (*self.notes, reason)
            return real
        return self._judged(real.line, estimate)


def _times(a: Array, b: Array) -> Array:
    """Their product, in the place of ``a``."""
    a = np.asarray(a)
    return np.multiply(a, b, out=a)
