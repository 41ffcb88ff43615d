"""Operations that move numbers and round nothing, and the sums that are their transposes."""

import operator
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from gradcheck.foundation.arithmetic import UNIT_FLOAT32
from gradcheck.foundation.arrays import Array
from gradcheck.network.analysis.calculus import SAFETY, accumulated
from gradcheck.network.analysis.nodes import RULES
from gradcheck.network.analysis.tape import Record, Rule, Variance, fitted
from gradcheck.network.reference.primitives import windows


def summed(node: Record, terms: Any, squares: Array, *, in_a_loop: bool) -> Array:
    """Own rounding of a sum of so many terms with this sum of squares.

    Done one after the other, each step rounds a partial sum. Of terms of one sign these grow evenly up to the sum S,
    n S^2 / 3 in squares; of terms with random signs they are a random walk, n / 6 times the sum of their squares. Where
    nobody sums in a loop of that length, what `SAFETY` has no room for is charged alone (`accumulated`).
    """
    sums = np.square(node.value)
    if in_a_loop:
        return squares * (1 + terms / 6) + sums * (1 + terms / 3)
    return accumulated(terms) * (squares + sums)


# Terms from which on a sum is done in a loop, to see what that does: of 2,131 equal ones a sum was off by 0.57 of a bound
# without it, of 2,984 by 0.99. A bound is then four times that, no hundred times: it is an error and no variance.
MANY_ALIKE = 256
SEEN = SAFETY / 4
# Of the terms, in each of which last digits are others: with the first alone a bias below a batch normalisation of 137,592
# places was off by 0.29 of its bound, with all by 0.20.
MULTIPLES = (1.0, 1.17, 1.39, 1.71)


def alike(node: Record, error: Callable[..., Array]) -> Array:
    """The square of the error of a plain loop: equal terms are rounded the same way, again and again.

    How much depends on their last digits, which other builds may have otherwise: the worst of some multiples counts.
    """
    narrow = np.float32 if node.tape.u >= UNIT_FLOAT32 else np.float64
    terms = node.arguments[0].value
    found = [np.abs(error((factor * terms).astype(narrow), **node.options)) / factor for factor in MULTIPLES]
    return np.square(np.max(found, axis=0) / (SEEN * node.tape.u))


class Moves(Rule):
    """Its ``value`` serves variances and kinks as well."""

    def value(self, *x: Array, **options: Any) -> Array:
        """The result."""
        raise NotImplementedError

    def spread(self, node: Record) -> Variance:
        """As the numbers are moved."""
        return self.value(*(fitted(x.spread, x.shape) for x in node.arguments), **node.options)

    def kinks(self, node: Record) -> Array | None:
        """As the numbers are moved."""
        if all(x.rows is None for x in node.arguments):
            return None
        rows = [np.zeros((3, *x.shape)) if x.rows is None else x.rows for x in node.arguments]
        return np.stack([self.value(*(row[i] for row in rows), **node.options) for i in range(3)])


class Reshape(Moves):
    """``x.reshape(shape)``"""

    def value(self, *x: Array, **options: Any) -> Array:
        return x[0].reshape(options["shape"])

    def back(self, node: Record, g: Any) -> Sequence[Any]:
        """The same backwards."""
        return [g.reshape(node.arguments[0].shape)]


class Transpose(Moves):
    """``x.transpose(axes)``"""

    def value(self, *x: Array, **options: Any) -> Array:
        return x[0].transpose(options["axes"])

    def back(self, node: Record, g: Any) -> Sequence[Any]:
        """By the inverse permutation."""
        return [g.transpose(np.argsort(node.options["axes"]).tolist())]


class Broadcast(Moves):
    """``numpy.broadcast_to(x, shape)``"""

    def value(self, *x: Array, **options: Any) -> Array:
        return np.broadcast_to(x[0], options["shape"])

    def back(self, node: Record, g: Any) -> Sequence[Any]:
        """Sums over the axes that were repeated."""
        return [unbroadcast(g, node.arguments[0].shape)]


class Concatenate(Moves):
    """``numpy.concatenate(x, axis)``"""

    def value(self, *x: Array, **options: Any) -> Array:
        return np.concatenate(x, options["axis"])

    def back(self, node: Record, g: Any) -> Sequence[Any]:
        """Each its part."""
        axis = node.options["axis"] % g.ndim
        ends = np.cumsum([0, *(x.shape[axis] for x in node.arguments)]).tolist()
        return [g[(slice(None),) * axis + (slice(*pair),)] for pair in pairwise(ends)]


class Item(Moves):
    """``x[key]``"""

    def value(self, *x: Array, **options: Any) -> Array:
        return x[0][options["key"]]

    def back(self, node: Record, g: Any) -> Sequence[Any]:
        """Put back, beside zeros; what was taken more than once adds up."""
        return [g.tape.do(PLACE, (g,), {"key": node.options["key"], "shape": node.arguments[0].shape})]


class Windows(Moves):
    """`gradcheck.network.reference.primitives.windows`; no error and no slope in the padding."""

    def value(self, *x: Array, **options: Any) -> Array:
        return windows(x[0], **options)

    def spread(self, node: Record) -> Variance:
        x = node.arguments[0]
        options: dict[str, Any] = {**node.options, "fill": 0.0}
        return windows(fitted(x.spread, x.shape), **options)

    def back(self, node: Record, g: Any) -> Sequence[Any]:
        """Entries add up over the windows that they lie in."""
        return [g.tape.do(FOLD, (g,), {**node.options, "shape": node.arguments[0].shape})]


class Gathers(Moves):
    """The transpose of an operation that moves numbers: sums, of different numbers of terms."""

    def own(self, node: Record) -> Variance:
        """Of the sums."""
        x: Array = node.arguments[0].value
        terms = self.value(np.ones(x.shape), **node.options)
        if not (terms > 1).any():
            return None
        node.known = terms
        own = summed(node, terms, self.value(x**2, **node.options), in_a_loop=node.tape.in_a_loop)
        return own + alike(node, self._error) if terms.max() >= MANY_ALIKE else own

    def _error(self, terms: Array, **options: Any) -> Array:
        return self.value(terms, **options) - self.value(terms.astype(np.longdouble), **options).astype(np.float64)


class Place(Gathers):
    """``total[key] += x`` from zeros of a shape."""

    def value(self, *x: Array, **options: Any) -> Array:
        total = np.zeros(options["shape"], x[0].dtype)
        np.add.at(total, options["key"], x[0])
        return total


class Fold(Gathers):
    """The transpose of `windows`."""

    def value(self, *x: Array, **options: Any) -> Array:
        kernel, stride, padding, dilation = (options[name] for name in ("kernel", "stride", "padding", "dilation"))
        n, channels, high, wide = options["shape"]
        rows, columns = x[0].shape[2:4]
        total = np.zeros((n, channels, high + 2 * padding, wide + 2 * padding), x[0].dtype)
        for place, (i, j) in enumerate(np.ndindex(kernel, kernel)):
            down, right = (
                slice(k * dilation, k * dilation + stride * many, stride) for k, many in ((i, rows), (j, columns))
            )
            total[:, :, down, right] += x[0][..., place]
        return total[:, :, padding : padding + high, padding : padding + wide]


PLACE, FOLD = Place(), Fold()


def unbroadcast(g: Any, shape: tuple[int, ...]) -> Any:
    """The gradient at an argument of this shape, which was broadcast."""
    if g.shape == shape:
        return g
    lead = g.ndim - len(shape)
    axes = tuple(i for i in range(g.ndim) if i < lead or (shape[i - lead] == 1 and g.shape[i] != 1))
    return (g.sum(axes) if axes else g).reshape(shape)


RULES.update(
    {
        np.reshape: Reshape(),
        np.transpose: Transpose(),
        np.broadcast_to: Broadcast(),
        np.concatenate: Concatenate(),
        operator.getitem: Item(),
        windows: Windows(),
    }
)
