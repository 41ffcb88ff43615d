"""A campaign as one page for a browser, each cause with its smallest network: no script, nothing from elsewhere."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradcheck.campaign.report import pictures, words
from gradcheck.campaign.report.words import OPEN, SHORT, counted, duration
from gradcheck.campaign.reproducers import reproducer
from gradcheck.campaign.tables import Part, Recipe, Table, kind_of
from gradcheck.errors import GradcheckError
from gradcheck.report.html import listing
from gradcheck.report.page import rendered
from gradcheck.verdict.causes import advice, sentence
from gradcheck.verdict.findings import Entry, Verdict

if TYPE_CHECKING:
    from gradcheck.campaign.results.record import Record
    from gradcheck.campaign.results.summary import Failure, Summary

TEMPLATES = Path(__file__).with_name("templates")
LARGEST = 64  # numbers that are written out of an array; the reproducer has all
ENTRIES = 5  # shown of a block


def to_html(summary: "Summary", *, code: bool = True) -> str:
    """The page: figures, causes of what is wrong, errors, coverage, reasons, cost, plan and versions.

    Without ``code`` it has no program that would load backends of the plan that are code.
    """
    return rendered(
        "campaign.html",
        TEMPLATES,
        summary=summary,
        words=words,
        pictures=pictures,
        known=_known,
        worst=_worst,
        whole=_whole,
        program=partial(_program, summary, code=code),
        figures=_figures(summary),
        causes=map(_row, summary.failures),
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
    spent, judged = summary.seconds, summary.judged
    yield "Judging, added up over all workers", f"{duration(spent)}, {duration(spent / judged)} a case"
    asked = f"{counted(summary.evaluations, 'loss evaluation')}, {summary.evaluations / judged:.0f} a case"
    yield "Without backpropagation, by the oracles", asked
    yield "Slowest case", f"{duration(summary.longest)}: {summary.slowest[:SHORT]}" if summary.slowest else ""


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
    for run, libraries in enumerate(versions, 1):
        numbered.setdefault(", ".join(f"{name} {version}" for name, version in libraries.items()), []).append(str(run))
    for said, runs in numbered.items():
        yield f"Run{'s' if len(runs) > 1 else ''} {', '.join(runs)}", said


def _row(failure: "Failure") -> tuple[str, ...]:
    return words.cause(failure), failure.cause.backend, f"{failure.cases:,}", words.common(failure), words.network(failure)


def _known(failure: "Failure", record: "Record") -> Iterator[tuple[str, str]]:
    """What the smallest case is, why it is wrong, and what to change."""
    yield "Smallest network" if failure.smallest else "Smallest network met", words.outline(record.case)
    found = words.diagnosis(failure)
    yield from [("Cause, there", sentence(found)), ("Remedy", advice(found))] if found else [("Reason", record.reason)]


def _worst(failure: "Failure", record: "Record") -> list[tuple[str, ...]]:
    """Entries of the block that the diagnosis names, else of the backend's first wrong one."""
    wrong = [
        each
        for each in (record.report["findings"] if record.report else ())
        if each["verdict"] == Verdict.WRONG and each["backend"] == failure.cause.backend
    ]
    found = words.diagnosis(failure)
    block = next((each for each in wrong if found and each["name"] == found.name), next(iter(wrong), None))
    return listing(map(_entry, block["entries"][:ENTRIES]), block["name"]) if block else []


def _entry(entry: Mapping[str, Any]) -> Entry:
    """In JSON a number that is not finite is null."""
    values = (math.nan if entry[name] is None else entry[name] for name in ("claimed", "reference", "bound"))
    return Entry(tuple(entry["index"]), *values)


def _program(summary: "Summary", record: "Record", *, code: bool) -> str:
    """The reproducer; in its place why there is none."""
    if record.report and summary.plan.code and not code:
        said = words.repeated(summary.plan)
        return f"# It would load code that the campaign names: gradcheck report CAMPAIGN{said} --html PAGE writes it.\n"
    try:
        return reproducer(record, summary)
    except GradcheckError as error:
        return f"# {error}\n"


def _whole(case: Table) -> Iterator[tuple[str, str]]:
    """A case in full: a line for the input, each layer, the loss, and each array."""
    yield "input", "shape " + " x ".join(map(str, case["inputs"]))
    for index, layer in enumerate(case["layers"]):
        yield f"layer {index}", _options(layer)
    yield "loss", f"{_options(case['loss'])}, a mean over {words.samples(case['case'])}"
    yield "weight decay", repr(decay) if (decay := case.get("weight_decay")) else ""
    yield "dtype", case["case"].get("dtype", "float64")
    yield from _arrays(case["case"])


def _options(row: Part) -> str:
    """``dense (units 2, bias true)``."""
    rest = ", ".join(f"{name} {_spelled(value)}" for name, value in row.items() if name != "type")
    return f"{kind_of(row)} ({rest})" if rest else kind_of(row)


def _arrays(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Those that are written out; else what they are drawn from."""
    for given, what in ((recipe.get("init", "normal"), "parameters"), (recipe.get("data", "random"), "batch")):
        if isinstance(given, str):
            yield what, f"{given}, seed {recipe.get('seed', 0)}"
        else:
            yield from ((array, _array(values)) for array, values in given.items())
    scale = recipe.get("scale", 1.0)
    yield "scale", repr(scale) if scale != 1.0 else ""


def _array(values: Any) -> str:
    written = _spelled(values)
    size = written.count(",") + 1
    return written if size <= LARGEST else f"{size:,} numbers: see the reproducer"


def _spelled(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
