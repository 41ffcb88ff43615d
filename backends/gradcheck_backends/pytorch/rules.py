"""What a rule is, and where there is none."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar

from torch import Tensor, nn

from gradcheck.errors import Unsupported
from gradcheck.network.layers import Layer, Shape

T = TypeVar("T")

Modules: TypeAlias = dict[type[Layer], Callable[[Any, Shape], nn.Module]]
"""From a layer and the shape of its input to a module, whose parameters have names and shapes alone."""
Functions: TypeAlias = dict[type[nn.Module], Callable[[Any], Callable[..., Tensor]]]
"""From a module to what it computes of its input and of parameters, in the module's order; by default itself."""


def rule(rules: Mapping[type, T], row: object) -> T:
    """The rule for a layer or a loss; raises `BackendError` where there is none."""
    if type(row) not in rules:
        raise Unsupported(f"the torch build has no rule for {type(row).__name__}")
    return rules[type(row)]
