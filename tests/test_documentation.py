"""Examples are run: in the README, in docstrings, and the files of examples/."""

import doctest
import importlib
import importlib.util
import pkgutil
import re
import shlex
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pretended
import pytest

import gradcheck
from gradcheck import cli
from gradcheck.bench.results.schema import read
from gradcheck.campaign.plan import Plan
from gradcheck.campaign.results.store import Store

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.toml"))
MODULES = [
    module.name for module in pkgutil.walk_packages(gradcheck.__path__, "gradcheck.") if "__main__" not in module.name
]

_, *PIECES = re.split(r"^## (.*)\n", (ROOT / "examples" / "defects.md").read_text(), flags=re.MULTILINE)
DEFECTS = dict(zip(PIECES[::2], PIECES[1::2], strict=True))


@pytest.fixture(autouse=True)
def in_the_checkout(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.fixture
def layers_as_before():
    from gradcheck.network.layers import LAYERS

    before = dict(LAYERS)
    yield
    LAYERS.clear()
    LAYERS.update(before)


@pytest.mark.usefixtures("layers_as_before")
def test_the_examples_of_the_readme_do_what_they_say():
    result = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    assert result.attempted >= 15
    assert result.failed == 0


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_docstrings_do_what_they_say(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_docstring_examples_to_run():
    finder = doctest.DocTestFinder()
    assert sum(len(test.examples) for name in MODULES for test in finder.find(importlib.import_module(name))) >= 3


def test_the_test_suite_of_the_readme_passes(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (suite,) = (block for block in blocks if "def test_my_gradient" in block)
    (tmp_path / "test_readme.py").write_text(suite)
    done = subprocess.run([sys.executable, "-m", "pytest", "-q"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout
    assert "gradient checks" in done.stdout


@pytest.mark.parametrize("heading", DEFECTS)
def test_a_defect_of_a_library_is_as_described(heading):
    for library in re.findall(r"^>>> (?:import|from) (\w+)", DEFECTS[heading], re.MULTILINE):
        if importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed: its defect is not reproduced")
    block = doctest.DocTestParser().get_doctest(DEFECTS[heading], {}, heading, "examples/defects.md", 0)
    said = "".join(example.want for example in block.examples)
    assert "wrong" in said
    assert "correct" in said
    assert doctest.DocTestRunner().run(block).failed == 0


def test_the_table_of_defects_in_the_readme_is_that_of_the_examples():
    rows = re.findall(
        r"^\| (.*?) \| \[.*\]\(examples/defects\.md#(.*?)\) \| .* \|$", (ROOT / "README.md").read_text(), re.MULTILINE
    )
    anchors = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in DEFECTS]
    assert rows == list(zip((heading.split(": ")[0] for heading in DEFECTS), anchors, strict=True))


def readme_commands() -> list[str]:
    blocks = re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("gradcheck ")]
    return [line for line in lines if line.split()[1] not in ("fuzz", "report", "bench", "tour")]


MINE = """
import gradcheck
import numpy as np

def loss_and_gradients(network, parameters, batch):
    return gradcheck.backend("manual").build(network).loss_and_gradients(parameters, batch)
"""


# The profile that is shipped, a third of its examples: that a hundred cases are correct is what test_strategies is for. And
# no explanation of the twin's failure, which takes longer than the rest.
FEWER = """
from hypothesis import Phase, settings

import gradcheck.strategies.profiles

shipped = settings.get_profile("gradcheck-ci")
phases = [phase for phase in shipped.phases if phase is not Phase.explain]
settings.register_profile("gradcheck-ci", parent=shipped, max_examples=shipped.max_examples // 3, phases=phases)
"""


def test_the_property_test_of_the_readme_passes_and_its_twin_fails(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (suite,) = (block for block in blocks if "# test_mine.py" in block)
    (tmp_path / "test_mine.py").write_text(suite)
    (tmp_path / "conftest.py").write_text(FEWER)
    (tmp_path / "mine.py").write_text(MINE)
    command = [sys.executable, "-m", "pytest", "-q", "--hypothesis-profile=gradcheck-ci"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    (tmp_path / "mine.py").write_text(
        MINE.replace("return ", "loss, g = ") + "    return loss, {k: v * np.nan for k, v in g.items()}"
    )
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout
    assert "case=Case(network=Network(inputs=(1,)" in done.stdout


def lines_of_the_readme(*commands):
    blocks = re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith(commands)]


def run(words, monkeypatch):
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    return stopped.value.code


def test_the_benchmarks_of_the_readme_run(tmp_path, monkeypatch, capsys):
    """With pretended times, and with what is recorded on this machine."""
    monkeypatch.setattr("gradcheck.bench.run.measure", pretended.measure)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "benchmarks", "benchmarks", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "examples" / "two_moons.toml", "net.toml")
    Path("mine.py").write_text(MINE)
    assert run(["gradcheck", "bench", "--json", "benchmarks/recorded.json"], monkeypatch) == 0
    lines = lines_of_the_readme("gradcheck bench")
    assert len(lines) == 4
    for line in lines:
        assert run(shlex.split(line, comments=True), monkeypatch) == 0, capsys.readouterr()
    assert "new over recorded" in capsys.readouterr().out
    assert list(Path("growth").glob("*.png"))
    assert Path("mine.json").exists()


def test_what_is_recorded_is_what_the_readme_says():
    recorded = read(ROOT / "benchmarks" / "recorded.json")
    rows = re.findall(r"^\| (.*), \d+ \|(.*)\| (\d\.\d\d) \|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert [round(case.rows[0].of_floor, 2) for case in recorded.cases] == [float(ratio) for *_, ratio in rows]
    for case, (_, times, _) in zip(recorded.cases, rows, strict=True):
        said = [float(cell.split()[0]) * {"ms": 1e-3, "µs": 1e-6}[cell.split()[1]] for cell in times.split("|")]
        measured = [case.floor.seconds, *(row.gradient.seconds for row in case.rows)]
        assert said == pytest.approx(measured, rel=0.006)


def test_the_tours_of_the_readme_run(tmp_path, monkeypatch, capsys):
    """One short step of each."""
    monkeypatch.chdir(tmp_path)
    Path("mine.libsvm").write_text("".join(f"{1 + i % 2} 1:{i % 2 + i / 40} 2:{i * i % 7}\n" for i in range(40)))
    lines = lines_of_the_readme("gradcheck tour")
    assert len(lines) == 3
    for line in lines:
        words = shlex.split(line, comments=True)
        short = [] if "--only" in words else ["--only", "own" if "--data" in words else "data"]
        assert run([*words, "--quick", *short], monkeypatch) == 0, capsys.readouterr()
    assert Path("tour/index.html").exists()


def test_the_campaign_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    """With fewer examples, one worker, and without a cluster."""
    blocks = re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    lines = [
        line for block in blocks for line in block.splitlines() if line.startswith(("gradcheck fuzz", "gradcheck report"))
    ]
    assert len(lines) == 6
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("gradcheck.cli.fuzzing.Plan", partial(Plan, size=20))  # no examples are drawn that nobody wants
    (tmp_path / "mine.py").write_text(MINE)
    for line in lines:
        words = shlex.split(line, comments=True)
        few = ["--examples", "20"] if "fuzz" in words and "--replay" not in words else []
        one = ["--jobs", "1"] if "fuzz" in words else []
        if "--scheduler" not in words:
            monkeypatch.setattr("sys.argv", [*words, *few, *one])
            with pytest.raises(SystemExit) as stopped:
                cli.main()
            assert stopped.value.code == 0, capsys.readouterr()
    assert {path.name for path in tmp_path.iterdir()} >= {"mine.db", "mine.html"}
    with Store.read(Path("mine.db")) as store:
        assert len(store.names()) == len({name for names in store.shards().values() for name in names}) > 10


@pytest.mark.parametrize("command", readme_commands())
def test_the_commands_of_the_readme_succeed(command, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", shlex.split(command))
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 0
    assert "verdict: correct" in capsys.readouterr().out


def test_the_readme_has_the_two_commands():
    text = (ROOT / "README.md").read_text()
    assert "\npip install -c constraints.txt '.[all]' && gradcheck verify\n" in text
    assert "\npip install -c constraints.txt '.[all,test]' && pytest\n" in text


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_correct_in_every_build(path):
    report = gradcheck.verify(gradcheck.load(path))
    assert report.verdict == "correct", str(report)
    losses = [finding for finding in report.findings if finding.name == "loss"]
    assert len(losses) == 3
    assert all(finding.error < 1e-14 for finding in losses)


def test_the_examples_are_the_networks_of_the_tour():
    widths = {path.stem: [layer.units for layer in gradcheck.load(path).network.layers[::2]] for path in EXAMPLES}
    assert widths["two_moons"] == [15, 1]
    assert widths["two_moons_deep"] == [4, 5, 8, 4, 1]
    assert [widths[f"tour_{name}"] for name in ("1_layer", "2_layers", "3_layers", "5_layers")] == [
        [1], [8, 1], [3, 4, 1], [4, 5, 8, 4, 1],
    ]  # fmt: skip
    assert widths["digits"] == [32, 10]


def test_the_course_example_is_independent_and_a_mistake_in_it_is_found(tmp_path):
    source = (ROOT / "examples" / "numpy_course.py").read_text()
    assert not re.search(r"import (torch|autograd|gradcheck)|from (torch|autograd|gradcheck)", source)
    broken = tmp_path / "course.py"
    broken.write_text(source.replace("dA = W[l].T @ dZ", "dA = -W[l].T @ dZ"))
    report = gradcheck.verify(gradcheck.load("examples/two_moons_deep.toml"), [f"{broken}:loss_and_gradients"])
    flipped_an_odd_number_of_times = (6, 2)
    assert report.wrong == {f"{index}.{kind}" for index in flipped_an_odd_number_of_times for kind in ("weight", "bias")}
