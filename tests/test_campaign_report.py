"""What a campaign's report says, in a terminal and in a browser, of real stores and of made up ones."""

import math
import os
import re
import subprocess
from html import escape
from pathlib import Path

import msgspec
import pytest
from rich.cells import cell_len
from rich.console import Console
from test_report import BROWSER, SWITCHES, Page

from gradcheck import ELU, GELU, Case, Dense, Given, Hinge, Huber, LeakyReLU, Network, ReLU, Tanh
from gradcheck.campaign.judging import failed, judge
from gradcheck.campaign.plan import Plan
from gradcheck.campaign.report.html import to_html
from gradcheck.campaign.report.text import LINES, render
from gradcheck.campaign.report.words import cause, duration, outline, repeated, share
from gradcheck.campaign.reproducers import reproducer
from gradcheck.campaign.results.record import Mistake
from gradcheck.campaign.results.store import Store
from gradcheck.campaign.results.summary import Errors, Failure, Summary, summarize
from gradcheck.cases.files import case_to_table
from gradcheck.report.charts import Chart, Column, levels
from gradcheck.report.page import environment
from gradcheck.verdict.findings import Verdict

BUGS = """
import gradcheck
from gradcheck import Dense, GELU, Hinge

def DoublesGELU(network, parameters, batch):
    loss, gradients = gradcheck.backend("manual").build(network).loss_and_gradients(parameters, batch)
    for index, layer in enumerate(network.layers):
        if isinstance(layer, Dense) and GELU() in network.layers:
            gradients[f"{index}.weight"] = 2 * gradients[f"{index}.weight"]
        if isinstance(layer, Dense) and network.loss == Hinge():
            gradients[f"{index}.bias"] = -gradients[f"{index}.bias"]
    return loss, gradients
"""
ON_A_KINK = Case(
    Network((1,), (Dense(2), ReLU(), Dense(1)), Huber()),
    data=Given.of({"inputs": [[0.5]], "targets": [[1.0]]}),
    init=Given.of({"0.weight": [[0.0], [1.0]], "0.bias": [0.0, 0.5], "2.weight": [[1.0, 1.0]], "2.bias": [-3.0]}),
)
DEEP = Network((3,), (Dense(4), Tanh(), Dense(4, bias=False), ELU(), Dense(2)), Huber(), weight_decay=0.1)
NO_PARAMETERS = Case(Network((2,), (Tanh(),), Hinge()), samples=3)
CASES = (
    *(Case(Network((2,), (Dense(3), GELU()), Huber()), samples=4, seed=seed) for seed in range(3)),
    Case(Network((2,), (Dense(2), Tanh()), Hinge()), samples=5, dtype="float32"),
    Case(DEEP, samples=2, scale=0.5),
    Case(Network((2,), (LeakyReLU(), Dense(2)), Huber()), samples=4),
    *(ON_A_KINK, NO_PARAMETERS),
)


def tabled(case):
    return case_to_table(case, Path())


RIGHT = tuple(map(tabled, CASES[4:6]))
SCRIPT, MARKUP = "<script>document.title = 'taken'</script>", "[red]none[/red] & <b>none</b>"


@pytest.fixture(scope="module")
def wrong(tmp_path_factory):
    """A real one: two mistakes, one of which was made small, a kink, and a network without parameters; two runs."""
    folder = tmp_path_factory.mktemp("campaign")
    (folder / "bugs.py").write_text(BUGS)
    plan = Plan(seed=3, backends=("manual", f"{folder / 'bugs.py'}:DoublesGELU"))
    records = [judge(plan, tabled(case)) for case in CASES]
    with Store.create(folder / "c.db", plan, {"numpy": "2.3", "python": "3.12"}) as store:
        store.drawn(0, [record.name for record in (*records, *records[:2])])
        store.keep(records)
        store.keep_smallest(Mistake("DoublesGELU", "factor", "weight"), records[0])
    with Store.resume(folder / "c.db", {"numpy": "2.4", "python": "3.12"}) as store:
        store.keep([])
    with Store.read(folder / "c.db") as store:
        return summarize(store)


def summary_of(*records, plan=None, runs=1):
    with Store.create(None, plan or Plan(backends=("manual",)), {"numpy": "2.3"}) as store:
        store.drawn(0, [record.name for record in records])
        store.keep(records)
        return msgspec.structs.replace(summarize(store), versions=[{"numpy": "2.3"}] * runs)


@pytest.fixture(scope="module")
def right():
    return summary_of(*(judge(Plan(backends=("manual",)), table) for table in RIGHT))


@pytest.fixture(scope="module")
def hostile():
    """Names and sentences that nobody should take for markup, and many groups with everything that can be absent."""
    tables = [{**tabled(CASES[0]), "inputs": [2, 1 + index]} for index in range(LINES + 9)]
    names = [f"{MARKUP} {index}" for index in range(len(tables))]
    died = [
        failed(table, Verdict.WRONG, f"{SCRIPT} {name}", [Mistake("-" if index % 2 else name, "died", name)])
        for index, (table, name) in enumerate(zip(tables, names, strict=True))
    ]
    open_ones = [failed({**RIGHT[0], "weight_decay": 1.0 + i}, Verdict.UNRESOLVED, f"{SCRIPT} {'x' * i}") for i in range(9)]
    plan = Plan(seed=0, backends=("manual", f"bugs.py:{SCRIPT}"), layers=("gelu", SCRIPT))
    summary = summary_of(*died, *open_ones, plan=plan)
    summary.errors = {SCRIPT: Errors(worst=2e9), MARKUP * 4: Errors(counts=[0] * 21 + [10**6])}
    summary.versions = [{SCRIPT: "1"}]
    return summary


def text_of(summary, width=110):
    console = Console(width=width, color_system=None, force_terminal=False)
    with console.capture() as captured:
        console.print(render(summary))
    return captured.get()


def joined(text):
    return "".join(text.split())


# Text


def test_the_text_says_what_was_done_and_found(wrong):
    text = text_of(wrong)
    assert "Campaign with seed 3: manual, DoublesGELU" in text
    assert "10 examples drawn, 8 distinct cases judged in" in text
    assert re.search(r"\nwrong +4  50\.0%", text)
    assert re.search(r"\nnonsmooth +1  12\.5%  a unit lies exactly on a kink: there is no derivative here", text)
    assert re.search(r"\nunresolved +1  12\.5%  the network has no parameters: there is no gradient", text)
    assert re.search(r"\nmanual +\d +0 +0\.\d+ +[0-9a-f]{12}", text)
    assert re.search(r"\nDoublesGELU +\d +4 +\S+e\+\d+ +[0-9a-f]{12}", text)
    assert "4 of 8 cases wrong: 2 causes" in text
    assert "after a fix, says what is still wrong" in text


def test_one_mistake_is_one_line_where_there_is_room(wrong):
    line = r"\n +3 +DoublesGELU +off by a constant factor \(weight\), only with gelu +2-3, gelu, huber, 4 samples, float64 +"
    assert re.search(line + wrong.failures[0].first[:12] + r"\n", text_of(wrong, 150))
    other = r"\n +1 +DoublesGELU +the sign is wrong \(bias\) +2-2, tanh, hinge, 5 samples, float32 +"
    assert re.search(other + wrong.failures[1].first[:12], text_of(wrong, 150))


def test_the_commands_to_go_on_with_name_the_store(wrong):
    console = Console(width=400)
    with console.capture() as captured:
        console.print(render(wrong, "[b]night[/b].db"))
    assert f"gradcheck report '[b]night[/b].db'{repeated(wrong.plan)} --reproduce DIR" in captured.get()
    assert " --backend manual --backend /" in repeated(wrong.plan)  # or they would not be loaded
    assert not repeated(Plan(backends=("manual", "torch")))


@pytest.mark.parametrize("width", [60, 80, 110])
def test_no_line_is_wider_than_the_terminal_and_nothing_is_cut_off(wrong, right, hostile, width):
    for summary in (wrong, right, hostile):
        text = text_of(summary, width)
        assert max(map(cell_len, text.splitlines())) <= width
        assert "…" not in text
        for backend in summary.errors:
            assert len(joined(backend)) > 20 or joined(backend) in joined(text)


def test_where_nothing_is_wrong_the_text_is_short_and_says_so(right):
    text = text_of(right)
    assert text.rstrip().endswith("\nno build was wrong in 2 cases")
    assert len(text.splitlines()) < 14
    assert "reproduce" not in text


def test_cases_without_an_answer_are_not_passed_over(wrong):
    calm = msgspec.structs.replace(wrong, verdicts={"correct": 5, "unresolved": 3}, failures=[])
    assert "no build was wrong in 8 cases, 3 of them without an answer" in text_of(calm)


def test_of_many_reasons_and_causes_the_rest_is_counted(hostile):
    text = text_of(hostile)
    assert re.search(r"\n +6 +and 6 other reasons", text)
    assert f"and {len(hostile.failures) - LINES} other causes: see --html or --json" in text
    assert MARKUP in text
    assert SCRIPT in text


# Words


@pytest.mark.parametrize(
    ("number", "total", "said"),
    [(0, 0, "0.0%"), (0, 9, "0.0%"), (9, 9, "100.0%"), (1, 10**6, "<0.1%"), (10**6 - 1, 10**6, ">99.9%"), (1, 3, "33.3%")],
)
def test_only_none_is_0_percent_and_only_all_is_100(number, total, said):
    assert share(number, total) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 ms"), (0.0123, "12 ms"), (3.14, "3.1 s"), (60, "1 min 0 s"), (3599.9, "1 h 0 min"), (10**7, "2,777 h 46 min")],
)
def test_durations_have_two_units_at_most(seconds, said):
    assert duration(seconds) == said


def test_a_case_in_a_line():
    assert outline(tabled(CASES[4])) == "3-4-4-2, tanh, elu, huber, weight decay, no bias, 2 samples, float64"
    assert outline(tabled(ON_A_KINK)) == "1-2-1, relu, huber, 1 sample, float64"
    assert outline(tabled(Case(ON_A_KINK.network, init="he"))) == "1-2-1, relu, huber, random, float64"


@pytest.mark.parametrize(
    ("name", "where", "said"),
    [
        ("factor", "weight", "off by a constant factor (weight)"),
        ("activation-derivative", "GELU", "an activation's derivative is wrong (GELU)"),
        ("unnamed", "bias", "no cause explains the whole difference (bias)"),
        ("died", "signal SIGSEGV", "a backend ended the process (signal SIGSEGV)"),
        ("of-somebody-else", "", "of somebody else"),
    ],
)
def test_a_cause_in_words_has_no_number_of_one_case(name, where, said):
    assert cause(Failure(cause=Mistake("mine", name, where), cases=2, common=[], first="")) == said


# Page


def test_the_page_is_well_formed_and_needs_nothing_but_itself(wrong, right, hostile):
    for summary in (wrong, right, hostile):
        source = to_html(summary)
        page = Page(source)
        assert not {"script", "img", "link", "iframe", "b"} & set(page.tags)
        assert not re.search(r"https?:|url\(|@import", source)
        for backend in summary.errors:
            assert backend in page.text


def test_the_page_shows_the_smallest_network_of_each_cause(wrong):
    page = Page(to_html(wrong))
    text = "".join(page.text)
    assert page.tags.count("section") == len(wrong.failures) == 2
    assert "3 cases of DoublesGELU, only with gelu" in text
    assert "off by the constant factor 2" in text
    assert "divide by that factor" in text
    assert "dense (units 3, bias true)" in text
    assert "huber (delta 1.0), a mean over 4 samples" in text
    assert "Smallest network met" in text  # of the one that was not made small
    for failure in wrong.failures:
        record = failure.smallest or failure.met
        assert reproducer(record, wrong) in page.text
        wanted = {finding["name"] for finding in record.report["findings"] if finding["verdict"] == "wrong"}
        assert any(f"{name}[" in text for name in wanted)


def test_arrays_are_shown_as_numbers_and_large_ones_counted():
    table = tabled(ON_A_KINK)
    table["case"]["init"]["0.weight"] = [[float(i)] for i in range(99)]
    text = "".join(Page(to_html(summary_of(failed(table, Verdict.WRONG, "w", [Mistake("mine", "sign", "bias")])))).text)
    assert "[[1.0, 1.0]]" in text
    assert "[-3.0]" in text
    assert "99 numbers: see the reproducer" in text


def test_numbers_that_json_does_not_know_are_no_obstacle(wrong):
    record = wrong.failures[0].smallest
    report = msgspec.json.decode(msgspec.json.encode(record.report))
    block = next(finding for finding in report["findings"] if finding["entries"])
    block["entries"] = [{"index": [0, 0], "claimed": None, "reference": 1.0, "bound": 2.0}]
    failure = msgspec.structs.replace(wrong.failures[0], smallest=msgspec.structs.replace(record, report=report))
    assert "nan" in Page(to_html(msgspec.structs.replace(wrong, failures=[failure]))).text


def test_coverage_counts_cases_and_marks_what_none_has(wrong):
    page = Page(to_html(wrong))
    titles = [value for name, value in page.attributes if name == "title"]
    assert "gelu with huber: 3 cases" in titles
    assert "softplus with mse: not covered" in titles
    assert page.text.count("float32") >= 1
    assert "1 case of 3 dense layers" in "".join(page.text)


def test_coverage_has_rows_for_what_was_asked_for_and_what_was_met():
    table = {**RIGHT[1], "loss": {"type": "<mine>"}}
    summary = summary_of(failed(table, Verdict.UNRESOLVED, "r"), plan=Plan(layers=("gelu",), backends=("manual",)))
    rows = re.findall(r'<th scope="row">(\w+)</th><td class="c', to_html(summary))
    assert list(dict.fromkeys(rows)) == ["dense", "gelu", "leaky_relu"]
    assert ("title", "dense with <mine>: 1 case") in Page(to_html(summary)).attributes


def test_histograms_hold_every_case_and_what_is_above_the_bound_stands_apart(wrong):
    source = to_html(wrong)
    charts = re.findall(r'<svg class="chart".*?</svg>', source, re.DOTALL)
    assert len(charts) == len(wrong.errors) + 1
    for chart, errors in zip(charts, wrong.errors.values(), strict=False):
        numbers = [int(number) for number in re.findall(r"<title>(\d+) cases? ", chart)]
        assert sum(numbers) == sum(errors.counts)
        assert chart.count('class="limit"') == 1
    assert 'class="bar over"' not in charts[0]
    assert re.search(
        r'class="bar over".*?<title>4 cases above the bound</title></rect><text class="strong".*?>4<', charts[1]
    )


def test_one_case_of_a_million_is_to_be_seen():
    columns = (Column(0, 1, 10**6, "many"), Column(1, 2, 1, "one"), Column(2, 3, 0, "none"))
    drawn = environment().get_template("charts.html").module.drawn(Chart("c", "axis", 3, columns, (), 10**6))
    heights = [float(height) for height in re.findall(r'<rect[^>]* height="([\d.]+)"', drawn)]
    assert len(heights) == 2
    assert min(heights) >= 2


@pytest.mark.parametrize("most", [0, 1, 2, 3, 7, 10, 164, 999, 10**7])
def test_levels_are_round_few_and_reach_far(most):
    found = levels(most)
    assert found[0] == 0
    assert len(found) <= 5
    assert found[-1] * 2 >= most


def test_runs_with_the_same_versions_are_told_once(wrong, right):
    text = "".join(Page(to_html(wrong)).text)
    assert "Run 1numpy 2.3, python 3.12" in text
    assert "Run 2numpy 2.4, python 3.12" in text
    assert "Runs 1, 2, 3numpy 2.3" in "".join(
        Page(to_html(msgspec.structs.replace(right, versions=[{"numpy": "2.3"}] * 3))).text
    )


@pytest.mark.parametrize("examples", [0, 250])
def test_a_campaign_that_has_judged_nothing_says_that(examples):
    summary = Summary(plan=Plan(), versions=[], examples=examples)
    text = text_of(summary)
    assert "no case was judged" in text
    assert "no build was wrong" not in text
    assert "badge unresolved" in to_html(summary)
    assert "svg" not in Page(to_html(summary)).tags


def test_a_campaign_of_which_no_error_is_finite_has_no_histogram():
    summary = summary_of(failed(RIGHT[0], Verdict.UNRESOLVED, "not finished within 60 s"))
    assert "Errors in units" not in to_html(summary)
    assert "worst error" not in text_of(summary)
    assert "no build was wrong in 1 case, 1 of them without an answer" in text_of(summary)


def test_half_a_character_in_a_name_can_be_written(right):
    summary = msgspec.structs.replace(right, errors={"a\udcff": Errors(worst=math.pi)})
    assert "a\\udcff" in to_html(summary)


# In a browser

MEASURE = """<script>
document.querySelectorAll("details").forEach(each => each.open = true);
const wide = [...document.querySelectorAll("body *")].filter(
  each => each.getBoundingClientRect().right > innerWidth + 1 && !each.closest(".wide, pre"));
parent.document.body.dataset.measured = `${innerWidth} ${document.documentElement.scrollWidth} ${wide.length}`;
</script>"""


@pytest.fixture
def browse(tmp_path):
    """Open a page, in a profile of its own, and return what the browser prints."""
    if BROWSER is None:
        pytest.skip("there is no Chromium here")

    def run(page, *options):
        path = tmp_path / "campaign.html"
        path.write_text(page, encoding="utf-8")
        command = [BROWSER, *SWITCHES, f"--user-data-dir={tmp_path / 'profile'}", *options, path.as_uri()]
        environment = {**os.environ, "HOME": str(tmp_path)}
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_a_browser_shows_the_page_and_runs_nothing_of_it(browse, hostile):
    page = Page(browse(to_html(hostile), "--dump-dom").strip())
    assert page.tags.count("section") == len(hostile.failures)
    assert page.tags.count("svg") == 3
    assert "script" not in page.tags
    assert "taken" not in page.text


@pytest.mark.parametrize("width", [400, 1200])
def test_nothing_is_wider_than_the_window(browse, wrong, hostile, width):
    for summary in (wrong, hostile):
        measured = escape(to_html(summary).replace("</body>", f"{MEASURE}</body>"))
        # In a frame: Chromium's own window is never narrower than 500.
        frame = f'<!DOCTYPE html><iframe style="border:0" width="{width}" height="2000" srcdoc="{measured}"></iframe>'
        printed = browse(frame, "--window-size=1300,2100", "--dump-dom")
        inner, scroll, wide = map(int, re.search(r'data-measured="(\d+) (\d+) (\d+)"', printed).groups())
        assert inner == width
        assert scroll <= width
        assert wide == 0


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_a_browser_draws_the_page(browse, wrong, scheme, tmp_path):
    picture = tmp_path / "page.png"
    browse(
        to_html(wrong),
        f"--blink-settings=preferredColorScheme={int(scheme == 'light')}",
        "--window-size=1200,2000",
        f"--screenshot={picture}",
    )
    content = picture.read_bytes()
    assert content.startswith(b"\x89PNG")
    assert len(content) > 40_000  # an empty page of that size is a tenth of it
