"""HIPS Autograd's derivatives, those of primitives with ``defvjp`` included."""

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import make_vjp

from gradcheck.adapters.leaves import argument_leaves, combine, draw, name_of, output_leaves
from gradcheck.checking.checker import check
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.calling import called
from gradcheck.report import Report, joined


def check_autograd(f: Callable[..., Any], args: tuple[Any, ...], accuracy: float, seed: int) -> Report:
    """What `gradcheck.check_autograd` does."""
    name, taken = name_of(f), argument_leaves(args, name_of(f))

    def call(arrays: Mapping[str, Any]) -> dict[str, Any]:
        return output_leaves(called(f, name, *taken.rebuild(arrays)), name)

    cotangents = draw(_plain(call(taken.arrays)), seed)

    def loss(arrays: Mapping[str, Array]) -> float:
        return combine(_plain(call(arrays)), cotangents)

    def reduced(arrays: Mapping[str, Any]) -> Any:
        found = call(arrays)
        typed = {key: cotangents[key].astype(_dtype(value)) for key, value in found.items()}
        return sum(anp.sum(typed[key] * value) for key, value in found.items())

    def gradient(arrays: Mapping[str, Array]) -> dict[str, Array]:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Output seems independent of input", UserWarning)  # the gradient is 0
            pull, value = called(make_vjp(reduced), f"Autograd through {name}", dict(arrays))
        return _plain(called(pull, f"the VJP of {name}", np.ones((), _dtype(value))[()]))

    report = check(loss, gradient, taken.arrays, accuracy=accuracy, seed=seed)
    return joined(f"{name}: {report.title}", [report.labelled("autograd")])


def _plain(values: Mapping[str, Any]) -> dict[str, Array]:
    return {name: np.asarray(value) for name, value in values.items()}


def _dtype(value: Any) -> Any:
    """Of an array, a number or a box."""
    return getattr(value, "dtype", np.dtype(float))
