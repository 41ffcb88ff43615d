"""A campaign for people, in a terminal: counts, reasons, the worst error of each backend, and a line for each cause."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from gradcheck.campaign.report.words import (
    ERRORS,
    SHORT,
    cause,
    common,
    conclusion,
    counted,
    course,
    errors,
    outcome,
    outline,
    shown,
    title,
    verdicts,
)
from gradcheck.foundation.wording import printable
from gradcheck.foundation.writing import legible
from gradcheck.report.text import STYLES
from gradcheck.verdict.findings import Verdict

if TYPE_CHECKING:
    from gradcheck.campaign.results.summary import Failure, Summary

REASONS = 3  # shown of a verdict
COMMON = 3  # shown of what the cases of a failure have in common
LINES = 30  # failures shown; a page has all of them


def render(summary: "Summary", store: str = "CAMPAIGN") -> RenderableType:
    """The whole summary; the causes of what is wrong stand last, and after them how to go on.

    Parameters
    ----------
    summary : Summary
    store : str
        What the campaign's file is called, in the commands to go on with.
    """
    summary = legible(summary)
    parts: list[RenderableType] = [Text(title(summary), style="bold"), Text(course(summary))]
    if summary.verdicts:
        parts += [Text(), _verdicts(summary)]
    if summary.errors:
        parts += [Text(), _errors(summary), Text(ERRORS, style="dim")]
    if summary.failures:
        parts += [Text(), Failures(summary.failures[:LINES]), *_left(summary)]
    parts += [Text(), Text(conclusion(summary), style=STYLES[outcome(summary)])]
    return Group(*parts, *_next(summary, printable(store)))


def _verdicts(summary: "Summary") -> Table:
    """How many cases of each, and why those have no answer that have none."""
    table = _plain("verdict", ("cases", "right"), ("share", "right"), "why")
    for verdict, cases, part, reason in verdicts(summary, REASONS):
        style, dim = (STYLES[Verdict(verdict)], "") if verdict else ("", "dim")
        table.add_row(Text(verdict, style=style), Text(cases, style=dim), part, Text(reason))
    return table


def _errors(summary: "Summary") -> Table:
    """The worst of each backend."""
    table = _plain("backend", ("cases", "right"), ("above 1", "right"), ("worst error", "right"), "case")
    for backend, cases, above, worst, case in errors(summary):
        style = STYLES[Verdict.WRONG] if above != "0" else ""
        table.add_row(Text(backend), cases, Text(above, style=style), Text(worst, style=style), case)
    return table


def _plain(*columns: str | tuple[str, str]) -> Table:
    """A table without lines; words wrap, numbers do not."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        name, side = column if isinstance(column, tuple) else (column, "left")
        table.add_column(name, justify="right" if side == "right" else "left", no_wrap=side == "right", overflow="fold")
    return table


class Failures(NamedTuple):
    """What is wrong, one row for each cause."""

    failures: "list[Failure]"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Each in one line where that fits, else the network below the cause."""
        table = self._long()
        fits = Measurement.get(console, options.update(width=1000), table).maximum <= options.max_width
        yield table if fits else self._short()

    def _long(self) -> Table:
        table = _plain(("cases", "right"), "backend", "cause", "smallest network", "case")
        for failure in self.failures:
            table.add_row(*_margin(failure), _cause(failure), _network(failure), failure.first[:SHORT])
        return table

    def _short(self) -> Table:
        table = _plain(("cases", "right"), "backend", "cause, and smallest network", "case")
        for failure in self.failures:
            said = Text("\n").join([_cause(failure), _network(failure)])
            table.add_row(*_margin(failure), said, Text(failure.first[:SHORT], no_wrap=True))
        return table


def _margin(failure: "Failure") -> tuple[str, Text]:
    return f"{failure.cases:,}", Text(failure.cause.backend)


def _cause(failure: "Failure") -> Text:
    """In bold, and what its cases have in common."""
    also = common(failure, COMMON)
    return Text.assemble((cause(failure), "bold"), f", {also}" if also else "")


def _network(failure: "Failure") -> Text:
    record = shown(failure)
    return Text(outline(record.case) if record else "", style="dim")


def _left(summary: "Summary") -> Iterator[Text]:
    left = len(summary.failures) - LINES
    if left > 0:
        yield Text(f"and {counted(left, 'other cause')}: see --html or --json", style="dim")


def _next(summary: "Summary", store: str) -> Iterator[RenderableType]:
    """What to do about it."""
    if not summary.failures:
        return
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(overflow="fold")
    grid.add_column(overflow="fold")
    grid.add_row(Text(f"gradcheck report {store} --reproduce DIR"), "writes a Python file for each cause")
    grid.add_row(Text(f"gradcheck fuzz --replay {store}"), "after a fix, says what is still wrong")
    yield grid
