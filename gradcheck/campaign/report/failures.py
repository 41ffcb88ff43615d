"""What is wrong, for a page: a line for each cause, and then its smallest network, numbers, remedy and reproducer."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from gradcheck.campaign.report.words import SHORT, cause, common, counted, diagnosis, outline, samples, shown
from gradcheck.diagnosis.catalogue import advice, sentence
from gradcheck.report.html import listing
from gradcheck.report.page import Cell, Table
from gradcheck.verdict.findings import Entry, Verdict

if TYPE_CHECKING:
    from gradcheck.campaign.results.record import Record
    from gradcheck.campaign.results.summary import Failure

LARGEST = 64  # numbers that are written out of an array; the reproducer has all
ENTRIES = 5  # shown of a block

Terms = list[tuple[str, str]]


class Smallest(NamedTuple):
    """The smallest case of a cause: what is known of it, where it is wrong, what it is, and how to ask again."""

    known: Terms
    entries: Table | None
    description: Terms
    reproducer: str


class Section(NamedTuple):
    """A cause: what it is, whose mistake and how often it was met, and its smallest case."""

    cause: str
    said: str
    first: str
    case: Smallest | None


def table(failures: Sequence["Failure"]) -> Table:
    """A line for each."""
    return Table(
        "Causes of what is wrong", ["cause", "backend", "cases", "in common", "smallest"], list(map(_row, failures))
    )


def _row(failure: "Failure") -> list[Cell]:
    record = shown(failure)
    return [
        Cell(cause(failure)),
        Cell(failure.cause.backend, "name"),
        Cell(f"{failure.cases:,}", "number"),
        Cell(common(failure), "why"),
        Cell(outline(record.case) if record else "", "why"),
    ]


def section(failure: "Failure") -> Section:
    """All that there is to say of one."""
    record = shown(failure)
    whose = f" of {failure.cause.backend}" if failure.cause.backend != "-" else ""
    said = ", ".join(filter(None, [counted(failure.cases, "case") + whose, common(failure)]))
    return Section(cause(failure), said, failure.first[:SHORT], _smallest(failure, record) if record else None)


def _smallest(failure: "Failure", record: "Record") -> Smallest:
    found = diagnosis(failure)
    known = [("Cause, there", sentence(found)), ("Remedy", advice(found))] if found else [("Reason", record.reason)]
    return Smallest(
        [("Smallest network" if failure.smallest else "Smallest network met", outline(record.case)), *known],
        _entries(record, failure.cause.backend, found.name if found else ""),
        [*_network(record.case), *_arrays(record.case["case"])],
        record.reproducer,
    )


def _entries(record: "Record", backend: str, name: str) -> Table | None:
    """The worst ones of the block of this name, else of the backend's first wrong one."""
    findings: list[dict[str, Any]] = (record.report or {}).get("findings", [])
    wrong = [each for each in findings if each["verdict"] == Verdict.WRONG and each["backend"] == backend]
    block = next((each for each in wrong if each["name"] == name), next(iter(wrong), None))
    if block is None or not block["entries"]:
        return None
    return listing(list(map(_entry, block["entries"][:ENTRIES])), block["name"])


def _entry(entry: Mapping[str, Any]) -> Entry:
    """In JSON a number that is not finite is null."""
    values = (math.nan if entry[name] is None else entry[name] for name in ("claimed", "reference", "bound"))
    return Entry(tuple(entry["index"]), *values)


def _network(case: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """A line for the input, each layer and the loss."""
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
