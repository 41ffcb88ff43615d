"""The table of layers: what each is called, its shapes, parameter names, kinks and rounding constants.

A row says what a layer *is*; what it means is said once in `gradcheck.network.reference`, and each backend builds it by
itself. A third party adds a row with `register_layer`, and one function per backend.
"""

from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple, TypeAlias, TypeVar

import msgspec

from gradcheck.errors import DescriptionError
from gradcheck.network.describe import Description, register

Shape: TypeAlias = tuple[int, ...]
Size: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]


class Kink(NamedTuple):
    """A point where the slope of an activation or loss jumps, and the slope that every build takes there."""

    at: float
    left: float
    right: float
    chosen: float


class Cancellation(NamedTuple):
    """Absolute rounding of a function *as usually computed*, in unit roundoffs, beyond that of its own size.

    ``1 - tanh(z)**2`` is rounded like 1, not like itself: ``slope=1``. Where the absolute error grows with the argument
    (``1 + z * (1 - sigmoid(z))``) it is multiplied by ``clip(|z|, 1, reach)``: beyond ``reach`` nothing is left to cancel.

    Attributes
    ----------
    value, slope : float
        Of the function and of its derivative.
    value_reach, slope_reach : float
        How far either grows with the argument.
    left : bool
        Whether it holds for negative arguments too.
    """

    value: float = 0.0
    slope: float = 0.0
    value_reach: float = 1.0
    slope_reach: float = 1.0
    left: bool = True


class Layer(Description, frozen=True):
    """A row of the table of layers: immutable data. Shapes are those of one sample, without the batch axis."""

    def output_shape(self, inputs: Shape) -> Shape:
        """Shape of one output, given that of one input; raises `DescriptionError` where the input does not fit."""
        raise NotImplementedError

    def parameter_shapes(self, inputs: Shape) -> Mapping[str, Shape]:
        """Shapes of the parameters by their names within the layer, as in PyTorch's ``state_dict``."""
        raise NotImplementedError


class Dense(Layer, frozen=True):
    """``x W^T + b`` with ``weight`` (units, features) and ``bias`` (units,)."""

    units: Size
    bias: bool = True

    def output_shape(self, inputs: Shape) -> Shape:
        if len(inputs) != 1:
            raise DescriptionError(f"expected an input of rank 1 for dense, got shape {inputs}")
        return (self.units,)

    def parameter_shapes(self, inputs: Shape) -> Mapping[str, Shape]:
        weight: dict[str, Shape] = {"weight": (self.units, *inputs)}
        return weight | {"bias": (self.units,)} if self.bias else weight


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


class Arctan(Activation, frozen=True):
    """``arctan(z)``"""


class Tanh(Activation, frozen=True):
    """``tanh(z)``"""

    @property
    def cancellation(self) -> Cancellation:
        return Cancellation(slope=1)


class Sigmoid(Activation, frozen=True):
    """``1 / (1 + exp(-z))``"""

    @property
    def cancellation(self) -> Cancellation:
        return Cancellation(slope=1, left=False)


class ReLU(Activation, frozen=True):
    """``max(z, 0)``, slope 0 at 0"""

    @property
    def kinks(self) -> tuple[Kink, ...]:
        return (Kink(0.0, left=0.0, right=1.0, chosen=0.0),)


class LeakyReLU(Activation, frozen=True):
    """``z`` above 0, ``slope * z`` elsewhere; slope ``slope`` at 0"""

    slope: float = 0.01

    @property
    def kinks(self) -> tuple[Kink, ...]:
        return (Kink(0.0, left=self.slope, right=1.0, chosen=self.slope),) if self.slope != 1 else ()


class ELU(Activation, frozen=True):
    """``z`` above 0, ``alpha * (exp(z) - 1)`` elsewhere; slope ``alpha`` at 0 (a kink unless ``alpha`` is 1)"""

    alpha: Annotated[float, msgspec.Meta(ge=0)] = 1.0

    @property
    def cancellation(self) -> Cancellation:
        return Cancellation(value=self.alpha, slope=self.alpha)

    @property
    def kinks(self) -> tuple[Kink, ...]:
        return (Kink(0.0, left=self.alpha, right=1.0, chosen=self.alpha),) if self.alpha != 1 else ()

    @property
    def joints(self) -> tuple[float, ...]:
        return (0.0,)


class GELU(Activation, frozen=True):
    """``z * Phi(z)``, Phi the normal distribution function; with ``approximate="tanh"`` its usual tanh form"""

    approximate: Literal["none", "tanh"] = "none"

    @property
    def cancellation(self) -> Cancellation:
        return Cancellation(value=1, slope=1, value_reach=10, slope_reach=10)


class SiLU(Activation, frozen=True):
    """``z / (1 + exp(-z))``"""

    @property
    def cancellation(self) -> Cancellation:
        return Cancellation(slope=1, slope_reach=40, left=False)


class Softplus(Activation, frozen=True):
    """``log(1 + exp(z))``"""


class Identity(Activation, frozen=True):
    """``z``"""


LAYERS: dict[str, type[Layer]] = {
    "dense": Dense,
    "arctan": Arctan,
    "tanh": Tanh,
    "sigmoid": Sigmoid,
    "relu": ReLU,
    "leaky_relu": LeakyReLU,
    "elu": ELU,
    "gelu": GELU,
    "silu": SiLU,
    "softplus": Softplus,
    "identity": Identity,
}

L = TypeVar("L", bound=Layer)


def register_layer(name: str, row: type[L]) -> type[L]:
    """Add a third party's row to the table; a name that is taken raises `DescriptionError`."""
    return register(LAYERS, name, row, "layer")
