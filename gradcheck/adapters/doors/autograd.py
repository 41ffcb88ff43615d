"""HIPS Autograd's derivatives of any function."""

from collections.abc import Callable
from typing import Any

from gradcheck.foundation.loading import needing
from gradcheck.foundation.state.found import as_found
from gradcheck.foundation.validation import Asked
from gradcheck.report import Report
from gradcheck.report.reproducer.recipe import reproducible


@as_found
@reproducible
def check_autograd(
    f: Callable[..., Any],
    *args: Any,
    accuracy: float = 1e-6,
    resolve: float = 1e-3,
    max_evaluations: int = 400,
    diagnose: bool = True,
    seed: int = 0,
    dtype: str | None = None,
    **kwargs: Any,
) -> Report:
    """Whether HIPS Autograd's derivative of ``f(*args, **kwargs)`` is right, primitives with ``defvjp`` included.

    Parameters
    ----------
    f : callable
        From arrays, or nestings of dicts, lists, tuples, dataclasses and registered classes of them, to an array or such a
        nesting.
    *args, **kwargs
        Handed on. Every floating leaf is a block: ``"args.0"``, ``"kwargs.mask"``; of a complex one the last axis has real
        and imaginary part.
    accuracy, resolve, max_evaluations, diagnose, seed, dtype
        As `check` takes them.
    """
    with needing("autograd"):
        from gradcheck.adapters import hips
    return hips.check_autograd(f, args, kwargs, Asked(accuracy, resolve, max_evaluations, diagnose, seed, dtype).checked())
