r"""How far apart two correct builds of one network may be: running error analysis in root mean square.

Beside every value stands the variance of its rounding error in units of :math:`u^2` (u the unit roundoff), under the
usual model that each operation contributes an independent relative error of size u (Higham, *Accuracy and Stability of
Numerical Algorithms*, 2nd ed., section 2.8 and 3.3). With w the variance of a value, for a dense layer z = x W^T + b

    w_z = w_x (W^2)^T + x^2 (W^2)^T + b^2 + z^2

(error of the input carried over, rounding of the products, of their sum, and with b), for an activation a = rho(z)

    w_a = rho'^2 w_z + a^2 + c_a^2

and on the way back, d = g rho'(z), with c_a, c_s the absolute rounding of value and slope as usually computed
(`Cancellation`: 1 - tanh(z)^2 rounds like 1, not like itself),

    w_d = rho'^2 w_g + g^2 (rho''^2 w_z + c_s^2) + d^2
    w_W = w_d^T x^2 + (d^2)^T (w_x + x^2) + (d^T x)^2.

This is first order. Where the bound on z is so wide that rho may behave otherwise within it, rho' is the largest slope
there, and rho'' the largest change of slope over it (`steepest`, `bend`).

The bound of an entry is ``SAFETY * u * sqrt(w_i + FLOOR^2 mean(w))`` over its block. rho' comes from the reference by
complex step, rho'' by differencing that, so no derivative is written down here and a third party's activation needs
none.

A pre-activation closer to a kink than its own bound may honestly be put on either side of it. What that can change in
the gradient is carried beside the variance (`gradcheck.network.analysis.kinks`). Where a value may overflow the bound is
infinite.

SAFETY and FLOOR are measured, not derived. ``python benchmarks/rounding.py --networks 1500 --seed 77`` (depth 1 to 12,
weights scaled 0.03 to 16, 750,000 entries a build and dtype, against 80-bit arithmetic) finds the largest error at 0.15 of
the bound, the median at 1.7e-3, in float64 and float32 and for all three builds alike.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from gradcheck.foundation.arithmetic import COARSE, Precision, precision
from gradcheck.foundation.arrays import Array, zeros
from gradcheck.network.analysis.calculus import SAFETY, Cotangent, Uncertain, or_inf, tolerance_of
from gradcheck.network.analysis.loss_rounding import loss_errors
from gradcheck.network.analysis.nodes import Node
from gradcheck.network.analysis.passes import coherent, leave_out_steady, recorded
from gradcheck.network.analysis.tape import Tape, guarded
from gradcheck.network.batch import Parameters
from gradcheck.network.network import Network, is_weight

FLOOR = 0.1


class ErrorBounds(NamedTuple):
    """Bounds on the difference between a correct build and the exact value; ``inf`` where the build may overflow.

    Attributes
    ----------
    rounding
        By parameter name: how far rounding alone may put each entry off.
    low, high
        Where a correct gradient lies, before rounding: ends that differ where a pre-activation lies on a kink, or within its
        own rounding of one, and either side's slope is an honest one.
    exact
        The part of ``high - low`` that is due to pre-activations equal to a kink: there is no derivative there.
    units
        Those that lie on a kink or within rounding of one: ``"layer 1, sample 3, unit 0"``.
    """

    loss: float
    rounding: dict[str, Array]
    low: dict[str, Array]
    high: dict[str, Array]
    exact: dict[str, Array]
    units: tuple[str, ...]


def error_bounds(network: Network, parameters: Parameters, inputs: Array, targets: Array, dtype: str) -> ErrorBounds:
    """Bound loss and every gradient entry of a correct build that computes in ``dtype``, one of `ARITHMETICS`.

    The point is given as to `reference.loss`, in float64, and holds the values that the build gets.
    """
    arithmetic = precision(dtype)
    if dtype in COARSE:
        arithmetic = arithmetic._replace(u=arithmetic.u * _alike(inputs) ** 0.5)
    with np.errstate(all="ignore"):
        tape = Tape(Node, arithmetic, in_a_loop=not network.flat)
        leaves, outputs = recorded(tape, network, parameters, inputs)
        leave_out_steady(tape, network, parameters, inputs)
        uncertain, u = Uncertain(outputs.value, outputs.spread * np.ones(outputs.shape)), arithmetic.u
        loss, top, at_margin = loss_errors(network.loss, uncertain, targets, tolerance_of(uncertain, u), u)
        cotangent = tape.leaf(top.value)
        cotangent.variance, cotangent.rows = top.variance, at_margin if at_margin.any() else None
        units = [place for choice in tape.choices for place in choice.places]
        found = tape.gradients(outputs, cotangent, leaves)
        gradients = {name: _cotangent(node, leaves[name]) for name, node in found.items()}
        exact = {name: gradient.value for name, gradient in gradients.items()}
        again: Mapping[str, Array] = {} if network.flat else coherent(tape, network, parameters, inputs, targets, exact)
        if network.weight_decay:
            steps = {name: 0.0 if node is None or node.known is None else node.known for name, node in found.items()}
            loss = _add_decay(network, parameters, loss, gradients, steps, arithmetic)
        summed = _guarded(loss._replace(value=loss.value * outputs.size), arithmetic, arithmetic.largest)
        ends = {name: _ends(gradient, 1 + SAFETY * u) for name, gradient in gradients.items()}
        return ErrorBounds(
            loss=SAFETY * u * float(np.sqrt(summed)),
            rounding={name: _bound(gradient, arithmetic, again.get(name)) for name, gradient in gradients.items()},
            exact={name: or_inf(gradient.kinks[0]) for name, gradient in gradients.items()},
            low={name: low for name, (low, _) in ends.items()},
            high={name: high for name, (_, high) in ends.items()},
            units=(*units, *_places("loss", at_margin)),
        )


def _cotangent(node: Node | None, leaf: Node) -> Cotangent:
    """A gradient as it is known; zeros where nothing depends on the parameter."""
    nothing, none = np.zeros(leaf.shape), zeros((3, *leaf.shape))
    if node is None:
        return Cotangent(nothing, nothing, none)
    return Cotangent(
        node.value, nothing if node.variance is None else node.variance, none if node.rows is None else node.rows
    )


def _ends(gradient: Cotangent, wider: float) -> tuple[Array, Array]:
    """Where a correct one lies: at one and the same array where there is no kink. What a kink changes is rounded, too."""
    value, (_, down, up) = gradient.value, gradient.kinks
    return (value - wider * or_inf(down), value + wider * or_inf(up)) if gradient.kinks.any() else (value, value)


def _alike(inputs: Array) -> int:
    """How many samples are one and the same, at most. Their errors are not independent: m of them add up to m, not sqrt(m).

    SAFETY has room for that where it is 100.
    """
    return int(np.unique(inputs.reshape(len(inputs), -1), axis=0, return_counts=True)[1].max())


def _add_decay(
    network: Network,
    parameters: Parameters,
    loss: Uncertain,
    gradients: dict[str, Cotangent],
    steps: dict[str, Any],
    arithmetic: Precision,
) -> Uncertain:
    """Account for ``weight_decay / 2 * sum(w**2)`` in ``gradients``, and return the loss that includes it.

    Where a gradient is gathered from so many terms, each of these ``steps`` may be added to what the decay gives.
    """
    for name in filter(is_weight, gradients):
        decay = network.weight_decay * parameters[name]
        value, variance, kinks = gradients[name]
        gradients[name] = Cotangent(value + decay, variance + (1 + steps[name]) * decay**2 + (value + decay) ** 2, kinks)
        squares = np.square(parameters[name]).sum()
        total = network.weight_decay / 2 * squares
        loss = Uncertain(loss.value + total, loss.variance + (total**2 if squares < arithmetic.largest / 2 else np.inf))
    return Uncertain(loss.value, loss.variance + loss.value**2)


def _guarded(x: Uncertain | Cotangent, arithmetic: Precision, largest: float) -> Array:
    return guarded(x.value, x.variance, arithmetic, largest)


def _places(where: str, free: Array) -> list[str]:
    """Names of the units on a kink."""
    if not free.any():
        return []
    return [f"{where}, sample {n}, unit {', '.join(map(str, unit))}" for n, *unit in np.argwhere(free.any(axis=0))]


def _bound(gradient: Cotangent, arithmetic: Precision, again: Array | None) -> Array:
    variance = np.asarray(_guarded(gradient, arithmetic, arithmetic.largest))
    variance += FLOOR**2 * variance.mean()
    if again is not None:
        variance += again + FLOOR * again.mean()
    return np.multiply(SAFETY * arithmetic.u, np.sqrt(variance, out=variance), out=variance)
