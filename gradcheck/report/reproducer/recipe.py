"""Each public check puts the call that it was asked by into its report, for `Report.reproducer`."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import msgspec

from gradcheck.verdict.outcome import Call, Outcome, Recipe

P = ParamSpec("P")
R = TypeVar("R", bound=Outcome)


def reproducible(check: Callable[P, R]) -> Callable[P, R]:
    """Put the call into the report. Where one check calls another, the outermost call is the recipe: it is set last."""

    @wraps(check)
    def function(*args: P.args, **kwargs: P.kwargs) -> R:
        return msgspec.structs.replace(check(*args, **kwargs), recipe=Recipe(Call(check, args, kwargs)))

    return function
