"""A campaign: the same seed the same cases, every case judged once, nothing lost, one mistake one line."""

import json
import subprocess
import sys
from collections import Counter
from concurrent.futures import Future
from pathlib import Path

import msgspec
import pytest

import gradcheck
from gradcheck import Dense, Tanh
from gradcheck.campaign import shards
from gradcheck.campaign.judging import judge
from gradcheck.campaign.plan import Plan, name_of
from gradcheck.campaign.reproducers import reproducer
from gradcheck.campaign.results.groups import UNNAMED, Suspect, features, grouped
from gradcheck.campaign.results.record import Mistake
from gradcheck.campaign.results.store import Store
from gradcheck.campaign.results.summary import summarize
from gradcheck.campaign.run import run_campaign
from gradcheck.campaign.shrinking import smallest
from gradcheck.cases.files import case_from_table, case_to_table
from gradcheck.network.layers import LAYERS, Activation

FLAT = tuple(name for name, row in LAYERS.items() if issubclass(row, Activation))
PLAN = Plan(seed=5, size=40, backends=("manual",), layers=FLAT)


class Inline:
    """A pool without processes: everything is done when it is asked for."""

    jobs = 1

    def __init__(self):
        self.asked = []

    def run(self, function, *args):
        future = Future()
        future.set_result(function(*args))
        return future

    def judge(self, plan, tables):
        self.asked += map(name_of, tables)
        return [self.run(lambda table=table: [judge(plan, table)]) for table in tables]


@pytest.fixture(scope="module")
def drawn():
    """Cases of two shards, as they are drawn in processes of their own."""
    return {k: shards.draw(PLAN, k) for k in range(3)}


@pytest.fixture
def quick(drawn, monkeypatch):
    """The same without the processes."""
    monkeypatch.setattr("gradcheck.campaign.run.draw", lambda plan, k: drawn[k])


def campaign(plan=PLAN, path=None):
    return Store.create(path, plan, {})


def run(store, examples, pool=None, watch=lambda progress: None):
    run_campaign(store, pool or Inline(), examples=examples, watch=watch)


def test_the_same_seed_and_shard_give_the_same_cases_and_others_give_others(drawn):
    assert shards.draw(PLAN, 1) == drawn[1]
    other = msgspec.structs.replace(PLAN, seed=6)
    assert len({name_of(table) for table in (*drawn[0], *drawn[1], *shards.draw(other, 0))}) > 2 * PLAN.size


def test_what_the_parent_has_imported_changes_no_case(drawn, tmp_path):
    """Hypothesis takes constants from local modules: in a test's own process they would make other cases."""
    (tmp_path / "local.py").write_text("VALUES = (0.123456, -9.87654321, 1234.5, 77)\n")
    code = (
        "import json, sys\nsys.path.insert(0, '.')\nimport local\n"
        "from gradcheck.campaign.plan import Plan\nfrom gradcheck.campaign.shards import draw\n"
        f"print(json.dumps(draw(Plan(seed=5, size=40, layers={FLAT!r}), 0)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert json.loads(done.stdout) == drawn[0]
    assert {path.name for path in tmp_path.iterdir()} <= {"local.py", "__pycache__"}  # Hypothesis left nothing here


def test_a_case_is_its_content(drawn):
    for table in drawn[0]:
        case = case_from_table(table, Path())
        assert name_of(case_to_table(case, Path())) == name_of(table)
        assert name_of(dict(reversed(table.items()))) == name_of(table)
    assert len({name_of(table) for table in drawn[0]}) == len({json.dumps(table) for table in drawn[0]})


@pytest.mark.usefixtures("quick")
def test_every_case_is_judged_once(drawn):
    pool = Inline()
    with campaign() as store:
        run(store, 120, pool)
        names = [name_of(table) for k in range(3) for table in drawn[k]]
        assert Counter(pool.asked) == Counter(set(names))
        assert store.names() == set(names)
        assert sum(map(len, store.shards().values())) == 120


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("first", [1, 40, 57])
def test_a_campaign_in_two_runs_is_one_campaign(first, tmp_path):
    with campaign() as whole:
        run(whole, 100)
        expected = {record.name: (record.verdict, record.ratios, record.case) for record in whole.records()}
    with campaign(path=tmp_path / "c.db") as store:
        run(store, first)
        assert len(store.names()) <= first
    pool = Inline()
    with Store.resume(tmp_path / "c.db", {}) as store:
        before = store.names()
        run(store, 100, pool)
        assert not before & set(pool.asked)
        found = {record.name: (record.verdict, record.ratios, record.case) for record in store.records()}
    assert found == expected


@pytest.mark.usefixtures("quick")
def test_what_was_reported_is_kept_whenever_a_run_breaks_off(tmp_path, monkeypatch):
    monkeypatch.setattr("gradcheck.campaign.run.MOMENT", 0.0)
    reported = []

    def watch(progress):
        reported.extend(record.name for record in progress.records)
        if len(reported) >= 20:
            raise KeyboardInterrupt

    with campaign(path=tmp_path / "c.db") as store, pytest.raises(KeyboardInterrupt):
        run(store, 80, watch=watch)
    with Store.read(tmp_path / "c.db") as store:
        assert set(reported) == store.names()
        assert 20 <= len(reported) < 80


@pytest.mark.usefixtures("quick")
def test_a_shard_that_is_drawn_otherwise_is_refused(drawn, tmp_path, monkeypatch):
    with campaign(path=tmp_path / "c.db") as store:
        run(store, 30)
    monkeypatch.setattr("gradcheck.campaign.run.draw", lambda plan, k: drawn[k + 1])
    with Store.resume(tmp_path / "c.db", {}) as store, pytest.raises(gradcheck.DataError, match="other versions"):
        run(store, 40)


@pytest.mark.usefixtures("quick")
def test_a_run_for_a_time_ends():
    with campaign() as store:
        run_campaign(store, Inline(), seconds=0.02, watch=lambda progress: None)
        assert store.names()


def broken(network, parameters, batch):
    """Twice the weight's gradient under tanh; a bias that is a mean."""
    loss, gradients = gradcheck.backend("manual").build(network).loss_and_gradients(parameters, batch)
    for index, (layer, behind) in enumerate(zip(network.layers, (*network.layers[1:], None), strict=False)):
        if isinstance(layer, Dense) and behind == Tanh():
            gradients[f"{index}.weight"] = 2.5 * gradients[f"{index}.weight"]
        if isinstance(layer, Dense) and layer.bias:
            gradients[f"{index}.bias"] = gradients[f"{index}.bias"] / len(batch.inputs)
    return loss, gradients


BROKEN = msgspec.structs.replace(PLAN, backends=("manual", f"{__file__}:broken"))


@pytest.fixture
def failing(drawn, monkeypatch):
    monkeypatch.setattr("gradcheck.campaign.run.draw", lambda plan, k: drawn[k])
    with campaign(BROKEN) as store:
        run(store, 80)
        yield store


def test_one_mistake_is_one_line_and_is_made_small_with_its_verdict_and_cause(failing):
    summary = summarize(failing)
    bias, tanh, *others = summary.failures
    assert bias.cause == Mistake("broken", "mean-for-sum", "Dense")
    assert tanh.cause == Mistake("broken", "factor", "weight")
    assert "tanh" in tanh.common
    assert sum(failure.cases for failure in others) <= bias.cases / 10  # what looks otherwise in a few cases ...
    assert bias.cases + tanh.cases >= summary.verdicts["wrong"]
    smallest.make_small(failing, Inline())
    summary = summarize(failing)
    assert {failure.cause for failure in summary.failures} == {bias.cause, tanh.cause}  # ... is the same in small
    for failure in summary.failures:
        record = failure.smallest
        case = case_from_table(record.case, Path())
        assert record.verdict == "wrong"
        dense = [layer for layer in case.network.layers if isinstance(layer, Dense)]
        assert failure.cause in record.causes
        assert len(dense) == 1
        assert dense[0].units <= 2
        assert len(case.batch.inputs) <= 2
        assert "verify(" in reproducer(record, summary)


def suspect(name, *causes, size=1, features=()):
    return Suspect(name, causes, frozenset(features), size)


def test_cases_are_given_to_the_cause_that_explains_most():
    sign, factor, other = Mistake("b", "sign", "weight"), Mistake("b", "factor", "weight"), Mistake("b", UNNAMED, "bias")
    found = [
        suspect("1", sign, factor, size=9, features=["tanh", "mse"]),
        suspect("2", factor, size=5, features=["tanh"]),
        suspect("3", sign, factor, features=["tanh", "mse"]),
        suspect("4", other, features=["mse"]),
    ]
    first, second = grouped(found)
    assert (first.cause, first.names, first.features) == (factor, ("3", "2", "1"), {"tanh"})
    assert (second.cause, second.names) == (other, ("4",))


def test_a_summary_counts_what_is_in_the_store(drawn, monkeypatch):
    monkeypatch.setattr("gradcheck.campaign.run.draw", lambda plan, k: drawn[k])
    with campaign() as store:
        run(store, 120)
        summary, records = summarize(store), list(store.records())
    assert summary.examples == 120
    assert summary.judged == len(records) == sum(summary.verdicts.values())
    assert summary.verdicts == Counter(record.verdict for record in records)
    assert sum(summary.errors["manual"].counts) == sum("manual" in record.ratios for record in records)
    assert summary.errors["manual"].worst == max(record.ratios.get("manual", 0.0) for record in records)
    assert sum(summary.depths.values()) == len(records)
    relu = sum("relu" in features(r.case) and "mse" in features(r.case) and "float64" in features(r.case) for r in records)
    assert summary.coverage["float64"].get("mse", {}).get("relu", 0) == relu
    assert json.loads(json.dumps(summary.to_table()))["judged"] == len(records)
