"""What questions bring, and what becomes of it in a report; of no framework."""

import re
from collections.abc import Callable, Collection, Generator, Iterator
from typing import NamedTuple, TypeAlias, TypeVar

from msgspec.structs import replace

from gradcheck.errors import CallFailed
from gradcheck.foundation.calling import raised
from gradcheck.report import Report
from gradcheck.verdict.causes import Cause
from gradcheck.verdict.findings import Diagnosis, Finding, Verdict

ADVICE = re.compile(
    r" (Hint: |The error occurred while |This \w+ with object id |See https?://).*?(?= \([^() ]+:\d+\)$|$)", re.DOTALL
)


class Breach(NamedTuple):
    """One thing that a backward function owes and did not keep: of which blocks, and what was seen."""

    cause: Cause
    names: frozenset[str]
    sentence: str

    @property
    def raised(self) -> bool:
        """Whether that was an exception."""
        return " raised " in self.sentence


Told: TypeAlias = Iterator[Breach | str]
"""What a question brings: breaches, and notes that are no verdict."""


class Kept(NamedTuple):
    """What a backward function did not keep of its contract, and what was noticed."""

    breaches: tuple[Breach, ...]
    notes: tuple[str, ...]


Examined = TypeVar("Examined")


def gathered(questions: Collection[Callable[[Examined], Told]], examined: Examined) -> Kept:
    """What all of them bring, each note once."""
    told = [each for question in questions for each in _told(question, examined)]
    notes = dict.fromkeys(each for each in told if isinstance(each, str))
    return Kept(tuple(each for each in told if isinstance(each, Breach)), tuple(notes))


def _told(question: Callable[[Examined], Told], examined: Examined) -> Told:
    """What it brings until the function fails where it did not before, which is a note."""
    try:
        yield from question(examined)
    except Exception as error:
        yield f"{question.__module__.rpartition('.')[2]}.{question.__name__} could not be asked: it {shortly(error)}"


def shortly(error: BaseException) -> str:
    """What was raised, without a framework's advice on how to look for it."""
    return ADVICE.sub("", raised(origin(error)))


def origin(error: BaseException) -> BaseException:
    """What the function raised, where ours only hands it on."""
    return error.__cause__ if isinstance(error, CallFailed) and error.__cause__ else error


def under_contract(report: Report, asked: Callable[[frozenset[str]], Kept]) -> Report:
    """Blocks that differences find nothing wrong with are wrong where the backward function does not keep its contract.

    On a kink its answers may differ, and where two calls do anyway: these blocks are not compared. Raise may it nowhere.
    """
    standing = {finding.name for finding in report.findings if finding.verdict is not Verdict.WRONG}
    if not standing:
        return report
    kept = asked(frozenset(finding.name for finding in report.findings if _is_compared(finding)))
    breaches = [(breach, sorted(breach.names & standing)) for breach in kept.breaches]
    sentences = {name: breach.sentence for breach, names in reversed(breaches) for name in names}
    return replace(
        report,
        findings=tuple(_broken(finding, sentences.get(finding.name, "")) for finding in report.findings),
        notes=(*report.notes, *kept.notes),
        diagnoses=(*report.diagnoses, *_causes(breaches)),
    )


def _is_compared(finding: Finding) -> bool:
    # Nor is what is nothing but rounding, of which an error as large as all of it would not have been seen.
    undecided = finding.verdict is Verdict.UNRESOLVED and not finding.resolution < 1
    return finding.verdict not in (Verdict.WRONG, Verdict.NONSMOOTH) and not undecided


def _broken(finding: Finding, sentence: str) -> Finding:
    """Wrong for a reason that is no error of its numbers."""
    if not sentence:
        return finding
    return Finding(name=finding.name, backend=finding.backend, verdict=Verdict.WRONG, reason=sentence, shape=finding.shape)


def _causes(breaches: list[tuple[Breach, list[str]]]) -> Generator[Diagnosis]:
    """Each cause once a block, with what was seen first, block by block."""
    first = {(name, breach.cause): breach.sentence for breach, names in reversed(breaches) for name in names}
    for name in dict.fromkeys(name for _, names in breaches for name in names):
        yield from (cause.of(name, how=first[name, cause]) for cause in Cause if (name, cause) in first)
