"""The corpus on which `detection.py` measures: gradients with one planted fault, and correct ones that mislead.

Both generators are seeded, lazy and endless, and draw every subject from its own random numbers: the same seed gives
the same subjects whatever was asked for before, and ``find(name)`` rebuilds one alone.
"""

from collections.abc import Iterator
from itertools import count

import numpy as np
from subjects_common import Fault, Subject, leaves, mapped, rebuild, subject
from subjects_edges import AT_EDGES
from subjects_faulty import faulty, faulty_at
from subjects_kinks import AT_KINKS
from subjects_losses import Maker
from subjects_noise import UNDER_NOISE
from subjects_scales import AT_SCALES

__all__ = [
    "AWKWARD",
    "Fault",
    "Subject",
    "awkward",
    "awkward_at",
    "faulty",
    "faulty_at",
    "find",
    "leaves",
    "mapped",
    "rebuild",
]

AWKWARD: dict[str, Maker] = AT_KINKS | UNDER_NOISE | AT_EDGES | AT_SCALES


def awkward_at(seed: int, index: int) -> Subject:
    """The correct gradient of this index: kinds in turn."""
    kind, make = list(AWKWARD.items())[index % len(AWKWARD)]
    rng = np.random.default_rng([seed, index, 1])
    return subject(f"awkward-{seed}-{index}", kind, make(rng))


def awkward(seed: int) -> Iterator[Subject]:
    """Correct gradients that mislead checkers, without end."""
    return (awkward_at(seed, index) for index in count())


def find(name: str) -> Subject:
    """Rebuild one subject from its name, such as ``faulty-0-17``."""
    generator, seed, index = name.split("-")
    return {"faulty": faulty_at, "awkward": awkward_at}[generator](int(seed), int(index))
