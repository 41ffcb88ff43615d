"""Functions of an entry: activations, and NumPy's.

No derivative of a function of one entry is written down: slopes come from the function itself by complex step, curvature
from differences of slopes.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from gradcheck.foundation.arrays import Array
from gradcheck.network import layers as ly
from gradcheck.network.analysis import calculus
from gradcheck.network.analysis.calculus import FAR, SAFETY, Uncertain, or_inf, tolerance_of
from gradcheck.network.analysis.kinks import freedom, through_slope
from gradcheck.network.analysis.nodes import RULES
from gradcheck.network.analysis.rules_arithmetic import Rounds
from gradcheck.network.analysis.tape import Record, Rule, Variance, fitted
from gradcheck.network.reference.meaning import apply, entrywise
from gradcheck.network.reference.tangents import derivative, stepped


class Function(NamedTuple):
    """A function of one entry, and what is declared of it."""

    value: Callable[[Array], Array]
    cancellation: ly.Cancellation = ly.Cancellation()
    kinks: tuple[ly.Kink, ...] = ()
    joints: tuple[float, ...] = ()

    def slopes(self, z: Array) -> Array:
        """By complex step, which float32 has no room for."""
        wide = z if z.dtype == np.longdouble else z.astype(np.float64, copy=False)
        return derivative(self.value(stepped(wide))).astype(z.dtype, copy=False)


def function_of(options: Any) -> Function:
    """An activation, or a function of NumPy's."""
    layer = options.get("layer")
    if layer is None:
        return Function(options["ufunc"])
    return Function(partial(apply, layer, {}), layer.cancellation, layer.kinks, layer.joints)


class Entrywise(Rule):
    """``f(z)``: the slope is the largest within rounding of z, where that is far; the rounding is that of its own size."""

    def value(self, *x: Array, **options: Any) -> Array:
        return function_of(options).value(x[0])

    def spread(self, node: Record) -> Variance:
        z, f = node.arguments[0], function_of(node.options)
        uncertain = Uncertain(z.value, z.variance)
        node.known, tolerance = f.slopes(z.value), tolerance_of(uncertain, node.tape.u)
        near = bool(f.kinks) and freedom(f.kinks, z.value, tolerance).any(axis=0)
        return calculus.steepest(f.slopes, z.value, node.known, tolerance, also=near) ** 2 * z.variance

    def own(self, node: Record) -> Variance:
        f = function_of(node.options)
        return node.value**2 + calculus.value_rounding(f.cancellation, node.arguments[0].value) ** 2

    def back(self, node: Record, g: Any) -> Sequence[Any]:
        return [g.tape.do(SLOPE, (g, node.arguments[0]), {**node.options, "known": node.known})]


class Slope(Rule):
    """``g f'(z)``"""

    def value(self, *x: Array, **options: Any) -> Array:
        g, z = x
        choice, f = options.get("choice"), function_of(options)
        slopes = f.slopes(z) if options["known"] is None else options["known"]
        if choice is not None and choice.near.any():  # another tape's, where choices are replayed
            slopes = np.where(choice.near, f.slopes(choice.at).astype(z.dtype, copy=False), slopes)
        return g * slopes

    def spread(self, node: Record) -> Variance:
        g, z = node.arguments
        f, uncertain = function_of(node.options), Uncertain(z.value, fitted(z.spread, z.shape))
        slopes, tolerance = self._slopes(node), tolerance_of(uncertain, node.tape.u)
        near = bool(f.kinks) and self._free(node).any(axis=0)
        most = calculus.steepest(f.slopes, z.value, slopes, tolerance, also=near)
        bent = calculus.bend(f.slopes, z.value, slopes, tolerance, f.kinks, node.tape.u)
        own = calculus.slope_rounding(f.cancellation, z.value, slopes, bent, node.tape.u)
        return most**2 * g.spread + g.value**2 * (bent**2 * z.spread + own**2)

    def own(self, node: Record) -> Variance:
        return node.value**2

    def kinks(self, node: Record) -> Array | None:
        g, free = node.arguments[0], self._free(node)
        rows = np.zeros((3, *g.shape)) if g.rows is None else g.rows
        return through_slope(rows, g.value, self._slopes(node), free)

    @staticmethod
    def _slopes(node: Record) -> Array:
        known = node.options["known"]
        return function_of(node.options).slopes(node.arguments[1].value) if known is None else known

    @staticmethod
    def _free(node: Record) -> Array:
        """What kinks leave free in the slope: none where it stays a kink however parameters move."""
        choice, kinks = node.options.get("choice"), function_of(node.options).kinks
        if choice is None or not kinks or not choice.near.any():
            return np.broadcast_to(0.0, (3, *node.shape))
        return freedom(kinks, choice.at, np.where(choice.near, node.tape.u * choice.tolerance, -1.0))


class Root(Rounds):
    """``sqrt(x)``; where rounding may carry x far, or below 0, by the largest change that it may make."""

    def value(self, *x: Array, **options: Any) -> Array:
        return np.sqrt(x[0])

    def spread(self, node: Record) -> Variance:
        x = node.arguments[0]
        reach = SAFETY * node.tape.u * np.sqrt(or_inf(x.variance))
        ends = [np.abs(np.sqrt(np.maximum(x.value + side, 0)) - node.value) for side in (reach, -reach)]
        far = np.maximum(*ends) / np.where(reach > 0, reach, 1.0)
        slope = np.where(reach > FAR * x.value, far, 0.5 / np.where(node.value > 0, node.value, 1.0))
        return slope**2 * x.variance

    def back(self, node: Record, g: Any) -> Sequence[Any]:
        root: Any = node
        return [g / (root * 2.0)]


SLOPE = Slope()
RULES.update({"unary": Entrywise(), entrywise: Entrywise(), np.sqrt: Root()})
