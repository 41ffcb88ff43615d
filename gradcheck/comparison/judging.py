"""The verdict on one block: which level of arithmetic holds its errors, and what is to be said of those that none holds.

1. Within `BOUND` scales of the best that its format allows: correct.
2. Where only entries are beyond that hang on a choice within rounding, and by no more than it changes: nonsmooth.
3. Beyond, at other points as well and in the same way: wrong; rounding is none of that (`second_look`).
4. Beyond, and not the same elsewhere: rounding of a kind that costs more. Up to `TWICE` the scale it is correct, else
   inexact, and it is said as if what it was computed; where it is nearly as large as the block it is not decided.
5. In a coarse format, whose every result may be rounded and some always the same way, 3 and 4 are decided by the candidate
   in float32 on the same numbers, where it has such a path.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from gradcheck.comparison.levels import COARSE, Level, every_operation, explaining
from gradcheck.comparison.measured import Measured
from gradcheck.comparison.second_look import Seen
from gradcheck.foundation.arrays import Array, rms
from gradcheck.verdict import reasons
from gradcheck.verdict.causes import Cause
from gradcheck.verdict.findings import Verdict

# Scales within which an entry is honest. 1,649 of 1,650 honest float32 blocks of 30 operations were; at 5, honest code on
# saturated data was accused (softmax by its logarithm 6.9, flash attention 7.6).
BOUND = 8.0
# Scales of an error that is certainly seen: at 8 it is in half of all entries, at 10 in 99 of 100.
SEEN = 10.0
TWICE = 2.0
# Scales of a single entry that is further off than the others. Of 1,650 honest blocks none had one beyond 21.
STRAY = 32.0
# Of the RMS of a block: an error that is not systematic and larger than that may be anything.
LARGE = 0.3
# Of the RMS of a block: where half of the entries are not known to that, nothing is known of it.
COARSELY = 0.1
# Scales of every operation's rounding, beyond which no coarse arithmetic explains what is the same at all points. At 8, 43
# of 10,800 honest blocks were accused, at 32 20, which were rounded choices, overflow, and logits in the hundreds.
WIDE = 32.0
# Of the entries beyond their bound: where choices that were seen to fall otherwise explain so many, others explain the rest.
MOST = 0.75
# Of the scales of a level that is said to explain an error: so much at least, or it would explain anything. One statistic of
# many that is rounded to bfloat16 is a tenth of all of them.
LEAST = 1 / 64


class Judgement(NamedTuple):
    """A verdict, why, the scales that it was come to with; and a cause that needs no further look."""

    verdict: Verdict
    reason: str
    scale: Array
    level: Level
    cause: Cause | None = None


class Block:
    """One block of a pair, and what its errors are in units of scales."""

    def __init__(self, measured: Measured, name: str) -> None:
        self.measured, self.name = measured, name
        self.reference = measured.centre[name]
        self.error = measured.errors(name)
        self.rms = rms(np.where(np.isfinite(self.reference), self.reference, 0.0))
        self.left = np.ones(self.error.shape, bool)  # entries that are still to be explained

    def scale(self, level: Level) -> Array:
        """Of a level."""
        return self.measured.scales(level)[self.name]

    def ratio(self, level: Level) -> Array:
        """Errors in units of a level's scales; 0 where these are infinite, which says nothing."""
        with np.errstate(all="ignore"):
            found = self.error / self.scale(level)
        return np.where((self.error == 0) | ~self.left | np.isnan(found), 0.0, found)

    def worst(self, level: Level) -> float:
        """The largest of these."""
        return float(self.ratio(level).max(initial=0.0))

    def times(self, level: Level) -> float:
        """The error of the block in units of a level's, both in root mean square."""
        scale = self.scale(level)
        known = self.left & np.isfinite(scale)
        whole = rms(scale[known])
        return rms(self.error[known]) / whole if whole else 0.0

    def open(self, level: Level) -> Array:
        """Entries of which nothing can be said: the reference is no number there, or honest code may overflow."""
        return (self.error > 0) & ~(np.isfinite(self.scale(level)) & np.isfinite(self.reference))

    def systematic(self) -> bool:
        """Whether the mean error over other points is beyond what rounding leaves open."""
        return self._stays(self.measured.second)

    def systematic_nearer(self) -> bool:
        """The same at points so near that much is rounded alike: of what is further off than roundoffs could add up to."""
        best = self.measured.best
        return self.worst(best) * best.unit > 1 and self._stays(self.measured.nearer)

    def _stays(self, seen: Mapping[str, Seen]) -> bool:
        found = seen[self.name].systematic(self.scale(self.measured.best))
        return bool((np.where(self.left, found, 0.0) > BOUND).any())

    def large(self) -> bool:
        """Whether errors are as large as what they are in."""
        return bool((np.where(self.left, self.error, 0.0) > LARGE * self.rms).any())

    def without_choices(self, level: Level) -> int:
        """How many entries beyond the bound a choice explains that may fall otherwise; they are looked at no more."""
        swings = self.measured.swings(level)[self.name]
        beyond = self.ratio(level) > BOUND
        hanging = beyond & (swings > 0) & (self.error <= BOUND * (swings + self.scale(level)))
        if level is not self.measured.best and hanging.sum() >= MOST * beyond.sum():
            # In coarse arithmetic more choices may fall otherwise than a few runs show.
            hanging = beyond & (self.error <= BOUND * (swings.max() + self.scale(level)))
        self.left &= ~hanging
        return int(hanging.sum())


def judged(measured: Measured, name: str) -> Judgement:
    """The verdict on one block, to whatever it is resolved."""
    block, best = Block(measured, name), measured.best
    found = _errors(block, best)
    if times := _varies(measured, name, found.scale):
        return found._replace(verdict=Verdict.WRONG, reason=reasons.nondeterministic(times), cause=Cause.NONDETERMINISTIC)
    if found.verdict is Verdict.WRONG:
        return found
    if block.open(best).any():
        where = "is not finite" if not np.isfinite(block.reference).all() else "may overflow in honest code"
        return found._replace(verdict=Verdict.UNRESOLVED, reason=reasons.no_number(int(block.open(best).sum()), where))
    return found


def judged_in_float32(measured: Measured, name: str) -> Judgement | None:
    """The verdict in float32 on the same numbers; None of a finer format, and of a candidate that has no such path."""
    wide = measured.in_float32 if measured.held in COARSE else None
    return None if wide is None else judged(wide, name)


def _errors(block: Block, best: Level) -> Judgement:
    def said(verdict: Verdict, reason: str = "", level: Level = best) -> Judgement:
        return Judgement(verdict, reason, block.scale(level), level)

    if block.worst(best) <= BOUND:
        return said(Verdict.CORRECT)
    if block.measured.pair.doubt:
        return said(*_in_float32_alone(block))
    if np.isinf(block.ratio(best)).any() and not _overflows(block):
        reason = reasons.not_finite(int(np.isinf(block.ratio(best)).sum()))
        return said(Verdict.WRONG, reason)._replace(cause=Cause.NON_FINITE)
    hanging = block.without_choices(best)
    if block.worst(best) <= BOUND:
        return said(Verdict.NONSMOOTH, reasons.hangs_on_choices(hanging, block.error.size))
    if block.measured.held in COARSE:
        return _in_coarse_format(block)
    times, worst = block.times(best), block.worst(best)
    if block.systematic() or block.systematic_nearer():
        return said(Verdict.WRONG, reasons.systematic(worst, best.name))
    if times <= TWICE and worst <= STRAY:
        return said(Verdict.CORRECT)
    if block.large():
        return said(Verdict.UNRESOLVED, reasons.large_and_unsystematic(times, best.name))
    return said(Verdict.INEXACT, reasons.times_the_error(times, worst, best.name, as_if(block)))


def _varies(measured: Measured, name: str, scale: Array) -> float:
    """How far answers are apart in units of scales, if that is beyond the bound."""
    if len(measured.answers) == 1:
        return 0.0
    with np.errstate(all="ignore"):
        apart = np.ptp(np.stack([each[name] for each in measured.answers]), axis=0) / scale
    times = float(np.max(apart, initial=0.0, where=np.isfinite(apart)))
    return times if times > BOUND else 0.0


def _overflows(block: Block) -> bool:
    """Whether all that is infinite may be so where every operation is rounded to the coarse format."""
    if block.measured.held not in COARSE:
        return False
    every = block.scale(every_operation(block.measured.held))
    return bool(np.isinf(every[np.isinf(block.error)]).all())


def _in_coarse_format(block: Block) -> Judgement:
    held, systematic = block.measured.held, block.systematic()
    levels = explaining(held)
    every = levels[-1]

    def said(verdict: Verdict, reason: str, level: Level = every) -> Judgement:
        return Judgement(verdict, reason, block.scale(level), level)

    holding = next((level for level in levels if block.worst(level) <= BOUND), None)
    if holding is None and (hanging := block.without_choices(every)) and block.worst(every) <= BOUND:
        return said(Verdict.NONSMOOTH, reasons.hangs_on_choices(hanging, block.error.size))
    if holding is not None and not systematic:
        return said(Verdict.CORRECT, reasons.as_accurate_as(holding.name), holding)
    found = judged_in_float32(block.measured, block.name)
    if found is None:
        return _without_float32(block, said, systematic)
    if found.verdict is Verdict.WRONG:
        return said(Verdict.WRONG, reasons.wrong_in_float32(found.reason))
    if found.verdict is Verdict.UNRESOLVED:
        return said(Verdict.UNRESOLVED, f"in float32 on the same numbers: {found.reason}")
    if systematic and block.worst(every) > WIDE:
        return said(Verdict.WRONG, reasons.wrong_in(held, block.worst(every)))
    times, worst = block.times(every), block.worst(every)
    if holding is not None or (times <= TWICE and worst <= STRAY and not systematic):
        return said(Verdict.CORRECT, reasons.as_accurate_as((holding or every).name), holding or every)
    return said(Verdict.INEXACT, reasons.times_the_error(times, worst, every.name))


def _in_float32_alone(block: Block) -> tuple[Verdict, str]:
    """What is known where the coarse format's own answer is no evidence."""
    found = judged_in_float32(block.measured, block.name)
    if found is not None and found.verdict is Verdict.WRONG:
        return Verdict.WRONG, reasons.wrong_in_float32(found.reason)
    return Verdict.UNRESOLVED, block.measured.pair.doubt


def _without_float32(block: Block, said: Callable[..., Judgement], systematic: bool) -> Judgement:
    every = explaining(block.measured.held)[-1]
    if systematic and block.worst(every) > WIDE:
        return said(Verdict.WRONG, reasons.systematic(block.worst(every), every.name))
    if systematic or block.large():
        return said(Verdict.UNRESOLVED, reasons.undecided_without_float32(block.worst(every), block.measured.held))
    times, worst = block.times(every), block.worst(every)
    if times <= TWICE and worst <= STRAY:
        return said(Verdict.CORRECT, reasons.as_accurate_as(every.name))
    return said(Verdict.INEXACT, reasons.times_the_error(times, worst, every.name))


def as_if(block: Block) -> str:
    """The finest level that would explain an error, and by no more than it is."""
    levels = explaining(block.measured.held)
    return next((each.name for each in levels if block.worst(each) <= BOUND and block.times(each) >= LEAST), "")
