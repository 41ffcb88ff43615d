"""What a layer says of itself: its shapes, the names of its parameters, kinks and rounding constants."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Annotated, ClassVar, NamedTuple, TypeAlias

import msgspec

from gradcheck.foundation.describe import Description

Shape: TypeAlias = tuple[int, ...]
Size: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]


class Kink(NamedTuple):
    """A point where the slope of an activation or loss jumps, and the slope that every build takes there."""

    at: float
    left: float
    right: float
    chosen: float


class Start(NamedTuple):
    """Where a parameter starts: ``fans`` are inputs and outputs of one unit, None where it stays at its ``centre``."""

    fans: tuple[float, float] | None
    centre: float = 0.0


class Cancellation(NamedTuple):
    """Absolute rounding of a function *as usually computed*, in unit roundoffs, beyond that of its own size.

    ``1 - tanh(z)**2`` is rounded like 1, not like itself: ``slope=1``. Where the absolute error grows with the argument
    (``1 + z * (1 - sigmoid(z))``) it is multiplied by ``clip(|z|, 1, reach)``: beyond ``reach`` nothing is left to cancel.

    ``value`` and ``slope`` are those of the function and of its derivative, ``value_reach`` and ``slope_reach`` say how far
    either grows with the argument, and ``left`` whether they hold for negative arguments too.
    """

    value: float = 0.0
    slope: float = 0.0
    value_reach: float = 1.0
    slope_reach: float = 1.0
    left: bool = True


class Layer(Description, frozen=True):
    """A row of the table of layers: immutable data. Shapes are those of one sample, without the batch axis.

    Attributes
    ----------
    couples_samples : bool or None
        Whether a sample's output depends on the others of its batch, as a batch normalisation's does. Where a class does not
        say so (None), it is measured.
    """

    couples_samples: ClassVar[bool | None] = None

    @property
    def vocabulary(self) -> int | None:
        """How many indices there are, where the input is made of indices (0, 1, ...) and not of real numbers."""
        return None

    def output_shape(self, inputs: Shape) -> Shape:
        """Shape of one output, given that of one input; raises `DescriptionError` where the input does not fit."""
        raise NotImplementedError(f"{type(self).__name__}.output_shape")

    def parameter_shapes(self, inputs: Shape) -> Mapping[str, Shape]:
        """Shapes of the parameters by their names within the layer, as in PyTorch's ``state_dict``."""
        raise NotImplementedError(f"{type(self).__name__}.parameter_shapes")

    def tied(self, inputs: Shape) -> Mapping[str, tuple[str, Shape]]:
        """Parameters of the network that this layer uses beside its own: by its own name for one its name and shape."""
        return {}

    def start(self, name: str, shape: Shape) -> Start:
        """How a parameter is drawn; by default a matrix (out, in, *window) by its fans, what has one axis at 0."""
        window = prod(shape[2:])
        return Start((shape[1] * window, shape[0] * window) if len(shape) > 1 else None)

    def starts(self, inputs: Shape) -> Mapping[str, Start]:
        """The same of all parameters."""
        return {name: self.start(name, shape) for name, shape in self.parameter_shapes(inputs).items()}

    def least_samples(self, inputs: Shape) -> int:
        """How many samples there must be: two where statistics are taken over them alone."""
        return 1

    def numbers(self, inputs: Shape) -> int:
        """How many numbers a sample takes here at once: its output's, and those from which that is made."""
        return prod(self.output_shape(inputs))

    @classmethod
    def examples(cls, inputs: Shape) -> Sequence["Layer"]:
        """Layers of this kind to draw for an input of this shape, the plainest first; what does not fit is left out.

        By default the one that needs no arguments.
        """
        try:
            return (cls(),)
        except TypeError:
            return ()


class Activation(Layer, frozen=True):
    """A function applied to each entry: same shape out as in, no parameters."""

    @property
    def cancellation(self) -> Cancellation:
        """Rounding that is not relative to value and slope themselves."""
        return Cancellation()

    @property
    def kinks(self) -> tuple[Kink, ...]:
        """Where the slope jumps; empty for a smooth function."""
        return ()

    @property
    def joints(self) -> tuple[float, ...]:
        """Where two formulas meet, with a kink or without."""
        return tuple(kink.at for kink in self.kinks)

    def output_shape(self, inputs: Shape) -> Shape:
        return inputs

    def parameter_shapes(self, inputs: Shape) -> Mapping[str, Shape]:
        return {}
