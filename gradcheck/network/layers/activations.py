"""Functions of a single entry."""

from typing import Annotated, ClassVar, Literal

import msgspec

from gradcheck.network.layers.base import Activation, Cancellation, Kink


class _Entrywise(Activation, frozen=True):
    """Ours, which need no measuring."""

    couples_samples: ClassVar[bool | None] = False


class Arctan(_Entrywise, frozen=True):
    """``arctan(z)``"""


class Tanh(_Entrywise, frozen=True):
    """``tanh(z)``"""

    @property
    def cancellation(self) -> Cancellation:
        return Cancellation(slope=1)


class Sigmoid(_Entrywise, frozen=True):
    """``1 / (1 + exp(-z))``"""

    @property
    def cancellation(self) -> Cancellation:
        return Cancellation(slope=1, left=False)


class ReLU(_Entrywise, frozen=True):
    """``max(z, 0)``, slope 0 at 0"""

    @property
    def kinks(self) -> tuple[Kink, ...]:
        return (Kink(0.0, left=0.0, right=1.0, chosen=0.0),)


class LeakyReLU(_Entrywise, frozen=True):
    """``z`` above 0, ``slope * z`` elsewhere; slope ``slope`` at 0"""

    slope: float = 0.01

    @property
    def kinks(self) -> tuple[Kink, ...]:
        return (Kink(0.0, left=self.slope, right=1.0, chosen=self.slope),) if self.slope != 1 else ()


class ELU(_Entrywise, frozen=True):
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


class GELU(_Entrywise, frozen=True):
    """``z * Phi(z)``, Phi the normal distribution function; with ``approximate="tanh"`` its usual tanh form"""

    approximate: Literal["none", "tanh"] = "none"

    @property
    def cancellation(self) -> Cancellation:
        return Cancellation(value=1, slope=1, value_reach=10, slope_reach=10)


class SiLU(_Entrywise, frozen=True):
    """``z / (1 + exp(-z))``"""

    @property
    def cancellation(self) -> Cancellation:
        return Cancellation(slope=1, slope_reach=40, left=False)


class Softplus(_Entrywise, frozen=True):
    """``log(1 + exp(z))``"""


class Identity(_Entrywise, frozen=True):
    """``z``"""
