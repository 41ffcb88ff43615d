"""What is kept of a case that was judged, and what of it is held against its types when it is read."""

from collections.abc import Mapping
from typing import Annotated, Any, Self, TypeAlias

import msgspec
from msgspec import Meta, ValidationError
from msgspec.json import Decoder
from msgspec.structs import fields

from gradcheck.campaign.plan import name_of
from gradcheck.campaign.tables import ReportTable, Table, check
from gradcheck.verdict.findings import Diagnosis, Verdict

UNSUPPORTED = "unsupported"  # the cause that stands for a build that does not know the network
Name: TypeAlias = Annotated[str, Meta(pattern=r"\A[0-9a-f]{32}\Z")]  # a hash


class Mistake(msgspec.Struct, frozen=True):
    """A named cause of what is wrong, by which cases are grouped: the same mistake in other networks has the same one.

    Attributes
    ----------
    backend, cause : str
        As in `Diagnosis`.
    where : str
        What the cause belongs to, however the network is built: ``"GELU"``, ``"weight"``, ``"loss"``; why it is unsupported.
    """

    backend: str
    cause: str
    where: str

    @classmethod
    def of(cls, diagnosis: Diagnosis) -> Self:
        """Where: the kind of layer that it names, else which of a layer's parameters is wrong."""
        where = diagnosis.evidence.get("kind") or diagnosis.name.rpartition(".")[2]
        return cls(diagnosis.backend, diagnosis.cause, where)


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What a file has in columns of its own."""

    name: Name
    verdict: Verdict
    reason: str = ""
    seconds: Annotated[float, Meta(ge=0, le=1e9)] = 0.0
    evaluations: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0


class Record(Head, frozen=True, kw_only=True):
    """One case, judged.

    Attributes
    ----------
    name : str
        The hash of its content.
    verdict : Verdict
    reason : str
        Why not correct, in one sentence.
    seconds : float
        That judging it took.
    evaluations : int
        Loss evaluations of the oracles.
    case : dict
        Its table, as in a file.
    ratios : dict of str to float
        By backend: the largest error in units of its bound; infinite errors are left out.
    causes : tuple of Mistake
        Every cause that was named for what is wrong, simplest first; then each build that does not support the case.
    report : dict, optional
        The whole report as a table, where it is wrong.
    """

    case: Table
    ratios: dict[str, Annotated[float, Meta(ge=0)]] = {}
    causes: tuple[Mistake, ...] = ()
    report: ReportTable | None = None

    def __post_init__(self) -> None:
        check(self.case)

    @property
    def diagnoses(self) -> list[Diagnosis]:
        """Those of its report."""
        return msgspec.convert(self.report["diagnoses"], list[Diagnosis]) if self.report else []


TABLES = {field.name: Decoder(field.type) for field in fields(Record) if field.name not in Head.__struct_fields__}
WHOLE = Decoder(Record)


def from_row(row: Mapping[str, Any]) -> Record:
    """A record from the columns of a file; raises `ValidationError` where one holds something else."""
    head = msgspec.convert({name: row[name] for name in Head.__struct_fields__}, Head)
    tables = {name: decoder.decode(text(row[name])) for name, decoder in TABLES.items() if row[name] is not None}
    return _consistent(Record(**msgspec.structs.asdict(head), **tables))


def from_json(value: Any) -> Record:
    """A record from its JSON; raises as `from_row`."""
    return _consistent(WHOLE.decode(text(value)))


def text(value: Any) -> str:
    """What must be text; SQLite's columns hold anything."""
    if not isinstance(value, str):
        raise ValidationError(f"expected text, got {type(value).__name__}")
    return value


def check_name(record: Record) -> None:
    """Raise `ValidationError` where a record is not that of the case whose name it has. It costs as much as reading it."""
    if name_of(record.case) != record.name:
        raise ValidationError(f"case {record.name} is another case")


def _consistent(record: Record) -> Record:
    """The names of what is wrong are checked, which is shown, judged again and written down."""
    if record.verdict is Verdict.WRONG:
        check_name(record)
    return record
