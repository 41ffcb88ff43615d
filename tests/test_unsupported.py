"""A build that does not know a network says so: a row and a note, in every form of a report, and no mistake of anybody's."""

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

import gradcheck
from gradcheck import MSE, Case, Dense, Network, Tanh, Verdict, save, verify
from gradcheck.campaign.judging import judge
from gradcheck.campaign.plan import Plan
from gradcheck.campaign.report.html import to_html
from gradcheck.campaign.report.words import unsupported
from gradcheck.campaign.results.store import Store
from gradcheck.campaign.results.summary import summarize
from gradcheck.campaign.tables import ReportTable
from gradcheck.cases.files import case_to_table
from gradcheck.cli.app import Exit
from gradcheck.verification.problem import posed

pytest_plugins = ["pytester"]

CASE = Case(Network((3,), (Dense(4), Tanh(), Dense(2)), MSE()), samples=5)
WITHOUT = Case(Network((3,), (Dense(2),), MSE()), samples=5)
BUILDS = """
import gradcheck
from gradcheck import Tanh, Unsupported

class Knows:
    '''The manual build, of which it leaves one layer out.'''
    error = Unsupported("no rule for Tanh")

    def build(self, network):
        if Tanh() in network.layers:
            raise self.error
        return gradcheck.backend("manual").build(network)

class KnowsLess(Knows):
    error = NotImplementedError("Tanh")

class Breaks(Knows):
    error = ValueError("Tanh")

def function(network, parameters, batch):
    return Knows().build(network).loss_and_gradients(parameters, batch)

def later(network, parameters, batch):
    raise NotImplementedError("later")

def doubled(network, parameters, batch):
    loss, gradients = gradcheck.backend("manual").build(network).loss_and_gradients(parameters, batch)
    return loss, {name: 2 * gradient for name, gradient in gradients.items()}

knows, knows_less, breaks = Knows(), KnowsLess(), Breaks()
"""
REASON = "no rule for Tanh"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("builds.py").write_text(BUILDS)
    save(CASE, "net.toml")


def named(*names):
    return [f"builds.py:{name}" for name in names]


def rows(report, backend):
    return [(finding.name, finding.verdict, finding.reason) for finding in report.findings if finding.backend == backend]


@pytest.mark.parametrize(
    ("name", "reason"),
    [("knows", REASON), ("knows_less", "raised NotImplementedError: Tanh (builds.py:11)"), ("function", REASON)],
)
def test_it_is_one_row_and_a_note_and_the_verdict_rests_on_the_others(name, reason):
    report = verify(CASE, ["manual", *named(name)])
    assert rows(report, name) == [("network", Verdict.UNSUPPORTED, reason)]
    assert f"unsupported by {name}: the verdict rests on manual" in report.notes
    assert report.verdict is Verdict.CORRECT
    assert report.words == verify(CASE, ["manual"]).words
    assert report
    alone = verify(WITHOUT, ["manual", *named(name)])  # what it knows is judged as anybody's
    assert not alone.unsupported
    assert len(rows(alone, name)) == 3
    both = verify(CASE, named(name, "doubled"))
    assert both.wrong == CASE.parameters.keys()
    assert both.unsupported.keys() == {name}


@pytest.mark.parametrize("name", ["breaks", "later"])
def test_whatever_else_is_raised_is_wrong(name):
    report = verify(CASE, ["manual", *named(name)])
    assert [(where, verdict) for where, verdict, _ in rows(report, name)] == [("loss", Verdict.WRONG)]
    assert not report.unsupported


def test_where_nobody_knows_the_network_nothing_is_resolved():
    report = verify(CASE, named("knows", "function"))
    assert report.verdict is Verdict.UNRESOLVED
    assert rows(report, "-") == [("gradients", Verdict.UNRESOLVED, "no build supports this network: nothing was compared")]
    assert not report


def test_it_shows_in_text_page_and_table_and_is_asked_again():
    report = verify(CASE, ["manual", *named("knows")])
    for shown in (str(report), report.to_html()):
        assert "unsupported" in shown
        assert REASON in shown
    table = json.loads(report.to_json())
    assert msgspec.convert(table, ReportTable)["findings"] == table["findings"]
    assert table["findings"][0] | {"reason": REASON, "verdict": "unsupported"} == table["findings"][0]
    report.reproducer("again.py")
    done = subprocess.run([sys.executable, "again.py"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    Path("builds.py").write_text(BUILDS.replace("Tanh() in network.layers", "False"))
    done = subprocess.run([sys.executable, "again.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "network of knows: expected unsupported, got None" in done.stderr


def test_only_who_asks_for_it_requires_every_build():
    report = verify(CASE, ["manual", *named("knows")])
    report.require()
    with pytest.raises(gradcheck.GradientMismatch, match=r"^unsupported by knows\n"):
        report.require(supported=True)
    verify(WITHOUT, ["manual", *named("knows")]).require(supported=True)
    with pytest.raises(gradcheck.GradientMismatch, match=r"^verdict: wrong"):
        verify(CASE, named("knows", "doubled")).require()


@pytest.mark.parametrize(
    ("builds", "options", "code"),
    [
        (["knows"], [], Exit.GOOD),
        (["knows"], ["--fail-on", "unsupported"], Exit.WRONG),
        ([], ["--fail-on", "unsupported"], Exit.GOOD),
        (["knows", "doubled"], [], Exit.WRONG),
    ],
)
def test_the_exit_code_is_that_of_the_others_unless_asked(command_line, builds, options, code):
    words = [word for name in ["manual", *named(*builds)] for word in ("--backend", name)]
    assert command_line("verify", "net.toml", *words, *options)[0] == code


def test_it_passes_in_pytest_unless_every_build_is_required(pytester):
    pytester.makepyfile(
        builds=BUILDS,
        test_it="""
        import pytest
        from gradcheck import load
        from builds import doubled, knows

        def case():
            return load("net.toml")

        def test_passes(gradcheck):
            gradcheck.verify(case(), ["manual", knows])

        def test_requires(gradcheck):
            gradcheck.verify(case(), ["manual", knows]).require(supported=True)

        def test_nobody(gradcheck):
            gradcheck.verify(case(), [knows])
        """,
    )
    save(CASE, pytester.path / "net.toml")
    pytester.runpytest_subprocess("-p", "no:xdist").assert_outcomes(passed=1, failed=2)


def test_a_campaign_counts_it_and_it_is_no_failure():
    plan = Plan(seed=1, backends=("manual", *named("knows")))
    records = [judge(plan, case_to_table(case, Path())) for case in (CASE, WITHOUT)]
    with Store.create(Path("c.db"), plan, {}) as store:
        store.drawn(0, [record.name for record in records])
        store.keep(records)
        summary = summarize(store)
    assert (summary.verdicts, summary.failures) == ({"correct": 2}, [])
    assert [*unsupported(summary)] == [("knows", "1", REASON)]
    assert summary.to_table()["unsupported"] == {"knows": {REASON: 1}}
    assert REASON in to_html(summary)
    assert sum(summary.errors["knows"].counts) == 1  # of what it did judge


def test_a_campaign_counts_no_error_in_units_of_a_bound_that_cannot_be_trusted(monkeypatch):
    plan, table = Plan(seed=1, backends=tuple(named("doubled"))), case_to_table(WITHOUT, Path())
    assert judge(plan, table).ratios["doubled"] > 1e3

    def untrusting(*arguments):
        problem = posed(*arguments)
        return problem._replace(limits=problem.limits._replace(trusted=1e-20))

    monkeypatch.setattr("gradcheck.verification.verifier.posed", untrusting)
    record = judge(plan, table)
    assert record.verdict is Verdict.UNRESOLVED
    assert record.reason == "beyond a bound that is … % of the entry: rounding cannot be predicted so coarsely here"
    assert record.ratios["doubled"] < 1  # that of the loss


@pytest.mark.slow
def test_a_campaigns_exit_code_is_unchanged_unless_asked(command_line):
    words = ["--examples", "15", "--jobs", "1", "--layers", "tanh", "--backend", "manual", "--backend", *named("knows")]
    code, out, _ = command_line("fuzz", *words)
    assert code == Exit.GOOD
    assert "unsupported by" in out
    assert command_line("fuzz", *words, "--fail-on", "unsupported")[0] == Exit.WRONG
