"""The procedure of `gradcheck.check` on one claim: from probes to a verdict for each block.

One direction over all blocks first. Where that disagrees, or resolves a block too coarsely, each block is probed by
itself, cheaply at first. An accusation needs a second direction that confirms it; then the entries are named, and the
block is wrong or inexact by the accuracy asked for. A block whose bound stays too coarse is looked at from either side, and
then taken apart: its smooth parts are judged, and at a single entry a kink is told from noise.
"""

from collections.abc import Mapping

import msgspec
import numpy as np

from gradcheck.analytic import analytic_slope, refusal
from gradcheck.arrays import Array, dot, norm
from gradcheck.claim import Claim
from gradcheck.oracles.differences import AT_LARGE, Slopes, Start, differences, one_sided
from gradcheck.oracles.directions import direction
from gradcheck.oracles.line import Estimate
from gradcheck.oracles.noise import UNIT
from gradcheck.probe import Probe
from gradcheck.verdict.compare import LISTED, Allowance, entry_scales, place
from gradcheck.verdict.findings import Entry, Finding, Verdict
from gradcheck.verdict.localize import Located, Search, localize
from gradcheck.verdict.settle import Residual

BACKEND = "claimed"
QUICK = 3  # rungs of a cheap probe,
NEARER = 8  # which begins nearer by this: fewer rungs extrapolate less far. Both chosen, not derived.
CLEAR = 10.0  # a cheap probe's residual beyond this many bounds needs no dearer one. Chosen, not derived.
ENTRIES = 28  # cheap probes to spend on the entries of one block: about 200 evaluations
NEAR = Start(step=1e-5)  # where only what happens at the point matters
FAR = Start(step=2.0)  # where noise is all that matters, steps may be long
COARSEST = 0.1  # an error that a check must see to say "correct", in whatever precision. Chosen, not derived.
MANY = 1000  # entries of a block from which on the block's own resolution counts. Chosen, not derived.
VOUCHED = 1e-6  # how well real differences must know a slope to vouch for the complex step. Chosen, not derived.
PATIENCE = 1500  # evaluations after which no further block is taken apart. Chosen, not derived.
PARTS = 48  # probes to spend on taking one block apart


class Judge:
    """The procedure of `check` on one claim."""

    def __init__(self, claim: Claim, accuracy: float, seed: int, complex_step: bool = False) -> None:
        self.claim, self.accuracy, self.seed = claim, accuracy, seed
        self.complex_step, self.vouched = complex_step, False
        self.notes = claim.notes
        self.evaluations = 0
        self.start, self.seeing, self.unit = AT_LARGE, accuracy, UNIT
        zero = {name: np.zeros_like(g) for name, g in claim.gradient.items()}
        self.allowed = {name: Allowance(claim.rounding[name], z, z, z) for name, z in zero.items()}
        self.scale = {name: entry_scales(g, g, np.finfo(float).tiny) for name, g in claim.gradient.items()}

    def findings(self) -> tuple[Finding, ...]:
        """One for each block, in the order of the point."""
        claim = self.claim
        judged = [name for name in claim.gradient if name not in claim.defects and name not in claim.doubts]
        together = self.probe(judged, 0) if judged else None
        if together is not None:
            step = (together.estimate.step or AT_LARGE.step) / NEARER
            self.start = Start(step=step, noise=together.estimate.noise, rungs=QUICK, patient=False)
            self.unit = together.estimate.unit
            if self.unit > UNIT:  # a function in float32 is judged at its own precision
                self.seeing = max(self.accuracy, min(100 * self.unit**0.5, COARSEST))
                self.notes = (
                    *self.notes,
                    f"the loss has unit roundoff {self.unit:.1e}: errors below {self.seeing:.1e} may pass",
                )
            if self.complex_step:
                together = self._vouched(together)
        found: list[Finding] = []
        for name in dict.fromkeys([*claim.point, *claim.defects]):
            if name in claim.defects:
                found.append(_told(name, Verdict.WRONG, claim.defects[name]))
            elif name in claim.doubts:
                found.append(_told(name, Verdict.UNRESOLVED, claim.doubts[name]))
            elif together is not None:
                found.append(self.judge(name, together))
        return tuple(found)

    def _vouched(self, real: Probe) -> Probe:
        """The same probe by complex step, if real differences vouch for it; all further probes then use it too."""
        gradient = {name: self.claim.gradient[name] for name in real.v}
        estimate = analytic_slope(self.claim, real.v, gradient)
        self.evaluations += estimate.evaluations
        size = norm(np.array([norm(self.scale[name] * v) for name, v in real.v.items()]))
        reason = refusal(estimate, real.estimate, fine=real.bound <= VOUCHED * size)
        self.vouched = not reason
        if reason:
            self.notes = (*self.notes, reason)
            return real
        own = real.bound - real.estimate.bound
        return Probe(real.v, estimate.value - real.estimate.value + real.residual, estimate.bound + own, estimate)

    def judge(self, name: str, together: Probe) -> Finding:
        """By the common probe where it is within its bound and fine enough, else by probes of the block alone."""
        if together.within and self.fine(name, together):
            return self._finding(name, Verdict.CORRECT, together)
        probe = self.probe([name], 1, self.start)
        clear = abs(probe.residual) > CLEAR * probe.bound
        if not clear and not (together.within and probe.within and self.fine(name, probe)):
            probe = self.probe([name], 1, AT_LARGE if self.fine(name, together) else FAR)
        if probe.within and not self.fine(name, probe):
            probe = self.sharpen(name, probe)
        if probe.within:
            return self._finding(name, Verdict.CORRECT, probe) if self.fine(name, probe) else self.take_apart(name, probe)
        again = self.probe([name], 2, self.start)
        if again.within:
            again = self.probe([name], 2)
        # An accusation must survive a second direction, and a look at whether both of its sides agree.
        if again.within or self._kinked(name, again.v[name], again.estimate.step):
            return self.take_apart(name, probe)
        return self.accuse(name, again)

    def fine(self, name: str, probe: Probe) -> bool:
        """Whether the probe would have seen an error of the accuracy asked for; a zero gradient is known absolutely.

        In a single entry; in a block of very many, where single entries are beyond any one probe, in the block.
        """
        scale = self.scale[name]
        if scale.size >= MANY and 2 * probe.bound <= self.seeing * norm(scale * probe.v[name]):
            return True
        return probe.resolution(name, scale) <= self.seeing or not self.claim.gradient[name].any()

    def probe(self, names: list[str], attempt: int, start: Start = AT_LARGE) -> Probe:
        """Real differences along a fresh random direction over these blocks."""
        gradient = {name: self.claim.gradient[name] for name in names}
        v = direction(self.claim.point, gradient, self.seed + 1000 * attempt)
        estimate = self._differences(v, gradient, start)
        claimed = sum(dot(gradient[name], v[name]) for name in v)
        rounding = norm(np.array([self.allowed[name].along(v[name]) for name in v]))
        return Probe(v, estimate.value - claimed, estimate.bound + rounding, estimate)

    def sharpen(self, name: str, probe: Probe) -> Probe:
        """With a kink beside the point, one side is smooth up to it: its slope, where the steps below the kink choose it.

        Both sides are fitted apart. If exactly one of them agrees with what the tiny two-sided steps say, the point lies on
        that side, and the slope there is known as well as that side is.
        """
        claimed = dot(self.claim.gradient[name], probe.v[name])
        rounding = self.allowed[name].along(probe.v[name])
        sides = [side for side in self._one_sided(name, probe.v[name]) if np.isfinite(side.bound)]
        agreeing = [side for side in sides if abs(side.value - claimed - probe.residual) <= 2 * probe.bound + side.bound]
        if len(agreeing) != 1 or agreeing[0].bound + rounding >= probe.bound:
            return probe
        return probe._replace(residual=agreeing[0].value - claimed, bound=agreeing[0].bound + rounding)

    def accuse(self, name: str, probe: Probe) -> Finding:
        """Two directions have refuted the block: name its entries, and say how far off it is."""
        located = localize(self._search(name, probe, self.start), ENTRIES)
        if not located.indices:  # too little for cheap probes
            located = localize(self._search(name, probe, AT_LARGE), ENTRIES // 2)
        # Off by the same relative error everywhere, a block of P entries moves the probe by sqrt(P) times as much as one.
        whole = (abs(probe.residual) - probe.bound) / norm(self.scale[name] * probe.v[name])
        return self._accused(name, probe, located, whole)

    def _accused(self, name: str, probe: Probe, located: Located, whole: float) -> Finding:
        """Wrong or inexact, by the worst entry found and the error of the whole block."""
        scale, entries = self.scale[name], self._entries(name, located)
        errors = [abs(entry.claimed - entry.reference) / float(scale[entry.index]) for entry in entries]
        off = max([whole, *errors]) if self.claim.gradient[name].any() else 1.0  # all of it is missing
        if off > self.accuracy:
            count = f"{'' if located.complete else 'at least '}{len(entries)} of {scale.size} entries found wrong"
            finding = self._finding(name, Verdict.WRONG, probe, count)
        else:
            small = f"off by {off:.1e}, within the accuracy of {self.accuracy:.1e} asked for"
            finding = self._finding(name, Verdict.INEXACT, probe, small)
        worst = entries[0].index if entries else None
        return msgspec.structs.replace(finding, error=off, entries=tuple(entries), worst_index=worst)

    def take_apart(self, name: str, probe: Probe) -> Finding:
        """A block that is resolved too coarsely, or that lies on a kink: judge its smooth parts, and single entries."""
        search = self._search(name, probe, AT_LARGE)
        scale = self.scale[name].ravel()
        parts, wrong, kinks, noisy = [np.arange(scale.size)], Located([], [], False), list[int](), list[int]()
        while parts and search.spent < PARTS and self.evaluations < PATIENCE and len(wrong.indices) < LISTED:
            part = parts.pop()
            seen = search.probe(part)
            if seen.within and seen.bound + min(abs(seen.value), seen.bound) <= self.seeing * float(
                np.min(np.abs(search.plain[part]) * scale[part])
            ):
                continue
            if len(part) > 1:
                parts += np.array_split(part, 2)
                continue
            index = int(part[0])
            side = self._side(name, index, probe)
            if side is Verdict.NONSMOOTH:
                kinks.append(index)
            elif side is Verdict.UNRESOLVED and seen.within:
                noisy.append(index)
            elif side is Verdict.WRONG and not seen.within:
                wrong.indices.append(index)
                wrong.values.append(search.value(index, seen))
        if wrong.indices:
            return self._accused(name, probe, wrong, 0.0)
        if kinks:
            return self._nonsmooth(name, kinks[0], probe)
        if noisy or parts:
            resolution = probe.resolution(name, self.scale[name])
            reason = f"an error below {resolution:.1e} would go unseen in the noise"
            return self._finding(name, Verdict.UNRESOLVED, probe, reason)
        return self._finding(name, Verdict.CORRECT, probe)

    def _side(self, name: str, index: int, probe: Probe) -> Verdict:
        """What the two sides of one entry say.

        Of different slopes nonsmooth, unless two-sided steps below the kink agree with one of them alone: the point then
        lies on that side. Else whether a side refutes the claim.
        """
        unit, length = self._along_entry(name, index, probe)
        claimed, scale = float(self.claim.gradient[name].flat[index]), float(self.scale[name].flat[index])
        rounding = self.allowed[name].along(unit) / length
        sides = [
            Residual(side.value / length - claimed, side.bound / length + rounding)
            for side in self._one_sided(name, unit)
            if np.isfinite(side.bound)
        ]
        if (
            len(sides) == 2
            and abs(sides[0].value - sides[1].value) > sides[0].bound + sides[1].bound + self.accuracy * scale
        ):
            estimate = self._differences({name: unit}, {name: self.claim.gradient[name]}, NEAR)
            seen = Residual(estimate.value / length - claimed, estimate.bound / length)
            # On a kink itself the bound is half the jump, which just reaches both sides: twice that leaves no doubt.
            sides = [side for side in sides if abs(side.value - seen.value) <= 2 * seen.bound + side.bound]
            if len(sides) != 1:
                return Verdict.NONSMOOTH
        if not all(side.within for side in sides):
            return Verdict.WRONG
        return Verdict.CORRECT if any(side.bound <= self.seeing * scale for side in sides) else Verdict.UNRESOLVED

    def _along_entry(self, name: str, index: int, probe: Probe) -> tuple[Array, float]:
        """The direction that moves one entry as far as a probe did, and how far that is."""
        unit = np.zeros_like(self.scale[name])
        length = float(np.abs(probe.v[name].flat[index]))
        unit.flat[index] = length
        return unit, length

    def _kinked(self, name: str, v: Array, step: float) -> bool:
        """Whether the slopes to the left and right differ by more than their bounds and the accuracy asked for."""
        left, right = self._one_sided(name, v, step)
        jump = abs(right.value - left.value) - right.bound - left.bound
        return bool(np.isfinite(jump)) and jump > self.accuracy * norm(self.scale[name] * v)

    def _nonsmooth(self, name: str, index: int, probe: Probe) -> Finding:
        unit, length = self._along_entry(name, index, probe)
        left, right = self._one_sided(name, unit)
        finding = self._finding(name, Verdict.NONSMOOTH, probe, "a kink: the slopes to the left and right differ")
        slopes = (left.value / length, right.value / length)
        return msgspec.structs.replace(finding, slopes=slopes, worst_index=place(index, unit.shape))

    def _one_sided(self, name: str, v: Array, step: float = AT_LARGE.step) -> Slopes:
        start = AT_LARGE._replace(step=step or AT_LARGE.step, unit=self.unit)
        slopes = one_sided(self.claim.function, self.claim.point, {name: v}, {name: self.claim.gradient[name]}, start)
        self.evaluations += slopes.left.evaluations + slopes.right.evaluations
        return slopes

    def _search(self, name: str, probe: Probe, start: Start) -> Search:
        def slope(v: Array, claimed: Array) -> Estimate:
            return self._differences({name: v}, {name: claimed}, start)

        lengths = np.abs(probe.v[name])
        return Search(name, self.claim.gradient[name], self.allowed[name], slope, self.seed, lengths)

    def _entries(self, name: str, located: Located) -> list[Entry]:
        g, rounding, scale = self.claim.gradient[name], self.allowed[name].rounding, self.scale[name]
        entries = [
            Entry(place(i, g.shape), float(g.flat[i]), value, float(rounding.flat[i]))
            for i, value in zip(located.indices, located.values, strict=True)
        ]
        return sorted(entries, key=lambda entry: -abs(entry.claimed - entry.reference) / float(scale[entry.index]))

    def _differences(self, v: Mapping[str, Array], gradient: Mapping[str, Array], start: Start) -> Estimate:
        if self.vouched:
            estimate = analytic_slope(self.claim, v, gradient)
            self.evaluations += estimate.evaluations
            return estimate
        estimate = differences(self.claim.function, self.claim.point, v, gradient, start._replace(unit=self.unit))
        self.evaluations += estimate.evaluations
        return estimate

    def _finding(self, name: str, verdict: Verdict, probe: Probe, reason: str = "") -> Finding:
        size = norm(self.scale[name] * probe.v[name])
        return Finding(
            name=name,
            backend=BACKEND,
            verdict=verdict,
            error=abs(probe.residual) / size if size else 0.0,
            bound=probe.bound / size if size else 0.0,
            resolution=probe.resolution(name, self.scale[name]),
            block_resolution=2 * probe.bound / size if size else float("inf"),
            reason=reason,
        )


def _told(name: str, verdict: Verdict, sentence: str) -> Finding:
    return Finding(name=name, backend=BACKEND, verdict=verdict, reason=sentence)
