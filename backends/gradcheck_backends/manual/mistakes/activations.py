"""Mistakes in activations a = rho(z), whose pullback is g -> rho'(z) g."""

from collections.abc import Callable, Iterator

import numpy as np

from gradcheck.foundation.arrays import Array
from gradcheck.network import layers as ly
from gradcheck_backends.manual.activations import LAYERS
from gradcheck_backends.manual.buffers import NEW
from gradcheck_backends.manual.mistakes.trace import Mistake, Step, Table

FROM_OUTPUT: dict[type[ly.Activation], Callable[[Array], Array]] = {
    ly.Tanh: lambda a: 1 - a * a,
    ly.Sigmoid: lambda a: a * (1 - a),
    ly.ReLU: lambda a: (a > 0).astype(a.dtype),
    ly.Softplus: lambda a: 1 - np.exp(-a),
}
"""The derivative as it is written in terms of the output."""

OTHERS = (
    *(ly.Arctan(), ly.Tanh(), ly.Sigmoid(), ly.ReLU(), ly.SiLU(), ly.Softplus(), ly.GELU(), ly.GELU(approximate="tanh")),
    *(ly.LeakyReLU(slope=slope) for slope in (0.01, 0.1, 0.2, 0.3)),
    *(ly.ELU(), ly.Identity()),
)
"""Activations whose derivative may stand where that of another belongs."""


def _slope(layer: ly.Activation, z: Array) -> Array:
    """rho'(z)"""
    _, pullback = LAYERS[type(layer)](layer, {}, z, NEW)
    return pullback(np.ones_like(z))[0]


def _derivative(step: Step, how: str, right: str, below: Array) -> Mistake:
    why = f"the derivative of {step.name} is {how}"
    return Mistake("activation-derivative", step.index, why, right, {"how": how}, below, habit=how)


def derivatives(layer: ly.Activation, step: Step) -> Iterator[Mistake]:
    """Left out, taken elsewhere, applied in another way."""
    z, a, g, slope = step.x, step.trace.inputs[step.index + 1], step.g, _slope(layer, step.x)
    right = f"multiply by the derivative of {type(layer).__name__} at its own input"
    wrong = {
        "omitted": g,
        "taken at its output": g * _slope(layer, a),
        "applied twice": g * slope * slope,
        "divided by": np.where(slope, g / np.where(slope, slope, 1), 0),
        "the function itself": g * a,
    }
    for kind, formula in FROM_OUTPUT.items():
        said = f"that of {kind.__name__} in terms of its output"
        wrong |= {said: g * formula(a), f"{said}, but at the input": g * formula(z)}
    for how, below in wrong.items():
        yield _derivative(step, how, right, below)
    why = f"the gradient from above {step.name} is not multiplied in"
    yield Mistake("path-lost", step.index, why, right, {"lost": "all from above"}, slope)


def derivatives_of_others(layer: ly.Activation, step: Step) -> Iterator[Mistake]:
    for other in OTHERS:
        if other != layer:
            right = f"multiply by the derivative of {type(layer).__name__}"
            yield _derivative(step, f"that of {other!r}", right, step.g * _slope(other, step.x))
    for uses, above, z in step.others():
        why, right = f"the derivative of {step.name} is taken at {uses}", "take it at this layer's own input"
        below, habit = step.g * _slope(layer, z), f"slope {above:+d}"
        yield Mistake("stale-activation", step.index, why, right, {"uses": uses}, below, habit=habit)


def product_rule(layer: ly.Activation, step: Step) -> Iterator[Mistake]:
    """z s(z) has two paths: s(z) + z s'(z)."""
    z, a = step.x, step.trace.inputs[step.index + 1]
    gate, right = np.where(z, a / np.where(z, z, 1), 0.5), "a product has two terms"
    for lost, kept in (("z s'(z)", gate), ("s(z)", _slope(layer, z) - gate)):
        why = f"of the derivative of {step.name}, s(z) + z s'(z), the term {lost} is missing"
        yield Mistake("path-lost", step.index, why, right, {"lost": lost}, step.g * kept, habit=lost)


MISTAKES: Table = {
    ly.Activation: (derivatives, derivatives_of_others),
    ly.SiLU: (product_rule,),
    ly.GELU: (product_rule,),
}
