"""`Report`: findings, and what was spent on them."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from gradcheck.diagnosis.corrections import Diagnosis
from gradcheck.errors import GradientMismatch
from gradcheck.verdict.findings import Finding, Verdict, overall

FORMAT = 1


class Report(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """What a check found, block by block.

    Attributes
    ----------
    title : str
        What was checked.
    findings : tuple of Finding
        One for each block and backend.
    evaluations : int
        Loss evaluations spent by the oracles.
    notes : tuple of str
        What was noticed and is no verdict.
    diagnoses : tuple of Diagnosis
        Named causes of what is wrong, for each block simplest first.
    diagnosis_evaluations : int
        Loss evaluations that they took besides.
    """

    title: str
    findings: tuple[Finding, ...]
    evaluations: int = 0
    notes: tuple[str, ...] = ()
    diagnoses: tuple[Diagnosis, ...] = ()
    diagnosis_evaluations: int = 0

    @property
    def recipe(self) -> Any:
        """The call that returned this report (`Recipe`), or None. No part of what was found."""
        return vars(self).get("recipe")

    @property
    def verdict(self) -> Verdict:
        """The first that occurs of wrong, unresolved, nonsmooth, inexact, correct; unresolved if nothing was checked."""
        return overall(finding.verdict for finding in self.findings)

    @property
    def wrong(self) -> frozenset[str]:
        """Names of the wrong blocks."""
        return frozenset(finding.name for finding in self.findings if finding.verdict is Verdict.WRONG)

    def labelled(self, backend: str) -> "Report":
        """The same with every finding and diagnosis that of this backend."""
        findings = tuple(msgspec.structs.replace(finding, backend=backend) for finding in self.findings)
        diagnoses = tuple(msgspec.structs.replace(diagnosis, backend=backend) for diagnosis in self.diagnoses)
        return msgspec.structs.replace(self, findings=findings, diagnoses=diagnoses)

    def require(self) -> None:
        """Raise `GradientMismatch` with the whole report unless the verdict is correct or inexact."""
        if self.verdict not in (Verdict.CORRECT, Verdict.INEXACT):
            raise GradientMismatch(f"verdict: {self.verdict}\n{self}")

    def reproducer(self, path: str | os.PathLike[str]) -> None:
        """Write one Python file that asks again: the case or point, the call, and what was found.

        Run in a fresh process, ``python PATH``, it prints the report; where the same blocks get the same verdicts it exits
        with 0, else with 1 and one line that says what differs. Arguments are written as they are now: a model that was
        trained on since the check is another one.

        Parameters
        ----------
        path : path
            What stands there is replaced.

        Raises
        ------
        OutputError
            Where the file cannot be written, an argument cannot be put into it, or no check returned this report itself
            (it was built by hand, unpickled, or is a changed copy). Nothing is written then.
        """
        from gradcheck.foundation.writing import write  # these know cases and networks, which nothing else here does
        from gradcheck.report.reproducer.file import text

        write(Path(path), text(self))

    def to_json(self) -> str:
        """The report as JSON, ``"format": 1``; infinite numbers are ``null``."""
        return msgspec.json.format(msgspec.json.encode(self.to_table()), indent=2).decode()

    def to_html(self) -> str:
        """The report as one page that needs nothing but itself."""
        from gradcheck.report.html import to_html

        return to_html(self)

    def to_table(self) -> dict[str, Any]:
        """The report as plain values; keys are attribute names."""
        return {
            "format": FORMAT,
            "verdict": str(self.verdict),
            "wrong": sorted(self.wrong),
            **msgspec.to_builtins(self),
        }

    def __str__(self) -> str:
        from gradcheck.report.text import to_text  # rich is imported where something is rendered

        return to_text(self)


def joined(title: str, reports: Sequence[Report], notes: Sequence[str] = ()) -> Report:
    """Several reports as one, each note once."""
    return Report(
        title=title,
        findings=tuple(finding for report in reports for finding in report.findings),
        evaluations=sum(report.evaluations for report in reports),
        notes=tuple(dict.fromkeys([*(note for report in reports for note in report.notes), *notes])),
        diagnoses=tuple(diagnosis for report in reports for diagnosis in report.diagnoses),
        diagnosis_evaluations=sum(report.diagnosis_evaluations for report in reports),
    )
