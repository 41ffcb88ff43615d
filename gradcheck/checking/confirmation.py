"""Whether an accusation stands: what besides a wrong claim may have refuted it, and a short way to exclude all of that.

The short way takes four evaluations. It is gone for further blocks of a function that has been seen to be smooth in several.
"""

import numpy as np

from gradcheck.checking.probe import Probe
from gradcheck.checking.prober import SMALLER, Prober
from gradcheck.foundation.arithmetic import UNIT
from gradcheck.foundation.arrays import norm
from gradcheck.oracles.line import Estimate, Line
from gradcheck.oracles.noise import QUIET
from gradcheck.oracles.sides import NEAREST, TINY, across, bend, is_at_a_jump, lies_between

# A cheap probe's residual beyond this many bounds needs no dearer one. At 0 three more small faults of 50 were undecided; at
# 1 or 100 no verdict of 970 changed.
CLEAR = 10.0
CLOSE = (2**5, 2**11)  # times smaller than the steps of an accused point: from one to the other a smooth bend falls by 2^6
UNBENT = 8
RUNGS = 6  # to either side of an accused point
OTHER = 1.37  # digits at random: a step of another base than a ladder's
# Noises that a residual must amount to at the smaller step: along another direction it may be far smaller. On three chains
# of 50 blocks and 52 claims of rough ones no count of verdicts changed at 10, 30 or 1e5; at 10 45% more evaluations, at 30
# 18%, at 1e5 4%.
SHOWN = 1e3
# Of the slope that is claimed: a function that moves by less is perhaps faster than these steps. At 0 nothing changed there.
MOVES = 0.25


def is_clear(probe: Probe) -> bool:
    """Whether a cheap probe refutes a claim by so much that it needs no dearer one."""
    return abs(probe.residual) > CLEAR * probe.bound


def briefly(prober: Prober, name: str, probe: Probe) -> Probe | None:
    """A second direction at two steps that refutes the claim as a first probe does; none where that is not clear.

    The smaller step is the smallest at which the noise lets the residual be seen, the other one half-way to it by orders of
    magnitude. At both the residual must be far beyond the noise and the second difference, which is of its size at a kink;
    and it must be the same: at a jump it grows as the step falls, and that of a right claim vanishes.
    """
    noise, step, size = (
        max(probe.estimate.noise, 2 * UNIT * abs(prober.claim.loss)),
        probe.estimate.step,
        abs(probe.residual),
    )
    seen = [h for ratio in (OTHER, *SMALLER) if (h := step / ratio) > NEAREST and size > SHOWN * noise / h]
    if not is_clear(probe) or len(seen) < 2:
        return None
    line = prober.draw([name], 2)
    near, nearest = seen[(len(seen) - 1) // 2], seen[-1]
    found = prober.judged(line, _between(line, near, nearest, noise))
    stands = is_clear(found) and all(UNBENT * abs(bend(line, h)) <= abs(across(line, h)) for h in (near, nearest))
    moves = abs(found.estimate.value) >= MOVES * abs(line.product)
    return found if stands and moves else None


def _between(line: Line, near: float, nearest: float, noise: float) -> Estimate:
    """The slope at a step, with all that it may be off by."""
    off = abs(across(line, near) - across(line, nearest)) + noise / nearest
    bound = off + abs(bend(line, near))
    return Estimate(line.product + across(line, near), bound, line.evaluations, noise, near, near=nearest)


def is_kinked(prober: Prober, name: str, probe: Probe) -> bool:
    """Whether the values jump, or the slopes to either side differ by more than their bounds and the accuracy asked for."""
    grown = abs(across(probe.line, TINY[-1])) - 2 * probe.estimate.noise / TINY[-1]
    loud = probe.estimate.noise > QUIET * 2 * UNIT * abs(prober.claim.loss)  # by the jump itself, it may be
    if (loud or grown > 2 * abs(probe.residual)) and is_at_a_jump(probe.line):
        return True
    if _straightens(probe):
        return False
    # The slope across a kink is that of neither side, and refutes whichever convention the claim takes.
    slopes = prober.sides(probe.line, probe.estimate.noise, RUNGS, probe.estimate.step)
    jump = abs(slopes.right.value - slopes.left.value) - slopes.right.bound - slopes.left.bound
    if not np.isfinite(jump) or jump <= prober.asked.accuracy * norm(prober.scale[name] * probe.v[name]):
        return False
    return lies_between(probe.line, slopes, probe.estimate.noise)


def _straightens(probe: Probe) -> bool:
    """Whether the second difference falls with the step, as it does of a smooth function and not at a kink."""
    if not probe.estimate.step:
        return False
    near, nearest = (probe.estimate.step / ratio for ratio in CLOSE)
    noise, left = probe.estimate.noise / nearest, abs(bend(probe.line, nearest))
    return left <= abs(bend(probe.line, near)) / UNBENT + noise and left + noise < abs(probe.residual) / UNBENT
