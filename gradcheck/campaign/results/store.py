"""`Store`: a campaign's file, an SQLite database of format 2 that one process writes and any number read meanwhile.

Its tables, for queries with ``sqlite3 campaign.db``; JSON is text that SQLite's functions ``json_...`` read:

campaign
    One row: plan (JSON).
runs
    One row each time that the campaign was started or resumed: run (1, 2, ...), versions (JSON, by library).
shards
    shard (0, 1, ...), names (JSON, the hashes of its cases in the order drawn; a shard may hold one case twice).
records
    One row per judged case: number (1, 2, ... in the order kept), run (whose versions judged it), and what `Record` has, of
    which ratios, causes, "case" and report are JSON. SQL wants ``"case"`` in double quotes. No report is NULL.

smallest
    One row per cause of what is wrong: cause and record (JSON), the smallest case that still has it. It counts in no total.

Which causes there are, and what was drawn and is not judged::

    SELECT json_extract(value, '$.cause') AS cause, count(*) FROM records, json_each(causes) GROUP BY cause;
    SELECT value FROM shards, json_each(names) EXCEPT SELECT name FROM records;
"""

import math
import sqlite3
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

from msgspec import ValidationError, convert
from msgspec.json import decode, encode

from gradcheck.campaign.plan import Plan
from gradcheck.campaign.results.database import READING, WRITING, alone, beside, check_readable, database, naming, size_of
from gradcheck.campaign.results.record import TABLES, Mistake, Name, Record, check_name, from_json, from_row, text
from gradcheck.campaign.results.schema import check, create, upgrade
from gradcheck.errors import DataError, OutputError
from gradcheck.foundation.writing import encodable
from gradcheck.verdict.findings import Verdict

PAGE = 100  # records read at once

# The long ones stand last, where SQLite need not read them for the sake of the others.
COLUMNS = ("name", "verdict", "reason", "seconds", "evaluations", "ratios", "causes", "case", "report")
NAMES = ", ".join(f'"{name}"' for name in COLUMNS)


class Store(AbstractContextManager["Store"]):
    """A campaign's plan, shards and records: `create`, `resume` or `read` one, and close it or use it in a ``with``.

    What cannot be read raises `DataError`, what cannot be written `OutputError`; both leave everything that stands there.
    Its ``plan`` is that of its creation.
    """

    def __init__(self, path: Path | None, db: sqlite3.Connection, plan: Plan, run: int, opened: ExitStack) -> None:
        self.plan = plan
        self._path, self._db, self._run, self._opened = path, db, run, opened
        self._file = None if path is None else beside(path, "")
        self._identity = _identity(self._file)

    @classmethod
    def create(cls, path: Path | None, plan: Plan, versions: Mapping[str, str]) -> Self:
        """A new file, or one of zero bytes; in memory without a path."""
        with ExitStack() as opened:
            if path is not None:
                opened.enter_context(alone(path))
                if size_of(path, OutputError):
                    raise OutputError(f"{path}: exists already: --resume goes on with it")
            with naming(path, OutputError, WRITING):
                db = opened.enter_context(database(path, "rwc"))
                with db:  # whole or not at all: a file without a plan is none to go on with
                    db.execute("BEGIN IMMEDIATE")
                    create(db)
                    db.execute("INSERT INTO campaign VALUES (?)", (_text(plan),))
                run = _start(db, versions)
            return cls(path, db, plan, run, opened.pop_all())

    @classmethod
    def resume(cls, path: Path, versions: Mapping[str, str]) -> Self:
        """The campaign that stands there, to go on with; nothing is written unless all of it can be read."""
        check_readable(path)
        with ExitStack() as opened:
            opened.enter_context(alone(path))
            with cls.read(path) as found:
                found.read_through()
            with naming(path, OutputError, WRITING):
                db = opened.enter_context(database(path, "rw"))
                with db:
                    db.execute("BEGIN IMMEDIATE")
                    upgrade(db)
                run = _start(db, versions)
            return cls(path, db, found.plan, run, opened.pop_all())

    @classmethod
    def read(cls, path: Path) -> Self:
        """To read only, also while a campaign writes to it. SQLite may leave files ``-wal`` and ``-shm`` beside it."""
        check_readable(path)
        with ExitStack() as opened, naming(path, DataError, f"{READING} as a campaign"):
            try:
                db = opened.enter_context(_campaign(path, "ro"))
            except sqlite3.OperationalError:
                # In a folder that is read only SQLite cannot make these files; nor need it where nothing waits in one.
                if any(size_of(beside(path, ending), DataError) for ending in ("-wal", "-journal")):
                    raise
                db = opened.enter_context(_campaign(path, "ro&immutable=1"))
            plans = db.execute("SELECT plan FROM campaign LIMIT 2").fetchall()
            if len(plans) != 1:
                raise ValidationError(f"{len(plans)} plans")
            return cls(path, db, _from_text(plans[0][0], Plan), 0, opened.pop_all())

    def read_through(self) -> None:
        """Read all that stands there, so that what cannot be read is known before anything is written."""
        with naming(self._path, DataError, READING):
            for record in self.records():
                check_name(record)
        _ = self.versions, self.shards(), self.smallest()

    def check_kept(self) -> None:
        """Raise `OutputError` where the file does not stand any more where it was opened."""
        if self._identity != _identity(self._file):
            raise OutputError(f"{self._path}: not kept: it was removed or replaced while the campaign ran")

    def close(self) -> None:
        """Let go of the file; another campaign may then write to it."""
        self._opened.close()

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def versions(self) -> list[dict[str, str]]:
        """By library, for each run in order."""
        rows = self._rows("SELECT versions FROM runs ORDER BY run")
        return [self._decoded(versions, dict[str, str]) for (versions,) in rows]

    def drawn(self, k: int, names: Sequence[str]) -> None:
        """Shard k was drawn, and begins with these cases in this order; it may turn out longer than was said before.

        Raises
        ------
        DataError
            Where it held other cases before: some library has another version.
        """
        known = self._rows("SELECT names FROM shards WHERE shard = ?", (k,))
        before: tuple[str, ...] = self._decoded(known[0][0], tuple[Name, ...]) if known else ()
        if any(one != other for one, other in zip(before, names, strict=False)):
            raise DataError(f"{self._path}: shard {k} held other cases when it was drawn before, with other versions")
        if not known or len(names) > len(before):
            with naming(self._path, OutputError, WRITING):
                self._db.execute("INSERT OR REPLACE INTO shards VALUES (?, ?)", (k, _text(names)))

    def shards(self) -> dict[int, tuple[str, ...]]:
        """By number, the names of the cases of each shard that was drawn."""
        rows = self._rows("SELECT shard, names FROM shards ORDER BY shard")
        return {shard: self._decoded(names, tuple[Name, ...]) for shard, names in rows}

    def keep(self, records: Iterable[Record]) -> None:
        """Keep all or none. Where a record of the same name stands already, that one stays."""
        rows = [(self._run, *_row(record)) for record in map(_as_text, records)]
        insert = f"INSERT INTO records (run, {NAMES}) VALUES (?{', ?' * len(COLUMNS)}) ON CONFLICT (name) DO NOTHING"
        with naming(self._path, OutputError, WRITING), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(insert, rows)

    def keep_smallest(self, cause: Mistake, record: Record) -> None:
        """The smallest case with a cause, in place of what stood there."""
        with naming(self._path, OutputError, WRITING):
            self._db.execute("INSERT OR REPLACE INTO smallest VALUES (?, ?)", (_text(cause), _text(_as_text(record))))

    def smallest(self) -> dict[Mistake, Record]:
        """By cause, in the order kept."""
        rows = self._rows("SELECT cause, record FROM smallest ORDER BY rowid")
        with naming(self._path, DataError, READING):
            return dict(_smallest(_from_text(cause, Mistake), from_json(record)) for cause, record in rows)

    def names(self) -> set[str]:
        """The cases that were judged."""
        return {name for (name,) in self._rows("SELECT name FROM records")}

    def records(self, verdict: Verdict | None = None) -> Iterator[Record]:
        """In the order kept, those with one verdict or all; few are in memory at a time."""
        condition = "number > :last" if verdict is None else "number > :last AND verdict = :verdict"
        select = f"SELECT number, {NAMES} FROM records WHERE {condition} ORDER BY number LIMIT {PAGE}"
        last = 0
        # Page by page: one query left open for long would keep a campaign that writes from ever shortening its -wal.
        while page := self._rows(select, {"last": last, "verdict": verdict}):
            for number, *row in page:
                if number <= last:  # or a damaged file would be read for ever
                    raise DataError(f"{self._path}: {READING}: record {number} stands behind {last}")
                last = number
                yield self._record(row)

    def record(self, name: str) -> Record:
        """The one of this name, which must be there."""
        (row,) = self._rows(f"SELECT {NAMES} FROM records WHERE name = ?", (name,))
        return self._record(row)

    def counts(self) -> dict[str, int]:
        """How many records there are by verdict, most first."""
        rows = self._rows("SELECT verdict, count(*) FROM records GROUP BY verdict ORDER BY count(*) DESC, verdict")
        with naming(self._path, DataError, READING):
            return dict(convert(rows, list[tuple[Verdict, int]]))

    def reasons(self, verdict: str) -> dict[str, int]:
        """How many records with this verdict there are by the reason that they have, most first."""
        found = "FROM records WHERE verdict = ? AND reason != '' GROUP BY reason"
        return dict(self._rows(f"SELECT reason, count(*) {found} ORDER BY count(*) DESC, reason", (verdict,)))

    def _rows(self, select: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
        with naming(self._path, DataError, READING):
            return self._db.execute(select, values).fetchall()

    def _decoded(self, text: str, kind: Any) -> Any:
        with naming(self._path, DataError, READING):
            return _from_text(text, kind)

    def _record(self, row: Sequence[Any]) -> Record:
        with naming(self._path, DataError, READING):
            return from_row(dict(zip(COLUMNS, row, strict=True)))


@contextmanager
def _campaign(path: Path, mode: str) -> Generator[sqlite3.Connection]:
    with database(path, mode) as db:
        check(db, path)
        yield db


def _start(db: sqlite3.Connection, versions: Mapping[str, str]) -> int:
    """The number of a new run."""
    db.execute("PRAGMA journal_mode = WAL")
    # A commit is handed to the operating system before it returns: killing the process loses none. NORMAL does not wait
    # for the disk: a loss of power may take the last commits, and their cases are judged again.
    db.execute("PRAGMA synchronous = NORMAL")
    return db.execute("INSERT INTO runs (versions) VALUES (?)", (_text(versions),)).lastrowid or 0


def _identity(file: Path | None) -> tuple[int, int] | None:
    """By which a file is told from another of its name; None where there is none."""
    try:
        found = file.stat() if file else None
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if found else None


def _from_text(value: Any, kind: Any) -> Any:
    return decode(text(value), type=kind)


def _smallest(cause: Mistake, record: Record) -> tuple[Mistake, Record]:
    """In small a mistake may go by another name, but it is the same backend's."""
    backends = {finding["backend"] for finding in record.report["findings"]} if record.report else {cause.backend}
    if record.verdict is not Verdict.WRONG or cause.backend not in backends:
        raise ValidationError(f"case {record.name} is not one in which {cause.backend} is wrong")
    return cause, record


def _as_text(record: Record) -> Record:
    """The same, where files can hold it; else halves of characters as their escapes."""
    try:
        encode(record)
    except UnicodeEncodeError:
        return encodable(record)
    return record


def _text(value: Any) -> str:
    return encode(value).decode()


def _row(record: Record) -> list[Any]:
    if not all(map(math.isfinite, record.ratios.values())):
        raise ValueError(f"{record.name}: JSON would make nothing of a ratio that is not finite")
    values = ((name, getattr(record, name)) for name in COLUMNS)
    return [_text(value) if name in TABLES and value is not None else value for name, value in values]
