"""What a diagnosis asks of a library of mistakes: the ways to get a backward pass wrong, with the gradients that they give.

Whoever asks for a diagnosis brings the library, which alone knows the network that it is made for.
"""

from collections.abc import Iterator, Mapping
from typing import Protocol, TypeAlias, runtime_checkable

from gradcheck.foundation.arrays import Array

Gradients: TypeAlias = Mapping[str, Array]


class Mistake(Protocol):
    """One way to get a backward pass wrong."""

    @property
    def cause(self) -> str:
        """A stable identifier."""
        ...

    @property
    def layer(self) -> int:
        """Index of the layer whose pullback is wrong; the number of layers for the loss."""
        ...

    @property
    def why(self) -> str:
        """What the gradient then equals, as a clause."""
        ...

    @property
    def remedy(self) -> str:
        """What to change, as a clause."""
        ...

    @property
    def evidence(self) -> Mapping[str, object]:
        """What else belongs to the cause."""
        ...


@runtime_checkable
class MistakeLibrary(Protocol):
    """The mistakes that one network offers an occasion for, at one point."""

    @property
    def gradients(self) -> Gradients:
        """The right ones, by parameter name."""
        ...

    def name(self, layer: int) -> str:
        """How a report calls the layer of a mistake."""
        ...

    def kind(self, layer: int) -> str:
        """Its class, by which the same mistake in other networks is known."""
        ...

    def singly(self) -> Iterator[tuple[Mistake, Gradients]]:
        """Every mistake made in one layer, with the gradients that it gives."""
        ...

    def habits(self) -> Iterator[tuple[Mistake, Gradients]]:
        """The same of mistakes made in every layer that offers the occasion, as a loop over layers makes them."""
        ...

    def contributions(self) -> Gradients:
        """Of every sample to every block, (samples, size of the block); empty where they would be too many."""
        ...
