"""What a diagnosis asks of a library of mistakes: the ways to get a backward pass wrong, with the gradients that they give.

Whoever asks for a diagnosis brings the library, which alone knows the network that it is made for.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol, TypeAlias, runtime_checkable

from gradcheck.foundation.arrays import Array

Gradients: TypeAlias = Mapping[str, Array]
Changed: TypeAlias = Iterable[tuple[str, Array]]
"""Blocks that a mistake may change, with what it makes of them: from the top down, and only while they are asked for."""


class Mistake(Protocol):
    """One way to get a backward pass wrong.

    Attributes
    ----------
    cause : str
        The identifier of its `Cause`.
    layer : int
        Index of the layer whose pullback is wrong; the number of layers for the loss.
    why, remedy : str
        What the gradient then equals, and what to change, as clauses.
    evidence : mapping of str to object
        What else belongs to the cause.
    """

    @property
    def cause(self) -> str: ...
    @property
    def layer(self) -> int: ...
    @property
    def why(self) -> str: ...
    @property
    def remedy(self) -> str: ...
    @property
    def evidence(self) -> Mapping[str, object]: ...


@runtime_checkable
class MistakeLibrary(Protocol):
    """The mistakes that one network offers an occasion for, at one point.

    Attributes
    ----------
    gradients : mapping of str to array
        The right ones, by parameter name.
    """

    @property
    def gradients(self) -> Gradients: ...

    def name(self, layer: int) -> str:
        """How a report calls the layer of a mistake."""
        ...

    def kind(self, layer: int) -> str:
        """Its class, by which the same mistake in other networks is known."""
        ...

    def singly(self) -> Iterator[tuple[Mistake, Changed]]:
        """Every mistake made in one layer, with what it changes."""
        ...

    def habits(self) -> Iterator[tuple[Mistake, Changed]]:
        """The same of mistakes made in every layer that offers the occasion, as a loop over layers makes them."""
        ...

    def contributions(self) -> Gradients:
        """Of every sample to every block, (samples, size of the block); empty where they would be too many."""
        ...
