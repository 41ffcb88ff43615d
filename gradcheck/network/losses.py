"""The table of losses: the domain of their targets, the shape they want, kinks and rounding constants.

Every loss is a mean, as PyTorch defines it: over all entries of the output, for `CrossEntropy` over the samples.
"""

from enum import Enum
from typing import Annotated, ClassVar, TypeVar

import msgspec

from gradcheck.errors import DescriptionError
from gradcheck.foundation.describe import Description, register
from gradcheck.network.layers import Cancellation, Kink, Shape


class Targets(Enum):
    """The domain of a loss's targets; the value is how an error message names it."""

    SIGNS = "-1 or +1"
    PROBABILITIES = "between 0 and 1"
    REALS = "finite"
    CLASSES = "class indices"


class Loss(Description, frozen=True):
    """A row of the table of losses. ``z`` is the network's output, ``y`` the target.

    A slope's `Cancellation` counts as far as the target is not 0: ``sigmoid(z) - y``.
    """

    targets: ClassVar[Targets] = Targets.REALS
    cancellation: ClassVar[Cancellation] = Cancellation()

    @property
    def kinks(self) -> tuple[Kink, ...]:
        """Jumps of slope, in the margin ``y * z`` for targets that are signs."""
        return ()

    @property
    def joints(self) -> tuple[float, ...]:
        """Where two formulas meet: in the margin ``y * z`` for targets that are signs, else in ``|z - y|``."""
        return tuple(kink.at for kink in self.kinks)

    def target_shape(self, outputs: Shape) -> Shape:
        """Shape of one target, given that of one output."""
        return outputs


class Logistic(Loss, frozen=True):
    """``log(1 + exp(-y z))``"""

    targets = Targets.SIGNS


class BinaryCrossEntropy(Loss, frozen=True):
    """``log(1 + exp(z)) - y z`` from the logit z"""

    targets = Targets.PROBABILITIES
    cancellation = Cancellation(value=1, slope=1, value_reach=1e300)


class CrossEntropy(Loss, frozen=True):
    """``log(sum_k exp(z_k)) - z_y``: one logit a class along the last axis, a class index for each of the others"""

    targets = Targets.CLASSES
    cancellation = Cancellation(value=1, slope=1)

    def target_shape(self, outputs: Shape) -> Shape:
        if not outputs:
            raise DescriptionError("cross_entropy expects an axis of classes, got a single number")
        return outputs[:-1]


class MSE(Loss, frozen=True):
    """``(z - y)**2``"""


class Huber(Loss, frozen=True):
    """``(z - y)**2 / 2`` up to ``delta``, ``delta * (|z - y| - delta / 2)`` beyond"""

    delta: Annotated[float, msgspec.Meta(gt=0)] = 1.0

    @property
    def joints(self) -> tuple[float, ...]:
        return (self.delta,)


class Hinge(Loss, frozen=True):
    """``max(0, 1 - y z)``, slope 0 at the margin"""

    targets = Targets.SIGNS

    @property
    def kinks(self) -> tuple[Kink, ...]:
        return (Kink(1.0, left=-1.0, right=0.0, chosen=0.0),)


LOSSES: dict[str, type[Loss]] = {
    "logistic": Logistic,
    "binary_cross_entropy": BinaryCrossEntropy,
    "cross_entropy": CrossEntropy,
    "mse": MSE,
    "huber": Huber,
    "hinge": Hinge,
}

L = TypeVar("L", bound=Loss)


def register_loss(name: str, row: type[L]) -> type[L]:
    """Add a third party's row to the table; a name that is taken raises `DescriptionError`."""
    return register(LOSSES, name, row, "loss")
