"""The procedure of `gradcheck.check` on one claim: from probes to a verdict for each block.

Two directions over all blocks first. Where one disagrees, or the first resolves a block too coarsely, each block is probed
by itself. An accusation needs a second direction that confirms it; then the entries are named, and the block is wrong or
inexact by the accuracy asked for. A block whose bound stays too coarse because of noise is averaged over many steps; else
it is taken apart (`apart`).
"""

from typing import NamedTuple

import msgspec
import numpy as np

from gradcheck.candidates.claim import Claim
from gradcheck.checking.bisection import along_entry, take_apart
from gradcheck.checking.probe import Nearer, Probe, Prober
from gradcheck.foundation.arrays import Array, norm
from gradcheck.oracles.differences import AT_LARGE, Start
from gradcheck.oracles.line import Estimate
from gradcheck.oracles.sides import lies_between
from gradcheck.verdict.compare import place
from gradcheck.verdict.findings import Entry, Finding, Verdict
from gradcheck.verdict.localize import Located, Search, localize

BACKEND = "claimed"
CLEAR = 10.0  # a cheap probe's residual beyond this many bounds needs no dearer one. Chosen, not derived.
ENTRIES = 28  # cheap probes to spend on the entries of one block: about 200 evaluations
FAR = 2.0  # where noise is all that matters, steps may be as long
STAIRCASE = "a staircase: flat nearby, and sloped further off"
RUNGS = 6  # to either side of an accused point


class Together(NamedTuple):
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


class Judge:
    """The procedure of `check` on one claim."""

    def __init__(self, claim: Claim, accuracy: float, seed: int, complex_step: bool = False) -> None:
        self.claim, self.accuracy, self.complex_step = claim, accuracy, complex_step
        self.prober = Prober(claim, accuracy, seed)
        self.unconfirmed = set[str]()

    def findings(self) -> tuple[Finding, ...]:
        """One for each block, in the order of the point."""
        claim = self.claim
        sound = [name for name in claim.gradient if name not in claim.defects and name not in claim.doubts]
        judged = [name for name in sound if claim.gradient[name].size]
        together = Together(*self.prober.first(judged, self.complex_step)) if judged else None
        told = {name: _empty(name) for name in sound}
        told |= {name: _told(name, Verdict.UNRESOLVED, doubt.sentence) for name, doubt in claim.doubts.items()}
        told |= {name: _told(name, Verdict.WRONG, defect.sentence) for name, defect in claim.defects.items()}
        told |= self._judge_all(judged, together) if together else {}
        return tuple(told[name] for name in dict.fromkeys([*claim.point, *claim.defects]))

    def _judge_all(self, names: list[str], together: Together) -> dict[str, Finding]:
        """Every block; where none explains what a direction over all has refuted, again, with more care."""
        for hasty in (True, False):
            found = {name: self.judge(name, together, hasty) for name in names}
            innocent = all(finding.verdict is Verdict.CORRECT for finding in found.values())
            if together.within or self.unconfirmed or not innocent:
                return found
        probe = together.refuting
        reason = f"all blocks together are off by {abs(probe.residual):.1e} along a direction, beyond {probe.bound:.1e}"
        return {n: msgspec.structs.replace(each, verdict=Verdict.UNRESOLVED, reason=reason) for n, each in found.items()}

    def judge(self, name: str, together: Together, hasty: bool) -> Finding:
        """By the common probes where they agree with the claim and are fine enough, else by probes of the block alone."""
        if together.within and self.prober.is_fine(name, together.first):
            return self._finding(name, Verdict.CORRECT, self._coarser(name, together))
        probe = self._alone(name, together, hasty)
        if probe.estimate.staircase:
            return self._finding(name, Verdict.UNRESOLVED, probe, STAIRCASE)
        if probe.within and not self.prober.is_fine(name, probe):
            probe = self._quieter(name, probe)
        if probe.within and self.prober.is_fine(name, probe):
            return self._finding(name, Verdict.CORRECT, probe)
        if probe.within:
            return self.part(name, probe)
        again = self.prober.probe([name], 2, self.prober.quick)
        if again.within:
            again = self.prober.again(again.line, self.prober.large)
        # An accusation must survive a second direction, smaller steps, and a look at whether both of its sides agree.
        nearer = Nearer.REFUTES if again.within else self.prober.nearer(again)
        if nearer is Nearer.STILL:
            return self._finding(name, Verdict.UNRESOLVED, again, STAIRCASE)
        if again.within or nearer is Nearer.SUPPORTS or self._kinked(name, again):
            self.unconfirmed.add(name)
            return self.part(name, probe)
        return self.judge(name, together, hasty) if self.prober.finds_grain(again.line) else self.accuse(name, again)

    def _coarser(self, name: str, together: Together) -> Probe:
        """Of two directions that have seen enough the one that has seen less: each of them would have flagged an error."""
        first, second = together
        both = self.prober.is_fine(name, second)
        return second if both and second.bound / norm(second.v[name]) > first.bound / norm(first.v[name]) else first

    def _alone(self, name: str, together: Together, hasty: bool) -> Probe:
        """The block by itself: where it is under suspicion cheaply at first, and with care where that decides nothing."""
        prober = self.prober
        if together.within:
            several = len(together.first.v) > 1
            return prober.carefully(prober.draw([name], 1)) if several else together.first
        line = prober.line({name: together.refuting.v[name]})
        probe = prober.again(line, prober.quick)
        innocent = hasty and probe.within and prober.is_fine(name, probe)
        decided = innocent or abs(probe.residual) > CLEAR * probe.bound
        return probe if decided else prober.carefully(line)

    def _quieter(self, name: str, probe: Probe) -> Probe:
        """Longer steps where noise makes the bound coarse, and then very many of them."""
        if not probe.noisy:
            return probe
        longer = self.prober.again(probe.line, AT_LARGE._replace(step=FAR, noise=probe.estimate.noise))
        best = min(probe, longer, key=lambda one: one.bound)
        if not best.within or self.prober.is_fine(name, best):
            return best
        return min(best, self.prober.regressed(probe), key=lambda one: one.bound)

    def accuse(self, name: str, probe: Probe) -> Finding:
        """Two directions have refuted the block: name its entries, and say how far off it is."""
        enough = max(ENTRIES, 2 * self.prober.scale[name].size.bit_length() + 4)  # to find one entry by halving, too
        located = localize(self._search(name, probe, self.prober.quick), enough)
        if not located.indices:  # too little for cheap probes
            located = localize(self._search(name, probe, self.prober.large), enough // 2)
        if self._on_a_staircase(name, probe, located) or (self.prober.grainy and not located.indices):
            return self._finding(name, Verdict.UNRESOLVED, probe, STAIRCASE)
        # Off by the same relative error everywhere, a block of P entries moves the probe by sqrt(P) times as much as one.
        whole = (abs(probe.residual) - probe.bound) / norm(self.prober.scale[name] * probe.v[name])
        return self._accused(name, probe, located, whole)

    def _on_a_staircase(self, name: str, probe: Probe, located: Located) -> bool:
        """Whether f is flat along an entry nearby and sloped further off: some arguments may be rounded, and others not."""
        found = zip(located.indices, located.values, located.bounds, strict=True)
        lengths = np.abs(probe.v[name]).ravel()
        lines = (along_entry(self.prober, name, i, lengths[i]) for i, value, bound in found if abs(value) <= bound)
        further = (self.prober.again(line, AT_LARGE) for line in lines)
        return any(one.within or one.estimate.staircase for one in further)

    def _accused(self, name: str, probe: Probe, located: Located, whole: float) -> Finding:
        """Wrong or inexact, by the worst entry found and the error of the whole block."""
        scale, entries = self.prober.scale[name], self._entries(name, located)
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

    def part(self, name: str, probe: Probe) -> Finding:
        """What the parts of a block say that no one direction decides."""
        parts = take_apart(self.prober, name, probe)
        if parts.wrong.indices and self.prober.finds_grain(probe.line):
            return self.part(name, self.prober.again(probe.line, self.prober.large))
        if self._on_a_staircase(name, probe, parts.wrong):
            return self._finding(name, Verdict.UNRESOLVED, probe, STAIRCASE)
        if parts.wrong.indices:
            return self._accused(name, probe, parts.wrong, 0.0)
        if parts.kink:
            finding = self._finding(name, Verdict.NONSMOOTH, probe, "a kink: the slopes to the left and right differ")
            index = place(parts.kink.entry, self.claim.gradient[name].shape)
            return msgspec.structs.replace(finding, slopes=parts.kink.slopes, worst_index=index)
        if parts.undecided:
            resolution = probe.resolution(name, self.prober.scale[name])
            return self._finding(
                name, Verdict.UNRESOLVED, probe, f"an error below {resolution:.1e} would go unseen in the noise"
            )
        finding = self._finding(name, Verdict.CORRECT, probe)
        return msgspec.structs.replace(finding, resolution=min(finding.resolution, parts.resolution))

    def _kinked(self, name: str, probe: Probe) -> bool:
        """Whether the slopes to the left and right differ by more than their bounds and the accuracy asked for."""
        slopes = self.prober.sides(probe.line, probe.estimate.noise, RUNGS, probe.estimate.step)
        jump = abs(slopes.right.value - slopes.left.value) - slopes.right.bound - slopes.left.bound
        if not np.isfinite(jump) or jump <= self.accuracy * norm(self.prober.scale[name] * probe.v[name]):
            return False
        return lies_between(probe.line, slopes, probe.estimate.noise)

    def _search(self, name: str, probe: Probe, start: Start) -> Search:
        def slope(v: Array, _: Array) -> Estimate:
            return self.prober.part(name, v, start)

        lengths = np.abs(probe.v[name])
        return Search(name, self.claim.gradient[name], self.prober.allowed[name], slope, self.prober.seed, lengths)

    def _entries(self, name: str, located: Located) -> list[Entry]:
        g, scale = self.claim.gradient[name], self.prober.scale[name]
        entries = [
            Entry(place(i, g.shape), float(g.flat[i]), value, bound)
            for i, value, bound in zip(located.indices, located.values, located.bounds, strict=True)
        ]
        return sorted(entries, key=lambda entry: -abs(entry.claimed - entry.reference) / float(scale[entry.index]))

    def _finding(self, name: str, verdict: Verdict, probe: Probe, reason: str = "") -> Finding:
        scale = self.prober.scale[name]
        size = norm(scale * probe.v[name])
        return Finding(
            name=name,
            backend=BACKEND,
            verdict=verdict,
            error=abs(probe.residual) / size if size else 0.0,
            bound=probe.bound / size if size else 0.0,
            resolution=probe.resolution(name, scale),
            block_resolution=probe.block_resolution(name, scale),
            reason=reason,
            shape=scale.shape,
        )


def _told(name: str, verdict: Verdict, sentence: str) -> Finding:
    return Finding(name=name, backend=BACKEND, verdict=verdict, reason=sentence)


def _empty(name: str) -> Finding:
    """Of no entries; a shape is all that it has, and that is right."""
    finding = _told(name, Verdict.CORRECT, "holds no entry")
    return msgspec.structs.replace(finding, resolution=0.0, block_resolution=0.0)
