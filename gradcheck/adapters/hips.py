"""HIPS Autograd's derivatives, those of primitives with ``defvjp`` included."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import numpy as np
from autograd import make_vjp

from gradcheck.adapters.functions import arguments, name_of, outputs
from gradcheck.adapters.outputs import combine, draw
from gradcheck.arrays import Array
from gradcheck.checker import check as check_function
from gradcheck.claim import called
from gradcheck.report import Report


def check(f: Callable[..., Any], args: tuple[Any, ...], accuracy: float, seed: int) -> Report:
    """What `gradcheck.check_autograd` does."""
    name, taken = name_of(f), arguments(args, name_of(f))

    def call(arrays: Mapping[str, Any]) -> dict[str, Any]:
        return outputs(called(f, name, *taken.rebuild(arrays)), name)

    def plain(values: Mapping[str, Any]) -> dict[str, Array]:
        return {key: np.asarray(value) for key, value in values.items()}

    cotangents = draw(plain(call(taken.arrays)), seed)

    def loss(arrays: Mapping[str, Array]) -> float:
        return combine(plain(call(arrays)), cotangents)

    def gradient(arrays: Mapping[str, Array]) -> dict[str, Array]:
        pull, out = called(make_vjp(call), f"Autograd through {name}", dict(arrays))
        typed = {key: cotangents[key].astype(np.asarray(value).dtype) for key, value in out.items()}
        return plain(called(pull, f"the VJP of {name}", typed))

    report = check_function(loss, gradient, taken.arrays, accuracy=accuracy, seed=seed)
    findings = tuple(msgspec.structs.replace(finding, backend="autograd") for finding in report.findings)
    return msgspec.structs.replace(report, title=f"{name}: {report.title}", findings=findings)
