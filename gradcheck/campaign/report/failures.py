"""What is wrong, for a page: a line for each cause, and then its smallest network and where that is wrong."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from gradcheck.campaign.report.words import cause, common, diagnosis, outline, samples, shown
from gradcheck.report.html import listing
from gradcheck.verdict.causes import advice, sentence
from gradcheck.verdict.findings import Entry, Verdict

if TYPE_CHECKING:
    from gradcheck.campaign.results.record import Record
    from gradcheck.campaign.results.summary import Failure

LARGEST = 64  # numbers that are written out of an array; the reproducer has all
ENTRIES = 5  # shown of a block


def row(failure: "Failure") -> tuple[str, ...]:
    """A line."""
    record = shown(failure)
    smallest = outline(record.case) if record else ""
    return cause(failure), failure.cause.backend, f"{failure.cases:,}", common(failure), smallest


def known(failure: "Failure", record: "Record") -> Iterator[tuple[str, str]]:
    """What the smallest case is, why it is wrong, and what to change."""
    yield "Smallest network" if failure.smallest else "Smallest network met", outline(record.case)
    found = diagnosis(failure)
    yield from [("Cause, there", sentence(found)), ("Remedy", advice(found))] if found else [("Reason", record.reason)]


def worst(failure: "Failure", record: "Record") -> list[tuple[str, ...]]:
    """Entries of the block that the diagnosis names, else of the backend's first wrong one."""
    findings: list[dict[str, Any]] = (record.report or {}).get("findings", [])
    wrong = [each for each in findings if each["verdict"] == Verdict.WRONG and each["backend"] == failure.cause.backend]
    found = diagnosis(failure)
    named = (each for each in wrong if found and each["name"] == found.name)
    block = next(named, next(iter(wrong), None))
    return listing(map(_entry, block["entries"][:ENTRIES]), block["name"]) if block else []


def _entry(entry: Mapping[str, Any]) -> Entry:
    """In JSON a number that is not finite is null."""
    values = (math.nan if entry[name] is None else entry[name] for name in ("claimed", "reference", "bound"))
    return Entry(tuple(entry["index"]), *values)


def description(case: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """A case in full: a line for the input, each layer, the loss, and each array."""
    yield "input", "shape " + " x ".join(map(str, case["inputs"]))
    for index, layer in enumerate(case["layers"]):
        yield f"layer {index}", _options(layer)
    yield "loss", f"{_options(case['loss'])}, a mean over {samples(case['case'])}"
    if case.get("weight_decay"):
        yield "weight decay", repr(case["weight_decay"])
    yield "dtype", case["case"]["dtype"]
    yield from _arrays(case["case"])


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
