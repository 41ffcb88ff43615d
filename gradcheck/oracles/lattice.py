"""Rounded arguments, by positive evidence: a function that jumps on either side of a point, from one number to the next.

Where some of what a function computes is rounded to a narrower format, it is smooth between the jumps, with a slope of
the rest alone; only over many jumps does it have the slope that is meant. A narrow feature may look the same from afar:
the claim is refuted nearby and supported further off. But a feature is continuous. What is not, shows when an interval
with a change in it is halved until its ends are neighbours: a jump is still there.
"""

from collections.abc import Iterator, Sequence

from gradcheck.foundation.arithmetic import UNIT
from gradcheck.oracles.line import Line

ADJACENT = 2.0**-49  # of a step: its ends are a few numbers apart
PLAIN = 20  # roundings of the value that a jump must amount to
# The part of a change that is still there after so many halvings: of a kink 2^-8, of a square root's foot 2^-4.
LEFT, LAST = 0.25, 8
REACHES = (2.0**-20, 2.0**-15, 2.0**-10, 2.0**-5)  # within the first lies a number of float32, within the last of 5 bits


def is_rounded(line: Line, noise: float, reaches: Sequence[float] = REACHES) -> bool:
    """Whether the function jumps on either side of the point, within one of these distances."""
    return any(all(_jumps(line, side * reach, noise) for side in (1, -1)) for reach in reaches)


def _jumps(line: Line, far: float, noise: float) -> bool:
    """Whether a jump lies between the point and this distance: the half with the larger change is halved again."""
    plain = PLAIN * max(noise, 2 * UNIT * abs(line.origin))
    changes: list[float] = []
    for change in _changes(line, far, _slope_inside(line, far)):
        if not abs(change) > plain:
            return False
        changes.append(abs(change))
    return changes[-1] >= LEFT * changes[-1 - LAST]


def _changes(line: Line, far: float, slope: float) -> Iterator[float]:
    """Over ever smaller intervals, each the half of the one before that has the larger change."""
    near = 0.0
    while True:
        yield _change(line, near, far, slope)
        if abs(far - near) <= ADJACENT:
            return
        middle = (near + far) / 2
        first = abs(_change(line, near, middle, slope)) >= abs(_change(line, middle, far, slope))
        near, far = (near, middle) if first else (middle, far)


def _change(line: Line, low: float, high: float, slope: float) -> float:
    """Of the residual, beyond a slope that is known."""
    at_low = line.sample(low).residual if low else 0.0
    return line.sample(high).residual - at_low - slope * (high - low)


def _slope_inside(line: Line, far: float) -> float:
    """Of the residual at the point itself, between jumps if there are any."""
    h = far * 2.0**-12
    return line.sample(h).residual / h
