"""`compare`: any function with a plain one that says what it should return -> Report."""

from collections.abc import Callable, Iterator
from typing import Any

from msgspec.structs import replace

from gradcheck.candidates.point import handed_on
from gradcheck.comparison.functions import Functions
from gradcheck.comparison.procedure import compared
from gradcheck.errors import DescriptionError
from gradcheck.foundation.state.found import as_found
from gradcheck.foundation.validation import Asked
from gradcheck.foundation.wording import shown
from gradcheck.report import Report
from gradcheck.report.reproducer.recipe import reproducible

WHOLE = "the reference leaves NumPy, where its operations are not seen: it is judged as one"


@as_found
@reproducible
def compare(
    candidate: Callable[[Any], Any],
    reference: Callable[[Any], Any],
    at: Any,
    *,
    accuracy: float = 0.0,
    diagnose: bool = True,
    seed: int = 0,
) -> Report:
    """Whether ``candidate`` returns at a point what ``reference`` does, as far as its own precision lets that be known.

    Parameters
    ----------
    candidate : callable
        From a pytree like ``at`` to arrays in any nesting. It is handed copies in the dtypes that are given.
    reference : callable
        The same in plain NumPy. It is handed float64, and runs again with each operation off as the candidate's arithmetic
        may be: what that changes is what honest code may be off by. Choices, as of ``numpy.argmax`` and comparisons, are
        those that it makes without.
    at : pytree
        As `check` takes it, of float64, float32 or float16. Arrays of JAX are taken, too, of bfloat16 as well, and handed
        on as arrays of NumPy.
    accuracy : float
        An error that is systematic, and relative to the larger of an entry and its block's RMS within this, is ``inexact``
        and not ``wrong``: for code that approximates on purpose.
    diagnose : bool
        Whether to look for causes once a block is found wrong.
    seed : int
        Of the noise.

    Returns
    -------
    Report
        Of one finding for each array of the result, ``"output.0"``, ``"output.1.w"``. Of a pair of a value and its
        gradients, made like the point, these are ``"value"`` and the names of the leaves: ``"w"``; a bare array is ``"x"``.
        What the reference returns and the candidate does not, or in another shape, is ``wrong``.

    Raises
    ------
    DataError
        As `check`, of the point; where the reference returns no floating array.
    DescriptionError
        Where ``accuracy`` or ``seed`` is none, or a function is not given.
    CallFailed
        Where a function raises.

    Examples
    --------
    A softmax, and one that forgets the last entry of its sum:

    >>> import numpy as np
    >>> def plain(x):
    ...     return np.exp(x) / np.sum(np.exp(x))
    >>> def stable(x):
    ...     e = np.exp(x - x.max())
    ...     return e / e.sum()
    >>> def forgetful(x):
    ...     e = np.exp(x - x.max())
    ...     return e / e[:-1].sum()
    >>> x = np.linspace(-2, 3, 20, dtype=np.float32)
    >>> str(compare(stable, plain, x).verdict)
    'correct'
    >>> str(compare(forgetful, plain, x).verdict)
    'wrong'
    """
    for name, given in (("candidate", candidate), ("reference", reference)):
        if not callable(given):
            raise DescriptionError(f"expected a function, got {shown(given)}", name)
    asked = Asked(accuracy=accuracy, diagnose=diagnose, seed=seed).checked()
    pair = Functions(candidate, reference, at)
    report = compared(pair, asked)
    unchecked = (*report.unchecked, *pair.passed, *pair.extra)
    return replace(report, notes=(*report.notes, *_notes(pair)), unchecked=unchecked)


def _notes(pair: Functions) -> Iterator[str]:
    if pair.is_whole:
        yield WHOLE
    yield from handed_on(pair.passed)
    yield from (f"{name}: the reference returns no such block: not looked at" for name in pair.extra)
