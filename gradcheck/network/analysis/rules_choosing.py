"""Choices between entries, hard and soft: where, the largest, softmax."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import expit, logsumexp

from gradcheck.foundation.arrays import Array
from gradcheck.network.analysis.calculus import FAR, SAFETY, or_inf
from gradcheck.network.analysis.kinks import through_slope
from gradcheck.network.analysis.nodes import RULES
from gradcheck.network.analysis.rules_moving import Moves, unbroadcast
from gradcheck.network.analysis.tape import Record, Rule, Variance, fitted
from gradcheck.network.reference.primitives import largest, softmax


class Where(Moves):
    """``numpy.where(mask, x, y)``"""

    def value(self, *x: Array, **options: Any) -> Array:
        return np.where(options["mask"], *x)

    def own(self, node: Record) -> Variance:
        """Where rounding may choose the other, it may be as far off as they are apart: ``where(z > 0, 1, slope) * z``."""
        choice, (x, y) = node.options["choice"], node.arguments
        if choice is None or not choice.near.any():
            return None
        return np.where(choice.near, np.square((x.value - y.value) / (SAFETY * node.tape.u)), np.zeros(node.shape))

    def back(self, node: Record, g: Any) -> Sequence[Any]:
        """Each gets what it was chosen for."""
        mask, choice, (x, y) = np.broadcast_to(node.options["mask"], node.shape), node.options["choice"], node.arguments
        each = ((x, mask), (y, ~mask))
        return [unbroadcast(_masked(g, own, choice), argument.shape) for argument, own in each]


class Largest(Moves):
    """`gradcheck.network.reference.primitives.largest`"""

    def value(self, *x: Array, **options: Any) -> Array:
        return np.take_along_axis(x[0], options["choice"].winner, axis=-1)[..., 0]

    def back(self, node: Record, g: Any) -> Sequence[Any]:
        """The largest gets it all."""
        choice, shape = node.options["choice"], node.arguments[0].shape
        return [_masked(np.broadcast_to(g.reshape(*g.shape, 1), shape), choice.taken, choice)]


class Masked(Moves):
    """g where the mask holds, else 0; where the choice is near, perhaps the other."""

    def value(self, *x: Array, **options: Any) -> Array:
        return np.where(options["mask"], x[0], np.zeros((), x[0].dtype))

    def kinks(self, node: Record) -> Array | None:
        g, mask, choice = node.arguments[0], node.options["mask"], node.options["choice"]
        if choice is None or not choice.near.any():
            return super().kinks(node)
        near = np.broadcast_to(choice.near, mask.shape)
        free = np.stack([np.broadcast_to(choice.exact, mask.shape), near & mask, near & ~mask]).astype(float)
        rows = np.zeros((3, *g.shape)) if g.rows is None else g.rows
        return through_slope(rows, g.value, mask.astype(float), free)


def _masked(g: Any, mask: Array, choice: Any) -> Any:
    return g.tape.do(MASKED, (g,), {"mask": mask, "choice": choice})


class Softmax(Rule):
    """y = softmax(x): dy_i = y_i ((1 - y_i) dx_i - sum of y_j dx_j over the others), 1 - y_i being the sum of the others."""

    def value(self, *x: Array, **options: Any) -> Array:
        return softmax(x[0], **options)

    def spread(self, node: Record) -> Variance:
        """Where rounding may carry an argument far: log(y / (1 - y)) moves by at most twice that."""
        x, y, u = node.arguments[0], node.value, node.tape.u
        variance = np.where(_kept(node), or_inf(x.variance), 0.0)
        near, reach = _moved(y, variance), 2 * SAFETY * u * np.sqrt(variance.max(axis=-1, keepdims=True))
        if not (reach > 2 * FAR).any():
            return near
        with np.errstate(all="ignore"):
            odds = np.log(y) - np.log(_others(y))
        apart = np.maximum(expit(odds + reach) - y, y - expit(odds - reach))
        return np.where(reach > 2 * FAR, np.maximum(near, (np.nan_to_num(apart) / (SAFETY * u)) ** 2), near)

    def own(self, node: Record) -> Variance:
        """Of exponentials, sum and quotient, and of the exponents x - max."""
        kept = _kept(node)
        x = np.where(kept, node.arguments[0].value, -np.inf)
        gap = np.where(kept, x.max(axis=-1, keepdims=True) - x, 0.0)
        return 3 * node.value**2 + _moved(node.value, gap**2)

    def recomputed(self, node: Record) -> Variance:
        """Flash attention keeps log(sum exp x) of a row, rounded, and computes y anew from it.

        A rounding d of the logarithm is a factor exp(d), which is far from 1 + d where scores are large.
        """
        x = np.where(_kept(node), node.arguments[0].value, -np.inf)
        twice = 2 * node.tape.u
        grown = np.expm1(twice * np.abs(logsumexp(x, axis=-1, keepdims=True))) / twice
        return np.square(np.where(node.value > 0, node.value * grown, 0.0))

    def back(self, node: Record, g: Any) -> Sequence[Any]:
        return [g.tape.do(SOFTMAX_BACK, (g, node), {})]


def _kept(node: Record) -> Array:
    return np.broadcast_to(node.options.get("keep", True), node.shape)


def _others(y: Array) -> Array:
    return np.maximum(y.sum(axis=-1, keepdims=True) - y, 0)


def _moved(y: Array, variance: Array) -> Array:
    """Sum of |dy_i/dx_j|^2 times the variances of x."""
    squares = y**2
    shares = squares * variance
    return squares * (_others(y) ** 2 * variance + shares.sum(axis=-1, keepdims=True) - shares)


class SoftmaxBack(Rule):
    """y (g - sum g y).

    What g has inherited is the same in both terms, and cancels where y is near 1. Its own rounding does not: flash attention
    takes the sum from its outputs.
    """

    def value(self, *x: Array, **options: Any) -> Array:
        g, y = x
        return y * (g - (g * y).sum(axis=-1, keepdims=True))

    def spread(self, node: Record) -> Variance:
        g, y = node.arguments
        squares, own = y.value**2, fitted(0.0 if g.own is None else g.own, node.shape)
        centred = (g.value - (g.value * y.value).sum(axis=-1, keepdims=True)) ** 2 * y.spread
        inherited = np.where(np.isfinite(own), np.maximum(g.spread - own, 0), np.inf)
        apart = squares * (own + (squares * own).sum(axis=-1, keepdims=True))
        return _moved(y.value, inherited) + apart + centred + squares * (centred.sum(axis=-1, keepdims=True))

    def own(self, node: Record) -> Variance:
        g, y = (x.value for x in node.arguments)
        return 2 * y**2 * ((g * y) ** 2).sum(axis=-1, keepdims=True) + 2 * node.value**2

    def kinks(self, node: Record) -> Array | None:
        rows, y = node.arguments[0].rows, node.arguments[1].value
        if rows is None:
            return None
        either = np.stack([rows[0], *[np.max(rows, axis=0)] * 2])
        return y * (either + (either * y).sum(axis=-1, keepdims=True))


MASKED, SOFTMAX_BACK = Masked(), SoftmaxBack()
RULES.update({np.where: Where(), largest: Largest(), softmax: Softmax()})
