"""The two tables that the files of this package fill: one rule a layer, one rule a loss."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar

from gradcheck.errors import BackendError
from gradcheck.foundation.arrays import Array
from gradcheck.network.layers import Activation, Layer
from gradcheck.network.losses import Loss
from gradcheck_backends.manual.buffers import NONE, Buffers

Gradients: TypeAlias = dict[str, Array]
LayerPullback: TypeAlias = Callable[[Array], tuple[Array, Mapping[str, Array]]]
LayerRule: TypeAlias = Callable[[Any, Mapping[str, Array], Array, Buffers], tuple[Array, LayerPullback]]
ActivationRule: TypeAlias = Callable[[Any, Array, Buffers], tuple[Array, Callable[[Array], Array]]]
LossRule: TypeAlias = Callable[[Any, Array, Array], tuple[Any, Callable[[], Array]]]

LAYER_RULES: dict[type[Layer], LayerRule] = {}
LOSS_RULES: dict[type[Loss], LossRule] = {}

R = TypeVar("R", bound=LayerRule)
A = TypeVar("A", bound=ActivationRule)
S = TypeVar("S", bound=LossRule)


def layer_rule(kind: type[Layer]) -> Callable[[R], R]:
    """Enter ``rule(layer, parameters, x, buffers) -> (y, pullback)``, samples in columns (see `Buffers`).

    The pullback takes the gradient at y and returns that at x and those of the parameters.
    """

    def enter(rule: R) -> R:
        LAYER_RULES[kind] = rule
        return rule

    return enter


def activation_rule(kind: type[Activation]) -> Callable[[A], A]:
    """Enter ``rule(layer, z, buffers) -> (a, pullback)``; the pullback returns the gradient at z."""

    def enter(rule: A) -> A:
        def as_layer(
            layer: Any, _parameters: Mapping[str, Array], z: Array, buffers: Buffers
        ) -> tuple[Array, LayerPullback]:
            a, pullback = rule(layer, z, buffers)
            return a, lambda g: (pullback(g), NONE)

        LAYER_RULES[kind] = as_layer
        return rule

    return enter


def loss_rule(kind: type[Loss]) -> Callable[[S], S]:
    """Enter ``rule(loss, z, y) -> (mean loss, pullback)``; the pullback returns the gradient at z."""

    def enter(rule: S) -> S:
        LOSS_RULES[kind] = rule
        return rule

    return enter


def find(table: Mapping[Any, Any], row: Layer | Loss) -> Any:
    """The rule for a row, or one line that says which is missing."""
    if type(row) not in table:
        raise BackendError(f"the manual build has no rule for {type(row).__name__}")
    return table[type(row)]
