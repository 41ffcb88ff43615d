"""The slopes of all rows at once along one direction: a ladder of central differences, from which each row takes its own."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from gradcheck.foundation.arithmetic import UNIT
from gradcheck.foundation.arrays import Array

STEPS = 2.0 ** -(3 + 2 * np.arange(7))  # of a direction as long as the point is large
COST = 2 * len(STEPS)  # evaluations
NEAREST = 3  # extrapolations whose differences are taken for noise: the steps are so small that little else is left
ROUNDED = 4  # roundoffs of a value that a difference of two may be off by
KINKED = 0.5  # a bend that falls by less when the step is 16 times smaller is none of a smooth function: that falls by 16
LOUD = 40  # roundoffs that a bend must amount to
CLEAR = 10  # bounds that a residual must amount to for its row to be looked at by itself: these here are estimates


class Slopes(NamedTuple):
    """Of each row: the slope, an estimate of its error, and whether it seems to bend at the very point.

    They choose what is looked at, and name what was refuted by the scalar procedure; they pass no verdict.
    """

    value: Array
    bound: Array
    bent: Array


def slopes(function: Callable[[Array], Array], x: Array, here: Array, v: Array) -> Slopes:
    """Along ``v``. The rung is taken whose extrapolations agree best, noise included.

    Parameters
    ----------
    function : callable
        From all numbers to all rows.
    x : array of shape (n,)
    here : array of shape (m,)
        The values at ``x``.
    v : array of shape (n,)
    """
    with np.errstate(all="ignore"):
        ahead, back = (np.array([function(x + side * h * v) for h in STEPS]) for side in (1, -1))
        h = STEPS[:, None]
        bend = np.abs(ahead + back - 2 * here) / h
        if np.isfinite(back).any():
            limits = _extrapolated((ahead - back) / (2 * h), 16)
        else:  # the domain, or its bounds, lie on one side
            limits = _extrapolated(_extrapolated((ahead - here) / h, 4), 16)
        h = h[-len(limits) :]
        moved = np.abs(limits[1:] - limits[:-1])
        back = np.where(np.isfinite(back), back, here)
        rounded = ROUNDED * UNIT * np.maximum(np.maximum(np.abs(ahead), np.abs(back))[-len(limits) :], np.abs(here))
        noise = np.maximum(rounded, np.max(moved[-NEAREST:] * h[-NEAREST:], axis=0)) / h
        error = np.maximum(moved[1:], moved[:-1] / 16) + noise[2:]
        error[~np.isfinite(error)] = np.inf
        best = np.argmin(error, axis=0)
        pick = np.arange(here.size)
        value, bound = limits[2:][best, pick], error[best, pick]
        bent = (bend[-1] > KINKED * bend[-3]) & (bend[-1] > LOUD * noise[-1])
    return Slopes(np.where(np.isfinite(bound), value, np.nan), bound, bent)


def _extrapolated(found: Array, falls: int) -> Array:
    """To steps of 0, where errors fall by so much from rung to rung: 16 for central differences, whose steps fall by 4."""
    return found[1:] + (found[1:] - found[:-1]) / (falls - 1)
