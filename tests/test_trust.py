"""A store of somebody else's is read and does nothing else: nothing is run, loaded or written, whatever stands in it."""

import ast
import copy
import json
import os
import random
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import msgspec
import numpy as np
import pytest
from test_campaign import Inline

from gradcheck import Case, Dense, Given, Huber, Network, Tanh
from gradcheck import verify as verify_case
from gradcheck.campaign.judging import failed, judge
from gradcheck.campaign.plan import Plan, name_of
from gradcheck.campaign.reproducers import reproducer, write_reproducers
from gradcheck.campaign.results.record import Mistake
from gradcheck.campaign.results.schema import FORMAT, REPRODUCERS, SCHEMA, create
from gradcheck.campaign.results.store import Store
from gradcheck.campaign.results.summary import Failure, summarize
from gradcheck.campaign.shards import draw
from gradcheck.campaign.tables import to_case, to_table
from gradcheck.cli.app import Exit
from gradcheck.errors import DataError, GradcheckError, OutputError
from gradcheck.report.reproducer.file import text
from gradcheck.verdict.findings import Verdict

MARKER = "import pathlib\npathlib.Path('executed').touch()\n"
MINE = """
from gradcheck import backend

def doubled(network, parameters, batch):
    loss, gradients = backend("manual").build(network).loss_and_gradients(parameters, batch)
    return loss, {name: 2 * value for name, value in gradients.items()}
"""
SMALL = Case(
    Network((1,), (Dense(2), Tanh()), Huber()),
    data=Given.of({"inputs": [[0.5]], "targets": [[1.0, 0.0]]}),
    init=Given.of({"0.weight": [[0.25], [1.0]], "0.bias": [0.0, 0.5]}),
)
COMMANDS = {
    "report": ["report", "x.db"],
    "json": ["report", "x.db", "--json", "out.json"],
    "html": ["report", "x.db", "--html", "out.html"],
    "reproduce": ["report", "x.db", "--reproduce", "out"],
    "replay": ["fuzz", "--replay", "x.db"],
    "resume": ["fuzz", "--store", "x.db", "--resume", "--examples", "1"],
}
LOADING = {name: COMMANDS[name] for name in ("reproduce", "replay", "resume")}


class Local(Inline):
    """In place of processes; loads the backends as they would."""

    def __init__(self, jobs, backends):
        super().__init__()
        verify_case(SMALL, backends)

    def close(self):
        pass


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Two wrong ones and a right one, as plain JSON."""
    file = tmp_path_factory.mktemp("backend") / "mine.py"
    file.write_text(MINE)
    wrong = [judge(Plan(backends=("manual", f"{file}:doubled")), to_table(case)) for case in (SMALL, deeper())]
    right = judge(Plan(backends=("manual",)), to_table(SMALL.absolute()) | {"weight_decay": 0.5})
    return json.loads(msgspec.json.encode([*wrong, right]))


def deeper():
    return Case(Network((2,), (Dense(2), Tanh(), Dense(1)), Huber()), samples=2)


@pytest.fixture
def gradcheck(tmp_path, monkeypatch, command_line, records):
    """In an empty folder: run a command; its exit code, and what it wrote."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("gradcheck.cli.fuzzing.Local", Local)
    monkeypatch.setattr("gradcheck.cli.fuzzing.make_small", lambda *_: None)
    monkeypatch.setattr("gradcheck.campaign.run.draw", lambda plan, k: [records[0]["case"]])
    return command_line


def made(rows, plan=None, schema=SCHEMA, then=()):
    """A store with these rows, whatever they are, written past all checks."""
    given = {"backends": ["manual"], **(plan or {})}
    with closing(sqlite3.connect("x.db", isolation_level=None)) as db:
        create(db, schema)
        db.execute("INSERT INTO campaign VALUES (?)", (given if isinstance(given, str) else json.dumps(given),))
        db.execute("INSERT INTO runs (versions) VALUES (?)", ('{"python": "3.12"}',))
        db.execute("INSERT INTO shards VALUES (0, ?)", (json.dumps([rows[0]["name"]] if rows else []),))
        for row in rows:
            values = {name: json.dumps(value) if isinstance(value, dict | list) else value for name, value in row.items()}
            names = ", ".join(f'"{name}"' for name in values)
            db.execute(f"INSERT INTO records (run, {names}) VALUES (1{', ?' * len(values)})", tuple(values.values()))
        for statement in then:
            db.execute(statement)
    return Path("x.db").read_bytes()


def refused(answer, before, *, saying="x.db"):
    """In one line, and nothing was run or written."""
    code, _, err = answer
    assert code == Exit.USAGE
    assert len(err.splitlines()) == 1
    assert err.startswith("gradcheck: ")
    assert saying in err
    assert Path("x.db").read_bytes() == before
    assert not [path for path in Path().iterdir() if path.name.startswith(("out", "executed"))]
    return True


# Backends


@pytest.mark.parametrize("command", LOADING)
@pytest.mark.parametrize(
    "name", ["evil.py:f", "{here}/evil.py:f", "evil:f", "os:system", "evil", "./evil.py:f", "x/../evil.py:f"]
)
def test_a_backend_that_is_code_is_not_loaded_because_a_store_names_it(gradcheck, records, name, command):
    Path("evil.py").write_text(MARKER)
    name = name.format(here=os.getcwd())
    before = made(records, {"backends": ["manual", name]})
    assert refused(gradcheck(*LOADING[command]), before, saying="x.db: it names the backend ")
    assert gradcheck("report", "x.db")[0] == Exit.WRONG


@pytest.mark.parametrize("command", LOADING)
def test_it_is_loaded_where_the_command_repeats_it(gradcheck, records, command):
    Path("own.py").write_text(MARKER + MINE)
    made(records, {"backends": ["manual", f"{os.getcwd()}/own.py:doubled"]})
    assert gradcheck(*LOADING[command], "--backend", "manual", "--backend", "own.py:doubled")[0] == Exit.WRONG
    assert Path("executed").exists() == (command != "reproduce")


@pytest.mark.parametrize("command", LOADING)
def test_registered_backends_need_no_repetition(gradcheck, records, command):
    made(records)
    assert gradcheck(*LOADING[command])[0] in {Exit.GOOD, Exit.WRONG}


@pytest.mark.parametrize("command", ["reproduce", "resume"])
@pytest.mark.parametrize(
    "repeated", [["own.py:doubled"], ["own.py:doubled", "manual"], ["manual", "own.py:other"], ["manual"]]
)
def test_half_a_repetition_is_none(gradcheck, records, command, repeated):
    Path("own.py").write_text(MARKER + MINE)
    before = made(records, {"backends": ["manual", f"{os.getcwd()}/own.py:doubled"]})
    assert refused(gradcheck(*LOADING[command], *(word for name in repeated for word in ("--backend", name))), before)


@pytest.mark.parametrize("command", ["reproduce", "resume"])
def test_a_relative_path_in_a_store_is_nobodys(gradcheck, records, command):
    Path("own.py").write_text(MARKER + MINE)
    before = made(records, {"backends": ["own.py:doubled"]})
    assert refused(gradcheck(*LOADING[command], "--backend", "own.py:doubled"), before)


def test_the_line_of_a_refusal_can_be_pasted(gradcheck, records):
    name = "my own.py:doubled"
    Path("my own.py").write_text(MINE)
    made(records, {"backends": ["manual", f"{os.getcwd()}/{name}"]})
    err = gradcheck(*COMMANDS["replay"])[2]
    assert f"repeat --backend manual --backend '{name}' " in err
    assert gradcheck(*COMMANDS["replay"], "--backend", "manual", "--backend", name)[0] == Exit.WRONG


def test_a_page_has_a_reproducer_of_code_only_where_it_is_repeated(gradcheck, records):
    Path("own.py").write_text(MINE)
    made(records, {"backends": ["manual", f"{os.getcwd()}/own.py:doubled"]})
    for words, has in (([], False), (["--backend", "manual", "--backend", "own.py:doubled"], True)):
        assert gradcheck(*COMMANDS["html"], *words)[0] == Exit.WRONG
        page = Path("out.html").read_text()
        assert ("gradcheck.verify(" in page) == has
        assert ("It would load code" in page) != has


# What stands in a store


def put(*path, value):
    """Change what stands there in a record, and its name with its case."""

    def change(row):
        inside = row
        for key in path[:-1]:
            inside = inside[key]
        inside[path[-1]] = value
        if path[0] == "case" and isinstance(row["case"], dict):
            row["name"] = name_of(row["case"])

    return change


def deep(levels):
    return [deep(levels - 1)] if levels else 1


BAD = {
    "a verdict": put("verdict", value="x"),
    "markup as a name": put("name", value="[/]"),
    "another case's name": put("name", value="0" * 32),
    "a BLOB": put("reason", value=b"x"),
    "a BLOB of JSON": put("ratios", value=b"{}"),
    "no time": put("seconds", value=float("inf")),
    "negative time": put("seconds", value=-1.0),
    "evaluations": put("evaluations", value="x"),
    "a negative ratio": put("ratios", value={"manual": -1.0}),
    "an infinite ratio": put("ratios", value='{"manual": 1e999}'),
    "causes": put("causes", value=[{"backend": 5}]),
    "deep JSON": put("case", value='{"layers":' * 10**5),
    "no JSON": put("report", value="{"),
    "half of a pair": put("causes", value='[{"backend": "\\ud800", "cause": "x", "where": "y"}]'),
    "deep evidence": put("report", "diagnoses", 0, "evidence", value={"factor": deep(50)}),
    "kind of a layer": put("report", "diagnoses", 0, "cause", value=5),
    "an entry": put("report", "findings", 1, "entries", value=[{}]),
    "no layers": put("case", "layers", value=None),
    "a layer without a type": put("case", "layers", value=[{}]),
    "units": put("case", "layers", value=[{"type": "dense", "units": 10**9, "bias": True}]),
    "inputs": put("case", "inputs", value=[]),
    "a device": put("case", "case", "data", value="/dev/zero.npz"),
    "a pipe": put("case", "case", "data", value="pipe.csv"),
    "a key": put("case", "case", "data", value="~/.ssh/x.csv"),
    "a word for a number": put("case", "case", "init", value={"0.weight": [["x"]]}),
    "deep arrays": put("case", "case", "init", value={"0.weight": deep(50)}),
    "samples": put("case", "case", "samples", value=10**9),
    "what no case has": put("case", "evil", value=1),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_record_that_is_none_is_refused_in_one_line(gradcheck, records, bad):
    os.mkfifo("pipe.csv")
    rows = copy.deepcopy(records)
    BAD[bad](rows[0])
    before = made(rows)
    for command, words in COMMANDS.items():
        if command != "replay" or bad != "a verdict":  # which is not among the wrong ones
            assert refused(gradcheck(*words), before)


@pytest.mark.parametrize(
    "change", [put("reason", value="[/]\x1b[2J"), put("causes", value=[]), put("ratios", value={"[/]": 1e308})]
)
def test_a_record_that_is_one_is_shown_as_text(gradcheck, records, change):
    rows = copy.deepcopy(records)
    change(rows[0])
    made(rows)
    for words in COMMANDS.values():
        code, out, err = gradcheck(*words)
        assert code in {Exit.GOOD, Exit.WRONG}
        assert "\x1b" not in out + err


PLANS = [
    {"limit": 1e300}, {"limit": -1}, {"limit": 0}, {"size": 10**12}, {"size": 0}, {"seed": 10**30}, {"seed": -1},
    {"layers": ["x" * 10**6]}, {"layers": [5]}, {"backends": ["manual"] * 10**4}, {"backends": "manual"},
    {"backends": ["x" * 10**5]},
]  # fmt: skip


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: str(plan)[:30])
def test_a_plan_that_is_none_is_refused_in_one_line(gradcheck, records, plan):
    before = made(records, plan)
    for words in COMMANDS.values():
        assert refused(gradcheck(*words), before)


ENDLESS = "WITH RECURSIVE t(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM t) SELECT"
TABLES = {
    "endless records": ["DROP TABLE records", f"CREATE VIEW records AS {ENDLESS} x AS number, x AS name FROM t"],
    "an endless plan": ["DROP TABLE campaign", f"CREATE VIEW campaign AS {ENDLESS} x AS plan FROM t"],
    "a trigger": ["CREATE TRIGGER t AFTER INSERT ON runs BEGIN DELETE FROM records; END"],
    "a table more": ["CREATE TABLE t (x)"],
    "a table less": ["DROP TABLE smallest"],
    "a column that computes": ["ALTER TABLE records ADD COLUMN more AS (length(reason))"],
    "another index": ["DROP INDEX verdicts", "CREATE INDEX verdicts ON records (verdict) WHERE verdict = 'x'"],
    "two plans": ["INSERT INTO campaign SELECT plan FROM campaign"],
    "two tables in one": ["PRAGMA writable_schema = ON", "UPDATE sqlite_schema SET rootpage = 3 WHERE rootpage > 3"],
    "a smallest case that is right": ['INSERT INTO smallest SELECT \'{"backend": "", "cause": "", "where": ""}\', \'{}\''],
    "no names": ["UPDATE shards SET names = '[\"../x\"]'"],
    "no versions": ["UPDATE runs SET versions = '[]'"],
    "no text": ["UPDATE records SET reason = CAST(x'ff' AS TEXT)"],
}


@pytest.mark.parametrize("tables", TABLES)
def test_other_tables_than_a_campaigns_are_refused_in_one_line(gradcheck, records, tables):
    before = made(records, then=TABLES[tables])
    for command, words in COMMANDS.items():
        if command != "replay" or tables not in {"no names", "no versions"}:  # which it does not read
            assert refused(gradcheck(*words), before)


def test_bent_bytes_are_refused_or_reported(gradcheck, records):
    whole, chance, codes = made(records), random.Random(18), []
    for _ in range(40):
        bent = bytearray(whole)
        for _ in range(chance.choice([1, 8])):
            bent[chance.randrange(len(bent))] ^= 1 << chance.randrange(8)
        Path("x.db").write_bytes(bent)
        answer = gradcheck("report", "x.db")
        codes.append(answer[0])
        assert answer[0] == Exit.WRONG or refused(answer, bytes(bent))
    assert {Exit.WRONG, Exit.USAGE} == set(codes)


def test_what_a_campaign_draws_is_what_a_store_may_hold():
    plan = Plan(size=24)
    for table in draw(plan, 0):
        record = failed(table, Verdict.WRONG, "", [Mistake("-", "died", "exit code 1")])
        with Store.create(None, plan, {}) as store:
            store.keep([record])
            assert [*store.records()] == [record]
        assert name_of(to_table(to_case(table))) == record.name


# Reproducers


def test_a_reproducer_is_made_of_the_case_as_that_of_a_fresh_failure(tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    plan = Plan(backends=("manual", f"{tmp_path / 'mine.py'}:doubled"))
    with Store.create(None, plan, {"python": "3.12"}) as store:
        store.keep([judge(plan, to_table(SMALL))])
        summary = summarize(store)
    found = re.compile(r"^Found by .*$", re.MULTILINE)
    failure = summary.failures[0]
    again = reproducer(failure.shown, summary)
    assert found.sub("", again) == found.sub("", text(verify_case(SMALL, plan.backends)))
    assert found.findall(again) == ["Found by a campaign with python 3.12."]
    assert subprocess.run([sys.executable, "-c", again], capture_output=True, check=False, cwd=tmp_path).returncode == 0


def test_a_store_of_format_1_is_read_without_its_programs_and_gone_on_with(gradcheck, records):
    rows = [{**record, "reproducer": MARKER} for record in records]
    then = ["PRAGMA user_version = 1", "PRAGMA journal_mode = DELETE"]
    made(rows, schema=SCHEMA.replace(*REPRODUCERS), then=then)
    assert gradcheck(*COMMANDS["reproduce"])[0] == Exit.WRONG
    for file in Path("out").iterdir():
        assert "executed" not in file.read_text()
        assert "gradcheck.verify(" in file.read_text()
    assert gradcheck(*COMMANDS["resume"])[0] == Exit.WRONG
    with closing(sqlite3.connect("x.db")) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (FORMAT,)
    assert gradcheck("report", "x.db")[0] == Exit.WRONG
    rows[0]["name"] = "0" * 32
    Path("x.db").rename("resumed.db")
    Path("out").rename("written")
    before = made(rows, schema=SCHEMA.replace(*REPRODUCERS), then=then)
    assert refused(gradcheck("report", "x.db"), before)


def test_text_of_a_store_in_a_reproducer_stays_text(gradcheck, records):
    rows, evil = copy.deepcopy(records), '"""\nimport pathlib; pathlib.Path("executed").touch()\n"""'
    finding, diagnosis = rows[0]["report"]["findings"][1], rows[0]["report"]["diagnoses"][0]
    finding["name"], finding["backend"], diagnosis["name"], diagnosis["evidence"] = evil, evil, evil, {evil: evil}
    made(rows, then=[f"UPDATE runs SET versions = '{json.dumps({evil: evil})}'"])
    assert gradcheck(*COMMANDS["reproduce"])[0] == Exit.WRONG
    for file in Path("out").iterdir():
        assert "pathlib" not in {
            alias.name for node in ast.walk(ast.parse(file.read_text())) for alias in getattr(node, "names", ())
        }
        subprocess.run([sys.executable, file], capture_output=True, check=False)
    assert not Path("executed").exists()


def test_file_names_are_plain_short_and_distinct(tmp_path, records):
    plan = Plan(backends=("manual",))
    record = msgspec.convert(records[0], type(failed(records[0]["case"], Verdict.WRONG, "")))
    words = [
        "..",
        "/",
        "../../x",
        "",
        "\0",
        ".hidden",
        "CON",
        "x" * 5000,
        "x" * 5001,
        "-rf",
        "a b",
        "a/b",
        "a:b",
        "é",
        "A",
        "a",
    ]
    mistakes = [Mistake(word, word, word) for word in words]
    with Store.create(None, plan, {}) as store:
        summary = summarize(store)
    summary.failures = [Failure(cause=each, cases=1, common=[], first="", smallest=record) for each in mistakes]
    files = [path.name for path in write_reproducers(summary, tmp_path / "out")]
    assert len({name.lower() for name in files}) == len(words)
    assert all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,100}\.py", name) for name in files)
    assert sorted(files) == sorted(os.listdir(tmp_path / "out"))
    summary.failures = [Failure(cause=Mistake("b", "sign", "weight"), cases=1, common=[], first="", smallest=record)]
    assert [path.name for path in write_reproducers(summary, tmp_path / "plain")] == ["sign-weight-b.py"]


def test_a_case_too_large_to_judge_is_refused(records):
    table = copy.deepcopy(records[1]["case"])
    assert to_case(table)
    for change in ({"samples": 10**6}, {"data": "random", "samples": 999_999}):
        with pytest.raises(GradcheckError, match="numbers, which is more than"):
            to_case({**table, "case": {**table["case"], **change}})


# What is said is true


def test_a_store_that_is_gone_is_not_said_to_be_kept(gradcheck, monkeypatch, records):
    words = ("fuzz", "--examples", "1", "--backend", "manual", "--store", "x.db")
    monkeypatch.setattr("gradcheck.cli.fuzzing.make_small", lambda *_: Path("x.db").unlink())
    code, _, err = gradcheck(*words)
    assert (code, err.splitlines()[-1]) == (
        Exit.USAGE,
        "gradcheck: x.db: not kept: it was removed or replaced while the campaign ran",
    )
    monkeypatch.setattr("gradcheck.cli.fuzzing.make_small", lambda *_: None)
    code, out, err = gradcheck(*words)
    assert code == Exit.GOOD
    assert "every case is kept in x.db" in out + err


def test_another_file_in_a_stores_place_is_noticed(tmp_path):
    with Store.create(tmp_path / "x.db", Plan(), {}) as store:
        store.check_kept()
        (tmp_path / "x.db").rename(tmp_path / "y.db")
        (tmp_path / "x.db").touch()
        with pytest.raises(OutputError, match="removed or replaced"):
            store.check_kept()


def test_halves_of_characters_and_nul_are_kept_as_their_escapes():
    half, nul = Mistake("b", "x\ud800", "y"), Mistake("b", "x\0", "y")
    record = failed(to_table(SMALL), Verdict.WRONG, "a\ud800\0", [half, nul])
    with Store.create(None, Plan(backends=("manual",)), {}) as store:
        store.keep([record])
        (kept,) = store.records()
        assert (kept.reason, kept.causes[0].cause, kept.causes[1].cause) == ("a\\ud800\0", "x\\ud800", "x\0")
        assert summarize(store).to_table()


ASK = """
import sys
from pathlib import Path
from gradcheck.campaign.results.store import Store
from gradcheck.campaign.results.summary import summarize
from gradcheck.foundation.writing import json_text
with Store.read(Path(sys.argv[1])) as store:
    sys.stdout.write(json_text(summarize(store).to_table()))
"""


def test_a_summary_is_the_same_whatever_the_hash_seed_and_the_order_of_the_cases(gradcheck, records):
    tables = draw(Plan(size=24), 0)
    kept = [failed(table, Verdict.WRONG, "r", [Mistake("b", "died", str(i % 3))]) for i, table in enumerate(tables)]
    said = set()
    for seed, rows in (("0", kept), ("1", kept), ("2", kept[::-1])):
        with Store.create(Path(f"{seed}.db"), Plan(backends=("manual",)), {}) as store:
            store.drawn(0, sorted({record.name for record in kept}))
            store.keep(rows)
        command = [sys.executable, "-c", ASK, f"{seed}.db"]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        said.add(subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout)
    assert len(said) == 1
    assert len(json.loads(said.pop())["failures"]) == 3


# The rest of the page


class Evil:
    def __reduce__(self):
        return os.mkdir, ("executed",)


@pytest.mark.parametrize("ending", ["npz", "npy"])
def test_a_pickle_in_an_array_is_not_loaded(gradcheck, ending):
    arrays = np.array([Evil()], dtype=object)
    if ending == "npz":
        np.savez("x.npz", inputs=arrays, targets=arrays)
        Path("net.toml").write_text('inputs = [1]\nloss = "mse"\nlayers = ["tanh"]\ncase = { data = "x.npz" }\n')
        answer = gradcheck("verify", "net.toml", "--backend", "manual")
    else:
        np.save("x.npy", arrays)
        answer = gradcheck("check", "scipy.optimize:rosen", "scipy.optimize:rosen_der", "--point", "x.npy")
    assert answer[0] == Exit.USAGE
    assert not Path("executed").exists()
    np.load(f"x.{ending}", allow_pickle=True)[slice(None) if ending == "npy" else "inputs"]
    assert Path("executed").exists()


def test_a_description_names_no_backend(gradcheck):
    Path("evil.py").write_text(MARKER)
    net = 'inputs = [1]\nloss = "mse"\nlayers = ["tanh"]\n'
    for more in (
        'backends = ["evil.py:f"]\n',
        'case = { backends = ["evil.py:f"] }\n',
        'case = { backend = "evil.py:f" }\n',
    ):
        Path("net.toml").write_text(net + more)
        code, _, err = gradcheck("verify", "net.toml", "--backend", "manual")
        assert (code, "unknown key" in err) == (Exit.USAGE, True)
    assert not Path("executed").exists()


def test_reading_fails_as_data(tmp_path):
    (tmp_path / "x.db").write_bytes(b"x")
    with pytest.raises(DataError):
        Store.read(tmp_path / "x.db")
