"""What a rule is: from a layer or loss and its input to the output and its pullback.

In a network of dense layers and activations on vectors samples are columns, see `Buffers`; in any other, rows.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias, TypeVar

from gradcheck.errors import Unsupported
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.describe import join
from gradcheck_backends.manual.buffers import NONE, Buffers

T = TypeVar("T")

Gradients: TypeAlias = dict[str, Array]
LayerPullback: TypeAlias = Callable[[Array], tuple[Array, Mapping[str, Array]]]
"""From the gradient at the output to that at the input, and those of the layer's parameters."""

LayerRule: TypeAlias = Callable[[Any, Mapping[str, Array], Array, Buffers], tuple[Array, LayerPullback]]
"""``rule(layer, parameters, x, buffers) -> (y, pullback)``"""

ActivationResult: TypeAlias = tuple[Array, Callable[[Array], Array]]
ActivationRule: TypeAlias = Callable[[Any, Array, Buffers], ActivationResult]
"""``rule(layer, z, buffers) -> (a, pullback)``; the pullback returns the gradient at z."""

LossResult: TypeAlias = tuple[Any, Callable[[], Array]]
LossRule: TypeAlias = Callable[[Any, Array, Array], LossResult]
"""``rule(loss, z, y) -> (mean loss, pullback)``, samples in rows; the pullback returns the gradient at z."""


def as_layer(rule: ActivationRule) -> LayerRule:
    """The rule of a layer without parameters."""

    def layer_rule(layer: Any, _: Mapping[str, Array], z: Array, buffers: Buffers) -> tuple[Array, LayerPullback]:
        a, pullback = rule(layer, z, buffers)
        return a, lambda g: (pullback(g), NONE)

    return layer_rule


def prefixed(each: Iterable[tuple[str, Mapping[str, Array]]]) -> Gradients:
    """Gradients of a layer's parts by name, as those of one layer."""
    return {join(name, own): gradient for name, gradients in each for own, gradient in gradients.items()}


def rule_of(row: object, rules: Mapping[type[Any], T]) -> T:
    """The rule of a layer or loss; raises `BackendError` where there is none."""
    rule = rules.get(type(row))
    if rule is None:
        raise Unsupported(f"the manual build has no rule for {type(row).__name__}")
    return rule
