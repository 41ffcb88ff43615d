"""Dense layers: z = x W^T + b."""

from collections.abc import Mapping

from gradcheck.arrays import Array
from gradcheck.network.layers import Dense
from gradcheck_backends.manual.rules import Gradients, LayerPullback, layer_rule


@layer_rule(Dense)
def dense(layer: Dense, parameters: Mapping[str, Array], x: Array) -> tuple[Array, LayerPullback]:
    weight = parameters["weight"]
    z = x @ weight.T
    if layer.bias:
        z += parameters["bias"]

    def pullback(g: Array) -> tuple[Array, Gradients]:
        gradients = {"weight": g.T @ x}
        if layer.bias:
            gradients["bias"] = g.sum(axis=0)
        return g @ weight, gradients

    return z, pullback
