"""A measurement as data, and as JSON both ways.

Format 1, of November 2026: what stands here.
"""

from pathlib import Path
from typing import Any

import msgspec

from gradcheck.bench.measuring.environment import Environment
from gradcheck.bench.measuring.job import Pool, Settings
from gradcheck.bench.results.spread import Timing
from gradcheck.bench.work.counts import Step
from gradcheck.cases.opening import TEXT, reading, regular
from gradcheck.errors import DataError
from gradcheck.foundation.wording import shown

FORMAT = 1


class Floor(msgspec.Struct, frozen=True, kw_only=True):
    """The bare products and activations: together, apart, and each step of a pass in which it takes its turn.

    Seconds are null where it is not known, and ``error`` says why.
    """

    seconds: float | None = None
    spread: float | None = None
    products: float | None = None
    activations: float | None = None
    steps: list[Step] = []
    error: str = ""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One backend on one case; where it could not be measured, ``error`` says why and the numbers are null.

    ``ratio`` is the gradient over the loss, ``of_floor`` over the floor, and ``of_products`` over the same products with
    this backend's own library, which take ``products`` seconds. The rest is as in `Facts`.
    """

    backend: str
    loss: Timing | None = None
    gradient: Timing | None = None
    ratio: float | None = None
    of_floor: float | None = None
    peak_memory: int | None = None
    accuracy: float | None = None
    accuracy_note: str = ""
    samples_per_second: float | None = None
    gflops: float | None = None
    products: float | None = None
    of_products: float | None = None
    threadpools: list[Pool] | None = None
    error: str = ""


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What ``gradcheck.verify`` of the manual build takes."""

    seconds: float | None = None
    spread: float | None = None
    peak_memory: int | None = None
    error: str = ""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about one case.

    The network is as a description file holds it; widths are its inputs, and the units of every dense layer, and null where
    other layers have parameters. Multiply-adds, operations and bytes of memory are counted, of one gradient.
    """

    name: str
    network: dict[str, Any]
    widths: list[int] | None
    parameters: int
    batch: int
    dtype: str
    threads: int
    multiply_adds: int | None
    operations: int | None
    memory: int | None
    floor: Floor
    rows: list[Row]
    verification: Verification | None = None
    warnings: list[str] = []

    @property
    def run(self) -> str:
        """``float64, 1 thread``"""
        return f"{self.dtype}, {self.threads} thread{'s' * (self.threads > 1)}"


class Growth(msgspec.Struct, frozen=True, kw_only=True):
    """How something grows: the slope of its logarithm, over cases that differ in one thing and have ``at`` in common.

    ``of`` is ``time`` or ``memory`` of the gradient of a backend, of ``floor`` or of ``verification``; ``against`` is
    ``width``, ``depth``, ``batch`` or ``parameters``. Slopes are of the measured, of what is counted at the same points
    (operations, or bytes), and the asymptotic one, where everything else is small. Points have what it grows with, and
    seconds or bytes.
    """

    backend: str
    of: str
    against: str
    at: str
    measured: float
    expected: float
    asymptotic: float
    points: list[tuple[float, float]]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A whole measurement."""

    format: int = FORMAT
    gradcheck: str
    environment: Environment
    settings: Settings
    cases: list[Measured]
    growth: list[Growth]


def read(path: Path) -> Result:
    """What was written as JSON.

    Raises
    ------
    DataError
        Where it cannot be read, or is of another format.
    """
    with reading(str(path)), regular(path, TEXT) as stream:
        try:
            raw = msgspec.json.decode(stream.read())
            found = raw.get("format") if isinstance(raw, dict) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
            if found != FORMAT:
                raise DataError(f"expected a benchmark of format {FORMAT}, got {shown(found)}")
            return msgspec.convert(raw, Result)
        except msgspec.MsgspecError as error:
            raise DataError(f"not a benchmark of ours: {error}") from None
