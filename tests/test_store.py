"""A campaign's file: nothing that was kept is lost, nothing that stands there is overwritten, one process writes."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import tracemalloc
from contextlib import closing, nullcontext
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

import gradcheck.strategies
from gradcheck.campaign.plan import Plan, name_of
from gradcheck.campaign.results import store as module
from gradcheck.campaign.results.record import Mistake, Record
from gradcheck.campaign.results.schema import APPLICATION, FORMAT
from gradcheck.campaign.results.store import COLUMNS, PAGE, Store
from gradcheck.campaign.tables import to_table
from gradcheck.errors import DataError, OutputError
from gradcheck.verdict.findings import Verdict

PLAN = Plan(seed=7, layers=("GELU", "Tanh"), backends=("reference", "torch"), limit=0.1 + 0.2)
VERSIONS = {"python": "3.11.7", "numpy": "2.0.0"}
EXTREMES = (5e-324, -0.0, 0.0, 2.2250738585072011e-308, sys.float_info.max, 0.1 + 0.2, 1e22, 1.0, 1, 2**70, None, True)
CASE = {
    "inputs": [3],
    "layers": [{"type": "gelu", "approximate": "none"}],
    "loss": {"type": "mse"},
    "case": {
        "data": {"inputs": [[-0.0, 1.0, 1]], "targets": [[*EXTREMES[:3]]]},
        "init": {},
        "dtype": "float64",
        "scale": 5e-324,
        "seed": 2**70,
    },
}
WRONG = Record(
    name=name_of(CASE),
    case=CASE,
    verdict=Verdict.WRONG,
    reason="torch: 'weight' is off\nby one; ∂L/∂w ≠ 0 \0 😀",
    ratios={"torch": sys.float_info.max, "reference": 5e-324},
    seconds=0.1 + 0.2,
    evaluations=2**40,
    causes=(Mistake("torch", "sign", "GELU"), Mistake("torch", "scale", "weight")),
    report={
        "findings": [
            {"name": "'\"\\", "backend": "", "verdict": Verdict.WRONG, "entries": [], "error": 5e-324, "bound": None}
        ],
        "diagnoses": [{"name": "", "cause": "x", "backend": "torch", "evidence": {"": [*EXTREMES], "a": {"b": None}}}],
    },
)


def plain(number, verdict="correct", reason=""):
    case = {**CASE, "weight_decay": float(number)}
    return Record(name=name_of(case), case=case, verdict=Verdict(verdict), reason=reason)


def written(path, count=3):
    """A campaign's file, closed."""
    with Store.create(path, PLAN, VERSIONS) as store:
        store.drawn(0, [plain(number).name for number in range(count)])
        store.keep(map(plain, range(count)))
    return path


def everything(store):
    """Exactly: repr tells 1 from 1.0 and 0.0 from -0.0."""
    return repr((store.plan, store.versions, store.shards(), list(store.records()), store.counts(), store.names()))


def bytes_in(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def altered(path, *statements):
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for statement in statements:
            db.execute(statement)
    return path


def start(script, *arguments, inside=()):
    """A process that runs a script after the imports, inside another command; it reports by printing lines."""
    head = "import sqlite3, sys, time\nfrom gradcheck.campaign.results.store import *\n"
    head += "from gradcheck.campaign.plan import Plan, name_of\n"
    head += f"path, plan, versions, case = Path(sys.argv[1]), {PLAN}, {VERSIONS}, {CASE}\n"
    head += "def plain(number):\n    table = {**case, 'weight_decay': float(number)}\n"
    head += "    return Record(name=name_of(table), case=table, verdict=Verdict.CORRECT, reason='x' * 3000)\n"
    command = [*inside, sys.executable, "-u", "-c", head + script, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def killed(process):
    """Kill it and give the whole lines that it had printed and nobody had read."""
    process.kill()
    with process:  # not communicate(), which leaves out what stands in the buffer
        return [line.strip() for line in process.stdout if line.endswith("\n")]


HOLD = "store = Store.create(path, plan, versions)\nstore.keep([plain(0)])\nprint('open')\ntime.sleep(60)\n"


@pytest.fixture
def holder(tmp_path):
    """A process with a campaign open for writing, and one record kept."""
    process = start(HOLD, tmp_path / "c.db")
    assert process.stdout.readline() == "open\n", process.communicate()[1]
    yield process
    with process:
        process.kill()


@pytest.fixture
def bound():
    """A folder of a user whom permissions bind, which root is not."""
    folder = Path(tempfile.mkdtemp())
    root = os.geteuid() == 0
    if root:
        os.chown(folder, 65534, 65534)
        os.seteuid(65534)
    yield folder
    if root:
        os.seteuid(0)
    folder.chmod(0o700)
    shutil.rmtree(folder)


# What is kept comes back


words = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
evidence = words | st.lists(words, max_size=3) | st.dictionaries(st.text(), words, max_size=3)
findings = st.fixed_dictionaries(
    {"name": st.text(), "backend": st.text(), "verdict": st.sampled_from(Verdict), "entries": st.just([])}
)
diagnoses = st.fixed_dictionaries(
    {
        "name": st.text(),
        "cause": st.text(),
        "backend": st.text(),
        "evidence": st.dictionaries(st.text(), evidence | st.lists(evidence, max_size=2), max_size=3),
    }
)
reports = st.fixed_dictionaries({"findings": st.lists(findings, max_size=2), "diagnoses": st.lists(diagnoses, max_size=2)})
tables = gradcheck.strategies.cases().map(to_table)
records = st.builds(
    lambda case, **given: Record(name=name_of(case), case=case, **given),
    case=tables.map(lambda table: json.loads(json.dumps(table))),
    verdict=st.sampled_from(Verdict),
    reason=st.text(),
    ratios=st.dictionaries(st.text(), st.floats(0, allow_infinity=False), max_size=3),
    seconds=st.floats(0, 1e9),
    evaluations=st.integers(0, 2**63 - 1),
    causes=st.lists(st.builds(Mistake, st.text(), st.text(), st.text()), max_size=3).map(tuple),
    report=st.none() | reports,
)


@given(st.lists(records, max_size=4, unique_by=lambda record: record.name))
def test_records_come_back_exactly_and_in_order(kept):
    with Store.create(None, PLAN, VERSIONS) as store:
        store.keep(kept)
        assert repr(list(store.records())) == repr(kept)


def test_a_campaign_comes_back_exactly_from_its_file(tmp_path):
    with Store.create(tmp_path / "c.db", PLAN, VERSIONS) as store:
        store.drawn(1, [WRONG.name, WRONG.name])
        store.drawn(0, [])
        store.keep([WRONG, plain(0)])
        before = everything(store)
        assert store.plan == PLAN
        assert store.shards() == {0: (), 1: (WRONG.name, WRONG.name)}
        assert repr(list(store.records())) == repr([WRONG, plain(0)])
    with Store.read(tmp_path / "c.db") as store:
        assert everything(store) == before
    with Store.resume(tmp_path / "c.db", VERSIONS) as store:
        assert repr(list(store.records())) == repr([WRONG, plain(0)])


def test_a_column_stands_for_every_field_of_a_record():
    assert set(COLUMNS) == set(Record.__struct_fields__)


def test_a_ratio_that_json_would_lose_is_refused_and_nothing_of_its_batch_kept():
    lossy = structs.replace(plain(1, "wrong"), name="b", ratios={"torch": float("inf")})
    with Store.create(None, PLAN, VERSIONS) as store:
        with pytest.raises(ValueError, match="b: JSON"):
            store.keep([plain(0), lossy])
        assert store.names() == set()


def test_keeping_again_changes_nothing():
    with Store.create(None, PLAN, VERSIONS) as store:
        store.keep([plain(0), plain(1), plain(0)])
        store.keep([plain(1, "wrong"), plain(2)])
        assert [*store.records()] == [plain(0), plain(1), plain(2)]


def test_a_shard_drawn_again_is_compared_and_stays():
    with Store.create(None, PLAN, VERSIONS) as store:
        one, other = plain(0).name, plain(1).name
        store.drawn(3, [one, other, one])
        store.drawn(3, (one, other, one))
        with pytest.raises(DataError, match="shard 3 held other cases"):
            store.drawn(3, [other, one, one])
        assert store.shards() == {3: (one, other, one)}


def test_records_are_streamed_by_verdict_in_order_over_many_pages():
    kept = [plain(number, "wrong" if number % 3 == 0 else "correct") for number in range(4 * PAGE + 1)]
    with Store.create(None, PLAN, VERSIONS) as store:
        store.keep(kept)
        assert [*store.records()] == kept
        assert [*store.records(Verdict.WRONG)] == kept[::3]
        assert [*store.records(Verdict.INEXACT)] == []


def test_few_records_are_in_memory_while_many_are_streamed(tmp_path):
    with Store.create(tmp_path / "c.db", PLAN, VERSIONS) as store:
        store.keep(structs.replace(plain(number), reason="x" * 10_000) for number in range(20 * PAGE))
        tracemalloc.start()
        try:
            assert sum(len(record.reason) for record in store.records()) == 20 * PAGE * 10_000
            assert tracemalloc.get_traced_memory()[1] < 4 * PAGE * 10_000
        finally:
            tracemalloc.stop()


def test_keeping_while_records_are_streamed_disturbs_neither():
    with Store.create(None, PLAN, VERSIONS) as store:
        store.keep(map(plain, range(2 * PAGE)))
        for number, record in enumerate(store.records()):
            assert record == plain(number)
            if number < 2 * PAGE:
                store.keep([plain(2 * PAGE + number)])
        assert number == 4 * PAGE - 1


def test_verdicts_and_reasons_are_counted_most_first():
    verdicts = ["correct"] * 2 + ["unresolved"] * 4 + ["wrong"]
    reasons = ["", "", "time", "kink", "time", "time", "sign"]
    with Store.create(None, PLAN, VERSIONS) as store:
        assert store.counts() == {}
        store.keep(map(plain, range(7), verdicts, reasons))
        assert [*store.counts().items()] == [("unresolved", 4), ("correct", 2), ("wrong", 1)]
        assert [*store.reasons("unresolved").items()] == [("time", 3), ("kink", 1)]


def test_each_record_has_the_run_whose_versions_judged_it(tmp_path):
    path = written(tmp_path / "c.db", 1)
    with Store.resume(path, {"numpy": "2.1.0"}) as store:
        store.keep([plain(0), plain(1)])
        assert store.versions == [VERSIONS, {"numpy": "2.1.0"}]
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT name, run FROM records ORDER BY number").fetchall() == [
            (plain(0).name, 1),
            (plain(1).name, 2),
        ]


def test_the_queries_of_the_documentation_answer(tmp_path):
    with Store.create(tmp_path / "c.db", PLAN, VERSIONS) as store:
        store.drawn(0, [WRONG.name, "a" * 32, "a" * 32])
        store.keep([WRONG, plain(0)])
    queries = [query.replace("\n", " ") for query in module.__doc__.split("::\n")[1].split(";")[:-1]]
    with closing(sqlite3.connect(tmp_path / "c.db")) as db:
        assert [sorted(db.execute(query)) for query in queries] == [[("scale", 1), ("sign", 1)], [("a" * 32,)]]
        assert db.execute("""SELECT json_extract("case", '$.weight_decay') FROM records""").fetchall() == [(None,), (0.0,)]
        assert db.execute("SELECT name FROM records WHERE report IS NULL").fetchall() == [(plain(0).name,)]


# Killed at any moment


LOOP = "store = Store.create(path, plan, versions)\nfor n in range(10**6):\n    store.keep([plain(n)])\n    print(n)\n"


def names_lost(path, script):
    """What a process said to have kept before it was killed, and the file has not."""
    process = start(script, path)
    for _ in range(40):
        assert process.stdout.readline(), process.communicate()[1]
    printed = 40 + len(killed(process))
    with Store.resume(path, VERSIONS) as store:
        store.keep([plain(10**7)])
        assert plain(10**7) in store.records()
        return {plain(number).name for number in range(printed)} - store.names()


def test_a_record_kept_outlives_the_kill_of_the_process(tmp_path):
    assert names_lost(tmp_path / "c.db", LOOP) == set()


def test_a_record_not_committed_would_be_missed(tmp_path):
    lazy = LOOP.replace("for n", "store._db.execute('BEGIN')\nfor n").replace(
        "store.keep([plain(n)])", "store._db.execute('INSERT INTO runs (versions) VALUES (1)')"
    )
    assert len(names_lost(tmp_path / "c.db", lazy)) >= 40


def test_a_reader_finds_what_a_killed_campaign_kept_and_leaves_its_file(tmp_path):
    process = start(LOOP, tmp_path / "c.db")
    assert process.stdout.readline() == "0\n"
    count = 1 + len(killed(process))
    before = (tmp_path / "c.db").read_bytes(), (tmp_path / "c.db-wal").read_bytes()
    with Store.read(tmp_path / "c.db") as store:
        assert count <= store.counts()["correct"] <= count + 1
    assert before == ((tmp_path / "c.db").read_bytes(), (tmp_path / "c.db-wal").read_bytes())


def test_a_file_that_exists_holds_a_plan_whenever_its_creation_is_killed(tmp_path):
    """Killed before each statement: a file is empty, and made anew, or holds a plan, and is resumed."""
    hook = (
        "import os, signal, gradcheck.campaign.results.store as s\n"
        "class Killing(sqlite3.Connection):\n"
        "    left = int(sys.argv[2])\n"
        "    def execute(self, *a):\n"
        "        Killing.left -= 1\n"
        "        if Killing.left < 0: os.kill(os.getpid(), signal.SIGKILL)\n"
        "        return super().execute(*a)\n"
        "real = sqlite3.connect\n"
        "sqlite3.connect = lambda *a, **k: real(*a, factory=Killing, **k)\n"
        "Store.create(path, plan, versions)\n"
    )
    ends = []
    for left in (3, 5, 10, 11, 12, 13, 99):
        path = tmp_path / f"{left}.db"
        process = start(hook, path, left)
        process.communicate()
        ends.append(path.exists() and path.stat().st_size > 0)
        with (Store.resume if ends[-1] else lambda path, versions: Store.create(path, PLAN, versions))(
            path, VERSIONS
        ) as store:
            assert store.plan.seed == PLAN.seed
    assert ends == sorted(ends)
    assert set(ends) == {False, True}
    assert process.returncode == 0


# One writes, others read


def test_a_second_campaign_is_refused_at_once_and_the_first_unharmed(tmp_path, holder):
    path = tmp_path / "c.db"
    with pytest.raises(OutputError, match=r"c\.db: another campaign is writing to it$"):
        Store.resume(path, VERSIONS)
    with pytest.raises(OutputError, match=r"c\.db: another campaign is writing to it$"):
        Store.create(path, PLAN, VERSIONS)
    assert holder.poll() is None
    with Store.read(path) as store:
        assert store.names() == {plain(0).name}
        assert len(store.versions) == 1


def test_without_the_lock_a_second_campaign_would_be_let_in(tmp_path, holder, monkeypatch):
    monkeypatch.setattr(module, "alone", lambda path: nullcontext())
    with Store.resume(tmp_path / "c.db", VERSIONS) as store:
        assert len(store.versions) == 2


def test_a_second_campaign_in_the_same_process_is_refused_too(tmp_path):
    with Store.create(tmp_path / "c.db", PLAN, VERSIONS) as first:
        with pytest.raises(OutputError, match="another campaign"):
            Store.resume(tmp_path / "c.db", VERSIONS)
        first.keep([plain(0)])
        with Store.read(tmp_path / "c.db") as reader:
            assert reader.names() == {plain(0).name}
        with pytest.raises(OutputError, match="another campaign"):
            Store.resume(tmp_path / "c.db", VERSIONS)


def test_a_link_to_a_campaign_is_the_same_campaign(tmp_path, holder):
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "link.db"
    link.symlink_to(tmp_path / "c.db")
    with pytest.raises(OutputError, match="another campaign"):
        Store.resume(link, VERSIONS)
    with Store.read(link) as store:
        assert store.names() == {plain(0).name}


def test_the_lock_vanishes_with_a_killed_process(tmp_path, holder):
    killed(holder)
    with Store.resume(tmp_path / "c.db", VERSIONS) as store:
        assert store.names() == {plain(0).name}


def test_a_closed_campaign_is_one_file(tmp_path):
    written(tmp_path / "c.db")
    with Store.resume(tmp_path / "c.db", VERSIONS):
        assert {path.name for path in tmp_path.iterdir()} == {"c.db", "c.db-wal", "c.db-shm", "c.db-writer"}
    assert [path.name for path in tmp_path.iterdir()] == ["c.db"]


def test_a_campaign_that_could_not_start_leaves_no_lock(tmp_path):
    altered(written(tmp_path / "c.db"), "UPDATE campaign SET plan = 'x'")
    with pytest.raises(DataError):
        Store.resume(tmp_path / "c.db", VERSIONS)
    assert not (tmp_path / "c.db-writer").exists()


def test_readers_see_what_is_kept_while_a_campaign_writes(tmp_path):
    with Store.create(tmp_path / "c.db", PLAN, VERSIONS) as writer, Store.read(tmp_path / "c.db") as reader:
        stream = reader.records()
        writer.keep(map(plain, range(PAGE + 1)))
        assert next(stream) == plain(0)
        writer.keep([plain(PAGE + 1)])
        assert [*stream] == [plain(number) for number in range(1, PAGE + 2)]
        assert len(reader.names()) == PAGE + 2


def test_a_reader_that_stops_half_way_does_not_let_the_wal_grow(tmp_path):
    with Store.create(tmp_path / "c.db", PLAN, VERSIONS) as writer, Store.read(tmp_path / "c.db") as reader:
        writer.keep(map(plain, range(2 * PAGE)))
        stream = reader.records()
        next(stream)
        for number in range(3000):
            writer.keep([plain(10**6 + number)])
        assert (tmp_path / "c.db-wal").stat().st_size < 6 * 2**20


def test_a_reader_cannot_write(tmp_path):
    with Store.read(written(tmp_path / "c.db")) as store:
        before = everything(store)
        with pytest.raises(OutputError, match=r"c\.db: cannot be written: attempt to write a readonly database"):
            store.keep([plain(9)])
        with pytest.raises(OutputError):
            store.drawn(9, [])
        assert everything(store) == before


def test_a_campaign_is_read_where_neither_file_nor_folder_can_be_written(bound):
    path = written(bound / "c.db")
    path.chmod(0o400)
    bound.chmod(0o500)
    with Store.read(path) as store:
        assert store.names() == {plain(number).name for number in range(3)}
    assert [file.name for file in bound.iterdir()] == ["c.db"]


def test_commits_in_a_wal_that_cannot_be_read_are_not_passed_over(bound):
    with Store.create(bound / "from.db", PLAN, VERSIONS) as store:
        store.keep([plain(0)])
        for ending in ("", "-wal"):
            shutil.copy(bound / f"from.db{ending}", bound / f"c.db{ending}")
    bound.chmod(0o500)
    with pytest.raises(DataError, match=r"c\.db: cannot be read as a campaign: "):
        Store.read(bound / "c.db")


# What cannot be


def refusals(path, kinds=(DataError, DataError)):
    """The lines in which reading and resuming are refused; nothing in the folder changes."""
    lines, before = [], bytes_in(path.parent)
    for attempt, kind in zip((Store.read, lambda path: Store.resume(path, VERSIONS)), kinds, strict=True):
        with pytest.raises(kind) as caught:
            attempt(path)
        lines.append(str(caught.value))
        assert "\n" not in lines[-1]
        assert lines[-1].startswith(str(path))
        assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert bytes_in(path.parent) == before
    return [line.removeprefix(f"{path}: ") for line in lines]


def test_what_exists_is_not_overwritten(tmp_path):
    for content in (written(tmp_path / "c.db").read_bytes(), b"x"):
        (tmp_path / "c.db").write_bytes(content)
        with pytest.raises(OutputError, match=r"c\.db: exists already: --resume goes on with it$"):
            Store.create(tmp_path / "c.db", PLAN, VERSIONS)
        assert bytes_in(tmp_path) == {tmp_path / "c.db": content}


def test_a_file_of_zero_bytes_becomes_a_campaign(tmp_path):
    for content in (b"x", b""):  # an empty database to SQLite, both
        (tmp_path / "c.db").write_bytes(content)
        assert refusals(tmp_path / "c.db") == ["not a campaign of gradcheck's"] * 2
    with Store.create(tmp_path / "c.db", PLAN, VERSIONS) as store:
        store.keep([plain(0)])


def test_a_new_campaign_owes_nothing_to_the_wal_of_one_removed(tmp_path, holder):
    killed(holder)
    (tmp_path / "c.db").unlink()
    assert (tmp_path / "c.db-wal").stat().st_size > 0
    with Store.create(tmp_path / "c.db", Plan(seed=8), VERSIONS) as store:
        assert (store.plan.seed, store.names()) == (8, set())
    with Store.read(tmp_path / "c.db") as store:
        assert (store.plan.seed, store.names()) == (8, set())


def test_a_name_of_many_kinds_of_letters_is_one_file(tmp_path):
    path = written(tmp_path / "a %20?mode=memory#é 'x'.db")
    assert [*tmp_path.iterdir()] == [path]
    with Store.read(path) as store:
        assert len(store.names()) == 3


def test_a_missing_file_is_named(tmp_path):
    assert refusals(tmp_path / "c.db") == ["no such file"] * 2
    assert refusals(tmp_path / "nowhere" / "c.db") == ["no such file"] * 2


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(OutputError, match=r"c\.db: cannot be written: no such folder$"):
        Store.create(tmp_path / "nowhere" / "c.db", PLAN, VERSIONS)
    assert not [*tmp_path.iterdir()]


def test_a_folder_or_device_is_no_campaign(tmp_path):
    (tmp_path / "c.db").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "c.db", tmp_path / "pipe"):
        assert refusals(path) == ["not a file"] * 2
        with pytest.raises(OutputError, match="not a file"):
            Store.create(path, PLAN, VERSIONS)
    assert not bytes_in(tmp_path)


def test_a_path_through_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="Not a directory"):
        Store.read(tmp_path / "file" / "c.db")
    with pytest.raises(OutputError, match="no such folder"):
        Store.create(tmp_path / "file" / "c.db", PLAN, VERSIONS)


@pytest.mark.parametrize("content", [b"SQLite format 3\0" * 40, b"name,verdict\n" * 1000, bytes(5000)])
def test_a_file_that_is_no_database_is_no_campaign(tmp_path, content):
    (tmp_path / "c.db").write_bytes(content)
    assert refusals(tmp_path / "c.db") == ["cannot be read as a campaign: file is not a database"] * 2


def test_a_database_of_another_program_is_no_campaign(tmp_path):
    altered(tmp_path / "c.db", "CREATE TABLE campaign (plan TEXT)")
    assert refusals(tmp_path / "c.db") == ["not a campaign of gradcheck's"] * 2


def test_a_newer_format_is_named(tmp_path):
    altered(written(tmp_path / "c.db"), f"PRAGMA user_version = {FORMAT + 1}", "PRAGMA journal_mode = DELETE")
    assert refusals(tmp_path / "c.db") == [f"format {FORMAT + 1}, this gradcheck reads 1 to {FORMAT}"] * 2


def test_a_campaigns_mark_without_its_tables_is_no_campaign(tmp_path):
    altered(tmp_path / "c.db", f"PRAGMA application_id = {APPLICATION}", f"PRAGMA user_version = {FORMAT}")
    assert refusals(tmp_path / "c.db") == ["not a campaign of gradcheck's: it has no index 'sqlite_autoindex_records_1'"] * 2


@pytest.mark.parametrize(
    "statement", ["UPDATE campaign SET plan = '{'", "UPDATE campaign SET plan = 7", "DELETE FROM campaign"]
)
def test_a_plan_that_is_none_is_refused(tmp_path, statement):
    altered(written(tmp_path / "c.db"), statement, "PRAGMA journal_mode = DELETE")
    assert all(line.startswith("cannot be read as a campaign: ") for line in refusals(tmp_path / "c.db"))


@pytest.mark.parametrize(
    "value",
    [
        "causes = '{'",
        "causes = '{}'",
        "ratios = '{\"a\": null}'",
        "reason = CAST(x'ff' AS TEXT)",
        "report = x'ff'",
        "seconds = 'x'",
    ],
)
def test_a_record_that_is_none_is_refused(tmp_path, value):
    altered(written(tmp_path / "c.db"), f"UPDATE records SET {value} WHERE number = 2")
    with Store.read(tmp_path / "c.db") as store, pytest.raises(DataError, match=r"c\.db: cannot be read: "):
        list(store.records())


def one_file(path, count=200):
    """A campaign's file as it is on its own, without a -wal."""
    return altered(written(path, count), "PRAGMA journal_mode = DELETE")


def test_a_campaign_cut_off_is_refused_wherever_it_is_cut(tmp_path):
    path = one_file(tmp_path / "c.db")
    whole = path.read_bytes()
    for length in [*range(1000, len(whole), 4093), len(whole) - 1]:
        path.write_bytes(whole[:length])
        assert all("malformed" in line or line == "corrupted: its end is missing" for line in refusals(path))


def test_a_campaign_overwritten_within_is_never_gone_on_with(tmp_path):
    path = one_file(tmp_path / "c.db")
    whole = path.read_bytes()
    for begin in range(4096, len(whole), 4096):
        damaged = whole[:begin] + b"\xa5" * 4096 + whole[begin + 4096 :]
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"c\.db: (corrupted|cannot be read)"):
            Store.resume(path, VERSIONS)
        assert path.read_bytes() == damaged
        try:
            with Store.read(path) as store:
                everything(store)
        except DataError:
            pass
    path.write_bytes(whole)
    Store.resume(path, VERSIONS).close()


def test_a_file_that_may_not_be_read_is_refused(bound):
    path = written(bound / "c.db")
    path.chmod(0)
    with pytest.raises(DataError, match=r"c\.db: .*(permission denied|unable to open)"):
        Store.read(path)


def test_a_file_that_may_not_be_written_is_refused(bound):
    path = written(bound / "c.db")
    path.chmod(0o400)
    with pytest.raises(OutputError, match=r"c\.db: cannot be written: attempt to write a readonly database"):
        Store.resume(path, VERSIONS)
    bound.chmod(0o500)
    with pytest.raises(OutputError, match=r"c\.db-writer: cannot be written: unable to open"):
        Store.resume(path, VERSIONS)
    with pytest.raises(OutputError, match=r"new\.db-writer: cannot be written: unable to open"):
        Store.create(bound / "new.db", PLAN, VERSIONS)


def test_somebodys_file_in_the_place_of_the_lock_is_left(tmp_path):
    (tmp_path / "a.db-writer").write_bytes(b"x" * 2000)
    altered(tmp_path / "b.db-writer", "CREATE TABLE t (x)")
    before = bytes_in(tmp_path)
    with pytest.raises(OutputError, match=r"a\.db-writer: cannot be written: file is not a database"):
        Store.create(tmp_path / "a.db", PLAN, VERSIONS)
    written(tmp_path / "b.db")
    assert bytes_in(tmp_path).items() >= before.items()


# No space left


FILL = """
kept, store = 0, Store.create(path, plan, versions)
try:
    for n in range(10**5):
        store.keep([plain(2 * n), plain(2 * n + 1)])
        kept = 2 * n + 2
except OutputError as error:
    print(kept, error)
else:
    print("never full")
try:
    print("names", len(store.names()))
    store.close()
except Exception as error:
    print(repr(error))
"""
LIMITED = "import resource, signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n" + (
    "resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))\n"
)


def test_at_a_limit_of_its_size_everything_kept_stays_and_is_gone_on_with(tmp_path):
    path = tmp_path / "c.db"
    output, errors = start(LIMITED + FILL, path).communicate()
    assert errors == ""
    (full, names) = output.splitlines()
    kept, line = full.split(" ", 1)
    assert line.startswith(f"{path}: cannot be written: ")
    assert int(kept) > 20
    assert names == f"names {kept}"
    with Store.resume(path, VERSIONS) as store:
        assert store.names() == {plain(number).name for number in range(int(kept))}
        store.keep([plain(10**6)])


def test_on_a_full_disk_everything_kept_stays_and_can_be_read(tmp_path):
    """On a disk of 512 kB in a mount namespace of its own, which goes with the process."""
    mount = ["unshare", "--mount", "--map-root-user"]
    if not shutil.which("unshare") or subprocess.run([*mount, "mount", "-t", "tmpfs", "none", tmp_path]).returncode:
        pytest.skip("no disk can be mounted here")
    again = """
for begin in (Store.read, lambda path: Store.resume(path, versions)):
    try:
        with begin(path) as store: print(len(store.names()))
    except (DataError, OutputError) as error: print(error)
"""
    on_disk = ["sh", "-c", 'mount -t tmpfs -o size=512k none "$0" && exec "$@"', tmp_path]
    output, errors = start(FILL + again, tmp_path / "c.db", inside=[*mount, *on_disk]).communicate()
    assert errors == ""
    full, *after = output.splitlines()
    kept, line = full.split(" ", 1)
    assert line == f"{tmp_path / 'c.db'}: cannot be written: database or disk is full"
    assert int(kept) > 20
    assert after == [f"names {kept}", kept, kept]
    assert not [*tmp_path.iterdir()]


def test_a_campaign_without_space_to_begin_leaves_nothing_that_stands_in_its_way(tmp_path):
    script = (
        LIMITED.replace("300_000", "5_000") + "try: Store.create(path, plan, versions)\nexcept OutputError as e: print(e)\n"
    )
    output, errors = start(script, tmp_path / "c.db").communicate()
    assert (errors, output.startswith(f"{tmp_path / 'c.db'}: cannot be written: ")) == ("", True)
    Store.create(tmp_path / "c.db", PLAN, VERSIONS).close()


def test_after_a_failure_for_space_the_same_campaign_goes_on_once_there_is_some(tmp_path):
    with Store.create(tmp_path / "c.db", PLAN, VERSIONS) as store:
        store.keep([plain(0)])
        store._db.execute("PRAGMA max_page_count = 12")
        with pytest.raises(OutputError, match=r"c\.db: cannot be written: database or disk is full$"):
            store.keep(map(plain, range(1, 10**4)))
        assert store.names() == {plain(0).name}
        store._db.execute("PRAGMA max_page_count = 100000")
        store.keep([plain(1)])
        assert store.names() == {plain(0).name, plain(1).name}
