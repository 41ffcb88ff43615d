"""How something is measured, and what a parent and its child say about it: one job, then calls to time, as lines of JSON."""

from enum import StrEnum
from typing import Any

import msgspec

from gradcheck.bench.work.counts import Step


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How something is measured."""

    backends: tuple[str, ...]
    rounds: int = 15
    seconds: float = 0.05
    limit: float = 120.0
    seed: int = 0
    verification: bool = False
    device: str | None = None
    arithmetic: str | None = None


class Role(StrEnum):
    """What a child is there for."""

    FLOOR = "floor"
    REFERENCE = "reference"
    BACKEND = "backend"
    VERIFICATION = "verification"


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What one child measures.

    Attributes
    ----------
    role : Role
    case : dict
        As a description file holds it.
    backend : str
        As the command line names it.
    threads : int
        That libraries may use.
    device, arithmetic : str, optional
        Given to the backend, which must take them. Gradients come back as arrays, so its time includes waiting for a device.
    seconds : float
        That a block of calls is to take.
    limit : float
        Seconds after which an answer is given up.
    reference : str
        File of gradients in extended precision: written by the reference, read by backends, empty where there is none.
    """

    role: Role
    case: dict[str, Any]
    backend: str = ""
    threads: int = 1
    device: str | None = None
    arithmetic: str | None = None
    seconds: float = 0.05
    limit: float = 120.0
    reference: str = ""


class Pool(msgspec.Struct, frozen=True):
    """A library's threads, as threadpoolctl sees them."""

    library: str
    version: str | None
    threads: int
    architecture: str | None = None


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a child finds out once, before any clock runs.

    Attributes
    ----------
    calls : list of str
        What can be timed.
    peak_memory : int, optional
        Bytes that the first call of the gradient (or of the verification) took at most beyond what was there before.
    accuracy : float, optional
        The largest error of a gradient's entry, relative to the larger of the entry and its block's RMS.
    accuracy_note : str
        Why there is no accuracy.
    threadpools : list of Pool, optional
        None without threadpoolctl.
    """

    calls: list[str]
    peak_memory: int | None = None
    accuracy: float | None = None
    accuracy_note: str = ""
    threadpools: list[Pool] | None = None


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """A child's line: one of these."""

    loaded: bool = False
    facts: Facts | None = None
    seconds: float | None = None
    steps: list[Step] | None = None
    error: str = ""
