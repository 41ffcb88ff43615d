"""What the checks ask of their arguments: one sentence with the name and the value where it is not so."""

import math
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, NamedTuple, TypeAlias, cast

from gradcheck.errors import DataError, DescriptionError
from gradcheck.foundation.calling import standing_for
from gradcheck.foundation.wording import shown

Function: TypeAlias = Callable[..., Any]


class Asked(NamedTuple):
    """What a caller asks of a check, as `gradcheck.check` describes it.

    Who is ``sparing`` does not want to know where and why a gradient is inexact, nor of what is claimed where there is no
    slope if it is within the accuracy of the whole gradient.
    """

    accuracy: float = 1e-6
    resolve: float = 1e-3
    max_evaluations: int = 400
    diagnose: bool = True
    seed: int = 0
    dtype: str | None = None
    sparing: bool = False

    @property
    def options(self) -> dict[str, Any]:
        """As `gradcheck.check` takes them."""
        return {name: value for name, value in self._asdict().items() if name != "sparing"}

    def checked(self) -> "Asked":
        """The same, if it can be asked for."""
        count = count_of(self.max_evaluations, "max_evaluations")
        accuracy, resolve = accuracy_of(self.accuracy), accuracy_of(self.resolve, "resolve")
        return Asked(accuracy, resolve, count, bool(self.diagnose), seed_of(self.seed), self.dtype, self.sparing)


def accuracy_of(value: object, name: str = "accuracy") -> float:
    """A finite number >= 0."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) < math.inf:
        raise DescriptionError(f"expected a finite float >= 0, got {shown(value)}", name)
    return float(value)


def seed_of(value: object) -> int:
    """An integer >= 0."""
    return count_of(value, "seed", 0)


def count_of(value: object, name: str, least: int = 1) -> int:
    """An integer that is not less than ``least``."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise DescriptionError(f"expected int >= {least}, got {shown(value)}", name)
    return int(value)


def two_functions(loss: object, gradient: object, both: object) -> tuple[Function, Function]:
    """A loss and a gradient, from two functions or from one that returns both."""
    if both is not None and loss is None and gradient is None:
        if not callable(both):
            raise DescriptionError(f"expected a function, got {both!r}", "value_and_gradient")
        return _part(both, 0), _part(both, 1)
    for name, given in (("loss", loss), ("gradient", gradient)):
        if not callable(given) or both is not None:
            what = "value_and_gradient beside it" if both is not None else repr(given)
            raise DescriptionError(f"expected a function (or value_and_gradient alone), got {what}", name)
    return cast("Function", loss), cast("Function", gradient)


def pair_of(value: object, what: str) -> tuple[Any, Any]:
    """What a function returned that is to return both, the value and its gradient."""
    if not isinstance(value, tuple) or len(cast("tuple[Any, ...]", value)) != 2:
        raise DataError(f"{what}: expected a pair (value, gradient), got {type(cast('Any', value)).__name__}")
    return cast("tuple[Any, Any]", value)


def _part(both: Function, index: int) -> Function:
    def part(*at: Any) -> Any:
        return pair_of(both(*at), part.__name__)[index]

    return standing_for(part, both, str(getattr(both, "__name__", "")))
