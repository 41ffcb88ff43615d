"""A report as one page for a browser: no script, nothing from elsewhere."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from gradcheck.report.heatmap import heat_map
from gradcheck.report.page import Cell, framed, listed, terms, wide
from gradcheck.report.pictures import heat_table, legend
from gradcheck.report.sections import UNEXPLAINED, Section, correct, in_common, measures, numbers, sections, spent, strays
from gradcheck.report.style import STYLE
from gradcheck.verdict.causes import advice, sentence
from gradcheck.verdict.findings import Diagnosis, Entry, Finding, Verdict

if TYPE_CHECKING:
    from gradcheck.report.report import Report

LEGEND = (
    "error: of the worst entry, in units of its bound; above 1 is beyond rounding. "
    "resolution: the smallest relative error of one entry that this check would have flagged."
)


def to_html(report: "Report") -> str:
    """The page: verdict, all blocks, a section for each that is not correct, notes, versions."""
    own = sections(report)
    parts = [_summary(report), _sections(own), _strays(strays(report)), _notes([*in_common(report), *report.notes])]
    return framed(report.title, report.verdict, report.verdict, spent(report), STYLE, parts)


def _summary(report: "Report") -> str:
    """Every block; the correct ones fold away where others are not."""
    fine, others = correct(report.findings), [f for f in report.findings if f.verdict is not Verdict.CORRECT]
    parts = ["<h2>Blocks</h2>"]
    if others:
        parts.append(_table("Blocks that are not correct", others))
    if fine:
        count = f"{len(fine)} {'more ' if others else ''}correct"
        opened = "" if others else " open"
        parts.append(f"<details{opened}><summary>{count}</summary>{_table('Blocks that are correct', fine)}</details>")
    return "\n".join([*parts, f'<p class="soft">{LEGEND}</p>'])


def _table(label: str, findings: Sequence[Finding]) -> str:
    """One row for each finding."""
    with_reason = any(finding.reason for finding in findings)
    columns = ["parameter", "backend", "error", "resolution", "verdict", *(["why"] if with_reason else [])]
    return wide(label, columns, [_row(finding)[: len(columns)] for finding in findings])


def _row(finding: Finding) -> list[Cell]:
    error, resolution = measures(finding)
    return [
        (finding.name, ""),
        (finding.backend, ""),
        (error, "number"),
        (resolution, "number"),
        (str(finding.verdict), f"verdict {finding.verdict}"),
        (finding.reason, "why"),
    ]


def _sections(found: Sequence[Section]) -> str:
    if not found:
        return ""
    pictures = any(heat_map(section.finding) for section in found)
    return "\n".join(["<h2>What is not right</h2>", *([legend()] if pictures else []), *map(_section, found)])


def _section(section: Section) -> str:
    """Heading, reason, entries, map, cause."""
    finding, heat = section.finding, heat_map(section.finding)
    parts = [
        f'<section class="block {finding.verdict}">',
        f"<h3>{escape(section.heading)}</h3>",
        *(f'<p class="soft">{escape(said)}</p>' for said in (finding.reason, section.slopes) if said),
        _entries(finding.entries) if finding.entries else "",
        heat_table(heat) if heat else "",
        _causes(section),
        "</section>",
    ]
    return "\n".join(filter(None, parts))


def _entries(entries: Iterable[Entry]) -> str:
    """All that are listed, worst first."""
    columns = ["entry", "claimed", "reference", "off by", "bound"]
    rows = [
        [(index or "the number", "index"), *((number, "number") for number in rest)]
        for index, *rest in map(numbers, entries)
    ]
    return wide("The worst entries", columns, rows)


def _causes(section: Section) -> str:
    """The first diagnosis is the cause; the others would explain it too."""
    if not section.diagnoses:
        return f'<p class="soft">{UNEXPLAINED}</p>' if section.unexplained else ""
    first, *others = section.diagnoses
    said = [("Cause", sentence(first)), ("Remedy", advice(first)), *(("Or", sentence(other)) for other in others)]
    return terms(said)


def _strays(diagnoses: Sequence[Diagnosis]) -> str:
    return listed("Other causes", [f"{each.name}: {sentence(each)}" for each in diagnoses])


def _notes(notes: Sequence[str]) -> str:
    return listed("Notes", notes)
