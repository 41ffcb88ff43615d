r"""First and second derivatives of many functions of one number each, all at once: each row's loss by its own prediction.

One evaluation moves every row by a step of its own, h = t s with s the row's scale. With d+- = fl(x +- h) - x taken exactly,
g the claimed slope, and r+- = f(x+) - f(x) - g d+-, the row's residuals

    A(t) = (r+ - r-) / 2t = a0 + a1 t + a2 t^2 + ...      a0 = s (f' - g);  a1 = s^2 J / 4, J being a jump of f''
    B(t) = (r+ + r-) / 2t = b0 + b1 t + b3 t^3 + ...      b0 = s K / 2, K being a jump of f';  b1 = s^2 f'' / 2

are extrapolated over windows of steps (`gradcheck.oracles.richardson`): f' from a0, f'' from 2 B / t. A window's bound is

    f'    what smaller windows say + noise + |b0|            f''    what smaller windows say + noise + 2 |a1|

and the window of least bound is taken for each row. So a kink inside a step widens the bound, and is no accusation. Rows
that are not known well enough then, or that refute the claim, are asked again at smaller steps: where two ladders contradict
each other, the nearer one is right.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from gradcheck.foundation.arithmetic import UNIT
from gradcheck.foundation.arrays import Array, rms
from gradcheck.oracles.noise import AHEAD, BEHIND, CENTRED, CUBIC, USUAL
from gradcheck.oracles.richardson import EVEN, ODD, ladder

WITH_A_JUMP = (0, 1, 2, 4, 6, 8)  # powers of A where f'' may jump
LEAST_SCALE = 1 / 16  # of a prediction: margins are logarithms, whose own unit is 1
STEPS = 5  # of a ladder
SPANS = (slice(0, 3), slice(1, 4), slice(2, 5), slice(0, 4), slice(1, 5), slice(0, 5))  # windows of steps
AGAINST = ((1, 0), (2, 1), (4, 3))  # of the last three the windows that leave out the first and the last step
FIRST, *NEARER = (tuple(ladder(2.0**-power, STEPS)) for power in (3, 7, 10, 13, 16, 20, 24))
# Without these 15 of 1182 verdicts, the six looked at of labels far from predictions, changed.
LONGER = tuple(tuple(ladder(widest, STEPS)) for widest in (2.0**9, 2.0**15))
JUMPING = (2.0**-8, 2.0**-9, 2.0**-21, 2.0**-22)  # two pairs of steps, at which a jump at the row itself is the same
CHUNK = 2**13  # rows that are taken at once: what a cache holds
LEVELS = 2**15 - 1  # of predictions of either sign that are told apart as neighbours
GROUP = 32  # rows of neighbouring predictions, whose noise is alike
# At 2^-40 noise was overestimated beside jumps of f'': 22 of 1746 verdicts at one were others.
SUSPICIOUS = 2.0**-46  # of usual values, and of what a slope makes of a scale: more noise than that may be a kink
# At 1 eight of 1182 verdicts or causes changed, the three looked at by a jump of f''.
CAUTION = 4.0  # times the noise that was measured, from six values a row
# At 1 none of 397 verdicts changed.
COARSEST = 10  # times what is well enough known: what is left open beside a kink
LOUD = 1e3  # times the noise at the widest step: what windows carry at most
SAME = 0.1  # parts by which a jump that is at the point itself may change from step to step
PLAIN = 8.0  # times its own noise: what a jump must amount to
KNOWN = 0.1  # of the slope: as well it must be known before longer steps are believed

_Part = slice | Array


class Slopes(NamedTuple):
    """A derivative of each row with its bound; from ``low`` to ``high`` where it jumps at the row itself, else equal.

    They are infinite where a kink lies so near the row that nothing is known.
    """

    value: Array
    bound: Array
    low: Array
    high: Array


class Derivatives(NamedTuple):
    """Both, and how many evaluations of all rows they took."""

    first: Slopes
    second: Slopes
    evaluations: int


class _Limit(NamedTuple):
    """What one ladder says of one derivative of some rows."""

    value: Array
    bound: Array


class _Rows:
    """The functions, where, the claimed slopes, and what is known of their noise."""

    def __init__(self, f: Callable[[Array], Array], x: Array, claimed: Array) -> None:
        self.f, self.x, self.claimed, self.evaluations = f, x, claimed, 0
        self.scale = np.maximum(np.abs(x), max(rms(x), LEAST_SCALE))
        (self.here,) = self.values((0.0,))
        self.noise = self._noise()

    def values(self, steps: Sequence[float]) -> list[Array]:
        self.evaluations += len(steps)
        with np.errstate(all="ignore"):
            return [self.f(self._moved(t, slice(None))) for t in steps]

    def residuals(self, steps: Sequence[float], values: list[Array], at: _Part) -> Array:
        """Of some rows, a line for each step."""
        here, claimed, x = self.here[at], self.claimed[at], self.x[at]
        found = np.empty((len(steps), len(x)))
        for line, t, value in zip(found, steps, values, strict=True):
            moved = self._moved(t, at)
            moved -= x
            moved *= claimed
            np.subtract(value[at], here, out=line)
            line -= moved
        return found

    def _moved(self, t: float, at: _Part) -> Array:
        moved = t * self.scale[at]
        moved += self.x[at]
        return moved

    def _noise(self) -> Array:
        """Of a row, and where neighbours are noisier, of these.

        Six values of one row alone may look quieter than they are. A neighbour's noise counts absolutely or relative to its
        own value, whichever is less: losses of neighbouring predictions have terms of one size, and values that may differ.
        Terms of the prediction's own size may cancel, log(1 + e^x) - x, and their rounding stand still nearby.
        """
        floor = 2 * UNIT * np.maximum(np.abs(self.here), np.abs(self.x) * rms(self.claimed))
        some = slice(None, None, 1 + len(self.x) // CHUNK)
        usual = np.median(np.abs(self.here[some])) + np.median(np.abs(self.claimed[some]) * self.scale[some])
        measured = self._left_over(CENTRED)
        loud = measured > SUSPICIOUS * (usual + np.abs(self.here))
        if loud.any():  # noise is the same on either side of a kink
            sided = np.minimum(self._left_over(AHEAD), self._left_over(BEHIND))
            measured = np.where(loud, np.minimum(measured, sided), measured)
        np.maximum(measured, floor, out=measured)
        return _with_neighbours(measured, floor, self.x)

    def _left_over(self, offsets: tuple[float, ...]) -> Array:
        """What a cubic leaves over at tiny steps."""
        steps = [offset * USUAL for offset in offsets]
        values, left = self.values(steps), np.empty_like(self.x)
        beyond = np.linalg.qr(np.vander([0.0, *offsets], CUBIC + 1), mode="complete")[0][1:, CUBIC + 1 :].T
        with np.errstate(all="ignore"):
            for part, at in _parts(np.arange(len(left))):
                rest = beyond @ self.residuals(steps, values, at)
                left[part] = CAUTION * np.sqrt(np.einsum("ij,ij->j", rest, rest) / len(rest))
        left[~np.isfinite(left)] = 0.0
        return left


def derivatives(f: Callable[[Array], Array], x: Array, claims: tuple[Array, Array | None], enough: float) -> Derivatives:
    """Derivatives of every row.

    Parameters
    ----------
    f : callable
        From an array like ``x`` to the value of each row, which hangs on that row's number alone.
    x : array of n numbers
        Where.
    claims : (array, array or None)
        The claimed first and second derivatives of each row. A row that refutes one is asked again at smaller steps. Where
        there is no second one, nobody wants to know it.
    enough : float
        Relative to the larger of a row's derivative and their RMS: rows that are known to that are not asked again.
    """
    rows, wanted = _Rows(f, x, claims[0]), [claim for claim in claims if claim is not None]
    found = _limits(rows, FIRST, np.arange(len(x)))
    doubted = _is_coarse(found, wanted, enough)
    for (value, bound), claim in zip(found, wanted, strict=False):
        doubted |= np.abs(value - claim) > bound
    left = np.flatnonzero(doubted)
    for steps in NEARER:
        if left.size:
            _join(found, _limits(rows, steps, left), left)
            left = np.flatnonzero(_is_coarse(found, wanted, enough))
    if left.size:
        _look_farther(rows, found, wanted, enough)
        left = np.flatnonzero(_is_coarse(found, wanted, COARSEST * enough))
    half = np.zeros((2, len(x)))
    if left.size:
        half[:, left] = _jumps(rows, left)
        if len(wanted) == 2:
            beside = _is_beside_a_kink(rows, found[1], wanted[1], COARSEST * enough)[left]
            half[1, left[beside & (half[1, left] == 0)]] = np.inf
    first, second = map(_around, found, half)
    return Derivatives(first, second, rows.evaluations)


def _look_farther(rows: _Rows, found: list[_Limit], claims: list[Array], enough: float) -> None:
    """Longer steps, where they see the same slope: of a function that saturates all slopes vanish far off."""
    for steps in LONGER:
        value, bound = found[0]
        far = np.flatnonzero(_is_coarse(found, claims, enough) & (bound <= KNOWN * np.abs(value)))
        if not far.size:
            continue
        longer = _limits(rows, steps, far)
        with np.errstate(all="ignore"):
            same = longer[0].bound <= KNOWN * np.abs(longer[0].value)
            for old, new in zip(found, longer, strict=True):
                same &= ~(np.abs(new.value - old.value[far]) > new.bound + old.bound[far])
        _join(found, [_Limit(value[same], bound[same]) for value, bound in longer], far[same])


def _is_beside_a_kink(rows: _Rows, second: _Limit, claim: Array, enough: float) -> Array:
    """Whether a second derivative is not known although noise would not be in the way at the widest steps."""
    noise = LOUD * rows.noise / (FIRST[0] * rows.scale) ** 2
    return _beyond(*second, claim, enough) & ~_beyond(second.value, noise, claim, enough)


def _around(found: _Limit, half: Array) -> Slopes:
    """A derivative that may jump: an infinite one by anything."""
    if not half.any():
        return Slopes(*found, found.value, found.value)
    wild = np.isinf(half)
    value = np.where(wild, 0.0, found.value)
    bound = np.where(wild, 0.0, np.where(half > 0, SAME * half, found.bound))
    return Slopes(value, bound, value - half, value + half)


def _is_coarse(found: list[_Limit], claims: list[Array], enough: float) -> Array:
    beyond = [_beyond(*each, claim, enough) for each, claim in zip(found, claims, strict=False)]
    return np.logical_or.reduce(beyond)


def _beyond(value: Array, bound: Array, claim: Array, enough: float) -> Array:
    """Whether a bound is too coarse; nothing is, where a zero is claimed and may be true."""
    if not claim.any() and (np.abs(value) <= bound).all():
        return np.zeros(value.shape, bool)
    return ~(bound <= enough * np.maximum(np.abs(value), rms(claim) or rms(value[bound < np.inf])))


def _join(found: list[_Limit], nearer: list[_Limit], at: Array) -> None:
    """The better bound of each row; where they contradict each other, the nearer."""
    for old, new in zip(found, nearer, strict=True):
        bound = old.bound[at]
        with np.errstate(all="ignore"):
            better = (new.bound < bound) | (np.abs(new.value - old.value[at]) > new.bound + bound)
        for whole, part in zip(old, new, strict=True):
            whole[at[better]] = part[better]


def _jumps(rows: _Rows, at: Array) -> Array:
    """Half the jumps of f' and of f'' at the rows themselves: what stays the same from step to step, and is no noise."""
    both = (*JUMPING, *(-t for t in JUMPING))
    odd, even = _odd_and_even(JUMPING, rows.residuals(both, rows.values(both), at))
    t, scale, noise = np.array(JUMPING)[:, None], rows.scale[at], rows.noise[at]
    with np.errstate(all="ignore"):
        bends = np.abs(even)
        kink = (bends[-1] > PLAIN * noise / t[-1]) & (np.abs(bends[-1] - bends[-2]) <= SAME * bends[-1])
        turns = np.abs(np.diff(odd, axis=0) / np.diff(t, axis=0))[::2]
        jump = (turns[1] > PLAIN * noise / t[2] ** 2) & (np.abs(turns[1] - turns[0]) <= SAME * turns[1])
    half = np.where(kink, bends[-1] / scale, 0.0)
    return np.array([half, np.where(kink, np.inf, np.where(jump, 2 * turns[0] / scale**2, 0.0))])


def _limits(rows: _Rows, steps: tuple[float, ...], at: Array) -> list[_Limit]:
    """What a ladder says of either derivative of the rows ``at``, by the window of least bound."""
    both = (*steps, *(-t for t in steps))
    values = rows.values(both)
    found = [_Limit(np.zeros(len(at)), np.full(len(at), np.inf)) for _ in range(2)]
    with np.errstate(all="ignore"):
        for part, chosen in _parts(at):
            there = [_Limit(value[part], bound[part]) for value, bound in found]
            _extrapolate(rows, chosen, steps, rows.residuals(both, values, chosen), there)
        for (value, bound), power in zip(found, (1, 2), strict=True):
            value /= rows.scale[at] ** power
            bound /= rows.scale[at] ** power
        found[0].value[:] += rows.claimed[at]
        found[0].bound[:] += UNIT * np.abs(found[0].value)
    return found


def _extrapolate(rows: _Rows, at: _Part, steps: tuple[float, ...], residuals: Array, found: list[_Limit]) -> None:
    """Write a0 and 2 b1 of each row; of what is no number nothing is known."""
    windows, t = _windows(steps), np.array(steps)[:, None]
    odd, even = _odd_and_even(steps, residuals)
    blind = ~np.isfinite(odd + even)
    odd[blind] = even[blind] = 0.0
    unknown = (windows.value[3:] != 0) @ blind
    # Values grow with the step, and their rounding; and steps are rounded, of which a wrong claim says too little.
    size = np.abs(odd).max(axis=0)
    noise = 2 * UNIT * (size * (np.abs(rows.x[at]) / rows.scale[at]) + np.abs(rows.here[at]))
    np.maximum(noise, rows.noise[at], out=noise)
    grown = 2 * UNIT * (size + np.abs(even).max(axis=0) + np.abs(rows.claimed[at]) * rows.scale[at])
    for best, sides, open_, jumps, carried in zip(
        found, (odd, 2 * even / t), (even, odd), windows.jumps, windows.carried, strict=True
    ):
        said, bounds = windows.value @ sides, np.abs(jumps @ open_)
        for bound, value, (inner, outer), carry, blank in zip(bounds, said[3:], AGAINST, carried, unknown, strict=True):
            bound += np.maximum(np.abs(value - said[inner]), np.abs(value - said[outer]))
            bound += np.sum(carry) * noise
            bound += np.dot(carry, steps) * grown
            better = (bound < best.bound) & ~blank
            np.copyto(best.value, value, where=better)
            np.copyto(best.bound, bound, where=better)


def _parts(at: Array) -> Iterator[tuple[slice, _Part]]:
    """Parts of the rows ``at``, and which of all rows those are; a slice where they are neighbours."""
    for start in range(0, len(at), CHUNK):
        part = slice(start, start + CHUNK)
        chosen = at[part]
        near = int(chosen[-1] - chosen[0]) == len(chosen) - 1
        yield part, slice(int(chosen[0]), int(chosen[-1]) + 1) if near else chosen


def _odd_and_even(steps: Sequence[float], residuals: Array) -> tuple[Array, Array]:
    """A and B, a line for each step."""
    ahead, behind = residuals[: len(steps)], residuals[len(steps) :]
    twice = 2 * np.array(steps)[:, None]
    return (ahead - behind) / twice, (ahead + behind) / twice


class _Windows(NamedTuple):
    """Weights of windows, a line for each: of values, of which the first three are only held against others, and of these
    what lets jumps of f' through even parts, and twice those of f'' odd ones, and how much noise either derivative carries.
    """

    value: Array
    jumps: tuple[Array, Array]
    carried: tuple[Array, Array]


@lru_cache
def _windows(steps: tuple[float, ...]) -> _Windows:
    value = np.array([_weights(steps, span, ODD, 0) for span in SPANS])
    kink = np.array([_weights(steps, span, EVEN, 0) for span in SPANS[3:]])
    turn = 2 * np.array([_weights(steps, span, WITH_A_JUMP, 1) for span in SPANS[3:]])
    size = np.abs(value[3:])
    return _Windows(value, (kink, turn), ((size + np.abs(kink)) / steps, (4 * size / steps + np.abs(turn)) / steps))


def _weights(steps: tuple[float, ...], span: slice, powers: tuple[int, ...], which: int) -> Array:
    """Weights of all steps, zero outside a window, that let one power's coefficient through and no other first one's."""
    t = np.array(steps[span])
    matrix = (t[:, None] / t[0]) ** powers[: len(t)]
    found = np.zeros(len(steps))
    found[span] = np.linalg.inv(matrix)[which] / t[0] ** powers[which]
    return found


def _with_neighbours(noise: Array, floor: Array, x: Array) -> Array:
    """For each row the largest noise in its group of neighbours, absolutely or in parts of the floor, whichever is less."""
    size = np.abs(x)
    near = x / (size + max(np.median(size[:: 1 + len(x) // CHUNK]), LEAST_SCALE))  # from -1 to 1, in the order of x
    order = np.argsort((LEVELS * (1 + near)).astype(np.uint16), kind="stable")  # numbers of 16 bits are sorted in one pass
    own, least = noise[order], floor[order]
    starts = np.arange(0, len(x), GROUP)
    count = np.diff(np.r_[starts, len(x)])
    parts = np.divide(own, least, out=np.zeros_like(own), where=least > 0)
    absolute, relative = (np.repeat(np.maximum.reduceat(each, starts), count) for each in (own, parts))
    relative = np.where(least > 0, relative * least, np.inf)
    found = np.empty_like(noise)
    found[order] = np.maximum(own, np.minimum(absolute, relative))
    return found
