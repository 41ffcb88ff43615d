"""A campaign as one page for a browser: no script, nothing from elsewhere."""

from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from gradcheck.campaign.report import failures, pictures, words
from gradcheck.campaign.report.words import OPEN, SHORT, counted, duration
from gradcheck.report.page import rendered
from gradcheck.verdict.findings import Verdict

if TYPE_CHECKING:
    from gradcheck.campaign.results.summary import Summary

TEMPLATES = Path(__file__).with_name("templates")


def to_html(summary: "Summary") -> str:
    """The page: figures, causes of what is wrong, errors, coverage, reasons, cost, plan and versions."""
    return rendered(
        "campaign.html",
        TEMPLATES,
        summary=summary,
        words=words,
        failures=failures,
        pictures=pictures,
        figures=_figures(summary),
        causes=map(failures.row, summary.failures),
        verdicts=[((verdict, verdict), *rest) for verdict, *rest in words.verdicts(summary)],
        errors=list(map(_marked, words.errors(summary))),
        cost=_cost(summary),
        plan=_plan(summary),
    )


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


def _marked(row: tuple[str, ...]) -> list[str | tuple[str, str]]:
    """Errors of a backend: those above the bound, and the worst, in the colour of what is wrong."""
    backend, cases, above, worst, case = row
    return [backend, cases, *((said, "wrong") if above != "0" else said for said in (above, worst)), case]


def _cost(summary: "Summary") -> Iterator[tuple[str, str]]:
    mean = f"{duration(summary.seconds / summary.judged)} a case"
    yield "Judging, added up over all workers", f"{duration(summary.seconds)}, {mean}"
    evaluations = f"{counted(summary.evaluations, 'loss evaluation')}, {summary.evaluations / summary.judged:.0f} a case"
    yield "Without backpropagation, by the oracles", evaluations
    if summary.slowest:
        yield "Slowest case", f"{duration(summary.longest)}: {summary.slowest[:SHORT]}"


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
