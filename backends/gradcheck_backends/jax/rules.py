"""What a rule is, and where there is none."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar

from gradcheck.errors import Unsupported
from gradcheck.network.layers import Layer

T = TypeVar("T")

Rules: TypeAlias = dict[type[Layer], Callable[[Any, Mapping[str, Any], Any], Any]]
"""From a layer, its parameters by its own names, and its input, to its output."""


def rule(rules: Mapping[type, T], row: object) -> T:
    """The rule for a layer or a loss; raises `BackendError` where there is none."""
    if type(row) not in rules:
        raise Unsupported(f"the jax build has no rule for {type(row).__name__}")
    return rules[type(row)]
