"""A case and a report as tables of JSON, as far as a campaign knows them: what else stands in a file is none.

Types that msgspec holds against whatever it reads. Arrays and evidence are nested so deep and no deeper; a campaign draws no
case that names a file.
"""

from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypeAlias, TypedDict, cast

from msgspec import Meta, ValidationError

from gradcheck.cases.case import Case
from gradcheck.cases.files import case_from_table, case_to_table
from gradcheck.cases.readers import FILE_TYPES
from gradcheck.errors import DescriptionError
from gradcheck.network.layers.blocks import numbers
from gradcheck.verdict.findings import Verdict

LARGEST = 1_000_000  # of a size, and of all numbers of a case: a campaign draws some hundreds

Size: TypeAlias = Annotated[int, Meta(ge=1, le=LARGEST)]
Number: TypeAlias = int | float
Row: TypeAlias = list[Number]
Matrix: TypeAlias = list[Number | Row]
Cube: TypeAlias = list[Number | Matrix]
Array: TypeAlias = list[Number | Cube]

Word: TypeAlias = str | int | float | bool | None
Words: TypeAlias = Word | list[Word] | dict[str, Word]
Evidence: TypeAlias = Word | list[Words] | dict[str, Words]


Option: TypeAlias = str | Annotated[int, Meta(ge=-LARGEST, le=LARGEST)] | float | bool | None
# A layer or a loss: its type, and what its own description knows; a block has rows within, and these may have.
Plain: TypeAlias = dict[str, Option | list[Option]]
Block: TypeAlias = dict[str, Option | list[Option | Plain] | Plain]
Blocks: TypeAlias = dict[str, Option | list[Option | Block] | Block]
Part: TypeAlias = dict[str, Option | list[Option | Blocks] | Blocks]


class Written(TypedDict):
    """A batch that is written out."""

    inputs: Array
    targets: Array


class Recipe(TypedDict):
    """How a network is made concrete; what is left out is as in `Case`."""

    data: NotRequired[str | Written]
    init: NotRequired[str | dict[str, Array]]
    dtype: NotRequired[Literal["float64", "float32"]]
    samples: NotRequired[Size | None]
    seed: NotRequired[Annotated[int, Meta(ge=0)]]
    scale: NotRequired[float]


class Table(TypedDict):
    """A case as a file holds it."""

    inputs: Annotated[list[Size], Meta(min_length=1, max_length=8)]
    layers: list[Part]
    loss: Part
    weight_decay: NotRequired[Annotated[float, Meta(ge=0)]]
    case: Recipe


class EntryTable(TypedDict):
    """`Entry`; a number that is not finite is null."""

    index: list[int]
    claimed: float | None
    reference: float | None
    bound: float | None


class FindingTable(TypedDict):
    """`Finding`."""

    name: str
    backend: str
    verdict: Verdict
    entries: list[EntryTable]
    error: NotRequired[float | None]
    bound: NotRequired[float | None]
    resolution: NotRequired[float | None]
    block_resolution: NotRequired[float | None]
    worst_index: NotRequired[list[int] | None]
    reason: NotRequired[str]
    slopes: NotRequired[list[float | None] | None]
    shape: NotRequired[list[int]]
    heat: NotRequired[list[list[float | None]]]


class DiagnosisTable(TypedDict):
    """`Diagnosis`."""

    name: str
    cause: str
    backend: str
    evidence: dict[str, Evidence]


class ReportTable(TypedDict):
    """`Report.to_table`."""

    findings: list[FindingTable]
    diagnoses: list[DiagnosisTable]
    format: NotRequired[int]
    verdict: NotRequired[Verdict]
    wrong: NotRequired[list[str]]
    title: NotRequired[str]
    evaluations: NotRequired[int]
    notes: NotRequired[list[str]]
    diagnosis_evaluations: NotRequired[int]
    unchecked: NotRequired[list[str]]


def to_table(case: Case) -> Table:
    """A case as a table; it names no file."""
    return cast("Table", case_to_table(case, Path()))


def kind_of(part: Part) -> str:
    """Its type."""
    return str(part["type"])


def kinds_of(table: Table) -> list[str]:
    """The types of all layers, those in blocks included."""
    return [kind_of(part) for part in rows_in(table["layers"])]


def rows_in(parts: Sequence[Any]) -> Iterator[Part]:
    """The rows of layers, and behind each those in it."""
    for part in parts:
        yield part
        yield from rows_in([*part.get("layers", ()), *([part["layer"]] if "layer" in part else [])])


def check(table: Table) -> None:
    """Raise `ValidationError` where a layer or the loss has no type, or a file is named."""
    try:
        parts = [*rows_in(table["layers"]), table["loss"]]
    except (AttributeError, TypeError):
        raise ValidationError("a block of what are no layers") from None
    if not all(isinstance(part.get("type"), str) for part in parts):
        raise ValidationError("a layer or a loss without a type")
    data = table["case"].get("data")
    if isinstance(data, str) and data.endswith(FILE_TYPES):
        raise ValidationError(f"a case names a file, {data!r}: a campaign has none")


def to_case(table: Table) -> Case:
    """The case that somebody's table describes, of a size that can be judged.

    Raises
    ------
    DescriptionError, DataError
        Where there is none.
    """
    case = case_from_table(table, Path())
    samples = table["case"].get("samples") or 1  # those that are written out have their numbers in the file
    kept = samples * numbers(case.network, case.network.inputs)
    count = kept + sum(map(prod, case.network.parameter_shapes.values()))
    if count > LARGEST:
        raise DescriptionError(f"it takes {count:,} numbers, which is more than {LARGEST:,}")
    return case
