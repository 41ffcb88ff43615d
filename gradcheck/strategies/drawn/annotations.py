"""Shapes and dtypes that a function's annotations say, where these are jaxtyping's: ``x: Float[Tensor, "rows columns"]``."""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

from gradcheck.strategies.arguments import several
from gradcheck.strategies.drawn.looks import COUNTING, FLOATING


class Annotated(NamedTuple):
    """A shape in words; and the dtypes, where the annotation leaves no choice or none that floats."""

    shape: str
    dtypes: tuple[str, ...] = ()


def annotated(function: Callable[..., Any]) -> dict[str, Annotated]:
    """By parameter. Whoever wrote such an annotation has the library: it is not asked for here."""
    return {name: said for name, each in _parameters(function).items() if (said := _read(each.annotation)) is not None}


def _parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    try:
        return dict(inspect.signature(function, eval_str=True).parameters)
    except Exception:  # text that means nothing where it is read says nothing
        return dict(inspect.signature(function).parameters)


def _read(annotation: Any) -> Annotated | None:
    shape = getattr(annotation, "dim_str", None)
    if not isinstance(shape, str):
        return None
    dtypes = several(getattr(annotation, "dtypes", ()))
    floating = tuple(name for name in FLOATING if name in dtypes)
    if floating:
        return Annotated(shape, floating if len(floating) == 1 else ())
    return Annotated(shape, tuple(name for name in COUNTING if name in dtypes)[:1])
