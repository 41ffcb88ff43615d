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

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from gradcheck.foundation.arithmetic import UNIT
from gradcheck.foundation.arrays import Array, rms
from gradcheck.oracles.noise import AHEAD, BEHIND, CENTRED, CUBIC, USUAL
from gradcheck.oracles.richardson import EVEN, ODD, ladder, spans, weights

WITH_A_JUMP = (0, 1, 2, 4, 6, 8)  # powers of A where f'' may jump
LEAST_SCALE = 1 / 16  # of a prediction: margins are logarithms, whose own unit is 1
STEPS, SMALLEST = 5, 4  # of a ladder, and of a window of it
FIRST, *NEARER = (tuple(ladder(2.0**-power, STEPS)) for power in (3, 7, 10, 13, 16, 20, 24))
LONGER = tuple(tuple(ladder(widest, STEPS)) for widest in (2.0**9, 2.0**15))
JUMPING = (2.0**-8, 2.0**-9, 2.0**-14, 2.0**-15)  # two pairs of steps, at which a jump at the row itself is the same
CHUNK = 2**14  # rows that are extrapolated at once: what a cache holds
GROUP = 32  # rows of neighbouring predictions, whose noise is alike
SUSPICIOUS = 2.0**-40  # of usual values, and of what a slope makes of a scale: more noise than that may be a kink
CAUTION = 4.0  # times the noise that was measured, from six values a row
COARSEST = 10  # times what is well enough known: what is left open beside a kink
LOUD = 1e3  # times the noise at the widest step: what windows carry at most
SAME = 0.1  # parts by which a jump that is at the point itself may change from step to step
PLAIN = 8.0  # times its own noise: what a jump must amount to
KNOWN = 0.1  # of the slope: as well it must be known before longer steps are believed


class Slopes(NamedTuple):
    """A derivative of each row with its bound; where it jumps at the row itself, from ``low`` to ``high``, else equal."""

    value: Array
    bound: Array
    low: Array
    high: Array


class Derivatives(NamedTuple):
    """Both, and how many evaluations of all rows they took."""

    first: Slopes
    second: Slopes
    evaluations: int


class _Limits(NamedTuple):
    """What one ladder says of some rows."""

    first: Array
    first_bound: Array
    second: Array
    second_bound: Array


class _Rows:
    """The functions, where, the claimed slopes, and what is known of their noise."""

    def __init__(self, f: Callable[[Array], Array], x: Array, claimed: Array) -> None:
        self.f, self.x, self.claimed, self.evaluations = f, x, claimed, 0
        self.scale = np.maximum(np.abs(x), max(rms(x), LEAST_SCALE))
        self.here = self.at(x)
        self.noise = self._noise()

    def at(self, x: Array) -> Array:
        self.evaluations += 1
        with np.errstate(all="ignore"):
            return self.f(x)

    def residual(self, t: float) -> Array:
        with np.errstate(all="ignore"):
            moved = self.x + t * self.scale
            return self.at(moved) - self.here - self.claimed * (moved - self.x)

    def _noise(self) -> Array:
        """Of a row, and where neighbours are noisier, of these.

        Six values of one row alone may look quieter than they are. A neighbour's noise counts absolutely or relative to its
        own value, whichever is less: losses of neighbouring predictions have terms of one size, and values that may differ.
        Terms of the prediction's own size may cancel, log(1 + e^x) - x, and their rounding stand still nearby.
        """
        floor = 2 * UNIT * np.maximum(np.abs(self.here), np.abs(self.x) * rms(self.claimed))
        measured = self._left_over(CENTRED)
        loud = measured > SUSPICIOUS * (np.median(np.abs(self.here)) + np.median(np.abs(self.claimed) * self.scale))
        if loud.any():  # noise is the same on either side of a kink
            sided = np.minimum(self._left_over(AHEAD), self._left_over(BEHIND))
            measured = np.where(loud, np.minimum(measured, sided), measured)
        measured = np.maximum(measured, floor)
        order = np.argsort(self.x)
        absolute = _largest_nearby(measured, order)
        relative = floor * _largest_nearby(np.divide(measured, floor, out=np.ones_like(floor), where=floor > 0), order)
        return np.maximum(measured, np.minimum(absolute, np.where(floor > 0, relative, np.inf)))

    def _left_over(self, offsets: tuple[float, ...]) -> Array:
        """What a cubic leaves over at tiny steps."""
        values = np.stack([np.zeros_like(self.here), *(self.residual(offset * USUAL) for offset in offsets)])
        basis = np.linalg.qr(np.vander([0.0, *offsets], CUBIC + 1))[0]
        with np.errstate(all="ignore"):
            values -= basis @ (basis.T @ values)
            left = CAUTION * np.sqrt(np.einsum("ij,ij->j", values, values) / (len(values) - CUBIC - 1))
        return np.where(np.isfinite(left), left, 0.0)


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
    rows, everything = _Rows(f, x, claims[0]), np.arange(len(x))
    found = _limits(rows, FIRST, everything)
    left = _undecided(found, claims, enough)
    for steps in NEARER:
        if left.size:
            found = _joined(found, _limits(rows, steps, left), left)
            left = np.flatnonzero(_is_coarse(found, claims, enough))
    half, half_second = np.zeros_like(x), np.zeros_like(x)
    if left.size:
        for steps in LONGER:
            far = np.flatnonzero(_is_coarse(found, claims, enough) & (found.first_bound <= KNOWN * np.abs(found.first)))
            if far.size:
                found = _joined(found, _agreeing(_limits(rows, steps, far), found, far), far)
        left = np.flatnonzero(_is_coarse(found, claims, COARSEST * enough))
    if left.size:
        half[left], half_second[left] = _jumps(rows, left)
        if claims[1] is not None:
            beside = _is_beside_a_kink(rows, found, claims[1], COARSEST * enough)[left]
            half_second[left] = np.where(beside & (half_second[left] == 0), np.inf, half_second[left])
    return Derivatives(
        _around(found.first, np.where(half > 0, SAME * half, found.first_bound), half),
        _around(found.second, np.where(half_second > 0, SAME * half_second, found.second_bound), half_second),
        rows.evaluations,
    )


def _is_beside_a_kink(rows: _Rows, found: _Limits, claim: Array, enough: float) -> Array:
    """Whether a second derivative is not known although noise would not be in the way at the widest steps."""
    noise = LOUD * rows.noise / (FIRST[0] * rows.scale) ** 2
    return _beyond(found.second, found.second_bound, claim, enough) & ~_beyond(found.second, noise, claim, enough)


def _around(value: Array, bound: Array, half: Array) -> Slopes:
    """A derivative that may jump: an infinite one by anything."""
    wild = np.isinf(half)
    value, bound = np.where(wild, 0.0, value), np.where(wild, 0.0, bound)
    return Slopes(value, bound, value - half, value + half)


def _undecided(found: _Limits, claims: tuple[Array, Array | None], enough: float) -> Array:
    """Rows that are not known well enough, or refute a claim."""
    refuted = np.abs(found.first - claims[0]) > found.first_bound
    if claims[1] is not None:
        refuted |= np.abs(found.second - claims[1]) > found.second_bound
    return np.flatnonzero(refuted | _is_coarse(found, claims, enough))


def _is_coarse(found: _Limits, claims: tuple[Array, Array | None], enough: float) -> Array:
    coarse = _beyond(found.first, found.first_bound, claims[0], enough)
    if claims[1] is None:
        return coarse
    return coarse | _beyond(found.second, found.second_bound, claims[1], enough)


def _beyond(value: Array, bound: Array, claim: Array, enough: float) -> Array:
    """Whether a bound is too coarse; nothing is, where a zero is claimed and may be true."""
    if not claim.any() and (np.abs(value) <= bound).all():
        return np.zeros(value.shape, bool)
    return ~(bound <= enough * np.maximum(np.abs(value), rms(claim) or rms(value[bound < np.inf])))


def _joined(found: _Limits, nearer: _Limits, at: Array) -> _Limits:
    """The better bound of each row; where they contradict each other, the nearer."""
    parts: list[Array] = []
    for value, bound, new, new_bound in ((*found[:2], *nearer[:2]), (*found[2:], *nearer[2:])):
        old, old_bound = value[at], bound[at]
        with np.errstate(all="ignore"):
            better = (new_bound < old_bound) | (np.abs(new - old) > new_bound + old_bound)
        value, bound = value.copy(), bound.copy()
        value[at], bound[at] = np.where(better, new, old), np.where(better, new_bound, old_bound)
        parts += [value, bound]
    return _Limits(*parts)


def _agreeing(longer: _Limits, found: _Limits, at: Array) -> _Limits:
    """What longer steps say, where they see the same slope: of a function that saturates all slopes vanish far off."""
    with np.errstate(all="ignore"):
        same = np.abs(longer.first - found.first[at]) <= longer.first_bound + found.first_bound[at]
        same &= longer.first_bound <= KNOWN * np.abs(longer.first)
        same &= ~(np.abs(longer.second - found.second[at]) > longer.second_bound + found.second_bound[at])
    return longer._replace(
        first_bound=np.where(same, longer.first_bound, np.inf), second_bound=np.where(same, longer.second_bound, np.inf)
    )


def _jumps(rows: _Rows, at: Array) -> tuple[Array, Array]:
    """Half the jumps of f' and of f'' at the rows themselves: what stays the same from step to step, and is no noise."""
    odd, even = _sampled(rows, JUMPING, at)
    t, scale, noise = np.array(JUMPING)[:, None], rows.scale[at], rows.noise[at]
    with np.errstate(all="ignore"):
        bends = np.abs(even)
        kink = (bends[-1] > PLAIN * noise / t[-1]) & (np.abs(bends[-1] - bends[-2]) <= SAME * bends[-1])
        turns = np.abs(np.diff(odd, axis=0) / np.diff(t, axis=0))[::2]
        jump = (turns[1] > PLAIN * noise / t[2] ** 2) & (np.abs(turns[1] - turns[0]) <= SAME * turns[1])
    half = np.where(kink, bends[-1] / scale, 0.0)
    return half, np.where(kink, np.inf, np.where(jump, 2 * turns[1] / scale**2, 0.0))


def _limits(rows: _Rows, steps: tuple[float, ...], at: Array) -> _Limits:
    """What a ladder says of the rows ``at``."""
    odd, even = _sampled(rows, steps, at)
    found = _Limits(*(np.empty(len(at)) for _ in _Limits._fields))
    with np.errstate(all="ignore"):
        for start in range(0, len(at), CHUNK):
            part = slice(start, start + CHUNK)
            scale, noise = rows.scale[at[part]], rows.noise[at[part]]
            # Values grow with the step, and their rounding; and steps are rounded, of which a wrong claim says too little.
            sizes = np.array(steps)[:, None] * (
                np.abs(odd[:, part]) + np.abs(even[:, part]) + np.abs(rows.claimed[at[part]]) * scale
            )
            sizes += np.abs(odd[:, part]) * (np.abs(rows.x[at[part]]) / scale) + np.abs(rows.here[at[part]])
            best = _best(steps, odd[:, part], even[:, part], np.maximum(noise, 2 * UNIT * sizes))
            found.first[part] = rows.claimed[at[part]] + best.first / scale
            found.first_bound[part] = best.first_bound / scale + UNIT * np.abs(found.first[part])
            found.second[part], found.second_bound[part] = best.second / scale**2, best.second_bound / scale**2
    return found


def _sampled(rows: _Rows, steps: tuple[float, ...], at: Array) -> tuple[Array, Array]:
    """A and B of the rows ``at``, a line for each step."""
    odd, even = np.empty((len(steps), len(at))), np.empty((len(steps), len(at)))
    everywhere = len(at) == len(rows.x)
    for i, t in enumerate(steps):
        ahead, behind = rows.residual(t), rows.residual(-t)
        if not everywhere:
            ahead, behind = ahead[at], behind[at]
        odd[i], even[i] = (ahead - behind) / (2 * t), (ahead + behind) / (2 * t)
    return odd, even


def _best(steps: tuple[float, ...], odd: Array, even: Array, noise: Array) -> _Limits:
    """Of each row the window of least bound, for either derivative; NaN bounds know nothing."""
    count = odd.shape[1]
    best = _Limits(np.zeros(count), np.full(count, np.inf), np.zeros(count), np.full(count, np.inf))
    curvature = 2 * even / np.array(steps)[:, None]
    known: dict[tuple[int, int], tuple[Array, Array]] = {}
    for first, last in sorted(spans(len(steps)), key=lambda span: span[1] - span[0]):
        t = steps[first:last]
        if len(t) < SMALLEST - 1:
            continue
        w = _weights(t, ODD, 0)
        slope, bend = w @ odd[first:last], w @ curvature[first:last]
        known[first, last] = slope, bend
        if len(t) < SMALLEST:
            continue
        inner, outer = known[first + 1, last], known[first, last - 1]
        kink, turn = _weights(t, EVEN, 0), _weights(t, WITH_A_JUMP, 1)
        h = np.array(t)
        noisy = (np.abs(w) + np.abs(kink)) / h, (4 * np.abs(w) / h + 2 * np.abs(turn)) / h
        left = np.abs(kink @ even[first:last]), 2 * np.abs(turn @ odd[first:last])
        for which, value in enumerate((slope, bend)):
            apart = np.maximum(np.abs(value - inner[which]), np.abs(value - outer[which]))
            _take(best[2 * which : 2 * which + 2], value, apart + left[which] + noisy[which] @ noise[first:last])
    return best


def _take(best: tuple[Array, ...], value: Array, bound: Array) -> None:
    better = bound < best[1]
    np.copyto(best[0], value, where=better)
    np.copyto(best[1], bound, where=better)


@lru_cache
def _weights(steps: tuple[float, ...], powers: tuple[int, ...], which: int) -> Array:
    """Weights of the steps that let the coefficient of one power through, and none of the other first ones."""
    relative = tuple(float(f"{t / steps[0]:.13e}") for t in steps)
    if which == 0:
        return weights(relative, powers)
    matrix = np.array([[t**p for t in relative] for p in powers[: len(steps)]])
    return np.linalg.inv(matrix)[:, which] / steps[0] ** powers[which]


def _largest_nearby(values: Array, order: Array) -> Array:
    """For each row the largest value among neighbours in this order, a group at a time."""
    count = -(-len(values) // GROUP)
    padded = np.zeros(count * GROUP)
    padded[: len(values)] = values[order]
    largest = np.empty_like(values)
    largest[order] = np.repeat(padded.reshape(count, GROUP).max(axis=1), GROUP)[: len(values)]
    return largest
