"""What is wrong, in a page: a line for each cause, and then its smallest network, numbers, remedy and reproducer."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from gradcheck.campaign.report.words import SHORT, cause, common, counted, diagnosis, outline, samples, shown
from gradcheck.report.page import Cell, terms, wide
from gradcheck.report.sections import numbers
from gradcheck.verdict.causes import advice, sentence
from gradcheck.verdict.findings import Entry, Verdict

if TYPE_CHECKING:
    from gradcheck.campaign.results.record import Record
    from gradcheck.campaign.results.summary import Failure, Summary

LARGEST = 64  # numbers that are written out of an array; the reproducer has all
ENTRIES = 5  # shown of a block


def failures(summary: "Summary") -> str:
    """All of them; a table leads to them where they are several."""
    if not summary.failures:
        return ""
    table = [_table(summary.failures)] if len(summary.failures) > 1 else []
    return "\n".join(["<h2>What is wrong</h2>", *table, *map(_section, summary.failures)])


def _table(found: Sequence["Failure"]) -> str:
    columns = ["cause", "backend", "cases", "in common", "smallest"]
    return wide("Causes of what is wrong", columns, [list(_row(failure)) for failure in found])


def _row(failure: "Failure") -> Iterator[Cell]:
    record = shown(failure)
    yield cause(failure), ""
    yield failure.cause.backend, "name"
    yield f"{failure.cases:,}", "number"
    yield common(failure), "why"
    yield outline(record.case) if record else "", "why"


def _section(failure: "Failure") -> str:
    """Whose mistake it is, how often it was met, and the smallest case."""
    record = shown(failure)
    whose = f" of {failure.cause.backend}" if failure.cause.backend != "-" else ""
    said = ", ".join(filter(None, [counted(failure.cases, "case") + whose, common(failure)]))
    parts = [
        '<section class="block wrong">',
        f"<h3>{escape(cause(failure))}</h3>",
        f'<p class="soft">{escape(said)}; the smallest that was met is <code>{escape(failure.first[:SHORT])}</code></p>',
        *(_case(failure, record) if record else ()),
        "</section>",
    ]
    return "\n".join(filter(None, parts))


def _case(failure: "Failure", record: "Record") -> Iterator[str]:
    """The smallest case: what it is, where it is wrong, why, and how to ask again."""
    found = diagnosis(failure)
    known = [("Cause, there", sentence(found)), ("Remedy", advice(found))] if found else [("Reason", record.reason)]
    yield terms([("Smallest network" if failure.smallest else "Smallest network met", outline(record.case)), *known])
    yield _entries(record, failure.cause.backend, found.name if found else "")
    yield _folded("Layers, parameters and batch", _description(record.case))
    if record.reproducer:
        yield _folded("Reproducer: a Python file that asks again", f"<pre><code>{escape(record.reproducer)}</code></pre>")


def _folded(title: str, inside: str) -> str:
    return f"<details><summary>{title}</summary>{inside}</details>"


def _entries(record: "Record", backend: str, name: str) -> str:
    """The worst ones of the block of this name, else of the backend's first wrong one."""
    findings: list[dict[str, Any]] = (record.report or {}).get("findings", [])
    wrong = [each for each in findings if _is_wrong(each, backend)]
    block = next((each for each in wrong if each["name"] == name), next(iter(wrong), None))
    if block is None or not block["entries"]:
        return ""
    rows = [list(_entry(block["name"], *_numbers(entry))) for entry in block["entries"][:ENTRIES]]
    return wide("The worst entries", ["entry", "claimed", "reference", "off by", "bound"], rows)


def _entry(block: str, index: str, *rest: str) -> Iterator[Cell]:
    yield f"{block}{index}", "index"
    yield from ((number, "number") for number in rest)


def _is_wrong(finding: Mapping[str, Any], backend: str) -> bool:
    return finding["verdict"] == Verdict.WRONG and finding["backend"] == backend


def _numbers(entry: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    """In JSON a number that is not finite is null."""
    values = (math.nan if entry[name] is None else entry[name] for name in ("claimed", "reference", "bound"))
    return numbers(Entry(tuple(entry["index"]), *values))


def _description(case: Mapping[str, Any]) -> str:
    """A case in full: a line for the input, each layer, the loss, and each array."""
    lines = [*_network(case), *_arrays(case["case"])]
    items = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in lines)
    return f'<dl class="whole">{items}</dl>'


def _network(case: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "input", "shape " + " x ".join(map(str, case["inputs"]))
    for index, layer in enumerate(case["layers"]):
        yield f"layer {index}", _options(layer)
    yield "loss", f"{_options(case['loss'])}, a mean over {samples(case['case'])}"
    if case.get("weight_decay"):
        yield "weight decay", repr(case["weight_decay"])
    yield "dtype", case["case"]["dtype"]


def _options(row: Mapping[str, Any]) -> str:
    """``dense (units 2, bias true)``."""
    rest = ", ".join(f"{name} {_spelled(value)}" for name, value in row.items() if name != "type")
    return f"{row['type']} ({rest})" if rest else row["type"]


def _arrays(recipe: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Those that are written out; else what they are drawn from."""
    for name in ("init", "data"):
        if isinstance(recipe[name], dict):
            yield from ((array, _array(values)) for array, values in recipe[name].items())
        else:
            yield {"init": "parameters", "data": "batch"}[name], f"{recipe[name]}, seed {recipe.get('seed', 0)}"
    if recipe.get("scale", 1.0) != 1.0:
        yield "scale", repr(recipe["scale"])


def _array(values: Any) -> str:
    written = _spelled(values)
    size = written.count(",") + 1
    return written if size <= LARGEST else f"{size:,} numbers: see the reproducer"


def _spelled(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
