"""A report for people, in a terminal: a table of the blocks, a section for each that is not correct, and the verdict."""

import io
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gradcheck.foundation.writing import legible
from gradcheck.report.heatmap import Legend, Picture, heat_map
from gradcheck.report.sections import (
    UNEXPLAINED,
    Section,
    correct,
    folded,
    in_common,
    measures,
    numbers,
    sections,
    spent,
    strays,
)
from gradcheck.verdict.causes import advice, sentence
from gradcheck.verdict.findings import Entry, Finding, Verdict
from gradcheck.verdict.outcome import Outcome

STYLES = {
    Verdict.CORRECT: "green",
    Verdict.INEXACT: "yellow",
    Verdict.WRONG: "bold red",
    Verdict.UNRESOLVED: "magenta",
    Verdict.NONSMOOTH: "cyan",
}
LEGEND = (
    "error: of the worst entry, in units of its bound (above 1 is beyond rounding); "
    "resolution: the smallest relative error of one entry that this check would have flagged"
)
WIDTH = 110
ENTRIES = 3  # shown of a block
LAYOUTS = ((17, 2), (17, 1), (12, 1), (9, 1))  # digits of numbers and space between columns, as the width allows


def render(report: Outcome) -> RenderableType:
    """The whole report: a table, what there is to say of each block that is not correct, notes, and the verdict."""
    report = legible(report)
    verdict = Text.assemble("verdict: ", (str(report.verdict), STYLES[report.verdict]))
    verdict.append(f"   ({spent(report)})", style="dim")
    parts = [part for section in sections(report) if (part := _section(section)) is not None]
    pictures = any(heat_map(finding) for finding in report.findings)
    loose = [Text(f"{each.name}: {sentence(each)}", style="bold") for each in strays(report)]
    common = [Text(line, style="bold") for line in in_common(report)]
    notes = [Text(f"note: {note}") for note in report.notes]
    return Group(
        Text(report.title, style="bold"),
        *_summary(report),
        Text(LEGEND, style="dim"),
        *([Legend()] if pictures else []),
        *parts,
        *([Text()] if parts else []),
        *loose,
        *common,
        *notes,
        verdict,
    )


def to_text(report: Outcome, width: int = WIDTH) -> str:
    """The report as plain text, 110 columns wide unless told."""
    console = Console(file=io.StringIO(), width=width, color_system=None, force_terminal=False)
    console.print(render(report))
    text = console.file
    assert isinstance(text, io.StringIO)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def _summary(report: Outcome) -> Iterator[RenderableType]:
    """All blocks; where some are not correct, these, and the correct ones in a line."""
    others = [finding for finding in report.findings if finding.verdict is not Verdict.CORRECT]
    yield _table(others or report.findings)
    if others and (fine := correct(report.findings)):
        yield Text(folded(fine), style=STYLES[Verdict.CORRECT])


def _table(findings: Sequence[Finding]) -> Table:
    table = Table()
    for column in ("parameter", "backend"):
        table.add_column(column, overflow="fold")
    for column in ("error", "resolution"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    with_reason = any(finding.reason for finding in findings)
    if with_reason:
        table.add_column("why", overflow="fold")
    before = ""
    for finding in findings:
        if finding.name != before and before:
            table.add_section()
        table.add_row(*_row(finding, finding.name if finding.name != before else "", with_reason), style=_style(finding))
        before = finding.name
    return table


def _row(finding: Finding, name: str, with_reason: bool) -> list[Text]:
    verdict = Text(finding.verdict, style=STYLES[finding.verdict])
    row = [*map(Text, (name, finding.backend, *measures(finding))), verdict]
    return [*row, Text(finding.reason)] if with_reason else row


def _style(finding: Finding) -> str:
    return "red" if finding.verdict is Verdict.WRONG else ""


def _section(section: Section) -> RenderableType | None:
    """Heading, entries, picture, cause; None where the table has said it all."""
    parts = [*_where(section), *_why(section)]
    if not parts:
        return None
    return Group(Text(), Text(section.heading, style=STYLES[section.finding.verdict]), *(_indented(part) for part in parts))


def _where(section: Section) -> Iterator[RenderableType]:
    entries = section.finding.entries
    if entries:
        yield Entries(entries[:ENTRIES])
    if len(entries) > ENTRIES:
        yield Text(f"and {len(entries) - ENTRIES} more listed", style="dim")
    if section.slopes:
        yield Text(section.slopes)
    found = heat_map(section.finding)
    if found:
        yield Picture(found)


def _why(section: Section) -> Iterator[RenderableType]:
    """The cause and what to change; then what else would explain it."""
    for number, diagnosis in enumerate(section.diagnoses):
        yield _hanging("or:" if number else "cause:", Text(sentence(diagnosis), style="" if number else "bold"))
        if not number and advice(diagnosis):
            yield _hanging("remedy:", Text(advice(diagnosis)))
    if section.unexplained:
        yield Text(UNEXPLAINED, style="dim")


def _hanging(label: str, said: Text) -> Table:
    """A label with a text that is wrapped beside it."""
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(width=len("remedy:"), no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(label, said)
    return grid


def _indented(part: RenderableType) -> Padding:
    return Padding(part, (0, 0, 0, 2), expand=False)


class Entries(NamedTuple):
    """Entries as an aligned table, with as many digits as there is room for."""

    entries: Sequence[Entry]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """The widest table that fits, else the narrowest."""
        tables = [self._table(digits, space) for digits, space in LAYOUTS]
        fitting = (t for t in tables if Measurement.get(console, options.update(width=1000), t).maximum <= options.max_width)
        yield next(fitting, tables[-1])

    def _table(self, digits: int, space: int) -> Table:
        rows = [numbers(entry, digits) for entry in self.entries]
        start = 0 if any(row[0] for row in rows) else 1  # a single number has no index
        table = Table(box=None, pad_edge=False, padding=(0, space, 0, 0), header_style="dim")
        for column in ("entry", "claimed", "reference", "off by", "bound")[start:]:
            table.add_column(column, justify="left" if column == "entry" else "right", overflow="fold")
        for row in rows:
            table.add_row(*map(Text, row[start:]))
        return table
