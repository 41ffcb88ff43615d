"""A block that two directions have refuted: which entries are wrong, and by how much."""

from typing import NamedTuple

import msgspec
import numpy as np

from gradcheck.checking.probe import Probe
from gradcheck.checking.prober import MANY, Prober
from gradcheck.foundation.arrays import Array, norm
from gradcheck.oracles.differences import AT_LARGE, Start
from gradcheck.oracles.line import Estimate
from gradcheck.verdict import reasons
from gradcheck.verdict.entrywise import place
from gradcheck.verdict.findings import Entry, Finding, Verdict
from gradcheck.verdict.localize import Located, Search, localize
from gradcheck.verdict.settle import Residual

BACKEND = "claimed"
FAR = 10  # bounds of a cheap probe, beyond which an entry needs no dear one
VANISHED = 4  # times less than what is claimed: that is no slope. Of the two blocks where it was seen, 24 and 2300 times
# Times its own size an entry is moved far: hardly a step is then small to it. Seen where it was 1e14 times; not moved.
OVER = 2.0**20
ENTRIES = 28  # cheap probes to spend on the entries of one block: about 200 evaluations


def accusation(prober: Prober, name: str, probe: Probe) -> Finding:
    """Name the wrong entries, by cheap probes or by dearer ones, and say how far off the block is."""
    enough = max(ENTRIES, 2 * prober.scale[name].size.bit_length() + 4)  # to find one entry by halving, too
    v, plain = probe.v[name], Residual(probe.residual, probe.bound)
    located = _sure(prober, name, v, localize(search(prober, name, v, prober.known.quick), enough, plain))
    if not located.indices:  # too little for cheap probes
        located = localize(search(prober, name, v, prober.known.large), enough, plain)
    refuted = _beside_the_point(prober, name, v, located)
    if located.indices and not refuted.indices:
        return finding_of(prober, name, Verdict.UNRESOLVED, probe, reasons.DISPUTED)
    located = refuted
    if on_a_staircase(prober, name, probe, located) or (prober.known.rounded and not located.indices):
        return finding_of(prober, name, Verdict.UNRESOLVED, probe, reasons.STAIRCASE)
    return sized(prober, name, probe, located)


def _sure(prober: Prober, name: str, v: Array, located: Located) -> Located:
    """Those entries that are far beyond the bound of a cheap probe, or refuted by a dear one: at a kink it is too coarse."""
    kept = Located([], [], [], located.complete)
    for index, value, bound in zip(located.indices, located.values, located.bounds, strict=True):
        off, line = abs(float(prober.claim.gradient[name].flat[index]) - value), abs(float(v.flat[index]))
        if off > FAR * bound or not prober.again(prober.along_entry(name, index, line), prober.known.large).within:
            kept.add(index, value, bound)
    return kept


def is_far_off(prober: Prober, name: str, probe: Probe) -> bool:
    """Whether entries that are moved far explain a residual: where the function is flat there, that is their claim."""
    v = probe.v[name]
    far = _is_moved_far(prober, name, v)
    return float(np.sum(np.abs(prober.claim.gradient[name] * v)[far])) >= abs(probe.residual) / 2


def _is_moved_far(prober: Prober, name: str, v: Array) -> Array:
    """Which entries a direction moves so far beyond their own size that no step is small to them, as in one flat vector."""
    size = np.abs(prober.claim.point[name])
    return (size > 0) & (np.abs(v) > OVER * size)


def _beside_the_point(prober: Prober, name: str, v: Array, located: Located) -> Located:
    """Without entries that steps of their own size bear out: further off the function may be flat."""
    far, kept = _is_moved_far(prober, name, v).ravel(), Located([], [], [], located.complete)
    for index, value, bound in zip(located.indices, located.values, located.bounds, strict=True):
        off, size = (
            abs(float(prober.claim.gradient[name].flat[index]) - value),
            abs(float(prober.claim.point[name].flat[index])),
        )
        own = prober.again(prober.along_entry(name, index, size), AT_LARGE) if far[index] else None
        if not (own and own.within and FAR * own.bound <= off * size):
            kept.add(index, value, bound)
    return kept


def on_a_staircase(prober: Prober, name: str, probe: Probe, located: Located) -> bool:
    """Whether f is flat along an entry nearby and sloped further off: some arguments may be rounded, and others not."""
    found = zip(located.indices, located.values, located.bounds, strict=True)
    lengths = np.abs(probe.v[name]).ravel()
    lines = (prober.along_entry(name, i, lengths[i]) for i, value, bound in found if abs(value) <= bound)
    further = (prober.again(line, AT_LARGE) for line in lines)
    return any(one.within or one.estimate.staircase for one in further)


def sized(prober: Prober, name: str, probe: Probe, located: Located) -> Finding:
    """Wrong or inexact, by the worst entry found and the error of the whole block."""
    scale, entries = prober.scale[name], _entries(prober, name, located)
    # Off by the same relative error everywhere, a block of P entries moves the probe by sqrt(P) times as much as one.
    together = (abs(probe.residual) - probe.bound) / norm(scale * probe.v[name])
    off = max([together, *(each.error for each in entries)]) if prober.claim.gradient[name].any() else 1.0  # all is missing
    alone = _alone(prober, name, probe)
    whole = _part_of_the_whole(prober, probe)
    if off > prober.asked.accuracy >= whole:
        verdict, reason = Verdict.INEXACT, reasons.nothing_there(whole, prober.asked.accuracy)
    elif off > prober.asked.accuracy:
        verdict, reason = Verdict.WRONG, reasons.found_wrong(len(entries), scale.size, complete=located.complete)
    elif entries or alone <= prober.asked.accuracy:
        verdict, reason = Verdict.INEXACT, reasons.accurate_enough(off, prober.asked.accuracy)
    else:
        verdict, reason = Verdict.UNRESOLVED, reasons.found_nowhere(off, alone)
    worst = entries[0].entry.index if entries else None
    finding = finding_of(prober, name, verdict, probe, reason)
    return msgspec.structs.replace(finding, error=off, entries=tuple(each.entry for each in entries), worst_index=worst)


def is_of_no_account(prober: Prober, name: str, probe: Probe) -> bool:
    """Whether what refutes a claim is within the accuracy wherever it sits, of somebody who does not want to know where."""
    if not prober.asked.sparing or prober.known.rounded:
        return False
    return min(_alone(prober, name, probe), _part_of_the_whole(prober, probe)) <= prober.asked.accuracy


def _part_of_the_whole(prober: Prober, probe: Probe) -> float:
    """What is claimed of a block that has no slope, beside the whole gradient; for who is sparing.

    So a solver's derivative by a constraint that is not active comes out, as small as the solver is exact. Relative to
    itself all of it is wrong.
    """
    left = abs(probe.estimate.value) + probe.estimate.bound
    if not prober.asked.sparing or left > abs(probe.residual) / VANISHED or not prober.known.magnitude:
        return float("inf")
    return (abs(probe.residual) + probe.bound) / prober.known.magnitude


def _alone(prober: Prober, name: str, probe: Probe) -> float:
    """The relative error of one entry that would explain a residual by itself, wherever it is."""
    moved = prober.scale[name] * np.abs(probe.v[name])
    return (abs(probe.residual) + probe.bound) / float(np.min(moved, initial=np.inf))


def search(prober: Prober, name: str, plain: Array, start: Start) -> Search:
    """Probes of parts of a block along parts of one direction."""

    def slope(v: Array, _: Array) -> Estimate:
        return prober.block_slope(name, v, start)

    def fine(v: Array, _: Array) -> Estimate:
        return prober.block_slope(name, v, prober.known.large if np.count_nonzero(v) >= MANY else start)

    claimed, allowed, scale = prober.claim.gradient[name], prober.allowed[name], prober.scale[name]
    return Search(name, claimed, allowed, slope, prober.asked.seed, scale, plain, fine)


def finding_of(prober: Prober, name: str, verdict: Verdict, probe: Probe, reason: str = "") -> Finding:
    """What a probe says of a block; of a zero, relative to the whole gradient."""
    scale, zero = prober.scale[name], name in prober.known.zeros and verdict is not Verdict.WRONG
    size = prober.known.magnitude if zero else norm(scale * probe.v[name])
    resolution = prober.resolution(name, probe) if zero else probe.resolution(name, scale)
    if zero and verdict is Verdict.CORRECT:
        reason = reasons.zero_to_rounding(resolution)
    return Finding(
        name=name,
        backend=BACKEND,
        verdict=verdict,
        error=abs(probe.residual) / size if size else 0.0,
        bound=probe.bound / size if size else 0.0,
        resolution=resolution,
        block_resolution=resolution if zero else probe.block_resolution(name, scale),
        reason=reason,
        shape=scale.shape,
    )


def at_an_optimum(prober: Prober, name: str, probe: Probe) -> Finding:
    """What a probe says of a block where all that it claims is nothing beside what the slope changes by."""
    curved = prober.known.curved
    resolution = 2 * probe.seen / curved
    return msgspec.structs.replace(
        finding_of(prober, name, Verdict.CORRECT, probe),
        error=abs(probe.residual) / curved,
        bound=probe.bound / curved,
        resolution=resolution,
        block_resolution=resolution,
        reason=reasons.at_an_optimum(resolution),
    )


class _Sized(NamedTuple):
    error: float
    entry: Entry


def _entries(prober: Prober, name: str, located: Located) -> list[_Sized]:
    """With their relative errors, the largest first."""
    g, scale = prober.claim.gradient[name], prober.scale[name]
    found: list[_Sized] = []
    for i, value, bound in zip(located.indices, located.values, located.bounds, strict=True):
        entry = Entry(place(i, g.shape), float(g.flat[i]), value, bound)
        found.append(_Sized(abs(entry.claimed - entry.reference) / float(scale.flat[i]), entry))
    return sorted(found, key=lambda each: -each.error)
