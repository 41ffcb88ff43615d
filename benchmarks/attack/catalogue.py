"""All kinds of the corpus; a subject is drawn from its kind and its number, and rebuilt from its name alone."""

from dataclasses import dataclass
from functools import cached_property
from zlib import crc32

import numpy as np
from base import ILL, Maker, Problem, own_errors
from blocks import BLOCKS
from corners import CORNERS
from curves_smooth import SMOOTH_CURVES
from kinks import STRUCTURED_KINKS
from models import MODELS
from noise import NOISE
from pieces import PIECES
from shifted import SHIFTED_PROBLEMS
from specials import SPECIALS
from steps import STEPS
from zeros import ZEROS

KINDS: dict[str, Maker] = {
    **SMOOTH_CURVES,
    **MODELS,
    **STEPS,
    **SPECIALS,
    **SHIFTED_PROBLEMS,
    **PIECES,
    **STRUCTURED_KINKS,
    **CORNERS,
    **ZEROS,
    **NOISE,
    **BLOCKS,
}


@dataclass(frozen=True)
class Subject:
    """A correct problem with its name."""

    kind: str
    number: int
    problem: Problem

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.number}"

    @cached_property
    def own(self) -> float:
        """How far its claim is off by rounding; not a number where it overflows."""
        return float(np.max([*own_errors(self.problem).values(), self.problem.off], initial=0))

    @property
    def ill(self) -> bool:
        """Whether its claim is no correct one: a draw to set aside."""
        return not self.own <= ILL

    @property
    def group(self) -> str:
        """The strongest thing to say of it."""
        flags = {"ill": self.ill, **{flag: getattr(self.problem, flag) for flag in ("exact", "buried", "beside")}}
        return next((flag for flag, there in flags.items() if there), "ordinary")


def draw(kind: str, number: int) -> Subject:
    return Subject(kind, number, KINDS[kind](np.random.default_rng([crc32(kind.encode()), number])))


def find(name: str) -> Subject:
    """Rebuild one from a name such as ``smooth.logdet-17``."""
    kind, _, number = name.rpartition("-")
    return draw(kind, int(number))
