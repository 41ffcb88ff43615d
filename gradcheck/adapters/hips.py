"""HIPS Autograd's derivatives, those of primitives with ``defvjp`` included."""

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import make_vjp

from gradcheck.adapters.leaves import Function
from gradcheck.checking.checker import check
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.calling import called
from gradcheck.foundation.validation import Asked
from gradcheck.report import Report, joined


def check_autograd(f: Callable[..., Any], args: tuple[Any, ...], asked: Asked) -> Report:
    """What `gradcheck.check_autograd` does."""
    function = Function(f, args, asked.seed)

    def reduced(arrays: Mapping[str, Any]) -> Any:
        found = function.call(arrays)
        typed = {key: function.cotangents[key].astype(_dtype(value)) for key, value in found.items()}
        return sum(anp.sum(typed[key] * value) for key, value in found.items())

    def gradient(arrays: Mapping[str, Array]) -> dict[str, Array]:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Output seems independent of input", UserWarning)  # the gradient is 0
            pull, value = called(make_vjp(reduced), f"Autograd through {function.name}", dict(arrays))
        found = called(pull, f"the VJP of {function.name}", np.ones((), _dtype(value))[()])
        return {name: np.asarray(block) for name, block in found.items()}

    report = check(function.loss, gradient, function.point, **asked._asdict())
    return joined(f"{function.name}: {report.title}", [report.labelled("autograd")])


def _dtype(value: Any) -> Any:
    """Of an array, a number or a box."""
    return getattr(value, "dtype", np.dtype(float))
