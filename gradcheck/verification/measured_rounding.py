"""What rounding does to one layer and its gradients in float32, in parts of its bound."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from gradcheck.foundation.arithmetic import precision
from gradcheck.foundation.arrays import Array
from gradcheck.network.analysis.calculus import SAFETY
from gradcheck.network.analysis.nodes import Node
from gradcheck.network.analysis.rounding import FLOOR
from gradcheck.network.analysis.tape import Tape
from gradcheck.network.layers import Layer
from gradcheck.network.reference import meaning

OUTPUT, INPUT = "output", "input"
STEP = 2.0**-332  # 1e-100 as a power of two, by which nothing is rounded


def ratios(layer: Layer, parameters: Mapping[str, Array], x: Array, rng: np.random.Generator) -> dict[str, Array]:
    """Errors of a pass in float32 over their bounds: of the output, and of the gradients of parameters and of the input.

    Parameters
    ----------
    parameters, x
        In float64, numbers that float32 has.

    Notes
    -----
    The truth is the meaning in float64, nine digits better, and its complex step: no rule of the tape.
    """
    points = {**parameters, INPUT: x} if x.dtype.kind == "f" else dict(parameters)
    with np.errstate(all="ignore"):
        truth = {OUTPUT: _output(layer, points, x)}
        g = rng.standard_normal(truth[OUTPUT].shape).astype(np.float32).astype(np.float64)
        truth |= {name: _slopes(layer, points, x, g, name) for name in points}
        tape = Tape(Node, precision("float32"))
        predicted = _pass(tape, layer, points, x, g)
        narrow = _pass(Tape(Node, dtype=np.float32, replayed=tape.choices), layer, points, x, g)
        return {name: _over(narrow[name], exact, predicted[name]) for name, exact in truth.items()}


def _pass(tape: Tape, layer: Layer, points: Mapping[str, Array], x: Array, g: Array) -> dict[str, Any]:
    leaves = {name: tape.leaf(value) for name, value in points.items()}
    own = {name: leaf for name, leaf in leaves.items() if name != INPUT}
    output: Any = meaning.applied(layer, own, leaves.get(INPUT, x), "layer")
    return {OUTPUT: output, **tape.gradients(output, tape.leaf(g), leaves)}


def _output(layer: Layer, points: Mapping[str, Array], x: Array) -> Array:
    return meaning.apply(layer, {name: v for name, v in points.items() if name != INPUT}, points.get(INPUT, x))


def _slopes(layer: Layer, points: Mapping[str, Array], x: Array, g: Array, name: str) -> Array:
    """The gradient of <g, output>, entry by entry."""
    found = np.zeros(points[name].shape)
    for entry in np.ndindex(found.shape):
        moved = points[name].astype(complex)
        moved[entry] += 1j * STEP
        output = _output(layer, {**points, name: moved}, x)
        found[entry] = (np.imag(output) * g).sum() / STEP
    return found


def _over(narrow: Node | None, exact: Array, predicted: Node | None) -> Array:
    """Error over bound; 0 where nothing is off, and infinite where something is that was said to be exact."""
    if narrow is None or predicted is None:
        return np.where(exact == 0, 0.0, np.inf)
    variance = np.broadcast_to(predicted.spread, exact.shape)
    bound = SAFETY * precision("float32").u * np.sqrt(variance + FLOOR**2 * variance.mean())
    error = np.abs(narrow.value - exact)
    return np.divide(error, bound, out=np.where(error > 0, np.inf, 0.0), where=bound > 0)
