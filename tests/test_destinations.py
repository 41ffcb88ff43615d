"""No output destroys an input, another output or a campaign: refused in one line before anything is done."""

import io
import os
import shutil
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pytest

from gradcheck import Case, Dense, Logistic, Network, check, save
from gradcheck.campaign.plan import Plan
from gradcheck.campaign.results.store import Store
from gradcheck.cli.app import main
from gradcheck.errors import OutputError
from gradcheck.foundation.writing import write

BACKEND = """
import os
from gradcheck import backend
def f(network, parameters, batch):
    os.chdir("/")
    open(os.path.join(os.path.dirname(__file__), "called"), "w").close()
    return backend("manual").build(network).loss_and_gradients(parameters, batch)
def loss(x): return float((x * x).sum())
def gradient(x): return 2 * x
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Inputs, and other names for them."""
    monkeypatch.chdir(tmp_path)
    Path("data.csv").write_text("a,b,y\n1,2,1\n3,4,-1\n")
    save(Case(Network((2,), (Dense(1),), Logistic()), data="data.csv"), "net.toml")
    Path("mine.py").write_text(BACKEND)
    np.save("point.npy", np.ones(3))
    Path("sub").mkdir()
    Path("package").mkdir()
    Path("package/__init__.py").touch()
    Path("package/module.py").write_text(BACKEND)
    os.symlink("net.toml", "link.toml")
    os.symlink(".", "here")
    os.symlink("future", "dangling")
    os.link("mine.py", "hard.json")
    Store.create(Path("campaign.db"), Plan(), {}).close()
    os.symlink("campaign.db", "campaign.json")
    shutil.copy("campaign.db", "copy.json")
    monkeypatch.syspath_prepend(tmp_path)


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["gradcheck", *arguments])
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as caught:
        main()
    return caught.value.code, out.getvalue(), err.getvalue()


def files():
    return {path: path.read_bytes() for path in Path().rglob("*") if path.is_file() and "__pycache__" not in path.parts}


VERIFY = ("verify", "net.toml", "--backend", "mine.py:f")
CHECK = ("check", "mine.py:loss", "mine.py:gradient", "--at", "point.npy")
CAMPAIGNS = ("campaign.db", "campaign.json", "copy.json", "campaign.db-wal", "here/campaign.db-writer")
REFUSED = [
    *((*VERIFY, option, name) for option in ("--json", "--html", "--reproduce") for name in ("net.toml", *CAMPAIGNS)),
    *((*VERIFY, "--json", name) for name in ("link.toml", "data.csv", "here/here/data.csv", "sub/../mine.py", "hard.json")),
    *((*CHECK, "--json", name) for name in ("mine.py", "hard.json", "./point.npy", "here/point.npy")),
    (*VERIFY, "--json", "same", "--html", "./same"),
    (*VERIFY, "--json", "future", "--html", "dangling"),
    (*VERIFY, "--json", "same", "--reproduce", "sub/../here/same"),
    (*VERIFY, "--json", "-", "--html", "-"),
    (*VERIFY, "--json", "sub"),
    (*VERIFY, "--json", "no/folder"),
    (*VERIFY, "--json", "net.toml/inside"),
    (*VERIFY, "--json", "n" * 256),
    ("verify", "net.toml", "--backend", "package.module:f", "--json", "package/module.py"),
    ("verify", "net.toml", "--backend", "package.module:f", "--json", "package/__init__.py"),
    ("report", "campaign.db", "--json", "campaign.db"),
    ("report", "campaign.db", "--reproduce", "mine.py"),
    ("report", "campaign.db", "--json", "same", "--html", "same"),
    ("fuzz", "--store", "new.db", "--json", "new.db"),
    ("fuzz", "--store", "new.db", "--json", "here/new.db-wal"),
    ("fuzz", "--store", "new.db", "--reproduce", "new.db"),
    ("fuzz", "--store", "no/new.db"),
    ("fuzz", "--store", "new.db", "--backend", "mine.py:f", "--json", "mine.py"),
    ("fuzz", "--replay", "campaign.db", "--json", "copy.json"),
    ("bench", "net.toml", "--backend", "mine.py:f", "--json", "data.csv"),
    ("bench", "net.toml", "--backend", "mine.py:f", "--json", "mine.py"),
    ("bench", "net.toml", "--backend", "manual", "--json", "campaign.db"),
    ("tour", "--out", "mine.py"),
]


@pytest.mark.parametrize("arguments", REFUSED, ids=" ".join)
def test_an_output_over_an_input_an_output_or_a_campaign_is_refused(monkeypatch, arguments):
    before = files()
    code, out, err = run(monkeypatch, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert files() == before
    assert os.getcwd() not in err


@pytest.mark.parametrize(
    "outputs",
    [
        ("--json", "o.json", "--html", "o.html", "--reproduce", "o.py"),
        ("--json", "net.toml.json", "--html", "sub/net.toml"),
        ("--json", "dangling"),
        ("--json", "n" * 255),
        ("--json", "other.db-wal"),
        ("--json", os.devnull, "--html", os.devnull),
    ],
)
def test_the_harmless_neighbours_are_written_where_they_were_asked_for(monkeypatch, outputs):
    """Although the backend goes elsewhere."""
    home = os.getcwd()
    before, places = files(), [Path(name).absolute() for name in outputs[1::2]]
    code, out, err = run(monkeypatch, *VERIFY, *outputs)
    monkeypatch.chdir(home)
    assert (code, err) == (0, "")
    assert "samples of data.csv" in out
    assert all(place.exists() for place in places)
    assert Path("called").exists()
    assert files().items() >= before.items()
    assert not list(Path().glob(".gradcheck*"))


def test_what_is_printed_is_sent_over_no_input(monkeypatch, capfd):
    with open("net.toml", "a") as appended:
        before = os.dup(1)
        try:
            os.dup2(appended.fileno(), 1)
            code, _, err = run(monkeypatch, *VERIFY)
        finally:
            os.dup2(before, 1)
            os.close(before)
    assert (code, err) == (2, "gradcheck: standard output: would be written over net.toml, which is read\n")


@pytest.mark.parametrize("name", CAMPAIGNS)
def test_in_python_too_nothing_is_written_over_a_campaign(name):
    report = check(lambda x: x * x, lambda x: 2 * x, at=3.0)
    before = files()
    for attempt in (lambda: report.reproducer(name), lambda: write(Path(name), "text")):
        with pytest.raises(OutputError, match="a campaign stands there"):
            attempt()
    assert files() == before
    report.reproducer("other.db")
    write(Path("other.db"), "text")
    assert Path("other.db").read_text() == "text"


def test_a_replaced_file_keeps_its_mode():
    Path("kept").write_text("old")
    Path("kept").chmod(0o640)
    write(Path("kept"), "new")
    assert (Path("kept").read_text(), Path("kept").stat().st_mode & 0o777) == ("new", 0o640)


def test_so_many_processes_are_started_only_where_that_is_asked_for_twice(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    code, out, err = run(monkeypatch, "fuzz", "--jobs", "10000", "--store", "new.db")
    assert (code, out) == (2, "")
    assert "10000 processes on 2 cores; with --oversubscribe they are started" in err
    assert run(monkeypatch, "bench", "--threads", "1,9", "--network", "2-1")[0] == 2
    for arguments in (("--jobs", "9", "--oversubscribe"), ("--jobs", "8")):
        code, _, err = run(monkeypatch, "fuzz", *arguments, "--store", "no/new.db")
        assert "no such folder" in err
