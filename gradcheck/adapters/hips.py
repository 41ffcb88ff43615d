"""HIPS Autograd's derivatives, those of primitives with ``defvjp`` included."""

from collections.abc import Callable, Mapping
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import make_vjp
from autograd.builtins import DictBox, SequenceBox
from msgspec.structs import replace

from gradcheck.adapters.leaves import Function, settled
from gradcheck.candidates.complex_points import TRANSPOSE
from gradcheck.candidates.given import Gradient
from gradcheck.checking.checker import checked, idle, with_notes
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.calling import called
from gradcheck.foundation.state.silence import Silence
from gradcheck.foundation.validation import Asked
from gradcheck.report import Report


def check_autograd(f: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], asked: Asked) -> Report:
    """What `gradcheck.check_autograd` does."""
    function, arithmetic = settled(HipsFunction(f, args, kwargs, asked, anp), gradient_of, asked)
    report, claim = checked(
        function.loss,
        gradient_of(function),
        function.point,
        asked._replace(dtype=None),
        arithmetic,
        complex_blocks=dict.fromkeys(function.complex, TRANSPOSE),
    )
    report = with_notes(report, idle(claim, report.findings), function.notes(), unchecked=function.unchecked)
    return replace(report.labelled("autograd"), title=f"{function.name}: {report.title}")


class HipsFunction(Function):
    """Of Autograd's arrays; what it returns may be in boxes."""

    def parts(self, value: Any) -> dict[str, Any]:
        """Floating leaves, out of whatever holds them."""
        return super().parts(opened(value))


def opened(value: Any) -> Any:
    """Containers in the place of Autograd's boxes of containers, in which there are boxes of arrays."""
    if isinstance(value, SequenceBox):
        return tuple(opened(value[i]) for i in range(len(value)))
    if isinstance(value, DictBox):
        return {key: opened(value[key]) for key in value.keys()}  # noqa: SIM118 - it has no iterator
    return value


def gradient_of(function: Function) -> Gradient:
    """Autograd's."""

    def reduced(arrays: Mapping[str, Any]) -> Any:
        found = function.call(arrays)
        typed = {key: function.cotangents[key].astype(_dtype(value)) for key, value in found.items()}
        return sum(anp.sum(typed[key] * value) for key, value in found.items())

    def gradient(arrays: Mapping[str, Array]) -> dict[str, Array]:
        with Silence("Output seems independent of input"):  # the gradient is 0
            pull, value = called(make_vjp(reduced), f"Autograd through {function.name}", function.cast(arrays))
        found = called(pull, f"the VJP of {function.name}", np.ones((), _dtype(value))[()])
        return {name: np.asarray(block) for name, block in found.items()}

    return gradient


def _dtype(value: Any) -> Any:
    """Of an array, a number or a box."""
    return getattr(value, "dtype", np.dtype(float))
