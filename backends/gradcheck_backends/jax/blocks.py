"""Layers made of layers."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

from gradcheck.network import layers as ly
from gradcheck.network.layers.blocks import named, parameters_of
from gradcheck_backends.jax import activations, attention, dense, images, normalization
from gradcheck_backends.jax.rules import Rules, rule

LAYERS: Rules = dense.LAYERS | images.LAYERS | normalization.LAYERS | attention.LAYERS | activations.LAYERS

Forward: TypeAlias = Callable[[Mapping[str, Any], Any], Any]
"""Of parameters by a layer's own names, and its input."""


def forward(layer: ly.Layer) -> Forward:
    """What a layer does; raises `BackendError` where there is no rule for it, or for one in it."""
    if type(layer) is ly.Tied:
        return forward(layer.layer)  # with others' parameters under its own names
    if isinstance(layer, ly.Block) and type(layer) in (ly.Sequential, ly.Residual):
        each = [(name, forward(inner)) for name, inner in named(layer)]
        return partial(_sequential if type(layer) is ly.Sequential else _residual, each)
    return partial(rule(LAYERS, layer), layer)


def _sequential(each: list[tuple[str, Forward]], parameters: Mapping[str, Any], x: Any) -> Any:
    for name, inner in each:
        x = inner(parameters_of(parameters, name), x)
    return x


def _residual(each: list[tuple[str, Forward]], parameters: Mapping[str, Any], x: Any) -> Any:
    return x + _sequential(each, parameters, x)
