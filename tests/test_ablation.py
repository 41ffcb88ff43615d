"""The benchmark that takes parts out of `check` and moves its constants knows the code as it is, and so does its page."""

import importlib
import re
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

import gradcheck_backends
import numpy as np
import pytest

from gradcheck.candidates import answer
from gradcheck.checking import evidence, overview
from gradcheck.diagnosis import corrections
from gradcheck.oracles import regression

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture
def benchmark_of(monkeypatch):
    """Imports a module of the benchmarks, which no other test is to find loaded."""
    before = {*sys.modules}
    monkeypatch.syspath_prepend(BENCHMARKS)
    yield importlib.import_module
    for name in {*sys.modules} - before:
        if Path(getattr(sys.modules[name], "__file__", None) or ".").parent == BENCHMARKS:
            del sys.modules[name]


def test_every_constant_is_there_and_is_what_the_table_says(benchmark_of):
    constants = benchmark_of("constants")
    assert list(constants.stale(constants.CONSTANTS)) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"module": "gradcheck.checking.judge"}, "No module named"),
        ({"name": "CLEARER"}, "no attribute 'CLEARER'"),
        ({"now": 11.0}, "CLEAR is 10.0, and was 11.0"),
    ],
)
def test_a_constant_that_is_gone_or_another_is_found(change, said, benchmark_of):
    """The twin."""
    constants = benchmark_of("constants")
    (found,) = constants.stale([constants.CONSTANTS[0]._replace(**change)])
    assert said in found


def moved(places):
    stack = ExitStack()
    for place in places:
        stack.enter_context(patch.object(*place))
    return stack


def named(constants, name: str):
    return next(one for one in constants.CONSTANTS if one.title == name)


def test_a_constant_is_moved_wherever_it_is_held(benchmark_of):
    """Where it is assigned, where it was imported, in the defaults of parameters; and back."""
    constants = benchmark_of("constants")
    assert evidence.DIRECTIONS == corrections.DIRECTIONS == 4
    with moved([*named(constants, "corrections.DIRECTIONS").at(16), *named(constants, "regression.PAIRS").at(16)]):
        assert evidence.DIRECTIONS == corrections.DIRECTIONS == 16
        assert regression.regression.__defaults__ == (16,)
    assert evidence.DIRECTIONS == corrections.DIRECTIONS == 4
    assert regression.regression.__defaults__ == (regression.PAIRS,) == (64,)


def test_what_is_made_of_a_constant_on_loading_moves_with_it(benchmark_of):
    with moved(named(benchmark_of("constants"), "differences.CERTAIN").at(10)):
        assert overview.AT_LARGE.rungs == 10
    assert overview.AT_LARGE.rungs == 6


def test_the_line_of_another_answer_is_where_the_table_moves_it_from(benchmark_of):
    present, eps = benchmark_of("constants").Beyond(2.0**-26), 2.0**-52
    for change, another in ((0.9, False), (1.1, True)):
        second = np.array([1.0, 0.5 + change * 2.0**-26])
        assert answer.is_another(np.array([1.0, 0.5]), second, eps) is present(np.array([1.0, 0.5]), second, eps) is another


def test_every_part_that_is_taken_out_is_there(benchmark_of):
    pytest.importorskip("torch")
    ablation = benchmark_of("ablation")
    for places in ablation.PARTS.values():
        with moved(places):
            assert all(getattr(owner, name) is stand_in for owner, name, stand_in in places)


def test_a_name_that_the_table_does_not_have_ends_the_benchmark(benchmark_of):
    pytest.importorskip("torch")
    ablation = benchmark_of("ablation")
    assert {one.title for one in ablation.chosen_of(["JUMP"], None)} == {"claim.JUMP"}
    with pytest.raises(SystemExit, match="no constants of the table: REPRODUCED"):
        ablation.chosen_of(["JUMP", "REPRODUCED"], None)


# The page


def rows_of_the_page() -> dict[str, str]:
    """Every constant of the page by its dotted name, with its value."""
    text = (ROOT / "docs" / "measurements.md").read_text().partition("\n## Constants\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `([\w.]+)` \| (.*?) \|", text, re.MULTILINE))


def value_of(dotted: str):
    module, _, name = dotted.rpartition(".")
    package = gradcheck_backends.__name__ if module.startswith("manual.") else "gradcheck"
    return getattr(importlib.import_module(f"{package}.{module}"), name)


def numbers_of(value) -> list[float]:
    if isinstance(value, Mapping):
        return [*value.values()]
    return [*value] if isinstance(value, tuple) else [value]


def test_the_values_of_the_page_are_those_of_the_code():
    rows = rows_of_the_page()
    rows.pop("candidates.answer.is_another")
    assert len(rows) > 60
    for name, value in rows.items():
        assert numbers_of(value_of(name)) == [float(number) for number in value.split(", ")], name


def test_every_constant_of_the_table_is_on_the_page(benchmark_of):
    known = {f"{one.module}.{one.name}" for one in benchmark_of("constants").CONSTANTS}
    assert {re.sub(r"^gradcheck(_backends)?\.", "", name) for name in known} - {*rows_of_the_page()} == set()
