"""Layers made of layers."""

from gradcheck.foundation.arrays import Array
from gradcheck.network import layers as ly
from gradcheck.network.batch import Parameters
from gradcheck.network.reference.meaning import applied, apply, through


@apply.register
def _(block: ly.Sequential, parameters: Parameters, x: Array) -> Array:
    return through(block, parameters, x)


@apply.register
def _(block: ly.Residual, parameters: Parameters, x: Array) -> Array:
    return x + through(block, parameters, x)


@apply.register
def _(layer: ly.Tied, parameters: Parameters, x: Array) -> Array:
    return applied(layer.layer, parameters, x, "")


@apply.register
def _(layer: ly.Flatten, parameters: Parameters, x: Array) -> Array:
    return x.reshape(len(x), -1)
