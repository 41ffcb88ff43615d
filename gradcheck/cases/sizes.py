"""Whether a case fits into this machine: asked before anything is allocated, in numbers of 8 bytes."""

import os
from math import prod

from gradcheck.errors import DescriptionError
from gradcheck.network.layers.blocks import numbers
from gradcheck.network.losses import Targets
from gradcheck.network.network import Network

BYTES = 8
ARRAYS = 3  # of its size live while a parameter or a batch is drawn, scaled and examined
# Live at once while a case is verified: 8 to 12 of the parameters' size were measured, and up to 20 of the layers' outputs.
VERIFYING = 20


def parameters_fit(network: Network, arrays: int = ARRAYS) -> None:
    """Raise `DescriptionError` where so many copies of the parameters need more memory than there is."""
    count = sum(map(prod, network.parameter_shapes.values()))
    _fits("layers", f"{_said(count)} parameters", count, arrays)


def samples_fit(network: Network, samples: int) -> None:
    """The same of a batch: inputs and targets."""
    each = prod(network.inputs) + prod(network.target_shape)
    _fits("samples", f"{_said(samples)} samples of {_said(each)} numbers", samples * each, ARRAYS)


def verification_fits(network: Network, samples: int) -> None:
    """The same of all that a verification holds at once."""
    parameters_fit(network, VERIFYING)
    each = numbers(network, network.inputs)
    if network.loss.targets is Targets.CLASSES:
        classes = network.shapes[-1][-1]
        _fits("loss", f"{_said(classes)} classes, squared", classes * classes, ARRAYS)
    said = f"{_said(samples)} samples of {_said(each)} numbers (inputs, and what all layers make of them)"
    _fits("samples", said, samples * each, VERIFYING)


def _fits(path: str, what: str, numbers: int, arrays: int) -> None:
    need, have = BYTES * arrays * numbers, memory()
    if have and need > have:
        sentence = f"{what} need about {_gigabytes(need)} GB in {arrays} arrays, this machine has {_gigabytes(have)}"
        raise DescriptionError(sentence, path)


def memory() -> int:
    """Of this machine, in bytes; 0 where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # another system than POSIX
        return 0


def _gigabytes(size: int) -> str:
    tenths = size // 10**8  # whole numbers do not overflow
    return f"{_said(tenths // 10)}.{tenths % 10}"


def _said(count: int) -> str:
    digits = len(str(count)) if count < 10**4000 else 4000
    return f"{count:,}" if digits <= 18 else f"more than 1e{digits - 1}"
