"""How something is measured, and what a parent and its child say about it: one job, then calls to time, as lines of JSON."""

from typing import Any, Literal, TypeAlias

import msgspec

from gradcheck.bench.work.counts import Step

Role: TypeAlias = Literal["floor", "reference", "backend", "verification"]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How something is measured.

    A block of calls is to take ``seconds``, and an answer is given up after ``limit``. Device and arithmetic are given to
    each backend, which must take them; gradients come back as arrays, so its time includes waiting for a device.
    """

    backends: tuple[str, ...]
    rounds: int = 15
    seconds: float = 0.05
    limit: float = 120.0
    seed: int = 0
    verification: bool = False
    device: str | None = None
    arithmetic: str | None = None


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What one child measures: a case as a description file holds it, with so many threads for libraries.

    ``backend`` is one of those in the settings. ``reference`` is the file of gradients in extended precision: written by the
    reference, read by backends, empty where there is none.
    """

    role: Role
    case: dict[str, Any]
    threads: int
    settings: Settings
    backend: str = ""
    reference: str = ""


class Pool(msgspec.Struct, frozen=True):
    """A library's threads, as threadpoolctl sees them."""

    library: str
    version: str | None
    threads: int
    architecture: str | None = None


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a child finds out once, before any clock runs: which calls can be timed, and the like.

    ``peak_memory`` is in bytes: what the first call of the gradient (or of the verification) took at most beyond what was
    there before. ``accuracy`` is the largest error of a gradient's entry, relative to the larger of the entry and its
    block's RMS; ``accuracy_note`` says why there is none. ``threadpools`` is None without threadpoolctl.
    """

    calls: list[str] = []
    peak_memory: int | None = None
    accuracy: float | None = None
    accuracy_note: str = ""
    threadpools: list[Pool] | None = None


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """A child's line: one of these, or nothing but that it has loaded."""

    facts: Facts | None = None
    seconds: float | None = None
    steps: list[Step] | None = None
    error: str = ""
