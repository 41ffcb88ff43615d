"""A report as one page for a browser: no script, nothing from elsewhere."""

from collections.abc import Iterable

from gradcheck.foundation.writing import legible
from gradcheck.report.heatmap import SHADES, grid
from gradcheck.report.page import rendered
from gradcheck.report.sections import (
    UNEXPLAINED,
    correct,
    in_common,
    measures,
    numbers,
    sections,
    spent,
    strays,
    unchecked,
)
from gradcheck.verdict.findings import Entry, Finding, Verdict
from gradcheck.verdict.outcome import Outcome

LEGEND = (
    "error: of the worst entry, in units of its bound; above 1 is beyond rounding. "
    "resolution: the smallest relative error of one entry that this check would have flagged."
)


def to_html(report: Outcome) -> str:
    """The page: verdict, all blocks, a section for each that is not correct, notes, versions."""
    report = legible(report)
    found = [
        (section, listing(section.finding.entries), grid(section.finding), list(section.causes))
        for section in sections(report)
    ]
    return rendered(
        "report.html",
        report=report,
        spent=spent(report),
        others=[_row(finding) for finding in report.findings if finding.verdict is not Verdict.CORRECT],
        correct=list(map(_row, correct(report.findings))),
        legend=LEGEND,
        sections=found,
        shades=SHADES if any(shown for _, _, shown, _ in found) else (),
        unexplained=UNEXPLAINED,
        strays=strays(report),
        notes=[*in_common(report), *report.notes, *([unchecked(report)] if report.unchecked else [])],
    )


def _row(finding: Finding) -> tuple[str | tuple[str, str], ...]:
    verdict = (finding.verdict, finding.verdict)  # which is a colour, too
    return finding.name, finding.backend, *measures(finding), verdict, finding.reason


def listing(entries: Iterable[Entry], block: str = "") -> list[tuple[str, ...]]:
    """Rows for entries, in the order that they are in."""
    return [(f"{block}{index}" or "the number", *rest) for index, *rest in map(numbers, entries)]
