"""Kinks: what a unit on one may change in the gradient.

A unit within rounding of a kink may honestly be given any slope from one side's to the other's. What that does to a gradient
is carried as three rows along axis 0, all of them magnitudes: EXACT, the part due to units exactly on a kink; DOWN and UP,
how far a correct gradient may lie below and above the reference's.
"""

from collections.abc import Sequence

import numpy as np

from gradcheck.foundation.arrays import Array, zeros
from gradcheck.network import layers as ly


def freedom(kinks: Sequence[ly.Kink], z: Array, tolerance: Array) -> Array:
    """EXACT, DOWN and UP of the slope, (3, *z.shape), for each ``z`` on a kink or within ``tolerance`` of one."""
    if not kinks:
        return zeros((3, *z.shape))
    rows: Array = np.zeros((3, *z.shape))
    for kink in kinks:
        distance: Array = z - kink.at
        near: Array = np.abs(distance) <= tolerance
        if not near.any():
            continue
        taken = np.where(distance < 0, kink.left, np.where(distance > 0, kink.right, kink.chosen))
        low, high = min(kink.left, kink.right), max(kink.left, kink.right)
        rows[0] += np.where(distance == 0, high - low, 0.0)
        rows[1] += np.where(near, taken - low, 0.0)
        rows[2] += np.where(near, high - taken, 0.0)
    return rows


def through_factor(rows: Array, factor: Array) -> Array:
    """Rows of a product with ``factor``, entry by entry: a negative one exchanges DOWN and UP."""
    exact, down, up = rows
    turned: list[Array] = [exact, np.where(factor < 0, up, down), np.where(factor < 0, down, up)]
    return np.stack(np.broadcast_arrays(*turned)) * np.abs(factor)


def swapped(rows: Array) -> Array:
    """Rows of what is subtracted."""
    return rows[[0, 2, 1]]


def through_product(rows: Array, matrix: Array) -> Array:
    """Rows of a matrix product with ``matrix`` from the right."""
    if not rows.any():
        return zeros((*rows.shape[:-1], matrix.shape[-1]))
    plus, minus = np.maximum(matrix, 0), np.maximum(-matrix, 0)
    exact, down, up = rows
    return np.stack([exact @ np.abs(matrix), down @ plus + up @ minus, up @ plus + down @ minus])


def through_slope(rows: Array, g: Array, slopes: Array, free: Array) -> Array:
    """Rows of ``g * slope``, where ``g`` has rows of its own and the slope the freedom ``free``.

    (g + e)(s + t) - g s = e s + g t + e t; the last term counts in full on both sides.
    """
    if not (rows.any() or free.any()):
        return zeros(rows.shape)
    both = np.max(rows, axis=0) * np.max(free, axis=0)
    return through_factor(rows, slopes) + through_factor(free, g) + both
