"""Dense layers: z = W x + b 1^T, samples in columns."""

from collections.abc import Mapping

import numpy as np

from gradcheck.foundation.arrays import Array
from gradcheck.network.layers import Dense
from gradcheck_backends.manual.buffers import Room
from gradcheck_backends.manual.rules import Gradients, LayerPullback, layer_rule


@layer_rule(Dense)
def dense(layer: Dense, parameters: Mapping[str, Array], x: Array, room: Room) -> tuple[Array, LayerPullback]:
    weight = parameters["weight"]
    z = np.dot(weight, x, out=room.out)
    if layer.bias:
        z += parameters["bias"][:, None]

    def pullback(g: Array) -> tuple[Array, Gradients]:
        gradients = {"weight": np.dot(g, x.T, out=room.gradients.get("weight"))}
        if layer.bias:
            ones = np.ones(g.shape[1], g.dtype) if room.ones is None else room.ones
            gradients["bias"] = np.dot(g, ones, out=room.gradients.get("bias"))
        return np.dot(weight.T, g, out=room.below) if room.needed else g, gradients

    return z, pullback
