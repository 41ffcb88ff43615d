"""A report as one page for a browser: no script, nothing from elsewhere."""

import platform
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from importlib import metadata
from typing import TYPE_CHECKING, TypeAlias

from gradcheck.report.heatmap import heat_map
from gradcheck.report.pictures import heat_table, legend
from gradcheck.report.sections import UNEXPLAINED, Section, correct, in_common, measures, numbers, sections, spent, strays
from gradcheck.report.sentences import advice, sentence
from gradcheck.report.style import STYLE
from gradcheck.verdict.causes import Diagnosis
from gradcheck.verdict.findings import Entry, Finding, Verdict

if TYPE_CHECKING:
    from gradcheck.report.report import Report

Cell: TypeAlias = tuple[str, str]  # what it says, and its class
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{verdict}: {title}</title>
<style>{style}</style>
</head>
<body>
<header>
<h1>{title}</h1>
<p><span class="badge {verdict}">{verdict}</span> <span class="soft">{spent}</span></p>
</header>
<main>
{main}
</main>
<footer>{versions}</footer>
</body>
</html>
"""
LEGEND = (
    "error: of the worst entry, in units of its bound; above 1 is beyond rounding. "
    "resolution: the smallest relative error of one entry that this check would have flagged."
)


def to_html(report: "Report") -> str:
    """The page: verdict, all blocks, a section for each that is not correct, notes, versions."""
    own = sections(report)
    parts = [_summary(report), _sections(own), _strays(strays(report)), _notes([*in_common(report), *report.notes])]
    page = PAGE.format(
        title=escape(report.title),
        verdict=report.verdict,
        spent=spent(report),
        style=STYLE,
        main="\n".join(filter(None, parts)),
        versions=_versions(),
    )
    return page.encode("utf-8", "backslashreplace").decode()  # a name from a file system may hold half a character


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
    return _wide(label, columns, [_row(finding)[: len(columns)] for finding in findings])


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
    return _wide("The worst entries", columns, rows)


def _wide(label: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """A table that scrolls by itself where the page is narrower; on a small screen each row is a list of its own."""
    head = "".join(f'<th scope="col" class="{kind}">{name}</th>' for name, (_, kind) in zip(columns, rows[0], strict=True))
    body = "\n".join(f"<tr>{''.join(_cells(columns, row))}</tr>" for row in rows)
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{label}"><table class="grid" aria-label="{label}">'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def _cells(columns: Sequence[str], row: Sequence[Cell]) -> Iterator[str]:
    """The first one names the row."""
    (name, kind), *rest = row
    yield f'<th scope="row" class="{kind}">{escape(name)}</th>'
    for column, (value, kind) in zip(columns[1:], rest, strict=True):
        yield f'<td class="{kind}" data-label="{column}">{escape(value)}</td>'


def _causes(section: Section) -> str:
    """The first diagnosis is the cause; the others would explain it too."""
    if not section.diagnoses:
        return f'<p class="soft">{UNEXPLAINED}</p>' if section.unexplained else ""
    first, *others = section.diagnoses
    said = [("Cause", sentence(first)), ("Remedy", advice(first)), *(("Or", sentence(other)) for other in others)]
    terms = "".join(f"<dt>{term}</dt><dd>{escape(text)}</dd>" for term, text in said if text)
    return f'<dl class="cause">{terms}</dl>'


def _strays(diagnoses: Sequence[Diagnosis]) -> str:
    return _list("Other causes", [f"{each.name}: {sentence(each)}" for each in diagnoses])


def _notes(notes: Sequence[str]) -> str:
    return _list("Notes", notes)


def _list(title: str, lines: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f'<h2>{title}</h2>\n<ul class="notes">{items}</ul>' if lines else ""


def _versions() -> str:
    """What has made the report."""
    installed = [f"{name} {metadata.version(name)}" for name in ("gradcheck", "numpy")]
    return escape(", ".join([*installed, f"Python {platform.python_version()}"]))
