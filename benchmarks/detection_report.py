"""Answers counted: a table, what went wrong with ours, JSON, and a picture.

A fault of 3e-6 or more counts as found where the verdict is ``wrong``; a smaller one, where it is flagged at all
(``wrong`` or ``inexact``). Points without a two-sided derivative are counted apart: there is no right answer but
"not here", and accusing one of the two slopes is a false alarm of its own kind. "Undecided" counts where there is an
answer to be had.
"""

import importlib
import math
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from detection_tools import Run
from rich.table import Table
from subjects import Subject

LARGE, SMALL = 3e-6, 1e-10
UNDECIDED = ("unresolved", "nonsmooth")
# Okabe and Ito's palette, told apart by the colour-blind, and a marker for each curve besides.
COLOURS = ("#D55E00", "#0072B2", "#56B4E9", "#009E73", "#CC79A7", "#E69F00", "#000000", "#999999")
MARKERS = "os^vDPX*"


class Row(NamedTuple):
    """A subject, and what one tool said about it."""

    subject: Subject
    run: Run

    @property
    def size(self) -> float:
        return self.subject.fault.size if self.subject.fault else math.nan

    @property
    def verdict(self) -> str:
        return self.run.answer.verdict

    @property
    def flagged(self) -> bool:
        return self.verdict == "wrong" or (self.verdict == "inexact" and not self.subject.approximate)

    @property
    def found(self) -> bool:
        return self.verdict == "wrong" if self.size >= LARGE else self.flagged

    @property
    def innocents(self) -> set[str]:
        """Blocks that were accused and are right."""
        fault = self.subject.fault
        guilty = {fault.block, *fault.also} if fault else set[str]()
        return set(self.run.answer.named) - guilty

    @property
    def overlooked(self) -> bool:
        """Called correct although the fault is larger than the resolution that was reported for its block."""
        fault, resolutions = self.subject.fault, self.run.answer.resolutions
        return bool(fault and resolutions and self.verdict == "correct" and fault.size > resolutions[fault.block])


Test = Callable[[Row], bool]

GROUPS: dict[str, Test] = {
    "large": lambda row: row.size >= LARGE,
    "small": lambda row: SMALL <= row.size < LARGE,
    "below": lambda row: row.size < SMALL,
    "correct": lambda row: row.subject.fault is None and not row.subject.exact,
    "exact": lambda row: row.subject.fault is None and row.subject.exact,
    "decidable": lambda row: row.subject.fault is None and not row.subject.exact and not row.subject.buried,
}


class Share(NamedTuple):
    """So many of so many."""

    part: int
    whole: int

    def __str__(self) -> str:
        return f"{100 * self.part / self.whole:.1f}% {self.part}/{self.whole}" if self.whole else "none"


def share(rows: list[Row], group: str, test: Test) -> Share:
    chosen = [row for row in rows if GROUPS[group](row)]
    return Share(sum(test(row) for row in chosen), len(chosen))


def typical(rows: list[Row]) -> dict[str, float]:
    """Evaluations and seconds."""
    evaluations = [row.run.evaluations for row in rows]
    if not evaluations:
        return {}
    tenth = sorted(evaluations)[math.ceil(0.9 * len(evaluations)) - 1]
    return {
        "median": median(evaluations),
        "90%": tenth,
        "median seconds": median(row.run.seconds for row in rows),
        "seconds": sum(row.run.seconds for row in rows),
    }


def summary(rows: list[Row]) -> dict[str, Any]:
    """The figures of one tool."""
    return {
        "faults of 3e-6 or more": share(rows, "large", lambda row: row.found),
        "faults of 1e-10 to 3e-6": share(rows, "small", lambda row: row.found),
        "faults below 1e-10": share(rows, "below", lambda row: row.found),
        "false alarms": share(rows, "correct", lambda row: row.flagged),
        "accused at exact kinks": share(rows, "exact", lambda row: row.flagged),
        "undecided": share(rows, "decidable", lambda row: row.verdict in UNDECIDED),
        "errors": sum(row.verdict == "error" for row in rows),
        "cost if correct": typical([row for row in rows if row.subject.fault is None]),
        "cost if faulty": typical([row for row in rows if row.subject.fault is not None]),
    }


def by_tool(rows: list[Row]) -> dict[str, list[Row]]:
    return {tool: [row for row in rows if row.run.tool == tool] for tool in dict.fromkeys(row.run.tool for row in rows)}


def summary_table(rows: list[Row], absent: dict[str, str]) -> Table:
    """One row a tool, those that are not there included."""
    headings = ("tool", "found\n≥ 3e-6", "found\n1e-10 to 3e-6", "found\nbelow 1e-10", "false\nalarms")
    table = Table(
        *headings, "accused at\nexact kinks", "undecided", "errors", "evaluations\ncorrect", "faulty", "ms", box=None
    )
    for tool, its in by_tool(rows).items():
        figures = summary(its)
        *shares, errors, correct, faulty = figures.values()
        table.add_row(
            tool, *map(str, shares), str(errors), *map(evaluations, (correct, faulty)), milliseconds(correct, faulty)
        )
    for tool in absent:
        table.add_row(tool, "not there")
    return table


def evaluations(cost: dict[str, float]) -> str:
    return f"{cost['median']:.0f}" if cost else "none"


def milliseconds(*costs: dict[str, float]) -> str:
    return " / ".join(f"{1e3 * cost['median seconds']:.1f}" for cost in costs if cost)


def failures(rows: list[Row]) -> Iterator[str | Table]:
    """What went wrong with ours, subject by subject; kinds of the undecided are counted."""
    mine = [row for row in rows if row.run.tool == "ours"]
    if not mine:
        return
    lists: dict[str, Test] = {
        "false accusations": lambda row: row.subject.fault is None and row.flagged,
        "faults of 3e-6 or more not called wrong": lambda row: row.size >= LARGE and not row.found,
        "faults above the reported resolution called correct": lambda row: row.overlooked,
        "innocent blocks named": lambda row: row.subject.fault is not None and bool(row.innocents),
        "errors": lambda row: row.verdict == "error",
    }
    for title, test in lists.items():
        yield from listed(title, [row for row in mine if test(row)])
    kinds = Counter(row.subject.kind for row in mine if GROUPS["decidable"](row) and row.verdict in UNDECIDED)
    yield "undecided, by kind: " + (", ".join(f"{kind} {count}" for kind, count in kinds.most_common()) or "none")


def listed(title: str, rows: list[Row]) -> Iterator[str | Table]:
    yield f"\n{title}: {len(rows) or 'none'}"
    if rows:
        table = Table("subject", "kind", "verdict", "size", "resolution", "named", box=None, padding=(0, 2, 0, 2))
        for row in rows:
            fault, resolutions = row.subject.fault, row.run.answer.resolutions or {}
            resolution = resolutions.get(fault.block, math.nan) if fault else max(resolutions.values(), default=math.nan)
            named = ", ".join(row.run.answer.named)
            table.add_row(row.subject.name, row.subject.kind, row.verdict, f"{row.size:.1e}", f"{resolution:.1e}", named)
        yield table


def to_json(rows: list[Row], seed: int) -> dict[str, Any]:
    """Format 1: the figures of every tool, and every single answer."""
    tools = {
        tool: {key: value._asdict() if isinstance(value, Share) else value for key, value in summary(its).items()}
        for tool, its in by_tool(rows).items()
    }
    return {"format": 1, "seed": seed, "tools": tools, "answers": [answer(row) for row in rows]}


def answer(row: Row) -> dict[str, Any]:
    fault = row.subject.fault
    return {
        "subject": row.subject.name,
        "kind": row.subject.kind,
        "fault": None if fault is None else {"block": fault.block, "index": fault.index, "size": fault.size},
        "tool": row.run.tool,
        "verdict": row.verdict,
        "named": row.run.answer.named,
        "evaluations": row.run.evaluations,
        "seconds": row.run.seconds,
    }


def curve(rows: list[Row]) -> tuple[list[float], list[float]]:
    """Share of faults flagged, by decade of their size."""
    decades: dict[int, list[bool]] = {}
    for row in rows:
        if row.subject.fault is not None:
            decades.setdefault(min(0, math.floor(math.log10(row.size))), []).append(row.flagged)
    ordered = sorted(decades.items())
    return [10 ** (decade + 0.5) for decade, _ in ordered], [100 * sum(each) / len(each) for _, each in ordered]


def draw(rows: list[Row], path: Path) -> str:
    """A curve for each tool, with its false alarms: who accuses at random finds faults at random.

    matplotlib is needed for nothing else.
    """
    try:
        pyplot: Any = importlib.import_module("matplotlib.pyplot")
    except ImportError:
        return f"{path} was not drawn: matplotlib is not installed"
    figure, axes = pyplot.subplots(figsize=(10, 5), layout="constrained")
    for (tool, its), colour, marker in zip(by_tool(rows).items(), COLOURS, MARKERS, strict=False):
        alarms = share(its, "correct", lambda row: row.flagged)
        axes.semilogx(
            *curve(its),
            label=f"{tool}, false alarms {alarms}",
            color=colour,
            marker=marker,
            linewidth=3 if tool == "ours" else 1.5,
        )
    axes.set(xlabel="size of the fault, relative to max(|entry|, RMS of its block)", ylabel="flagged (%)", ylim=(-3, 103))
    figure.legend(loc="outside right upper", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)
    return f"{path} drawn"
