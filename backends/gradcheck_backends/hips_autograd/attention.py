"""Attention: softmax(q k^T / sqrt(s)) v of heads (n, heads, places, s)."""

from collections.abc import Mapping
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd.tracer import getval

from gradcheck.foundation.arrays import Array
from gradcheck.network import layers as ly
from gradcheck.network.layers.attention import BASE
from gradcheck.network.layers.blocks import parameters_of
from gradcheck_backends.hips_autograd.dense import dense


def attention(layer: ly.Attention, parameters: Mapping[str, Any], x: Any) -> Any:
    n, places, width = x.shape
    size = width // layer.heads

    def project(name: str, x: Any) -> Any:
        return dense(ly.Dense(width, bias=layer.bias), parameters_of(parameters, name), x)

    q, k, v = (split(project(name, x), size) for name in ("query", "key", "value"))
    if layer.rope:
        q, k = rotated(q), rotated(k)
    if layer.groups > 1:
        k, v = anp.repeat(k, layer.groups, axis=1), anp.repeat(v, layer.groups, axis=1)
    scores = anp.matmul(q, anp.swapaxes(k, 2, 3)) * size**-0.5
    mixed = anp.matmul(softmax(scores + hidden(scores) if layer.causal else scores), v)
    return project("output", anp.reshape(anp.swapaxes(mixed, 1, 2), (n, places, width)))


def split(x: Any, size: int) -> Any:
    """Heads of this size."""
    return anp.swapaxes(anp.reshape(x, (*x.shape[:2], -1, size)), 1, 2)


def softmax(scores: Any) -> Any:
    e = anp.exp(scores - getval(scores).max(axis=-1, keepdims=True))
    return e / anp.sum(e, axis=-1, keepdims=True)


def hidden(scores: Any) -> Array:
    """Minus infinity at the scores of later places, else 0."""
    return np.triu(np.full(scores.shape[2:], -np.inf, scores.dtype), 1)


def rotated(x: Any) -> Any:
    """Pairs (a, b) turned by their angles: (a, b) cos + (-b, a) sin, where a matrix makes (-b, a) of a head."""
    places, size = x.shape[2:]
    half = np.eye(size // 2, dtype=x.dtype)
    quarter_turn = np.kron(np.array([[0, 1], [-1, 0]], x.dtype), half)
    angles = np.tile(np.outer(np.arange(float(places)), BASE ** (np.arange(0, -size, -2, dtype=np.float64) / size)), 2)
    return x * np.cos(angles).astype(x.dtype) + anp.matmul(x, quarter_turn) * np.sin(angles).astype(x.dtype)


LAYERS = {ly.Attention: attention}
