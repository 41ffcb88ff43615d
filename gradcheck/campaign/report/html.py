"""A campaign as one page for a browser: no script, nothing from elsewhere."""

from collections.abc import Iterator, Sequence
from html import escape
from itertools import count
from typing import TYPE_CHECKING

from gradcheck.campaign.report.failures import failures
from gradcheck.campaign.report.pictures import coverage, depths, histograms
from gradcheck.campaign.report.style import STYLE
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
from gradcheck.report.page import Cell, framed, terms, wide
from gradcheck.verdict.findings import Verdict

if TYPE_CHECKING:
    from gradcheck.campaign.results.summary import Summary

COVERAGE = "How many cases have a layer and a loss: more where the colour is stronger, none where it is hatched."


def to_html(summary: "Summary") -> str:
    """The page: figures, causes of what is wrong, errors, coverage, reasons, cost, plan and versions."""
    parts = [_figures(summary)]
    if summary.judged:
        parts += [
            failures(summary),
            _verdicts(summary),
            _errors(summary),
            "<h2>What was covered</h2>",
            f'<p class="soft">{COVERAGE}</p>',
            coverage(summary),
            depths(summary),
        ]
    parts += [_cost(summary), _plan(summary)]
    headline = conclusion(summary)
    return framed(title(summary), outcome(summary), headline, course(summary), STYLE, parts)


def _figures(summary: "Summary") -> str:
    """Those that one asks for first."""
    verdicts = summary.verdicts
    shown = [
        (f"{summary.judged:,}", "cases judged", ""),
        (f"{verdicts.get(Verdict.WRONG, 0):,}", "wrong", "wrong" if summary.failures else ""),
        (
            f"{len(summary.failures):,}",
            "cause" if len(summary.failures) == 1 else "causes",
            "wrong" if summary.failures else "",
        ),
        (f"{sum(verdicts.get(verdict, 0) for verdict in OPEN):,}", "without an answer", ""),
        (duration(summary.seconds), "of judging", ""),
    ]
    items = "".join(f'<div><dd class="{kind}">{value}</dd><dt>{name}</dt></div>' for value, name, kind in shown)
    return f'<dl class="figures">{items}</dl>'


def _verdicts(summary: "Summary") -> str:
    """How many of each, and for which reasons."""
    columns = ["verdict", "cases", "share", "why"]
    return f"<h2>Verdicts</h2>\n{wide('Verdicts', columns, list(_verdict_rows(summary)))}"


def _verdict_rows(summary: "Summary") -> Iterator[list[Cell]]:
    """A row for each reason, where they are several."""
    for verdict, number in summary.verdicts.items():
        reasons = why(summary, verdict)
        only = next(iter(reasons)) if list(reasons.values()) == [number] else ""
        yield [
            (verdict, f"verdict {verdict}"),
            (f"{number:,}", "number"),
            (share(number, summary.judged), "number"),
            (only, "why"),
        ]
        if not only:
            yield from (
                [("", ""), (f"{cases:,}", "number"), ("", "number"), (reason, "why")] for reason, cases in reasons.items()
            )


def _errors(summary: "Summary") -> str:
    """Nothing where no case had a finite error."""
    if not summary.errors:
        return ""
    return "\n".join(
        [
            "<h2>Errors in units of the bound</h2>",
            f'<p class="soft">{ERRORS}.</p>',
            histograms(summary),
            wide("Worst errors", ["backend", "cases", "above 1", "worst error", "case"], list(_error_rows(summary))),
        ]
    )


def _error_rows(summary: "Summary") -> Iterator[list[Cell]]:
    for backend, errors in summary.errors.items():
        above = errors.counts[-1]
        kind = "number wrong" if above else "number"
        yield [
            (backend, ""),
            (f"{sum(errors.counts):,}", "number"),
            (f"{above:,}", kind),
            (f"{errors.worst:.2g}", kind),
            (errors.case[:SHORT], ""),
        ]


def _cost(summary: "Summary") -> str:
    if not summary.judged:
        return ""
    mean = f"{duration(summary.seconds / summary.judged)} a case"
    evaluations = f"{counted(summary.evaluations, 'loss evaluation')}, {summary.evaluations / summary.judged:.0f} a case"
    said = [
        ("Judging, added up over all workers", f"{duration(summary.seconds)}, {mean}"),
        ("Without backpropagation, by the oracles", evaluations),
        ("Slowest case", f"{duration(summary.longest)}: {summary.slowest[:SHORT]}" if summary.slowest else ""),
    ]
    return f"<h2>Cost</h2>\n{terms(said)}"


def _plan(summary: "Summary") -> str:
    """What the cases follow from, besides which libraries judged them."""
    plan = summary.plan
    said = [
        ("Seed", str(plan.seed)),
        ("Backends", ", ".join(plan.backends)),
        ("Layers", ", ".join(plan.layers) or "all"),
        ("Given up after", f"{plan.limit:g} s a case"),
        *((escape(runs), versions) for runs, versions in _runs(summary.versions)),
    ]
    return f"<h2>Plan and versions</h2>\n{terms(said)}"


def _runs(versions: Sequence[dict[str, str]]) -> Iterator[tuple[str, str]]:
    """Runs with the same versions in one line."""
    numbered: dict[str, list[str]] = {}
    for run, libraries in zip(count(1), versions):
        numbered.setdefault(", ".join(f"{name} {version}" for name, version in libraries.items()), []).append(str(run))
    for said, runs in numbered.items():
        yield f"Run{'s' if len(runs) > 1 else ''} {', '.join(runs)}", said
