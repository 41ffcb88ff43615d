"""Attention between the places of a sequence."""

from collections.abc import Mapping
from typing import Any

import jax

from gradcheck.network import layers as ly
from gradcheck.network.layers.attention import BASE
from gradcheck.network.layers.blocks import parameters_of
from gradcheck_backends.jax.dense import dense
from gradcheck_backends.jax.rules import Rules

library: Any = jax  # half of its types are unknown
jnp, nn = library.numpy, library.nn


def attention(layer: ly.Attention, parameters: Mapping[str, Any], x: Any) -> Any:
    """Sums by name: n samples, places t and s, kv heads j of g heads of queries each, entries e."""
    samples, length, size = *x.shape[:2], x.shape[2] // layer.heads
    few = (samples, length, -1, size)
    heads = {"query": (samples, length, -1, layer.groups, size), "key": few, "value": few}
    q, k, v = (dense(layer, parameters_of(parameters, name), x).reshape(own) for name, own in heads.items())
    q, k = (turned(q), turned(k)) if layer.rope else (q, k)
    scores = jnp.einsum("ntjge,nsje->njgts", q, k) / size**0.5
    allowed = jnp.tril(jnp.ones((length, length), bool)) if layer.causal else True
    weights = nn.softmax(jnp.where(allowed, scores, -jnp.inf))
    seen = jnp.einsum("njgts,nsje->ntjge", weights, v).reshape(x.shape)
    return dense(layer, parameters_of(parameters, "output"), seen)


def turned(x: Any) -> Any:
    """By their place, pairs of entries of (n, length, ..., size)."""
    length, half = x.shape[1], x.shape[-1] // 2
    angle = jnp.outer(jnp.arange(length), BASE ** (-jnp.arange(half) / half))
    angle = angle.reshape(length, *(1,) * (x.ndim - 3), half)
    cos, sin = jnp.cos(angle).astype(x.dtype), jnp.sin(angle).astype(x.dtype)
    first, second = x[..., :half], x[..., half:]
    return jnp.concatenate((first * cos - second * sin, second * cos + first * sin), axis=-1)


LAYERS: Rules = {ly.Attention: attention}
