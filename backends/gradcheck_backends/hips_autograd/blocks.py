"""Blocks of layers, and the rules of all layers."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import autograd.numpy as anp

from gradcheck.errors import Unsupported
from gradcheck.network import layers as ly
from gradcheck.network.layers.blocks import named, parameters_of
from gradcheck_backends.hips_autograd import activations, attention, dense, images, normalization

T = TypeVar("T")


def rule_of(row: object, rules: Mapping[type[Any], T]) -> T:
    """The rule of a layer or loss; raises `BackendError` where there is none."""
    rule = rules.get(type(row))
    if rule is None:
        raise Unsupported(f"the autograd build has no rule for {type(row).__name__}")
    return rule


def check(layers: Iterable[ly.Layer]) -> None:
    """Raises `BackendError` for a layer without a rule, however deep in blocks."""
    for layer in layers:
        rule_of(layer, LAYERS)
        check(layer.layers if isinstance(layer, ly.Block) else (layer.layer,) if isinstance(layer, ly.Tied) else ())


def apply(layer: ly.Layer, parameters: Mapping[str, Any], x: Any) -> Any:
    return rule_of(layer, LAYERS)(layer, parameters, x)


def sequential(block: ly.Block, parameters: Mapping[str, Any], x: Any) -> Any:
    for name, layer in named(block):
        x = apply(layer, parameters_of(parameters, name), x)
    return x


LAYERS: dict[type[ly.Layer], Callable[[Any, Mapping[str, Any], Any], Any]] = {
    **dense.LAYERS,
    **activations.LAYERS,
    **images.LAYERS,
    **normalization.LAYERS,
    **attention.LAYERS,
    ly.Sequential: sequential,
    ly.Residual: lambda block, parameters, x: x + sequential(block, parameters, x),
    ly.Tied: lambda tied, parameters, x: apply(tied.layer, parameters, x),
    ly.Flatten: lambda _, __, x: anp.reshape(x, (len(x), -1)),
}
