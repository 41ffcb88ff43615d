"""Dense layers, z = W x + b 1^T with samples in columns and x W^T + b in rows, and embeddings, rows of a matrix by index."""

from collections.abc import Mapping

import numpy as np

from gradcheck.foundation.arrays import Array
from gradcheck.network.layers import Dense, Embedding, Layer
from gradcheck_backends.manual.buffers import Buffers
from gradcheck_backends.manual.rules import Gradients, LayerPullback, LayerRule


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


def dense_in_rows(layer: Dense, parameters: Mapping[str, Array], x: Array, _: Buffers) -> tuple[Array, LayerPullback]:
    weight, rows = parameters["weight"], x.reshape(-1, x.shape[-1])
    z = rows @ weight.T + parameters["bias"] if layer.bias else rows @ weight.T

    def pullback(g: Array) -> tuple[Array, Gradients]:
        g = g.reshape(z.shape)
        gradients = {"weight": g.T @ rows} | ({"bias": g.sum(axis=0)} if layer.bias else {})
        return (g @ weight).reshape(x.shape), gradients

    return z.reshape(*x.shape[:-1], len(weight)), pullback


def embedding(_: Embedding, parameters: Mapping[str, Array], x: Array, _buffers: Buffers) -> tuple[Array, LayerPullback]:
    def pullback(g: Array) -> tuple[Array, Gradients]:
        weight = np.zeros_like(parameters["weight"])
        np.add.at(weight, x, g)
        return np.zeros(x.shape, g.dtype), {"weight": weight}  # nobody asks for a gradient at indices

    return parameters["weight"][x], pullback


IN_COLUMNS: dict[type[Layer], LayerRule] = {Dense: dense}
LAYERS = {Dense: dense_in_rows, Embedding: embedding}
