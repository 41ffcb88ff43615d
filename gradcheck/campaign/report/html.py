"""A campaign as one page for a browser: no script, nothing from elsewhere."""

from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradcheck.campaign.report.failures import section, table
from gradcheck.campaign.report.pictures import coverage, depths, histograms
from gradcheck.campaign.report.words import (
    ERRORS,
    OPEN,
    SHORT,
    conclusion,
    counted,
    course,
    duration,
    outcome,
    share,
    title,
    why,
)
from gradcheck.report.page import Cell, Table, rendered
from gradcheck.verdict.findings import Verdict

if TYPE_CHECKING:
    from gradcheck.campaign.results.summary import Summary

TEMPLATES = Path(__file__).with_name("templates")


def to_html(summary: "Summary") -> str:
    """The page: figures, causes of what is wrong, errors, coverage, reasons, cost, plan and versions."""
    return rendered(
        "campaign.html",
        TEMPLATES,
        title=title(summary),
        verdict=outcome(summary),
        badge=conclusion(summary),
        spent=course(summary),
        figures=_figures(summary),
        judged=summary.judged,
        plan=list(_plan(summary)),
        **(_found(summary) if summary.judged else {}),
    )


def _found(summary: "Summary") -> dict[str, Any]:
    """Where a case was judged."""
    return {
        "causes": table(summary.failures),
        "failures": list(map(section, summary.failures)),
        "verdicts": Table("Verdicts", ["verdict", "cases", "share", "why"], list(_verdict_rows(summary))),
        "legend": ERRORS,
        "histograms": histograms(summary),
        "errors": _errors(summary),
        "coverage": list(coverage(summary)),
        "depths": depths(summary),
        "cost": _cost(summary),
    }


def _figures(summary: "Summary") -> list[tuple[str, str, str]]:
    """Those that one asks for first: a number, what it counts, and its class."""
    verdicts, wrong = summary.verdicts, "wrong" if summary.failures else ""
    return [
        (f"{summary.judged:,}", "cases judged", ""),
        (f"{verdicts.get(Verdict.WRONG, 0):,}", "wrong", wrong),
        (f"{len(summary.failures):,}", "cause" if len(summary.failures) == 1 else "causes", wrong),
        (f"{sum(verdicts.get(verdict, 0) for verdict in OPEN):,}", "without an answer", ""),
        (duration(summary.seconds), "of judging", ""),
    ]


def _verdict_rows(summary: "Summary") -> Iterator[list[Cell]]:
    """How many of each; a row for each reason, where they are several."""
    for verdict, number in summary.verdicts.items():
        reasons = why(summary, verdict)
        only = next(iter(reasons)) if list(reasons.values()) == [number] else ""
        yield [
            Cell(verdict, f"verdict {verdict}"),
            Cell(f"{number:,}", "number"),
            Cell(share(number, summary.judged), "number"),
            Cell(only, "why"),
        ]
        if not only:
            for reason, cases in reasons.items():
                yield [Cell(""), Cell(f"{cases:,}", "number"), Cell("", "number"), Cell(reason, "why")]


def _errors(summary: "Summary") -> Table:
    """The worst of each backend; without a row where no case had a finite error."""
    rows: list[list[Cell]] = []
    for backend, errors in summary.errors.items():
        above = errors.counts[-1]
        kind = "number wrong" if above else "number"
        rows.append(
            [
                Cell(backend),
                Cell(f"{sum(errors.counts):,}", "number"),
                Cell(f"{above:,}", kind),
                Cell(f"{errors.worst:.2g}", kind),
                Cell(errors.case[:SHORT]),
            ]
        )
    return Table("Worst errors", ["backend", "cases", "above 1", "worst error", "case"], rows)


def _cost(summary: "Summary") -> list[tuple[str, str]]:
    mean = f"{duration(summary.seconds / summary.judged)} a case"
    evaluations = f"{counted(summary.evaluations, 'loss evaluation')}, {summary.evaluations / summary.judged:.0f} a case"
    return [
        ("Judging, added up over all workers", f"{duration(summary.seconds)}, {mean}"),
        ("Without backpropagation, by the oracles", evaluations),
        ("Slowest case", f"{duration(summary.longest)}: {summary.slowest[:SHORT]}" if summary.slowest else ""),
    ]


def _plan(summary: "Summary") -> Iterator[tuple[str, str]]:
    """What the cases follow from, and which libraries judged them."""
    plan = summary.plan
    yield "Seed", str(plan.seed)
    yield "Backends", ", ".join(plan.backends)
    yield "Layers", ", ".join(plan.layers) or "all"
    yield "Given up after", f"{plan.limit:g} s a case"
    yield from _runs(summary.versions)


def _runs(versions: Sequence[dict[str, str]]) -> Iterator[tuple[str, str]]:
    """Runs with the same versions in one line."""
    numbered: dict[str, list[str]] = {}
    for run, libraries in zip(count(1), versions):
        numbered.setdefault(", ".join(f"{name} {version}" for name, version in libraries.items()), []).append(str(run))
    for said, runs in numbered.items():
        yield f"Run{'s' if len(runs) > 1 else ''} {', '.join(runs)}", said
