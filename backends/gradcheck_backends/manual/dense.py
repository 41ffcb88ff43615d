"""Dense layers: z = W x + b 1^T, samples in columns."""

from collections.abc import Mapping

import numpy as np

from gradcheck.foundation.arrays import Array
from gradcheck.network.layers import Dense
from gradcheck_backends.manual.buffers import Buffers
from gradcheck_backends.manual.rules import Gradients, LayerPullback


def dense(layer: Dense, parameters: Mapping[str, Array], x: Array, buffers: Buffers) -> tuple[Array, LayerPullback]:
    weight = parameters["weight"]
    z = np.dot(weight, x, out=buffers.out)
    if layer.bias:
        z += parameters["bias"][:, None]

    def pullback(g: Array) -> tuple[Array, Gradients]:
        gradients = {"weight": np.dot(g, x.T, out=buffers.gradients.get("weight"))}
        if layer.bias:
            ones = np.ones(g.shape[1], g.dtype) if buffers.ones is None else buffers.ones
            gradients["bias"] = np.dot(g, ones, out=buffers.gradients.get("bias"))
        return np.dot(weight.T, g, out=buffers.below) if buffers.needed else g, gradients

    return z, pullback


LAYERS = {Dense: dense}
