# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false
# (PyTorch's annotations are partial.)
"""One question to `gradcheck.check_torch` against a reference, and what it said, as rows of plain values."""

import re
import time
import warnings
from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
import torch

import gradcheck
from benchmarks.kernels.catalogue import OPERATIONS
from benchmarks.kernels.data import HARD, SIZES, STANDARD, Draw
from benchmarks.kernels.operation import Fault, Kernel, Operation, kernel
from benchmarks.kernels.ways import LOW, WAYS, OneOff, as_it_is, planted
from gradcheck.comparison.judging import BOUND

GROUPS = {"standard": STANDARD, "hard": HARD}
OFF = (1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6)
TOLD = ("non-finite", "nondeterministic")  # causes that are counted like verdicts
DRAWS = 1000  # seeds of one run


class Case(NamedTuple):
    """One question; ``size`` is by how much one entry is off, where that is planted."""

    kind: str
    operation: str
    candidate: str
    precision: str
    data: str
    shape: str
    seed: int
    size: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.operation} / {self.candidate} ({self.precision}, {self.data}, {self.shape})"

    def number(self) -> int:
        """Of its own, the same in every process."""
        return crc32(repr(tuple(self)).encode())


class Chosen(NamedTuple):
    """What is asked about: names, and patterns of operations."""

    kinds: list[str]
    precisions: list[str]
    data: list[str]
    shapes: list[str]
    operations: list[str]
    seed: int


def cases(chosen: Chosen) -> Iterator[Case]:
    """Every case that was chosen."""
    data = [name for group in chosen.data for name in GROUPS.get(group, (group,))]
    where = list(product(chosen.precisions, data, chosen.shapes))
    for name, operation in OPERATIONS.items():
        if any(re.search(pattern, name) for pattern in chosen.operations):
            for kind, (precision, drawn, shape) in product(chosen.kinds, where):
                for candidate, size in _candidates(operation, kind, precision):
                    yield Case(kind, name, candidate, precision, drawn, shape, chosen.seed, size)


def _candidates(operation: Operation, kind: str, precision: str) -> Iterator[tuple[str, float]]:
    if kind == "honest":
        yield from ((way, 0.0) for way in operation.ways)
    elif kind == "faults":
        stored = WAYS[precision].dtype
        yield from ((name, 0.0) for name, each in operation.faults.items() if _shows(each, stored))
    else:
        right = [way for way in operation.ways if way not in operation.inexact]
        yield from ((right[place % len(right)], size) for place, size in enumerate(OFF))


def _shows(fault: Fault, stored: torch.dtype) -> bool:
    """Whether it is a fault where this is stored: what is rounded there anyway is not."""
    return stored not in LOW if fault.rounding else fault.dtype in (None, stored)


def _kernel(case: Case, operation: Operation, arguments: tuple[torch.Tensor, ...]) -> tuple[Kernel, str]:
    """The candidate, and the cause that should be named."""
    way = WAYS[case.precision]
    if case.kind == "faults":
        fault = operation.faults[case.candidate]
        return (as_it_is if fault.dtype else way.wrapped)(kernel(fault.kernel)), fault.cause
    right = way.wrapped(kernel(operation.ways[case.candidate]))
    if case.kind == "honest":
        return right, ""
    places = [-1, *(place for place, each in enumerate(arguments) if each.requires_grad)]
    place = int(np.random.default_rng(case.number()).choice(places))
    return planted(right, place, OneOff(case.size, case.number())), "single-entry"


def ask(case: Case) -> list[dict[str, Any]]:
    """A row for each block; one row that says what was raised where that happened."""
    torch.set_num_threads(1)
    operation, way = OPERATIONS[case.operation], WAYS[case.precision]
    start = time.perf_counter()
    known: dict[str, Any] = {**case._asdict(), "name": case.name}
    try:
        draw = Draw(case.data, SIZES[case.shape], DRAWS * case.seed + crc32(case.operation.encode()) % DRAWS)
        arguments = way.arguments(operation.arguments(draw))
        candidate, known["label"] = _kernel(case, operation, arguments)
        known["rounding"] = case.kind == "faults" and operation.faults[case.candidate].rounding
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            report = gradcheck.check_torch(
                candidate, *arguments, reference=kernel(operation.reference), contract=False, seed=case.seed
            )
    except Exception as error:  # a crash is an answer to count
        raised = f"raised: {type(error).__name__}: {error}"[:300]
        return [{**known, "block": "", "verdict": "raised", "reason": raised, "seconds": time.perf_counter() - start}]
    known |= {"evaluations": report.evaluations, "seconds": time.perf_counter() - start}
    known["first"] = report.diagnoses[0].cause if report.diagnoses else ""
    return [{**known, **_said(report, finding)} for finding in report.findings]


def _said(report: Any, finding: Any) -> dict[str, Any]:
    causes = [each.cause for each in report.diagnoses if each.name == finding.name]
    return {
        "block": finding.name,
        "verdict": next((each for each in TOLD if each in causes), str(finding.verdict)),
        "scales": BOUND * finding.ratio,
        "resolution": finding.resolution,
        "reason": finding.reason,
        "cause": causes[0] if causes else "",
    }
