"""Sums, products and quotients.

For a result y of arguments x with variances s, in units of u^2 (Higham, *Accuracy and Stability of Numerical Algorithms*,
2nd ed., sections 2.2 and 3.1): what they hand on is sum |dy/dx|^2 s, to which an operation that rounds adds y^2.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gradcheck.foundation.arrays import Array
from gradcheck.network.analysis.calculus import FAR, SAFETY
from gradcheck.network.analysis.kinks import swapped, through_factor, through_product
from gradcheck.network.analysis.nodes import RULES
from gradcheck.network.analysis.rules_moving import MANY_ALIKE, alike, summed, unbroadcast
from gradcheck.network.analysis.tape import Record, Rule, Variance, fitted

# By so many roots of its variance a sum of many terms may be off. The bias of a convolution below a batch normalisation of
# 137,592 places was off by 1.7 bounds without it, with 2 by 0.55, with 4 by 0.29.
ROOTS = 4.0


class Rounds(Rule):
    """One operation an entry, rounded once."""

    def own(self, node: Record) -> Variance:
        """y^2"""
        return np.square(node.value)


class Add(Rounds):
    """``x + y``"""

    def value(self, *x: Array, **options: Any) -> Array:
        return x[0] + x[1]

    def spread(self, node: Record) -> Variance:
        return fitted(node.arguments[0].spread + node.arguments[1].spread, node.shape)

    def back(self, node: Record, g: Any) -> Sequence[Any]:
        return [unbroadcast(g, x.shape) for x in node.arguments]

    def kinks(self, node: Record) -> Array | None:
        return _together(node, [x.rows for x in node.arguments])

    def own(self, node: Record) -> Variance:
        """y^2; a bias is one more term of the product that it is added to, in whatever order builds add them up.

        Then b^2 stands for the product's own z^2: y = z + b, so that either is at most twice y^2 and the other.
        """
        x, y = node.arguments
        bias, product = (x, y) if x.rule is None else (y, x)
        if bias.rule is None and bias.needs and isinstance(product.rule, MatMul):
            return np.square(node.value) + np.square(bias.value) - np.square(product.value)
        return super().own(node)


class Subtract(Add):
    """``x - y``"""

    def own(self, node: Record) -> Variance:
        return Rounds.own(self, node)

    def value(self, *x: Array, **options: Any) -> Array:
        return x[0] - x[1]

    def back(self, node: Record, g: Any) -> Sequence[Any]:
        return [unbroadcast(g, node.arguments[0].shape), unbroadcast(-g, node.arguments[1].shape)]

    def kinks(self, node: Record) -> Array | None:
        first, second = (x.rows for x in node.arguments)
        return _together(node, [first, None if second is None else swapped(second)])


class Negative(Rule):
    """``-x``"""

    def value(self, *x: Array, **options: Any) -> Array:
        return -x[0]

    def spread(self, node: Record) -> Variance:
        return node.arguments[0].variance

    def own(self, node: Record) -> Variance:
        return None

    def back(self, node: Record, g: Any) -> Sequence[Any]:
        return [-g]

    def kinks(self, node: Record) -> Array | None:
        rows = node.arguments[0].rows
        return None if rows is None else swapped(rows)


class Multiply(Rounds):
    """``x * y``; of both errors the product counts as well, of second order. A square has one argument, with slope 2 x."""

    def value(self, *x: Array, **options: Any) -> Array:
        return x[0] * x[1]

    def spread(self, node: Record) -> Variance:
        x, y = node.arguments
        if x is y:
            return 4 * x.value**2 * x.spread + 2 * (node.tape.u * x.spread) ** 2
        both = x.spread * y.spread * node.tape.u**2
        return fitted(x.spread * y.value**2 + y.spread * x.value**2 + both, node.shape)

    def back(self, node: Record, g: Any) -> Sequence[Any]:
        x, y = node.arguments
        if x is y:
            return [g * x * 2.0, None]
        pairs = ((x, y), (y, x))
        return [unbroadcast(g * other, own.shape) if own.needs else None for own, other in pairs]

    def kinks(self, node: Record) -> Array | None:
        x, y = node.arguments
        pairs = ((x.rows, y.value), (y.rows, x.value))
        found = _together(node, [None if rows is None else through_factor(rows, factor) for rows, factor in pairs])
        if found is not None and x.rows is not None and y.rows is not None:
            found = found + np.max(x.rows, axis=0) * np.max(y.rows, axis=0)
        return found


class Divide(Rounds):
    """``x / y``; where rounding may carry y far, by the least that it may be."""

    def value(self, *x: Array, **options: Any) -> Array:
        return x[0] / x[1]

    def spread(self, node: Record) -> Variance:
        x, y = node.arguments
        size: Array = np.abs(y.value)
        reach: Array = SAFETY * node.tape.u * np.sqrt(y.spread)
        least = np.where(reach > FAR * size, np.maximum(size - reach, FAR * size), size)
        return fitted((x.spread + y.spread * node.value**2) / least**2, node.shape)

    def back(self, node: Record, g: Any) -> Sequence[Any]:
        x, y = node.arguments
        at_x = g / y
        return [unbroadcast(at_x, x.shape), unbroadcast(-(at_x * node), y.shape) if y.needs else None]

    def kinks(self, node: Record) -> Array | None:
        rows = node.arguments[0].rows
        return None if rows is None else through_factor(rows, 1 / node.arguments[1].value)


class MatMul(Rule):
    """``x @ y``: each product is rounded, and their sum."""

    def value(self, *x: Array, **options: Any) -> Array:
        return x[0] @ x[1]

    def spread(self, node: Record) -> Variance:
        x, y = node.arguments
        total: Any = 0.0
        if x.variance is not None:
            total = x.variance @ y.value**2
        if y.variance is not None:
            wide = x.value**2 if x.variance is None else x.value**2 + node.tape.u**2 * x.variance
            total = total + wide @ y.variance
        return total

    def own(self, node: Record) -> Variance:
        x, y = node.arguments
        return summed(node, x.shape[-1], x.value**2 @ y.value**2, in_a_loop=False)

    def back(self, node: Record, g: Any) -> Sequence[Any]:
        x, y = node.arguments
        at_x = unbroadcast(g @ y.mT, x.shape) if x.needs else None
        return [at_x, unbroadcast(x.mT @ g, y.shape) if y.needs else None]

    def kinks(self, node: Record) -> Array | None:
        x, y = node.arguments
        first = None if x.rows is None else through_product(x.rows, y.value)
        second = None if y.rows is None else through_product(y.rows.mT, x.value.mT).mT
        return _together(node, [first, second])


class Sum(Rule):
    """``x.sum(axis, keepdims)``; ``in_turn``, as a plain loop does it."""

    def value(self, *x: Array, **options: Any) -> Array:
        axes, keep = options["axis"], options["keepdims"]
        if not options["in_turn"]:
            return x[0].sum(axis=axes, keepdims=keep)
        total = np.cumsum(in_rows(x[0], axes), axis=-1, dtype=x[0].dtype)[..., -1]
        return np.expand_dims(total, axes) if keep else total

    def spread(self, node: Record) -> Variance:
        x = node.arguments[0]
        return fitted(x.spread, x.shape).sum(axis=node.options["axis"], keepdims=node.options["keepdims"])

    def own(self, node: Record) -> Variance:
        x = node.arguments[0].value
        squares = np.square(x).sum(axis=node.options["axis"], keepdims=node.options["keepdims"])
        if node.value.size == x.size:
            return None
        terms = x.size / max(node.value.size, 1)
        own = summed(node, terms, squares, in_a_loop=node.tape.in_a_loop)
        return own + alike(node, self._error) if terms >= MANY_ALIKE else own

    def back(self, node: Record, g: Any) -> Sequence[Any]:
        x = node.arguments[0]
        kept = tuple(1 if i in node.options["axis"] else length for i, length in enumerate(x.shape))
        return [np.broadcast_to(g.reshape(kept), x.shape)]

    def kinks(self, node: Record) -> Array | None:
        rows = node.arguments[0].rows
        axes = tuple(axis + 1 for axis in node.options["axis"])
        return None if rows is None else rows.sum(axis=axes, keepdims=node.options["keepdims"])

    def roots(self, node: Record) -> float | None:
        x = node.arguments[0].value
        return ROOTS if x.size >= MANY_ALIKE * node.value.size else 1.0

    @staticmethod
    def _error(terms: Array, **options: Any) -> Array:
        rows = in_rows(terms, options["axis"])
        error = np.cumsum(rows, axis=-1)[..., -1] - rows.sum(axis=-1, dtype=np.float64)  # NumPy adds a row in pairs
        return np.expand_dims(error, options["axis"]) if options["keepdims"] else error


def in_rows(x: Array, axes: Sequence[int]) -> Array:
    """What is summed over these axes, along the last one."""
    rest = [i for i in range(x.ndim) if i not in axes]
    return np.ascontiguousarray(x.transpose(*rest, *axes).reshape(*(x.shape[i] for i in rest), -1))


def _together(node: Record, rows: Sequence[Array | None]) -> Array | None:
    """Rows of a sum."""
    found = [each for each in rows if each is not None]
    if not found:
        return None
    return sum((np.stack([np.broadcast_to(row, node.shape) for row in each]) for each in found), np.zeros((3, *node.shape)))


RULES.update(
    {
        np.add: Add(),
        np.subtract: Subtract(),
        np.negative: Negative(),
        np.multiply: Multiply(),
        np.divide: Divide(),
        np.matmul: MatMul(),
        np.sum: Sum(),
    }
)
