"""Layers with parameters of their own."""

from gradcheck.foundation.arrays import Array
from gradcheck.network import layers as ly
from gradcheck.network.batch import Parameters
from gradcheck.network.reference.meaning import apply


@apply.register
def _(layer: ly.Dense, parameters: Parameters, x: Array) -> Array:
    z = x @ parameters["weight"].mT  # also of stacks: `gradcheck.network.reference.copies`
    return z + parameters["bias"] if layer.bias else z
