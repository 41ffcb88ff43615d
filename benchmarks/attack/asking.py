"""One question to `gradcheck.check` and what it said, as plain data that a process can hand back."""

import time
import warnings
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import catalogue
import numpy as np
import planting
from base import Problem, agreement, leaves, quiet
from catalogue import Subject

import gradcheck

BLIND = 1e-3  # what no central difference agrees with to this, float64 hides
UNDECIDED = ("unresolved", "nonsmooth")


@dataclass(frozen=True)
class Said:
    """What was said of one block, and what was planted in it."""

    name: str
    verdict: str
    error: float
    bound: float
    resolution: float
    reason: str
    index: tuple[int, ...] | None
    fault: float = 0.0
    worst: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Reply:
    """One question. ``group`` is what the point is like; ``what`` the fault, empty where there is none."""

    name: str
    kind: str
    group: str
    what: str
    verdict: str
    said: tuple[Said, ...]
    evaluations: int
    seconds: float
    own: float
    off: float
    blind: bool = False

    @property
    def full_name(self) -> str:
        return f"{self.name}/{self.what}" if self.what else self.name

    def blocks(self, *verdicts: str) -> list[Said]:
        return [each for each in self.said if each.verdict in verdicts]


def asked(subject: Subject, problem: Problem, planted: planting.Planted | None = None) -> tuple[Any, Reply]:
    """The report, and what it said."""
    gradient = planted.gradient if planted else problem.gradient
    start = time.perf_counter()
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            report: Any = gradcheck.check(problem.loss, gradient, problem.at)
        except Exception as error:  # a crash is an answer to count
            report = error
    verdict = f"error: {report!r}"[:200] if isinstance(report, Exception) else str(report.verdict)
    findings = () if isinstance(report, Exception) else report.findings
    said = tuple(_said(finding, planted) for finding in findings)
    spent = getattr(report, "evaluations", 0)
    blind = verdict in UNDECIDED and planted is None and _blind(problem, said)
    seconds = time.perf_counter() - start
    what = planted.what if planted else ""
    return report, Reply(
        subject.name, subject.kind, subject.group, what, verdict, said, spent, seconds, subject.own, problem.off, blind
    )


def _said(finding: Any, planted: planting.Planted | None) -> Said:
    fault, worst = (planted.sizes.get(finding.name, 0.0), planted.worst.get(finding.name)) if planted else (0.0, None)
    return Said(
        finding.name,
        str(finding.verdict),
        finding.error,
        finding.bound,
        finding.resolution,
        finding.reason,
        finding.worst_index,
        fault,
        worst,
    )


def _blind(problem: Problem, said: tuple[Said, ...]) -> bool:
    """Whether some undecided block is one of which no central difference tells anything."""
    rng = np.random.default_rng(0)
    return any(agreement(problem, each.name, rng) > BLIND for each in said if each.verdict in UNDECIDED)


def correct(name: str) -> Reply:
    subject = catalogue.find(name)
    return asked(subject, subject.problem)[1]


def spoilt(name: str, what: str) -> planting.Planted | None:
    """The fault of this kind in this subject, the same whenever asked for."""
    subject = catalogue.find(name)
    if subject.ill or subject.problem.exact:
        return None
    if what.startswith("at "):
        _, size, block = what.split(" ", 2)
        return at_resolution(subject, block, float(size))
    rng = np.random.default_rng([crc32(subject.name.encode()), crc32(what.encode())])
    planted = planting.plant(rng, subject.problem, what)
    return planted if planted and planted.size >= planting.SIZES[0] else None


def faulty(name: str, what: str) -> Reply | None:
    subject, planted = catalogue.find(name), spoilt(name, what)
    return asked(subject, subject.problem, planted)[1] if planted else None


def at_resolution(subject: Subject, block: str, size: float) -> planting.Planted | None:
    """A random entry of a block off by a size, of either sign."""
    rng = np.random.default_rng([crc32(subject.name.encode()), crc32(block.encode())])
    g = np.asarray(dict(leaves(subject.problem.gradient(subject.problem.at)))[block])
    if not np.any(g) or block in subject.problem.zero:
        return None
    change = planting.entry_off(int(rng.integers(g.size)), size * float(rng.choice([-1.0, 1.0])))
    return planting.spoilt(subject.problem, f"at {size:.17g} {block}", block, change)


def planted_at_resolution(name: str) -> list[tuple[float, Reply]]:
    """Faults of 1, 2 and 10 times the stated resolution of each of some blocks, where all was called correct."""
    subject = catalogue.find(name)
    if subject.ill or subject.problem.exact:
        return []
    reply = asked(subject, subject.problem)[1]
    if reply.verdict != "correct":
        return []
    blocks = [each for each in reply.said if "zero" not in each.reason and np.isfinite(each.resolution)]
    found: list[tuple[float, Reply]] = []
    for each in blocks[:3]:
        for times in (1.0, 2.0, 10.0):
            planted = at_resolution(subject, each.name, times * each.resolution)
            if planted:
                found.append((times, asked(subject, subject.problem, planted)[1]))
    return found
