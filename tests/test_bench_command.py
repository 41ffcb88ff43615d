"""`gradcheck bench`: what is written where, exit codes, and one clear line for whatever cannot be."""

import json
from functools import partial
from pathlib import Path

import pretended
import pytest

from gradcheck.bench.measuring.measure import FLOOR, Rounds
from gradcheck.cli.app import Exit


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty folder, and no processes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("gradcheck.bench.run.measure", pretended.measure)


@pytest.fixture
def bench(command_line):
    """Run the command; its exit code, and what it wrote."""
    return partial(command_line, "bench")


SMALL = ("--network", "2-3-1", "--backend", "manual", "--backend", "autograd")


def test_a_table_has_a_row_for_each_and_says_why_there_are_no_numbers(bench):
    code, out, err = bench(*SMALL)
    assert code == Exit.GOOD
    assert "2-3-1, 13 parameters, batch 256, float64, 1 thread" in out
    assert "autograd: ended its process: exit code 3" in out
    (row,) = [line.split() for line in out.splitlines() if line.startswith("manual")]
    assert row[1:5] == ["1.05", "ms", "2.10", "ms"]
    assert not err


def test_where_nothing_could_be_measured_the_exit_code_says_so(bench, monkeypatch):
    monkeypatch.setattr("gradcheck.bench.run.measure", lambda *_: Rounds({}, {}, [], {"manual": "no", FLOOR: "none"}, ""))
    code, out, _ = bench("--network", "2-3-1", "--backend", "manual")
    assert code == Exit.UNDECIDED
    assert "no floor: none" in out


def test_without_arguments_there_are_four_networks_and_what_is_installed(bench):
    code, out, err = bench("--json", "-")
    assert code == Exit.GOOD
    table = json.loads(out)
    assert table["format"] == 1
    assert [case["name"] for case in table["cases"]] == ["784-512-512-1", "20 x 256", "64-128-128-1", "2-15-1"]
    assert table["settings"]["backends"][0] == "manual"
    assert "784-512-512-1, 665,089 parameters" in err or "784-512-512-1" in err


def test_a_sweep_has_slopes_and_pictures(bench):
    code, out, _ = bench("--widths", "8,16", "--batches", "4", "--backend", "manual", "--pictures", "new")
    assert code == Exit.GOOD
    assert "growth: slopes of logarithms" in out
    assert Path("new/time-width.png").exists()
    assert str(Path("new/time-width.png")) in out


def test_a_recorded_run_is_shown_and_compared_without_measuring(bench, monkeypatch):
    bench(*SMALL, "--json", "old.json")
    monkeypatch.setattr("gradcheck.bench.run.measure", None)
    code, out, _ = bench("--recorded", "old.json", "--compare", "old.json")
    assert code == Exit.GOOD
    assert "new over recorded" in out
    (row,) = [line for line in out.splitlines() if "manual" in line and "batch" in line]
    assert row.split("manual")[1].split() == ["1.00", "1.00", "1.00", "2.00", "2.00"]


def test_a_device_is_asked_of_torch_alone_and_is_not_compared_with_none(bench):
    bench(*SMALL, "--json", "old.json")
    code, _, err = bench("--network", "2-3-1", "--device", "cpu", "--compare", "old.json", "--json", "new.json")
    assert code == Exit.USAGE
    assert "measured with device none asked for, here cpu" in err
    assert json.loads(Path("new.json").read_text())["settings"]["backends"] == ["torch"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--network", "2"], "--network: expected sizes with dashes between them, such as 64-128-128-1, got '2'"),
        (["--network", "2-3-1", "--activation", "dense"], "--activation"),
        (["--activation", "arctn"], "unknown layer 'arctn', did you mean 'arctan'?"),
        (["--loss", "mes"], "unknown loss 'mes'"),
        (["--widths", "64,x"], "expected whole numbers >= 1 with commas between them, got '64,x'"),
        (["--batch", "0"], "expected whole numbers >= 1"),
        (["--dtypes", "float16"], "unknown dtype 'float16'"),
        (["--rounds", "1"], "--rounds"),
        (["--seconds", "0"], "expected a finite number > 0, got 0.0"),
        (["--backend", "manul"], "unknown backend 'manul', did you mean 'manual'?"),
        (["--backend", "none.py:f"], "none.py: no such file"),
        (["none.toml"], "none.toml: No such file or directory"),
        (["--compare", "none.json"], "none.json: No such file or directory"),
        (["--network", "2-1", "--widths", "3"], "2-1 has no hidden layer"),
    ],
)
def test_bad_usage_is_one_line(bench, words, sentence):
    code, out, err = bench(*words)
    assert code == Exit.USAGE
    assert not out
    assert sentence in err
    assert len(err.splitlines()) == 1


def test_what_cannot_be_compared_is_refused_before_anything_is_measured(bench, monkeypatch):
    bench(*SMALL, "--json", "old.json")
    monkeypatch.setattr("gradcheck.bench.run.measure", None)
    code, _, err = bench(*SMALL, "--threads", "2", "--compare", "old.json")
    assert code == Exit.USAGE
    assert err == "gradcheck: measured with threads 1, here 2\n"
