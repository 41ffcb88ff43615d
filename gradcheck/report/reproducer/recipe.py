"""Each public check puts the call that it was asked by into its report, for `Report.reproducer`."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import msgspec

from gradcheck.verdict.outcome import Call, Outcome, Recipe

P = ParamSpec("P")
R = TypeVar("R", bound=Outcome)


def reproducible(check: Callable[P, R], portable: Callable[[Any], Any] = lambda argument: argument) -> Callable[P, R]:
    """Put the call into the report. Where one check calls another, the outermost call is the recipe: it is set last.

    ``portable`` makes of an argument what means the same in another folder.
    """

    @wraps(check)
    def function(*args: P.args, **kwargs: P.kwargs) -> R:
        # Before the check: what it calls may go to another folder.
        call = Call(check, tuple(map(portable, args)), {name: portable(value) for name, value in kwargs.items()})
        report = check(*args, **kwargs)
        return msgspec.structs.replace(report, recipe=Recipe(call))

    return function
