"""How a report came about: each public check keeps the call that it was asked by, for `Report.reproducer`."""

from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple, ParamSpec

from gradcheck.report import Report

P = ParamSpec("P")


class Recipe(NamedTuple):
    """A call of a public function: its name and what it was given, the objects themselves."""

    function: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def reproducible(check: Callable[P, Report]) -> Callable[P, Report]:
    """Put the call into the report. Where one check calls another, the outermost call is the recipe: it is set last."""

    @wraps(check)
    def function(*args: P.args, **kwargs: P.kwargs) -> Report:
        report = check(*args, **kwargs)
        vars(report)["recipe"] = Recipe(check.__name__, args, kwargs)
        return report

    return function
