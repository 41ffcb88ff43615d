"""`Store`: a campaign's file, an SQLite database of format 1 that one process writes and any number read meanwhile.

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

from msgspec import convert
from msgspec.json import decode, encode

from gradcheck.campaign.plan import Plan
from gradcheck.campaign.results.database import READING, WRITING, alone, beside, check_readable, database, naming, size_of
from gradcheck.campaign.results.record import Mistake, Record
from gradcheck.errors import DataError, OutputError
from gradcheck.foundation.writing import CAMPAIGN

FORMAT = 1
APPLICATION = int.from_bytes(CAMPAIGN, "big")  # by which an SQLite file says whose it is
PAGE = 100  # records read at once

# The long ones stand last, where SQLite need not read them for the sake of the others.
COLUMNS = ("name", "verdict", "reason", "seconds", "evaluations", "ratios", "causes", "case", "report", "reproducer")
JSON = {"ratios", "causes", "case", "report"}
NAMES = ", ".join(f'"{name}"' for name in COLUMNS)
SCHEMA = f"""
BEGIN IMMEDIATE;
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {FORMAT};
CREATE TABLE campaign (plan TEXT NOT NULL);
CREATE TABLE runs (run INTEGER PRIMARY KEY, versions TEXT NOT NULL);
CREATE TABLE shards (shard INTEGER PRIMARY KEY, names TEXT NOT NULL);
CREATE TABLE records (
    number INTEGER PRIMARY KEY, run INTEGER NOT NULL, name TEXT NOT NULL UNIQUE, verdict TEXT NOT NULL, reason TEXT NOT NULL,
    seconds REAL NOT NULL, evaluations INTEGER NOT NULL, ratios TEXT NOT NULL, causes TEXT NOT NULL, "case" TEXT NOT NULL,
    report TEXT, reproducer TEXT NOT NULL
);
CREATE TABLE smallest (cause TEXT PRIMARY KEY, record TEXT NOT NULL);
CREATE INDEX verdicts ON records (verdict)"""


class Store(AbstractContextManager["Store"]):
    """A campaign's plan, shards and records: `create`, `resume` or `read` one, and close it or use it in a ``with``.

    What cannot be read raises `DataError`, what cannot be written `OutputError`; both leave everything that stands there.
    Its ``plan`` is that of its creation.
    """

    def __init__(self, path: Path | None, db: sqlite3.Connection, plan: Plan, run: int, opened: ExitStack) -> None:
        self.plan = plan
        self._path, self._db, self._run, self._opened = path, db, run, opened

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
                    for statement in SCHEMA.split(";"):
                        db.execute(statement)
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
                ((answer,),) = found._rows("PRAGMA quick_check(1)")
                if answer != "ok":
                    raise DataError(f"{path}: corrupted: {answer.splitlines()[-1]}")
            with naming(path, OutputError, WRITING):
                db = opened.enter_context(database(path, "rw"))
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
            (plan,) = db.execute("SELECT plan FROM campaign").fetchone() or ("",)
            return cls(path, db, decode(plan, type=Plan), 0, opened.pop_all())

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
        before: tuple[str, ...] = self._decoded(known[0][0], tuple[str, ...]) if known else ()
        if any(one != other for one, other in zip(before, names, strict=False)):
            raise DataError(f"{self._path}: shard {k} held other cases when it was drawn before, with other versions")
        if not known or len(names) > len(before):
            with naming(self._path, OutputError, WRITING):
                self._db.execute("INSERT OR REPLACE INTO shards VALUES (?, ?)", (k, _text(names)))

    def shards(self) -> dict[int, tuple[str, ...]]:
        """By number, the names of the cases of each shard that was drawn."""
        rows = self._rows("SELECT shard, names FROM shards ORDER BY shard")
        return {shard: self._decoded(names, tuple[str, ...]) for shard, names in rows}

    def keep(self, records: Iterable[Record]) -> None:
        """Keep all or none. Where a record of the same name stands already, that one stays."""
        rows = [(self._run, *_row(record)) for record in records]
        insert = f"INSERT INTO records (run, {NAMES}) VALUES (?{', ?' * len(COLUMNS)}) ON CONFLICT (name) DO NOTHING"
        with naming(self._path, OutputError, WRITING), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(insert, rows)

    def keep_smallest(self, cause: Mistake, record: Record) -> None:
        """The smallest case with a cause, in place of what stood there."""
        with naming(self._path, OutputError, WRITING):
            self._db.execute("INSERT OR REPLACE INTO smallest VALUES (?, ?)", (_text(cause), _text(record)))

    def smallest(self) -> dict[Mistake, Record]:
        """By cause, in the order kept."""
        rows = self._rows("SELECT cause, record FROM smallest ORDER BY rowid")
        return {self._decoded(cause, Mistake): self._decoded(record, Record) for cause, record in rows}

    def names(self) -> set[str]:
        """The cases that were judged."""
        return {name for (name,) in self._rows("SELECT name FROM records")}

    def records(self, verdict: str | None = None) -> Iterator[Record]:
        """In the order kept, those with one verdict or all; few are in memory at a time."""
        condition = "number > :last" if verdict is None else "number > :last AND verdict = :verdict"
        select = f"SELECT number, {NAMES} FROM records WHERE {condition} ORDER BY number LIMIT {PAGE}"
        last = 0
        # Page by page: one query left open for long would keep a campaign that writes from ever shortening its -wal.
        while page := self._rows(select, {"last": last, "verdict": verdict}):
            for _, *row in page:
                yield self._record(row)
            last = page[-1][0]

    def record(self, name: str) -> Record:
        """The one of this name, which must be there."""
        (row,) = self._rows(f"SELECT {NAMES} FROM records WHERE name = ?", (name,))
        return self._record(row)

    def counts(self) -> dict[str, int]:
        """How many records there are by verdict, most first."""
        return dict(self._rows("SELECT verdict, count(*) FROM records GROUP BY verdict ORDER BY count(*) DESC, verdict"))

    def reasons(self, verdict: str) -> dict[str, int]:
        """How many records with this verdict there are by the reason that they have, most first."""
        found = "FROM records WHERE verdict = ? AND reason != '' GROUP BY reason"
        return dict(self._rows(f"SELECT reason, count(*) {found} ORDER BY count(*) DESC, reason", (verdict,)))

    def _rows(self, select: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
        with naming(self._path, DataError, READING):
            return self._db.execute(select, values).fetchall()

    def _decoded(self, text: str, kind: Any) -> Any:
        with naming(self._path, DataError, READING):
            return decode(text, type=kind)

    def _record(self, row: Sequence[Any]) -> Record:
        with naming(self._path, DataError, READING):
            fields = zip(COLUMNS, row, strict=True)
            return convert({name: decode(value) if name in JSON and value else value for name, value in fields}, Record)


@contextmanager
def _campaign(path: Path, mode: str) -> Generator[sqlite3.Connection]:
    with database(path, mode) as db:
        if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
            raise DataError(f"{path}: not a campaign of gradcheck's")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version != FORMAT:
            raise DataError(f"{path}: format {version}, this gradcheck reads {FORMAT}")
        page = db.execute("PRAGMA page_size").fetchone()[0]
        if (size_of(path, DataError) or 0) % page and not size_of(beside(path, "-wal"), DataError):
            raise DataError(f"{path}: corrupted: its end is missing")  # less than a page, which SQLite would not notice
        yield db


def _start(db: sqlite3.Connection, versions: Mapping[str, str]) -> int:
    """The number of a new run."""
    db.execute("PRAGMA journal_mode = WAL")
    # A commit is handed to the operating system before it returns: killing the process loses none. NORMAL does not wait
    # for the disk: a loss of power may take the last commits, and their cases are judged again.
    db.execute("PRAGMA synchronous = NORMAL")
    return db.execute("INSERT INTO runs (versions) VALUES (?)", (_text(versions),)).lastrowid or 0


def _text(value: Any) -> str:
    return encode(value).decode()


def _row(record: Record) -> list[Any]:
    if not all(map(math.isfinite, record.ratios.values())):
        raise ValueError(f"{record.name}: JSON would make nothing of a ratio that is not finite")
    values = ((name, getattr(record, name)) for name in COLUMNS)
    return [_text(value) if name in JSON and value is not None else value for name, value in values]
