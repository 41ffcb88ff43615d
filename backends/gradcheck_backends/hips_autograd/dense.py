"""Dense layers, z = x W^T + b, and embeddings, rows of a matrix by index."""

from collections.abc import Mapping
from typing import Any

import autograd.numpy as anp

from gradcheck.network import layers as ly


def dense(layer: ly.Dense, parameters: Mapping[str, Any], x: Any) -> Any:
    if x.ndim > 2:  # else the gradient of the weight would be made for every sample, and then summed
        return anp.reshape(dense(layer, parameters, anp.reshape(x, (-1, x.shape[-1]))), (*x.shape[:-1], -1))
    z = anp.matmul(x, parameters["weight"].T)  # the rules of anp.dot go through tensordot, which costs 8 us a product
    return z + parameters["bias"] if layer.bias else z


def embedding(_: ly.Embedding, parameters: Mapping[str, Any], x: Any) -> Any:
    return parameters["weight"][x]


LAYERS = {ly.Dense: dense, ly.Embedding: embedding}
