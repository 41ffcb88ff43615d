"""Gradients that a call of the user's leaves behind, asked again with nothing put back in between: replaced, or added to."""

import numpy as np

from gradcheck.adapters.contract.breaches import Breach, Told
from gradcheck.adapters.contract.first import size
from gradcheck.adapters.pytorch.function import TorchFunction
from gradcheck.adapters.pytorch.numbers import array_of, arrays_of
from gradcheck.foundation.arrays import Array
from gradcheck.verdict.causes import Cause

TIMES = 3
ADDS = "a second call adds to what .grad holds, as backward() does: set it to None in between"


def again(function: TorchFunction) -> Told:
    """What is returned is the same each time; what stands in ``.grad`` may be added to, which is a note.

    What differs otherwise, where a step of an optimiser is part of the call or buffers go on, says nothing.
    """
    calls = function.stepped(function.point(), TIMES)
    known = [{name: g for name, g in gradients.items() if g is not None} for _, gradients in calls]
    first, second, third = map(arrays_of, known)
    standing = {name: leaf.grad for name, leaf in calls[-1][0].items()}
    for name in (name for name in first if name in second and name in third):
        if not _adds_up(first[name], second[name], third[name]):
            continue
        gradient = standing[name]
        if gradient is not None and np.array_equal(array_of(gradient), third[name]):
            yield ADDS
        else:
            said = "a second call adds its gradient to that of the first, which was not set to zero"
            yield Breach(Cause.SHARED_STATE, frozenset({name}), said)


def _adds_up(first: Array, second: Array, third: Array) -> bool:
    """Whether each call adds the same again."""
    once, twice = second - first, third - second
    rounding = np.finfo(first.dtype).eps ** 0.5 * size(third)
    return size(once) > rounding and size(once - twice) <= rounding
