"""A campaign for people, in a terminal: counts, reasons, the worst error of each backend, and a line for each cause."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.measure import Measurement
from rich.table import Column, Table
from rich.text import Text

from gradcheck.campaign.report import words
from gradcheck.foundation.wording import argument
from gradcheck.foundation.writing import legible
from gradcheck.report.text import STYLES
from gradcheck.verdict.findings import Verdict

if TYPE_CHECKING:
    from gradcheck.campaign.plan import Plan
    from gradcheck.campaign.results.summary import Failure, Summary

REASONS = 3  # shown of a verdict
NUMBERS = ("cases", "share", "above 1", "worst error")  # columns
COMMON = 3  # shown of what the cases of a failure have in common
LINES = 30  # failures shown; a page has all of them
LONGEST = 1000  # letters of a text of somebody else's; a page has all of them


def render(summary: "Summary", store: str = "CAMPAIGN") -> RenderableType:
    """The whole summary; the causes of what is wrong stand last, and after them how to go on with the file ``store``."""
    summary = legible(summary)
    parts: list[RenderableType] = [Text(words.title(summary), style="bold"), Text(words.course(summary))]
    if summary.verdicts:
        parts += [Text(), _verdicts(summary)]
    if summary.unsupported:
        parts += [Text(), _unsupported(summary)]
    if summary.errors:
        parts += [Text(), _errors(summary), Text(words.ERRORS, style="dim")]
    if summary.failures:
        parts += [Text(), Failures(summary.failures[:LINES])]
    if (left := len(summary.failures) - LINES) > 0:
        parts += [Text(f"and {words.counted(left, 'other cause')}: see --html or --json", style="dim")]
    parts += [Text(), Text(words.conclusion(summary), style=STYLES[words.outcome(summary)])]
    return Group(*parts, *([_next(summary.plan, store)] if summary.failures else []))


def _verdicts(summary: "Summary") -> Table:
    """How many cases of each, and why those have no answer that have none."""
    table = _plain("verdict", "cases", "share", "why")
    for verdict, cases, part, reason in words.verdicts(summary, REASONS):
        style, dim = (STYLES[Verdict(verdict)], "") if verdict else ("", "dim")
        table.add_row(Text(verdict, style=style), Text(cases, style=dim), Text(part), Text(_short(reason)))
    return table


def _unsupported(summary: "Summary") -> Table:
    """Cases that a build does not know, which are no failure."""
    table = _plain("unsupported by", "cases", "why")
    for row in words.unsupported(summary):
        table.add_row(*(Text(_short(each)) for each in row))
    return table


def _errors(summary: "Summary") -> Table:
    """The worst of each backend."""
    table = _plain("backend", "cases", "above 1", "worst error", "case")
    for backend, cases, above, worst, case in words.errors(summary):
        style = STYLES[Verdict.WRONG] if above != "0" else ""
        table.add_row(Text(_short(backend)), Text(cases), Text(above, style=style), Text(worst, style=style), Text(case))
    return table


def _plain(*columns: str) -> Table:
    """A table without lines; words wrap, numbers do not."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in columns:
        table.add_column(name, justify="right" if name in NUMBERS else "left", no_wrap=name in NUMBERS, overflow="fold")
    return table


class Failures(NamedTuple):
    """What is wrong, one row for each cause."""

    failures: "list[Failure]"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Each in one line where that fits, else the network below the cause."""
        table = self._table("cause", "smallest network")
        fits = Measurement.get(console, options.update(width=1000), table).maximum <= options.max_width
        yield table if fits else self._table("cause, and smallest network")

    def _table(self, *columns: str) -> Table:
        """With cause and network in so many columns."""
        table = _plain("cases", "backend", *columns, "case")
        for failure in self.failures:
            said = [_cause(failure), Text(_short(words.network(failure)), style="dim")]
            if len(columns) == 1:
                said = [Text("\n").join(said)]
            case = Text(failure.first[: words.SHORT], no_wrap=True)
            table.add_row(f"{failure.cases:,}", Text(_short(failure.cause.backend)), *said, case)
        return table


def _cause(failure: "Failure") -> Text:
    """In bold, and what its cases have in common."""
    also = words.common(failure, COMMON)
    return Text.assemble((_short(words.cause(failure)), "bold"), f", {also}" if also else "")


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _next(plan: "Plan", store: str) -> Table:
    """What to do about it."""
    named = f"{argument(store)}{words.repeated(plan)}"
    grid = Table.grid(Column(overflow="fold"), Column(overflow="fold"), padding=(0, 2, 0, 0))
    grid.add_row(Text(f"gradcheck report {named} --reproduce DIR"), "writes a Python file for each cause")
    grid.add_row(Text(f"gradcheck fuzz --replay {named}"), "after a fix, says what is still wrong")
    return grid
