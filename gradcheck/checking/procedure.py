"""The procedure of `gradcheck.check` on one claim: from probes to a verdict for each block.

1. Two directions over all blocks (`overview`). A block is correct where both agree with the claim and see enough of it.
2. Any other block is probed by itself: cheaply at first where a direction over all has refuted the claim.
3. Where noise makes that too coarse, though steps are as long as can be, very many are taken.
4. A claim that is refuted is probed along a second direction, at smaller steps, and on either side: an accusation must
   survive all three. Then the wrong entries are named (`accusation`), and the block is wrong or inexact by the accuracy.
5. What no one direction decides is taken apart (`bisection`): its smooth parts are judged, and a kink is told from noise.
6. Where many are refuted, further ones are confirmed in a short way (`confirmation`), and entries are looked for from the
   last block on, while a budget lasts.
7. Where a direction over all refutes the claim and every block by itself is correct, steps 2 to 6 are taken again with
   more care. If that explains nothing either, all blocks are unresolved.

Where a step finds out that some of the arguments are rounded, the block is judged anew with that known.
"""

from typing import NamedTuple

import msgspec

from gradcheck.candidates.claim import Claim
from gradcheck.checking.accusation import (
    BACKEND,
    accusation,
    at_an_optimum,
    finding_of,
    is_far_off,
    is_of_no_account,
    on_a_staircase,
    sized,
)
from gradcheck.checking.bisection import Parts, bisected
from gradcheck.checking.confirmation import briefly, is_clear, is_kinked
from gradcheck.checking.overview import Overview, look
from gradcheck.checking.probe import Probe
from gradcheck.checking.prober import MANY, Nearer, Prober
from gradcheck.foundation.arithmetic import UNIT_FLOAT32
from gradcheck.foundation.validation import Asked
from gradcheck.foundation.watching import Watch
from gradcheck.oracles.sides import is_at_a_jump
from gradcheck.verdict import reasons
from gradcheck.verdict.entrywise import place
from gradcheck.verdict.findings import Finding, Verdict
from gradcheck.verdict.localize import Located

NOWHERE = Located([], [], [], complete=False)
# Blocks that every care has accused, of a function that was nowhere found out to be rough: the next are accused with less.
# On three chains of 50 blocks and 52 claims of rough ones no count of verdicts changed at 0, 1 or 16; at 0 22% fewer
# evaluations, at 16 42% more.
TRUSTED = 4
NAMING = 2  # times `max_evaluations`: for the entries and causes of wrong blocks, once all verdicts are known
CAUSES = 100  # evaluations that the causes of one block take: of 22 to 40 wrong ones 73 to 91 each, on an average


class Block(NamedTuple):
    """One block that is judged: by whom, after which first look, and whether with every care."""

    name: str
    prober: Prober
    overview: Overview
    careful: bool


class Refuted(NamedTuple):
    """A wrong block whose entries were not yet looked for: by a first probe, and by the last of those that confirm it.

    That one may be ``short``: it refutes, and knows the residual only roughly.
    """

    block: Block
    first: Probe
    last: Probe
    short: bool


class Judgement(NamedTuple):
    """What is found of a block, none where it is to be judged anew, and what is known by then.

    ``unconfirmed`` says that a probe refuted the claim and others did not confirm that; ``refuted`` that entries may be
    looked for.
    """

    finding: Finding | None
    prober: Prober
    unconfirmed: bool = False
    refuted: Refuted | None = None


class Judged(NamedTuple):
    """A finding for each block, in the order of the point; the prober, with all that it knows; whether it was stopped.

    ``unnamed`` are wrong blocks of which nothing further was looked for.
    """

    findings: tuple[Finding, ...]
    prober: Prober
    stopped: bool
    unnamed: frozenset[str]


def judge(claim: Claim, asked: Asked, complex_step: bool) -> Judged:
    """Every block of a claim, as far as one gets before ^C."""
    watch, found = Watch(), _unasked(claim)
    names = [name for name in found if found[name].reason == reasons.STOPPED]
    prober = Prober.of(claim, asked, lambda spent: watch.say(f"{spent} evaluations, {_course(found, names)}"))
    stopped, refuted = False, dict[str, Refuted]()
    try:
        if names:
            prober, overview = look(prober, names, complex_step)
            prober = _judge_all(prober, names, overview, found, refuted)
    except KeyboardInterrupt:
        stopped = True
    finally:
        watch.end()
    findings = tuple(found[name] for name in dict.fromkeys([*claim.point, *claim.defects]))
    return Judged(findings, prober, stopped, frozenset() if stopped else frozenset(refuted))


def _unasked(claim: Claim) -> dict[str, Finding]:
    """What is known of each block before it is probed."""
    found = {name: _unprobed(name, Verdict.UNRESOLVED, reasons.STOPPED) for name in claim.gradient}
    found |= {name: _empty(name) for name, g in claim.gradient.items() if not g.size}
    found |= {name: _unprobed(name, Verdict.UNRESOLVED, doubt.sentence) for name, doubt in claim.doubts.items()}
    return found | {name: _unprobed(name, Verdict.WRONG, defect.sentence) for name, defect in claim.defects.items()}


def _course(found: dict[str, Finding], names: list[str]) -> str:
    done = sum(found[name].reason != reasons.STOPPED for name in names)
    return f"{done} of {len(names)} blocks judged"


def _judge_all(
    prober: Prober, names: list[str], overview: Overview, found: dict[str, Finding], refuted: dict[str, Refuted]
) -> Prober:
    """Steps 2 to 6 for every block; and 7. What is left in ``refuted`` has no entries."""
    for careful in (False, True):
        unconfirmed = False
        for name in names:
            judged, prober = _judge(Block(name, prober, overview, careful))
            found[name] = judged.finding or found[name]
            if judged.refuted:
                refuted[name] = judged.refuted
            unconfirmed |= judged.unconfirmed
        _name(prober, found, refuted)
        # A refutation that others did not confirm explains the direction as well: it was a kink, or noise.
        if overview.within or unconfirmed or any(found[name].verdict is not Verdict.CORRECT for name in names):
            return prober
    # Something is off that no block shows by itself: nobody can say which one, so nobody is accused.
    reason = reasons.refuted_together(overview.refuting.residual, overview.refuting.bound)
    for name in names:
        found[name] = msgspec.structs.replace(found[name], verdict=Verdict.UNRESOLVED, reason=reason)
    return prober


def _name(prober: Prober, found: dict[str, Finding], refuted: dict[str, Refuted]) -> None:
    """The entries of refuted blocks, from the last one on while the budget lasts.

    Of a chain all of whose blocks below a mistake are wrong the last is the one beside it. Where the entries of a block take
    the accusation back, a function is not what it seemed, and those of all are looked for.
    """
    enough, doubted = prober.meter.spent + NAMING * prober.asked.max_evaluations, False
    for named, (name, one) in enumerate(reversed([*refuted.items()])):
        if named and not doubted and prober.meter.spent + CAUSES * named >= enough:
            return
        careful = prober.carefully(one.last.line) if one.short else one.last
        found[name] = _named(one.block, one.first, one.last if careful.within else careful)
        doubted |= found[name].verdict is not Verdict.WRONG
        del refuted[name]


def _named(block: Block, first: Probe, last: Probe) -> Finding:
    """With its entries."""
    finding = accusation(block.prober, block.name, last)
    # An error spread thinly over a block shows in no entry; but a kink that no direction has shown does so, too.
    parted = _bisected(block, first) if not finding.entries and finding.verdict is Verdict.WRONG else None
    return parted.finding if parted and parted.finding and parted.finding.slopes else finding


def _judge(block: Block) -> tuple[Judgement, Prober]:
    """Anew where it is learned that arguments are rounded, which happens once."""
    before = block.prober.meter.spent
    while True:
        judged = _decide(block)
        if judged.finding is not None:
            break
        block = block._replace(prober=judged.prober)
    prober = judged.prober
    if judged.finding.verdict in (Verdict.WRONG, Verdict.INEXACT):
        prober = prober.knowing(aside=prober.known.aside + prober.meter.spent - before)
    if judged.unconfirmed:
        prober = prober.knowing(rough=True)
    return judged, prober.knowing(accused=prober.known.accused + bool(judged.refuted))


def _decide(block: Block) -> Judgement:
    """Steps 1 to 5, as far as they are needed."""
    name, prober, overview, _ = block
    if overview.within and _is_enough(prober, name, overview.first):
        return _found(block, Verdict.CORRECT, overview.coarser(prober, name))
    probe = _alone(block)
    if probe.estimate.staircase:  # two slopes, and the claim cannot be both
        return _found(block, Verdict.UNRESOLVED, probe, reasons.STAIRCASE)
    if probe.within and not _is_enough(prober, name, probe):
        probe = _averaged(block, probe)
    if not probe.within and is_of_no_account(prober, name, probe):
        return Judgement(sized(prober, name, probe, NOWHERE), prober)
    if not probe.within:
        return _confirmed(block, probe)
    if _is_enough(prober, name, probe):
        return _found(block, Verdict.CORRECT, probe)
    if prober.is_at_an_optimum(probe):
        return Judgement(at_an_optimum(prober, name, probe), prober)
    return _bisected(block, probe)


def _is_enough(prober: Prober, name: str, probe: Probe) -> bool:
    """Whether a probe that bears the claim out has seen all that is looked for, or what must be at no more evaluations."""
    return prober.is_fine(name, probe) or (
        prober.resolves(name, probe) and not prober.may_spend(prober.resolution(name, probe))
    )


def _alone(block: Block) -> Probe:
    """Step 2: under suspicion cheaply at first, and with care where that decides nothing."""
    name, prober, overview, careful = block
    if overview.within:
        several = len(overview.first.v) > 1
        return prober.carefully(prober.draw([name], 1)) if several else overview.first
    if len(overview.refuting.v) == 1 and not careful:
        return overview.refuting
    line = prober.line({name: overview.refuting.v[name]})  # the direction that has refuted all blocks, or this one's part
    if _is_trusted(block) and is_clear(probe := prober.again(line, prober.known.quick._replace(rungs=2))):
        return probe
    probe = prober.again(line, prober.known.quick)
    acquitted = not careful and probe.within and prober.is_fine(name, probe)
    return probe if acquitted or is_clear(probe) else prober.carefully(line)


def _is_trusted(block: Block) -> bool:
    """Whether a function has been seen to be smooth in so many blocks that others need less care."""
    known = block.prober.known
    return known.accused >= TRUSTED and not (known.rough or known.rounded or known.analytic or block.careful)


def _averaged(block: Block, probe: Probe) -> Probe:
    """Step 3."""
    if not probe.noisy:  # a kink forbids longer steps, and no average mends it
        return probe
    return min(probe, block.prober.regressed(probe), key=lambda one: one.bound)


def _confirmed(block: Block, probe: Probe) -> Judgement:
    """Step 4."""
    name, prober, *_ = block
    short = briefly(prober, name, probe) if _is_trusted(block) else None
    if short:
        return _accused(block, probe, short, short=True)
    if prober.otherwise(probe).within:
        return _bisected(block, probe)._replace(unconfirmed=True)
    many = prober.scale[name].size >= MANY
    again = prober.probe([name], 2, prober.known.large if many else prober.known.quick)
    if again.within and not many:  # cheap probes may see too little to refute
        again = prober.again(again.line, prober.known.large)
    again = prober.otherwise(again)
    if again.within and prober.known.unit > UNIT_FLOAT32:  # few steps in coarse arithmetic see little, and refute nothing
        again = _averaged(block, again)
    nearer = Nearer.REFUTES if again.within else prober.nearer(again)
    if nearer is Nearer.STILL:  # flat at the point itself: whose slope is meant?
        return _found(block, Verdict.UNRESOLVED, again, reasons.STAIRCASE)
    if again.within or nearer is Nearer.SUPPORTS or is_kinked(prober, name, again):
        return _bisected(block, probe)._replace(unconfirmed=True)
    rounded = prober.knowing_rounded(again)
    if rounded is not None:
        return Judgement(None, rounded)
    return _accused(block, probe, again)


def _accused(block: Block, first: Probe, last: Probe, *, short: bool = False) -> Judgement:
    """Wrong, if the block as a whole is off by so much; else by its entries."""
    name, prober, *_ = block
    finding = sized(prober, name, last, NOWHERE)
    if finding.verdict is not Verdict.WRONG or prober.known.rounded or is_far_off(prober, name, last):
        return Judgement(_named(block, first, last), prober)
    finding = msgspec.structs.replace(finding, reason=reasons.NOT_LOOKED_FOR)
    return Judgement(finding, prober, refuted=Refuted(block, first, last, short))


def _bisected(block: Block, probe: Probe) -> Judgement:
    """Step 5."""
    name, prober, *_ = block
    parts = bisected(prober, name, probe)
    rounded = prober.knowing_rounded(probe) if parts.wrong.indices else None
    if rounded is not None:
        prober, probe = rounded, rounded.again(probe.line, rounded.known.large)
        parts = bisected(prober, name, probe)
    return Judgement(_of_parts(prober, name, probe, parts), prober)


def _of_parts(prober: Prober, name: str, probe: Probe, parts: Parts) -> Finding:
    """What the parts of a block say that no one direction decides."""
    if on_a_staircase(prober, name, probe, parts.wrong):
        return finding_of(prober, name, Verdict.UNRESOLVED, probe, reasons.STAIRCASE)
    if parts.wrong.indices:
        return sized(prober, name, probe, parts.wrong)
    if parts.kink:
        finding = finding_of(prober, name, Verdict.NONSMOOTH, probe, reasons.KINK)
        index = place(parts.kink.entry, prober.scale[name].shape)
        return msgspec.structs.replace(finding, slopes=parts.kink.slopes, worst_index=index)
    if not parts.undecided and probe.within:
        finding = finding_of(prober, name, Verdict.CORRECT, probe)
        return msgspec.structs.replace(finding, resolution=parts.resolution)
    if probe.within and prober.resolves(name, probe):
        return finding_of(prober, name, Verdict.CORRECT, probe)
    if is_at_a_jump(probe.line):
        return finding_of(prober, name, Verdict.NONSMOOTH, probe, reasons.JUMP)
    if probe.line.is_alone:
        return finding_of(prober, name, Verdict.UNRESOLVED, probe, reasons.ALONE)
    whole = probe.block_resolution(name, prober.scale[name])
    reason = reasons.unseen_in_noise(prober.resolution(name, probe), whole) if probe.within else reasons.DISPUTED
    return finding_of(prober, name, Verdict.UNRESOLVED, probe, reason)


def _found(block: Block, verdict: Verdict, probe: Probe, reason: str = "") -> Judgement:
    return Judgement(finding_of(block.prober, block.name, verdict, probe, reason), block.prober)


def _unprobed(name: str, verdict: Verdict, sentence: str) -> Finding:
    return Finding(name=name, backend=BACKEND, verdict=verdict, reason=sentence)


def _empty(name: str) -> Finding:
    """Of no entries; a shape is all that it has, and that is right."""
    finding = _unprobed(name, Verdict.CORRECT, reasons.EMPTY)
    return msgspec.structs.replace(finding, resolution=0.0, block_resolution=0.0)
