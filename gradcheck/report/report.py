"""`Report`: what a check found, in whatever form somebody wants it."""

import os
import random
from collections.abc import Callable, Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import msgspec

from gradcheck.errors import GradientMismatch
from gradcheck.foundation.wording import shown
from gradcheck.foundation.writing import json_text, write
from gradcheck.verdict.findings import Verdict
from gradcheck.verdict.outcome import Outcome, Recipe

FORMAT = 1
# A page of its own inside a notebook's: neither one's style reaches the other.
FRAME = '<iframe srcdoc="{}" title="gradcheck report" style="width: 100%; height: 32rem; border: 0"></iframe>'


class Report(Outcome, frozen=True, kw_only=True):
    """What a check found, block by block; its attributes are those of `Outcome`.

    It is true where the verdict is correct or inexact, so that ``assert check(...)`` means what it says.
    """

    def __bool__(self) -> bool:
        return self.verdict in (Verdict.CORRECT, Verdict.INEXACT)

    def labelled(self, backend: str) -> "Report":
        """The same with every finding and diagnosis that of this backend; no call returns such a one."""
        findings = tuple(msgspec.structs.replace(finding, backend=backend) for finding in self.findings)
        diagnoses = tuple(msgspec.structs.replace(diagnosis, backend=backend) for diagnosis in self.diagnoses)
        return msgspec.structs.replace(self, findings=findings, diagnoses=diagnoses, recipe=Recipe())

    def require(self, *, supported: bool = False) -> None:
        """Raise `GradientMismatch` with the whole report unless the verdict is correct or inexact.

        Parameters
        ----------
        supported : bool
            Raise it also where a build does not support the network.
        """
        if not self:
            raise GradientMismatch(f"verdict: {self.verdict}\n{self}")
        if supported and self.unsupported:
            raise GradientMismatch(f"unsupported by {', '.join(self.unsupported)}\n{self}")

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
            Where the file cannot be written, an argument cannot be put into it, or no check returned this report (it was
            built by hand, labelled or joined, or comes from another process). Nothing is written then.
        """
        from gradcheck.report.reproducer.file import text

        write(Path(path), text(self))

    def to_json(self) -> str:
        """The report as JSON, ``"format": 1``; infinite numbers are ``null``, halves of characters their escapes."""
        return json_text(self.to_table())

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
            **{name: msgspec.to_builtins(getattr(self, name)) for name in self.__struct_fields__ if name != "recipe"},
        }

    def __repr__(self) -> str:
        wrong = f" in {shown(', '.join(sorted(self.wrong)))}" if self.wrong else ""
        return f"<Report: {self.words}{wrong}; {shown(self.title)}>"

    def _repr_html_(self) -> str:
        """The page, as notebooks show it."""
        return FRAME.format(escape(self.to_html()))

    def __str__(self) -> str:
        return _renderer()(self)


@cache
def _renderer() -> Callable[[Report], str]:
    """Rich is imported where something is rendered; it draws a number then, which is not its to draw."""
    numbers = random.getstate()
    from gradcheck.report.text import to_text

    random.setstate(numbers)
    return to_text


def joined(title: str, reports: Sequence[Report], notes: Sequence[str] = ()) -> Report:
    """Several reports as one, each note once."""
    return Report(
        title=title,
        findings=tuple(finding for report in reports for finding in report.findings),
        evaluations=sum(report.evaluations for report in reports),
        notes=tuple(dict.fromkeys([*(note for report in reports for note in report.notes), *notes])),
        diagnoses=tuple(diagnosis for report in reports for diagnosis in report.diagnoses),
        diagnosis_evaluations=sum(report.diagnosis_evaluations for report in reports),
        unchecked=tuple(dict.fromkeys(name for report in reports for name in report.unchecked)),
    )
