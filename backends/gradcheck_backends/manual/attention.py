"""Attention, in the steps of its definition: project, split into heads, turn, compare, weigh, join, project."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

from gradcheck.foundation.arrays import Array
from gradcheck.network.layers import Attention, Dense
from gradcheck.network.layers.attention import BASE
from gradcheck.network.layers.blocks import parameters_of
from gradcheck_backends.manual.buffers import Buffers
from gradcheck_backends.manual.dense import dense_in_rows
from gradcheck_backends.manual.rules import Gradients, LayerPullback, prefixed

HeadsPullback: TypeAlias = Callable[[Array], tuple[Array, Array, Array]]
"""From the gradient at the mixed values to those at queries, keys and values."""


def attention(layer: Attention, parameters: Mapping[str, Array], x: Array, buffers: Buffers) -> tuple[Array, LayerPullback]:
    """Heads are (n, heads of keys, heads of queries for each, places, size): keys and values have 1 for the third."""
    heads, groups = layer.heads // layer.groups, layer.groups

    def project(name: str, x: Array) -> tuple[Array, LayerPullback]:
        return dense_in_rows(Dense(x.shape[-1], bias=layer.bias), parameters_of(parameters, name), x, buffers)

    (q, back_q), (k, back_k), (v, back_v) = (project(name, x) for name in ("query", "key", "value"))
    q, k, v = split_heads(q, heads, groups), split_heads(k, heads, 1), split_heads(v, heads, 1)
    if layer.rope:
        q, k = turn(q, +1), turn(k, +1)
    mixed, back_heads = dot_products(q, k, v, causal=layer.causal)
    y, back_mixed = project("output", join_heads(mixed))

    def pullback(g: Array) -> tuple[Array, Gradients]:
        g, output = back_mixed(g)
        of_q, of_k, of_v = back_heads(split_heads(g, heads, groups))
        if layer.rope:
            of_q, of_k = turn(of_q, -1), turn(of_k, -1)
        below_q, query = back_q(join_heads(of_q))
        below_k, key = back_k(join_heads(of_k))
        below_v, value = back_v(join_heads(of_v))
        each = {"query": query, "key": key, "value": value, "output": output}
        return below_q + below_k + below_v, prefixed(each.items())

    return y, pullback


def dot_products(q: Array, k: Array, v: Array, *, causal: bool) -> tuple[Array, HeadsPullback]:
    """softmax(q k^T / sqrt(s)) v"""
    places, size = q.shape[-2:]
    scale = size**-0.5
    scores = q @ k.swapaxes(-1, -2) * scale
    if causal:
        scores = np.where(np.tri(places, dtype=bool), scores, -np.inf)
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    p = e / e.sum(axis=-1, keepdims=True)

    def pullback(g: Array) -> tuple[Array, Array, Array]:
        of_p = g @ v.swapaxes(-1, -2)
        of_scores = p * (of_p - (of_p * p).sum(axis=-1, keepdims=True)) * scale
        of_k, of_v = of_scores.swapaxes(-1, -2) @ q, p.swapaxes(-1, -2) @ g
        return of_scores @ k, of_k.sum(axis=2, keepdims=True), of_v.sum(axis=2, keepdims=True)

    return p @ v, pullback


def split_heads(x: Array, heads: int, groups: int) -> Array:
    """(n, places, width) to (n, heads, groups, places, size)"""
    return x.reshape(*x.shape[:2], heads, groups, -1).transpose(0, 2, 3, 1, 4)


def join_heads(x: Array) -> Array:
    """The inverse of `split_heads`, and its transpose."""
    x = x.transpose(0, 3, 1, 2, 4)
    return x.reshape(*x.shape[:2], -1)


def turn(x: Array, sign: int) -> Array:
    """The entries i and i + s / 2 of a head, at place t, by the angle t * BASE^(-2 i / s); its pullback turns back."""
    places, size = x.shape[-2:]
    angle = np.outer(np.arange(float(places)), BASE ** (np.arange(0, -size, -2, dtype=np.float64) / size))
    cos, sin = np.cos(angle).astype(x.dtype), sign * np.sin(angle).astype(x.dtype)
    first, second = np.split(x, 2, axis=-1)
    return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)


LAYERS = {Attention: attention}
