"""`gradcheck fuzz` and `gradcheck report`: what is written where, exit codes, and one clear line for whatever cannot be."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from test_campaign import Inline

from gradcheck.builds import registry
from gradcheck.campaign import shards
from gradcheck.campaign.plan import Plan
from gradcheck.campaign.results.store import Store
from gradcheck.cli.app import Exit
from gradcheck.network.layers import LAYERS, Activation

OWN = """
import os, time
from gradcheck import Dense, Tanh, backend

def right(network, parameters, batch):
    return backend("manual").build(network).loss_and_gradients(parameters, batch)

def doubled(network, parameters, batch):
    loss, gradients = right(network, parameters, batch)
    for index, pair in enumerate(zip(network.layers, network.layers[1:])):
        if isinstance(pair[0], Dense) and pair[1] == Tanh():
            gradients[f"{index}.weight"] = 2.5 * gradients[f"{index}.weight"]
    return loss, gradients

def fixable(network, parameters, batch):
    return right(network, parameters, batch) if os.path.exists("fixed") else doubled(network, parameters, batch)
"""


class Local(Inline):
    """In place of processes."""

    def __init__(self, jobs, backends):
        super().__init__()
        registry.resolve(backends)

    def close(self):
        pass


@pytest.fixture(scope="module")
def drawn():
    """Flat networks, in which the planted mistake is met often."""
    return [shards.draw(Plan(layers=tuple(name for name, row in LAYERS.items() if issubclass(row, Activation))), 0)]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch, drawn):
    """An empty folder with a backend; no processes, and shards that were drawn once."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("gradcheck.cli.fuzzing.Local", Local)
    monkeypatch.setattr("gradcheck.campaign.run.draw", lambda plan, k: drawn[k])
    Path("own.py").write_text(OWN)


@pytest.fixture
def gradcheck(command_line):
    """Run a command; its exit code, and what it wrote."""
    return command_line


def files():
    return sorted(path.name for path in Path().iterdir() if not path.name.endswith(("-shm", "-wal", "__pycache__")))


def test_correct_builds_leave_nothing_and_exit_with_0(gradcheck):
    code, out, _ = gradcheck("fuzz", "--examples", "60", "--backend", "manual")
    assert code == Exit.GOOD
    assert "60 examples" in out
    assert files() == ["own.py"]


def test_a_wrong_build_is_found_kept_made_small_and_reproduced(gradcheck):
    words = ["--json", "-", "--html", "page.html", "--reproduce", "small"]
    code, out, err = gradcheck("fuzz", "--examples", "120", "--backend", "own.py:doubled", *words)
    assert code == Exit.WRONG
    table = json.loads(out)
    assert table["format"] == 2
    assert table["judged"] == sum(table["verdicts"].values())
    (failure,) = table["failures"]
    assert failure["cause"] == {"backend": "doubled", "cause": "factor", "where": "weight"}
    assert failure["cases"] == table["verdicts"]["wrong"]
    assert "tanh" in failure["common"]
    assert [layer["type"] for layer in failure["smallest"]["case"]["layers"]] == ["dense", "tanh"]
    (store,) = Path().glob("fuzz-*.db")
    assert f"every case is kept in {store}" in err
    assert "<html" in Path("page.html").read_text()
    (file,) = Path("small").iterdir()
    done = subprocess.run([sys.executable, file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "verdict: wrong" in done.stdout
    Path("own.py").write_text(OWN.replace("2.5", "1"))
    assert subprocess.run([sys.executable, file], capture_output=True, check=False).returncode == 1


def test_replay_says_what_is_fixed_and_changes_nothing(gradcheck, monkeypatch):
    monkeypatch.setattr("gradcheck.cli.fuzzing.make_small", lambda *_: 0)
    gradcheck("fuzz", "--examples", "80", "--backend", "own.py:fixable", "--store", "c.db")
    before = Path("c.db").read_bytes()
    words = ["--replay", "c.db", "--backend", "own.py:fixable"]
    code, out, _ = gradcheck("fuzz", *words, "--json", "still.json")
    assert code == Exit.WRONG
    assert "0 of" in out
    Path("fixed").touch()
    code, out, _ = gradcheck("fuzz", *words, "--json", "fixed.json")
    assert code == Exit.GOOD
    still, fixed = (json.loads(Path(name).read_text()) for name in ("still.json", "fixed.json"))
    assert not still["fixed"]
    assert fixed["fixed"] == [case["name"] for case in fixed["cases"]] != []
    assert Path("c.db").read_bytes() == before


def test_a_campaign_is_gone_on_with_as_it_was_begun(gradcheck):
    assert gradcheck("fuzz", "--examples", "30", "--backend", "manual", "--store", "c.db")[0] == Exit.GOOD
    assert gradcheck("fuzz", "--examples", "70", "--store", "c.db", "--resume")[0] == Exit.GOOD
    with Store.read(Path("c.db")) as store:
        assert sum(map(len, store.shards().values())) == 70
        assert len(store.versions) == 2
        assert {"python", "numpy", "hypothesis", "gradcheck"} <= store.versions[0].keys()
    code, _, err = gradcheck("fuzz", "--store", "c.db", "--resume", "--seed", "3")
    assert (code, err) == (Exit.USAGE, "gradcheck: c.db: the campaign was begun with seed 0, not 3\n")


def test_report_says_the_same_as_fuzz(gradcheck):
    _, said, _ = gradcheck("fuzz", "--examples", "60", "--backend", "manual", "--store", "c.db", "--json", "one.json")
    code, out, _ = gradcheck("report", "c.db", "--json", "two.json", "--html", "page.html")
    assert code == Exit.GOOD
    assert out in said
    assert Path("one.json").read_text() == Path("two.json").read_text()


def test_unresolved_cases_fail_where_that_is_asked_for(gradcheck):
    code, out, _ = gradcheck("fuzz", "--examples", "120", "--backend", "manual", "--fail-on", "nonsmooth")
    assert "nonsmooth" in out
    assert code == Exit.WRONG


def test_an_interrupted_campaign_is_kept_and_says_how_to_go_on(gradcheck, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("gradcheck.cli.fuzzing.make_small", interrupted)
    code, _, err = gradcheck("fuzz", "--examples", "20", "--backend", "manual")
    (store,) = Path().glob("fuzz-*.db")
    assert code == Exit.INTERRUPTED
    assert f"gradcheck fuzz --resume --store {store}" in err


BAD = {
    ("fuzz", "--examples", "3", "--minutes", "1"): "expected one of --examples and --minutes",
    ("fuzz", "--resume"): "--resume needs --store",
    ("fuzz", "--minutes", "0"): "expected a finite number > 0, got 0.0",
    ("fuzz", "--examples", "0"): "'--examples': Input should be greater than or equal to 1",
    ("fuzz", "--layers", "tahn"): "--layers: unknown layer 'tahn', did you mean 'tanh'?",
    ("fuzz", "--layers", ","): "--layers: expected names of layers with commas between them, got ','",
    ("fuzz", "--backend", "nope"): "unknown backend 'nope'",
    ("fuzz", "--backend", "none.py:f"): "none.py: no such file",
    ("fuzz", "--store", "own.py", "--examples", "5"): "own.py: exists already",
    ("fuzz", "--store", "own.py", "--resume"): "own.py: cannot be read as a campaign",
    (
        "fuzz",
        "--store",
        "none/c.db",
        "--examples",
        "5",
        "--backend",
        "manual",
    ): "none/c.db: cannot be written",
    ("fuzz", "--replay", "none.db"): "none.db: no such file",
    ("report", "none.db"): "none.db: no such file",
    ("report", "own.py"): "own.py: cannot be read as a campaign",
}


@pytest.mark.parametrize("words", BAD, ids=" ".join)
def test_bad_usage_is_one_line_and_touches_nothing(gradcheck, words):
    code, out, err = gradcheck(*words)
    assert code == Exit.USAGE
    assert not out
    assert BAD[words] in err
    assert len(err.splitlines()) == 1
    assert files() == ["own.py"]
    assert Path("own.py").read_text() == OWN
