"""What others have written is shown as text: in a terminal, on a page, in a generated file, wherever it came from."""

import importlib
import io
import json
import math
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
from hostile import NAMES, assert_neutral, assert_page
from jinja2 import UndefinedError
from rich.console import Console
from rich.table import Table
from test_campaign_report import summary_of, tabled, text_of
from test_report import EVERYTHING

import gradcheck
from gradcheck import Case, Dense, Huber, Network, Tanh, Verdict, cli
from gradcheck.bench.measuring.environment import Environment
from gradcheck.bench.rendering import text as bench_text
from gradcheck.bench.results.schema import Floor, Measured, Result, Row, Settings
from gradcheck.campaign.judging import failed
from gradcheck.campaign.plan import Plan
from gradcheck.campaign.report.html import to_html as campaign_page
from gradcheck.campaign.report.text import render
from gradcheck.campaign.results.record import Mistake
from gradcheck.cli import checks
from gradcheck.cli.output import show
from gradcheck.errors import LONG, CallFailed
from gradcheck.foundation.loading import locate
from gradcheck.foundation.wording import argument, printable
from gradcheck.foundation.writing import json_text, legible
from gradcheck.pytest_plugin import Check, summary
from gradcheck.report import Report
from gradcheck.report.page import SHARED, environment
from gradcheck.report.reproducer import pickles
from gradcheck.report.reproducer.source import Writer
from gradcheck.report.text import to_text
from gradcheck.tour.page import to_html as tour_page
from gradcheck.tour.pictures import Picture
from gradcheck.tour.step import Outcome, Step
from gradcheck.tour.step import Result as Found
from gradcheck.tour.step import Table as Rows
from gradcheck.verdict.findings import Diagnosis, Entry, Finding
from gradcheck.verdict.outcome import Call

pytest_plugins = ["pytester"]

CASE = Case(Network((2,), (Dense(3), Tanh(), Dense(1)), Huber()), samples=4)
STORED = [name for name in NAMES if "udc80" not in ascii(name)]  # SQLite takes no half characters
FINDING = Finding(name="a", backend="b", verdict=Verdict.WRONG)
WIDE = 400  # columns, in which no name is wrapped
PACKAGE = Path(gradcheck.__file__).parent
TEMPLATES = sorted(PACKAGE.rglob("templates/*.html"))
FILE_NAMES = [name for name in NAMES if "/" not in name]
each_name = pytest.mark.parametrize("name", NAMES, ids=ascii)


def loss(point):
    return float(sum(np.sum(value * value) for value in point.values()))


def negated(point):
    return {name: -2 * value for name, value in point.items()}


@pytest.fixture(scope="module")
def checked():
    """A real one, wrong everywhere: every name is that of a block."""
    return gradcheck.check(loss, negated, {name: np.ones(2) for name in NAMES})


def report_of(text):
    """By hand: the text stands wherever there can be one."""
    known = {"name": text, "backend": text, "error": 1.0, "bound": 1e-9, "resolution": 1e-9}
    findings = (
        Finding(verdict=Verdict.WRONG, reason=text, entries=(Entry((0,), 1.0, 2.0, 1e-9),), **known),
        Finding(verdict=Verdict.UNRESOLVED, reason=text, **{**known, "name": f"{text} too"}),
    )
    diagnoses = (
        Diagnosis(text, "factor", {"factor": 2.0, "layer": text}, text),
        Diagnosis(f"{text} nowhere", "zero", {"why": text, "remedy": text}, text),
    )
    return Report(title=text, findings=findings, notes=(text, f"{text}: noted"), diagnoses=diagnoses)


# What is printable


@each_name
def test_what_acts_is_replaced_by_its_escape(name):
    assert printable(name) == NAMES[name]


@pytest.mark.parametrize("text", ["Straße 1 µs", "権重", "نص", "a\u200cb", "a\xa0b", "👩\u200d💻", "\\n", ""])
def test_ordinary_text_stays_as_it_is(text):
    assert printable(text) == text


@pytest.mark.parametrize("name", ["\x1b[2J", "a\rb", "\u202ex", "\udc80", "\x9b", "<script>", "{{ 7*7 }}"])
def test_the_twin_text_that_acts_is_seen(name):
    shown = {"{{ 7*7 }}": "49"}.get(name, name)
    with pytest.raises(AssertionError):
        assert_page(f"<p>{shown}</p>", {"<script>": (), "{{ 7*7 }}": (name,)}.get(name, ()))


@pytest.mark.parametrize("name", ["[bold red]x[/]", ":warning:"])
def test_the_twin_markup_that_is_followed_is_seen(name):
    console = Console(file=io.StringIO(), width=WIDE)
    console.print(name)
    with pytest.raises(AssertionError):
        assert_neutral(console.file.getvalue(), [name])


def test_only_text_is_changed():
    assert legible(EVERYTHING).findings[0].heat == EVERYTHING.findings[0].heat
    assert repr(legible(EVERYTHING)) == repr(EVERYTHING)
    odd = Finding(name=np.str_("\x1b"), backend="b", verdict=Verdict.WRONG, worst_index=(np.int64(3),))
    assert legible(odd) == Finding(name=r"\x1b", backend="b", verdict=Verdict.WRONG, worst_index=(3,))
    assert type(legible(odd).verdict) is Verdict


# Reports


def test_names_of_blocks_are_text_everywhere(checked):
    assert checked.wrong == set(NAMES)
    assert_neutral(to_text(checked, WIDE), NAMES)
    assert_neutral(str(checked))
    assert_page(checked.to_html(), NAMES)


@each_name
@pytest.mark.parametrize("width", [60, WIDE])
def test_wherever_a_text_stands_in_a_report_it_is_text(name, width):
    report = report_of(name)
    assert_neutral(to_text(report, width), [name] if width == WIDE else [])
    assert_page(report.to_html(), [name])


def manual(network, parameters, batch):
    return gradcheck.backend("manual").build(network).loss_and_gradients(parameters, batch)


@each_name
def test_an_exception_is_a_sentence_of_text(name):
    def raising(*_):
        raise RuntimeError(name)

    report = gradcheck.verify(CASE, ["manual", raising])
    assert "raised RuntimeError" in str(report)
    assert_neutral(to_text(report, WIDE), [name] if name not in ("a\nb", "a\r\tb", "line\u2028end") else [])  # one sentence
    assert_page(report.to_html())


@each_name
def test_a_backend_is_called_what_it_is_called(name):
    def build(*given):
        return manual(*given)

    build.__name__ = build.__qualname__ = name
    report = gradcheck.verify(CASE, ["manual", build])
    assert_neutral(to_text(report, WIDE), [name])
    assert_page(report.to_html(), [name])


# Texts that cannot be had, or are too long


class Mute(Exception):
    def __str__(self):
        raise ValueError("nothing to say")


class Numeric(Exception):
    def __str__(self):
        return 3


class Endless(Exception):
    def __str__(self):
        return str(self)


class Long(Exception):
    def __str__(self):
        return 10_000_000 * "x"


@pytest.mark.parametrize("kind", [Mute, Numeric, Endless, Long])
def test_an_exception_whose_text_cannot_be_had_or_is_too_long_is_a_sentence_all_the_same(kind):
    def raising(*_):
        raise kind

    report = gradcheck.verify(CASE, ["manual", raising])
    said = "10,000,000 characters" if kind is Long else f"{kind.__name__} without a text: its __str__ raises"
    assert said in next(finding.reason for finding in report.findings if finding.backend == "raising")
    with pytest.raises(CallFailed, match=said) as failed:
        gradcheck.check(raising, raising, np.ones(2))
    assert len(str(failed.value)) < 2 * LONG


@pytest.mark.parametrize("name", [100_000 * "n", 10_000 * "line\n", 3000 * "\x1b"], ids=["letters", "lines", "escapes"])
def test_a_long_name_is_shortened_for_people_and_whole_for_machines(name, tmp_path):
    report = gradcheck.check(loss, negated, {name: np.ones(2), "other": np.ones(2)})
    for said in (str(report), report.to_html(), repr(report)):
        assert len(said) < 60_000
        assert "n" * 2000 not in said
    assert "characters)" in str(report)
    assert name in {finding["name"] for finding in json.loads(report.to_json())["findings"]}
    report.reproducer(tmp_path / "again.py")
    compile((tmp_path / "again.py").read_text(encoding="utf-8"), "again", "exec")


def test_the_twin_a_name_of_usual_length_is_whole():
    name = LONG * "n"
    assert name in gradcheck.check(loss, negated, {name: np.ones(2)}).to_html()


# Campaigns


@pytest.fixture(scope="module")
def campaign():
    """Every name is a backend, a layer, a reason, a version and a cause."""
    case = tabled(CASE)
    records = []
    for index, name in enumerate(STORED):
        table = {**case, "inputs": [2 + index], "layers": [*case["layers"], {"type": name, "approximate": name}]}
        record = failed(table, Verdict.WRONG, name, [Mistake(name, name, name)])
        records.append(msgspec.structs.replace(record, ratios={name: 2.0}))
        records.append(failed({**table, "weight_decay": 1.0}, Verdict.UNRESOLVED, name))
    summary = summary_of(*records, plan=Plan(backends=tuple(STORED), layers=tuple(STORED)))
    summary.versions = [{name: name for name in STORED}]
    return summary


def test_a_campaign_shows_names_as_text(campaign):
    assert_neutral(text_of(campaign, WIDE), [name for name in STORED if ":" not in name])  # of "a:b" the name is b
    assert_neutral(text_of(campaign, 60))
    assert_page(campaign_page(campaign), STORED)


@each_name
def test_the_name_of_a_store_is_text(name, campaign):
    console = Console(file=io.StringIO(), width=WIDE)
    console.print(render(campaign, name))
    assert "".join(f"gradcheck fuzz --replay {argument(name)}".split()) in "".join(console.file.getvalue().split())


@pytest.mark.parametrize(
    "text", [*NAMES, "a b.db", "-rf.db", "$(id)", "`id`", "it's", "~", "*", "x;id", "new\nline's"], ids=ascii
)
def test_what_a_proposed_command_names_is_one_argument_of_a_shell(text):
    """The twin: as it is, hardly any of them would be."""
    done = subprocess.run(["bash", "-c", f"printf '%s|' {argument(text)}"], capture_output=True, check=True).stdout
    assert done.decode(errors="surrogateescape").removeprefix("./") == f"{text}|"
    assert_neutral(argument(text))


def test_the_twin_an_argument_that_is_not_quoted_is_another_one():
    for text in ("a b.db", "$(echo x)", "\"quotes' and"):
        done = subprocess.run(["bash", "-c", f"printf '%s|' {text}"], capture_output=True, check=False).stdout
        assert done.decode() != f"{text}|"


@each_name
def test_wherever_a_text_stands_json_has_it_and_halves_of_characters_as_their_escapes(name):
    whole = name.encode(errors="backslashreplace").decode()
    table = json.loads(report_of(name).to_json())
    assert table["title"] == table["notes"][0] == table["findings"][0]["name"] == table["diagnoses"][0]["evidence"]["layer"]
    assert table["title"] == whole
    assert json.loads(json_text({name: (name, [math.inf])})) == {whole: [whole, [None]]}
    assert json_text(msgspec.structs.replace(FINDING, name=name)) == json_text(msgspec.structs.replace(FINDING, name=whole))


# Other pages and measurements


@each_name
def test_a_tour_shows_text_as_text(name, tmp_path):
    (tmp_path / "1.png").write_bytes(b"png")
    result = Found(name, {name: 1.0}, (Picture(name, print),), Rows((name, name), [(name, name)]), held=False, detail=name)
    step = Step("step", name, "<i>x</i>", lambda _: result)
    outcomes = [Outcome(1, step, result, "", 0.0, (tmp_path / "1.png",)), Outcome(2, step, None, name, 0.0)]
    page = tour_page(outcomes, [name])
    assert_page(page, [name])
    assert page.count('<p class="formula"><i>x</i></p>') == 2


@each_name
def test_a_measurement_shows_text_as_text(name):
    rows = [Row(backend=name, error=name), Row(backend="b", accuracy_note=name)]
    case = Measured(
        name=name,
        network={},
        widths=None,
        parameters=1,
        batch=1,
        dtype=name,
        threads=1,
        multiply_adds=None,
        operations=None,
        memory=None,
        floor=Floor(error=name),
        rows=rows,
        warnings=[name],
    )
    machine = Environment(processor=name, cores=1, platform=name, python=name, libraries={name: name})
    result = Result(gradcheck="0", environment=machine, settings=Settings(backends=()), cases=[case], growth=[])
    stream = io.StringIO()
    show(bench_text.render(legible(result)), stream)
    assert_neutral(stream.getvalue(), [name])


# Templates


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_a_template_switches_no_escaping_off(path):
    found = re.findall(r"\|\s*safe\b|autoescape|Markup", path.read_text())
    assert found == (["| safe"] if path.name == "tour.html" else [])  # formulas, which are the tour's own


def test_there_are_templates_and_they_escape():
    assert {path.parent for path in TEMPLATES} > {SHARED}
    made = environment().from_string('<p title="{{ said }}">{{ said }}</p>')
    for name in NAMES:
        assert_page(made.render(said=name), [name])
    with pytest.raises(UndefinedError):
        made.render(sad=1)


def test_only_a_page_imports_the_library_of_templates():
    code = (
        "import sys, gradcheck, numpy as np; r = gradcheck.check(np.sum, np.ones_like, np.ones(2)); str(r); r.to_json()\n"
        "import gradcheck.cli.checks, gradcheck.cli.campaigns, gradcheck.campaign.report.text, gradcheck.pytest_plugin\n"
        "print('jinja2' in sys.modules); r.to_html(); print('jinja2' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


# The command line


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Run it in an empty folder: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def command(*words):
        monkeypatch.setattr("sys.argv", ["gradcheck", *words])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        return stopped.value.code, *capsys.readouterr()

    return command


@pytest.mark.parametrize("name", FILE_NAMES, ids=ascii)
@pytest.mark.parametrize(
    "words",
    [
        ("verify", "{}.toml"),
        ("verify", "{}"),
        ("verify", "--backend", "{}"),
        ("verify", "--backend", "{}.py:mine"),
        ("check", "{}:loss", "math:sin", "--shape", "2"),
        ("check", "math:{}", "math:sin", "--shape", "2"),
        ("check", "math:sin", "math:cos", "--at", "{}.npy"),
        ("check", "math:sin", "math:cos", "--shape", "{}"),
        ("check", "scipy.optimize:rosen", "scipy.optimize:rosen_der", "--shape", "2", "--html", "none/{}"),
        ("report", "{}"),
        ("fuzz", "--layers", "{}"),
        ("tour", "--data", "{}"),
        ("bench", "{}.toml"),
        ("{}",),
        ("verify", "--{}"),
    ],
    ids=lambda words: " ".join(words)[:30],
)
def test_what_is_wrong_on_the_command_line_is_one_line_of_text(command, words, name):
    code, _, err = command(*(word.format(name) for word in words))
    assert code == 2
    assert err.startswith("gradcheck: ")
    assert err.count("\n") == 1
    assert_neutral(err)


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_what_a_function_raises_is_one_line_of_text(command, name):
    Path("own.py").write_text(f"def loss(x):\n    raise RuntimeError({name!r})\n")
    code, _, err = command("check", "own.py:loss", "own.py:loss", "--shape", "2")
    assert code == 2
    assert "raised RuntimeError" in err
    assert err.count("\n") == 1
    assert_neutral(err)


def test_an_error_of_our_own_is_text_too(command, monkeypatch):
    def failing(*_args, **_options):
        raise RuntimeError("\x1b[2J\u202e" + "\n\x07")

    monkeypatch.setattr(checks, "verify", failing)
    code, _, err = command("verify")
    assert code == 4
    assert "Traceback" in err
    assert_neutral(err)


@each_name
def test_a_line_that_is_shown_is_one_line_without_markup(name):
    stream = io.StringIO()
    show(name, stream)
    assert stream.getvalue() == f"{NAMES[name]}\n"
    table = Table("x")
    table.add_row("[red]x[/red]")
    show(table, stream)
    assert "[red]x[/red]" in stream.getvalue()


# pytest


@each_name
def test_the_summary_of_a_run_is_text(name):
    found = Check(name, "nonsmooth", name, "1", {"findings": [], "evaluations": 1})
    assert_neutral("\n".join(line for line, _ in summary([found], everything=True)), [name])


def test_a_failing_test_shows_names_as_text(pytester):
    pytester.makepyfile(f"""
        import numpy as np
        NAMES = {STORED!r}

        def test(gradcheck):
            at = {{name: np.ones(1) for name in NAMES}}
            gradcheck(lambda p: float(sum(v[0] ** 2 for v in p.values())), lambda p: {{n: -v for n, v in p.items()}}, at)
        """)
    result = pytester.runpytest_subprocess("--tb=short", "--color=no")
    result.assert_outcomes(failed=1)
    assert_neutral("\n".join(result.outlines), ["\x1b[31mred", "[bold red]x[/]", "<script>alert(1)</script>"])


# Reproducers


def test_a_reproducer_with_any_name_in_it_runs_and_says_the_same(checked, tmp_path, monkeypatch):
    monkeypatch.setattr(pickles, "_origins", lambda _: ())  # this module is none that another process could import
    path = tmp_path / "again.py"
    checked.reproducer(path)
    source = path.read_text(encoding="utf-8")
    assert_neutral(source)
    compile(source, str(path), "exec")
    done = subprocess.run([sys.executable, "-P", str(path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{checked}\n", "")
    path.write_text(source.replace(': "wrong"', ': "correct"'), encoding="utf-8")  # the twin: every name is in what differs
    done = subprocess.run([sys.executable, "-P", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert_neutral(done.stderr, ["a\nb", "\x1b[31mred", "half \udc80", "[bold red]x[/]"])


def test_the_source_of_a_function_is_shown_as_it_is_run(tmp_path):
    """Nothing in it turns the direction of writing, so that a reader would take it for something else."""
    path = tmp_path / "own.py"
    path.write_text("def made():\n    return lambda x: x  # \u202e\t\x0c\u2066\n", encoding="utf-8")
    writer = Writer()
    writer.expression(locate(f"{path}:made", "made")(), "loss")
    source = "\n".join(writer.definitions())
    assert "lambda x: x  # \\u202e" in source
    assert_neutral(source)


@each_name
def test_no_name_of_an_argument_is_taken_for_source(name):
    writer, options = Writer(), {name: {name: print}, "class": SimpleNamespace(pickled=name), f"1{name}": SimpleNamespace()}
    call = writer.call(Call(gradcheck.check, (), options)).replace("gradcheck.check(", "dict(")
    definitions = list(writer.definitions())
    found = {}
    exec(compile("\n".join([writer.imported(), *definitions, f"found = {call}"]), "call", "exec"), found)
    assert found["found"] == options


def test_a_module_whose_name_is_no_identifier_is_not_written_as_one(tmp_path, monkeypatch):
    (tmp_path / "not-a-name.py").write_text("def f(x):\n    return x\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(pickles, "is_importable", lambda _: True)
    writer, found = Writer(), {}
    expression = writer.expression(importlib.import_module("not-a-name").f, "loss")
    definitions = [*writer.definitions()]  # before what is imported: they add to it
    assert "not-a-name" not in writer.imported()
    exec(compile("\n".join([writer.imported(), *definitions, f"found = {expression}"]), "call", "exec"), found)
    assert found["found"](3) == 3
