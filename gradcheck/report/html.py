"""A report as one page for a browser: no script, nothing from elsewhere."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from gradcheck.diagnosis.catalogue import advice, sentence
from gradcheck.report.heatmap import heat_map
from gradcheck.report.page import Cell, Grid, Table, rendered
from gradcheck.report.pictures import SHADES, grid
from gradcheck.report.sections import UNEXPLAINED, Section, correct, in_common, measures, numbers, sections, spent, strays
from gradcheck.verdict.findings import Entry, Finding, Verdict

if TYPE_CHECKING:
    from gradcheck.report.report import Report

LEGEND = (
    "error: of the worst entry, in units of its bound; above 1 is beyond rounding. "
    "resolution: the smallest relative error of one entry that this check would have flagged."
)


class Block(NamedTuple):
    """What there is to say of a block that is not correct; what does not apply is empty."""

    verdict: str
    heading: str
    said: tuple[str, ...]
    entries: Table | None
    map: Grid | None
    causes: list[tuple[str, str]]
    unexplained: str


def to_html(report: "Report") -> str:
    """The page: verdict, all blocks, a section for each that is not correct, notes, versions."""
    blocks = list(map(_block, sections(report)))
    others = [finding for finding in report.findings if finding.verdict is not Verdict.CORRECT]
    return rendered(
        "report.html",
        title=report.title,
        verdict=report.verdict,
        badge=report.verdict,
        spent=spent(report),
        others=_table("Blocks that are not correct", others),
        correct=_table("Blocks that are correct", correct(report.findings)),
        legend=LEGEND,
        blocks=blocks,
        shades=SHADES if any(block.map for block in blocks) else (),
        strays=[f"{each.name}: {sentence(each)}" for each in strays(report)],
        notes=[*in_common(report), *report.notes],
    )


def _table(label: str, findings: Sequence[Finding]) -> Table | None:
    """One row for each finding."""
    columns = ["parameter", "backend", "error", "resolution", "verdict"]
    if any(finding.reason for finding in findings):
        columns.append("why")
    return Table(label, columns, [_row(finding)[: len(columns)] for finding in findings]) if findings else None


def _row(finding: Finding) -> list[Cell]:
    return [
        Cell(finding.name),
        Cell(finding.backend),
        *(Cell(number, "number") for number in measures(finding)),
        Cell(finding.verdict, f"verdict {finding.verdict}"),
        Cell(finding.reason, "why"),
    ]


def _block(section: Section) -> Block:
    finding, found = section.finding, heat_map(section.finding)
    return Block(
        finding.verdict,
        section.heading,
        (finding.reason, section.slopes),
        listing(finding.entries) if finding.entries else None,
        grid(found) if found else None,
        _causes(section),
        UNEXPLAINED if section.unexplained else "",
    )


def listing(entries: Sequence[Entry], block: str = "") -> Table:
    """The worst entries, worst first."""
    rows = [
        [Cell(f"{block}{index}" or "the number", "index"), *(Cell(number, "number") for number in rest)]
        for index, *rest in map(numbers, entries)
    ]
    return Table("The worst entries", ["entry", "claimed", "reference", "off by", "bound"], rows)


def _causes(section: Section) -> list[tuple[str, str]]:
    """The first diagnosis is the cause; the others would explain it too."""
    if not section.diagnoses:
        return []
    first, *others = section.diagnoses
    return [("Cause", sentence(first)), ("Remedy", advice(first)), *(("Or", sentence(other)) for other in others)]
