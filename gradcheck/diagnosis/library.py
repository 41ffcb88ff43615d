"""What a library of mistakes is: a pass through a network in which any one of them can be made."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from gradcheck.foundation.arrays import Array

Gradients = Mapping[str, Array]


class Mistake(Protocol):
    """One mistake, in one layer."""

    @property
    def cause(self) -> str:
        """The identifier of its `Cause`."""
        ...

    @property
    def layer(self) -> int:
        """In which it is made."""
        ...

    @property
    def evidence(self) -> Mapping[str, Any]:
        """The numbers that belong to it."""
        ...

    @property
    def why(self) -> str:
        """What is wrong, in words."""
        ...

    @property
    def remedy(self) -> str:
        """What to change, where that says more than the cause's own; else empty."""
        ...


class MistakeLibrary(Protocol):
    """Gradients of one network at one point, right ones and wrong ones, by parameter name."""

    @property
    def gradients(self) -> Gradients:
        """The right ones, as the build that makes the mistakes computes them."""
        ...

    def mistakes(self) -> Iterable[Mistake]:
        """Every one that can be made here, layer by layer."""
        ...

    def with_mistake(self, mistake: Any) -> Gradients:
        """What it gives."""
        ...

    def habits(self) -> Iterable[tuple[Mistake, Gradients]]:
        """Mistakes made in all layers alike, with what they give."""
        ...

    def name(self, layer: int) -> str:
        """``layers[3] (GELU)``"""
        ...

    def kind(self, layer: int) -> str:
        """``GELU``"""
        ...

    def contributions(self) -> Gradients:
        """The gradient of each sample alone, a row each for every block; nothing where that would be too much."""
        ...
