"""How accurate a gradient is, against the manual build's own in extended precision (80 bits on x86).

The manual build follows the dtype of what it is given, and gradcheck judges it elsewhere: here it is the ruler.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gradcheck.bench.work.counts import multiply_adds
from gradcheck.builds import registry
from gradcheck.cases.case import Case
from gradcheck.errors import DescriptionError, GradcheckError
from gradcheck.foundation.arrays import Array
from gradcheck.network.layers import GELU
from gradcheck.network.layers.blocks import leaves

# Multiply-adds. Extended precision has no BLAS: 20 to 30 s on a busy machine, 0.3 s for 3e7.
LARGEST = 2_000_000_000


class NoReference(GradcheckError):
    """Why there is no gradient in extended precision."""


def reference(case: Case) -> dict[str, Array]:
    """The gradients of a case in extended precision.

    Raises
    ------
    NoReference
        Where there is no such precision, no function in it, or too much to do.
    """
    _possible(case)
    wide: Any = np.longdouble
    parameters = {name: value.astype(wide) for name, value in case.parameters.items()}
    model = registry.backend("manual").build(case.network)
    try:
        with np.errstate(all="ignore"):
            _, gradients = model.loss_and_gradients(parameters, case.batch.astype(wide))
    except Exception as error:  # a ufunc without a loop for it, or a build that insists on its own dtypes
        raise NoReference(f"the manual build has no {np.dtype(wide)} here: {type(error).__name__}: {error}") from None
    _wide(gradients)
    return gradients


def save(path: Path, gradients: Mapping[str, Array]) -> None:
    """For other processes."""
    arrays: dict[str, Any] = dict(gradients)  # pyright would take one of them for `allow_pickle`
    np.savez(path, **arrays)


def read(path: Path) -> dict[str, Array]:
    """What was saved."""
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def error(gradients: Mapping[str, Any], precise: Mapping[str, Array]) -> float:
    """The largest of all entries, relative to the larger of the entry and its block's RMS.

    Raises
    ------
    NoReference
        Where an answer cannot be compared.
    """
    worst = 0.0
    for name, truth in precise.items():
        claimed = np.asarray(gradients[name]) if name in gradients else None
        if claimed is None or claimed.shape != truth.shape:
            raise NoReference(f"{name}: expected an array of shape {truth.shape}")
        worst = max(worst, _block(claimed.astype(truth.dtype), truth, name))
    return worst


def _block(claimed: Array, truth: Array, name: str) -> float:
    if not np.isfinite(claimed).all():
        raise NoReference(f"{name}: not all entries are finite")
    difference = np.abs(claimed - truth)
    scale = np.maximum(np.abs(truth), np.sqrt(np.mean(truth * truth)))
    with np.errstate(divide="ignore"):
        relative = np.divide(difference, scale, out=np.zeros_like(difference), where=difference > 0)
    return float(np.max(relative, initial=0))


def _possible(case: Case) -> None:
    if np.finfo(np.longdouble).nmant <= np.finfo(np.float64).nmant:
        raise NoReference("longdouble is no wider than float64 on this platform")
    # SciPy's erf stops at float64, and the tanh form has a constant that is rounded to float64.
    if any(isinstance(layer, GELU) for layer in leaves(case.network.layers)):
        raise NoReference("GELU has no function in extended precision")
    try:
        count = multiply_adds(case.network, case.samples or 1)
    except DescriptionError as error:
        raise NoReference(f"{error}, nor how long it takes in extended precision") from None
    if count > LARGEST:
        raise NoReference(f"{count:.2g} multiply-adds take too long in extended precision")


def _wide(gradients: Mapping[str, Array]) -> None:
    """Refuse gradients that were rounded to double on the way."""
    for name, value in gradients.items():
        if value.dtype != np.longdouble:
            raise NoReference(f"{name}: the manual build computed it in {value.dtype}")
    if all((value == value.astype(np.float64)).all() for value in gradients.values()):
        raise NoReference("the manual build computed in double precision")
