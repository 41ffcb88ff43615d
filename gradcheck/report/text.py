"""A report for people, in a terminal: a table of the blocks, a section for each that is not correct, and the verdict."""

import io
from collections.abc import Iterator, Sequence
from itertools import groupby
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

STYLES = {
    Verdict.CORRECT: "green",
    Verdict.INEXACT: "yellow",
    Verdict.WRONG: "bold red",
    Verdict.UNRESOLVED: "magenta",
    Verdict.NONSMOOTH: "cyan",
    Verdict.UNSUPPORTED: "blue",
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
    return Group(*_parts(legible(report)))


def to_text(report: Outcome, width: int = WIDTH) -> str:
    """The report as plain text, 110 columns wide unless told."""
    file = io.StringIO()
    Console(file=file, width=width, color_system=None, force_terminal=False).print(render(report))
    return "\n".join(map(str.rstrip, file.getvalue().splitlines()))


def _parts(report: Outcome) -> Iterator[RenderableType]:
    yield Text(report.title, style="bold")
    yield from _summary(report)
    yield Text(LEGEND, style="dim")
    if any(map(heat_map, report.findings)):
        yield Legend()
    found = [part for section in sections(report) if (part := _section(section)) is not None]
    yield from found
    if found:
        yield Text()
    yield from (Text(line, style="bold") for line in (*strays(report), *in_common(report)))
    yield from (Text(f"note: {note}") for note in report.notes)
    if report.unchecked:
        yield Text(unchecked(report))
    yield Text.assemble("verdict: ", (report.words, STYLES[report.verdict]), (f"   ({spent(report)})", "dim"))


def _summary(report: Outcome) -> Iterator[RenderableType]:
    """All blocks; where some are not correct, these, and the correct ones in a line."""
    others = [finding for finding in report.findings if finding.verdict is not Verdict.CORRECT]
    yield _table(others or report.findings)
    if others and (fine := correct(report.findings)):
        yield Text(_folded(fine), style=STYLES[Verdict.CORRECT])


def _folded(findings: list[Finding]) -> str:
    """The correct ones in a line."""
    error = max(finding.ratio for finding in findings)
    resolution = max(finding.resolution for finding in findings)
    return f"{len(findings)} more: correct (error at most {error:.2g} of its bound, resolution at worst {resolution:.1e})"


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
    for name, group in groupby(findings, lambda finding: finding.name):
        table.add_section()
        for index, finding in enumerate(group):
            style = "red" if finding.verdict is Verdict.WRONG else ""
            table.add_row(*_row(finding, "" if index else name, with_reason), style=style)
    return table


def _row(finding: Finding, name: str, with_reason: bool) -> list[Text]:
    verdict = Text(finding.verdict, style=STYLES[finding.verdict])
    row = [*map(Text, (name, finding.backend, *measures(finding))), verdict]
    return [*row, Text(finding.reason)] if with_reason else row


def _section(section: Section) -> RenderableType | None:
    """Heading, entries, picture, cause; None where the table has said it all."""
    parts = [Padding.indent(part, 2) for part in _said(section)]
    if not parts:
        return None
    return Group(Text(), Text(section.heading, style=STYLES[section.finding.verdict]), *parts)


def _said(section: Section) -> Iterator[RenderableType]:
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
    for label, said in section.causes:
        yield _hanging(f"{label.lower()}:", Text(said, style="bold" if label == "Cause" else ""))
    if section.unexplained:
        yield Text(UNEXPLAINED, style="dim")


def _hanging(label: str, said: Text) -> Table:
    """A label with a text that is wrapped beside it."""
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(width=len("remedy:"), no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(label, said)
    return grid


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
