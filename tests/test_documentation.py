"""What pages show is run: examples and commands of the README, of docs/ and CONTRIBUTING, docstrings, files of examples/.

And what they name is there: links, files, rooms and causes.
"""

import ast
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

import gradcheck_backends
import pretended
import pytest

import gradcheck
from gradcheck import cli
from gradcheck.bench.results.schema import read
from gradcheck.campaign.plan import Plan
from gradcheck.campaign.results.store import Store
from gradcheck.cli.app import Exit
from gradcheck.verdict.causes import Cause

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.toml"))
MODULES = [
    module.name for module in pkgutil.walk_packages(gradcheck.__path__, "gradcheck.") if "__main__" not in module.name
]

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
DEFECTS_PAGE = ROOT / "docs" / "defects.md"  # its sections are run one by one: each needs a library of its own
EXECUTED = [page for page in PAGES if page != DEFECTS_PAGE]

_, *PIECES = re.split(r"^## (.*)\n", DEFECTS_PAGE.read_text(), flags=re.MULTILINE)
DEFECTS = dict(zip(PIECES[::2], PIECES[1::2], strict=True))


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[str]:
    """Blocks of code in this language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def suites() -> dict[str, str]:
    """Blocks of code that are no doctests, by the page and its number in it: tests, which pytest is to run."""
    return {
        f"{page.stem.replace('-', '_').lower()}_{number}": block
        for page in PAGES
        for number, block in enumerate(blocks(page, "python"))
        if ">>>" not in block
    }


def commands(*words: str) -> list[str]:
    """Lines of the pages' consoles that begin so, each once."""
    lines = [line for page in PAGES for block in blocks(page, "console") for line in block.splitlines()]
    return list(dict.fromkeys(line for line in lines if line.startswith(words)))


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


def examples(page: Path) -> doctest.TestResults:
    return doctest.testfile(str(page), module_relative=False, report=False)


@pytest.mark.usefixtures("layers_as_before")
@pytest.mark.parametrize("page", EXECUTED, ids=named)
def test_the_examples_of_a_page_do_what_they_say(page):
    assert examples(page).failed == 0


def test_there_are_examples_to_run():
    shown = {named(page) for page in PAGES if ">>>" in page.read_text()}
    assert shown >= {"README.md", *(f"docs/{name}.md" for name in ("check", "verify", "frameworks", "networks", "reports"))}


def test_an_example_that_does_something_else_fails(tmp_path, capsys):
    """The twin: a page with a verdict that is another."""
    page = ROOT / "docs" / "reports.md"
    broken = tmp_path / page.name
    broken.write_text(page.read_text().replace("[('x', 'sign')]", "[('x', 'factor')]"))
    assert examples(broken).failed == 1
    assert "Got:\n    [('x', 'sign')]" in capsys.readouterr().out


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_docstrings_do_what_they_say(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_docstring_examples_to_run():
    finder = doctest.DocTestFinder()
    assert sum(len(test.examples) for name in MODULES for test in finder.find(importlib.import_module(name))) >= 3


def test_the_test_suites_of_the_pages_pass(tmp_path):
    """All but the property test, which is run beside its twin."""
    written = {name: suite for name, suite in suites().items() if "@given" not in suite}
    for name, suite in written.items():
        (tmp_path / f"test_{name}.py").write_text(suite)
    assert {name.rpartition("_")[0] for name in written} == {"readme", "pytest", "kernels"}
    done = subprocess.run([sys.executable, "-m", "pytest", "-q"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    tests, wrong = (sum(suite.count(each) for suite in written.values()) for each in ("def test_", "mark.xfail"))
    assert f"{tests - wrong} passed, {wrong} xfailed" in done.stdout
    assert "gradient checks" in done.stdout


@pytest.mark.parametrize("heading", DEFECTS)
def test_a_defect_of_a_library_is_as_described(heading):
    for library in re.findall(r"^>>> (?:import|from) (\w+)", DEFECTS[heading], re.MULTILINE):
        if importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed: its defect is not reproduced")
    block = doctest.DocTestParser().get_doctest(DEFECTS[heading], {}, heading, "docs/defects.md", 0)
    said = "".join(example.want for example in block.examples)
    assert "wrong" in said
    assert "correct" in said
    assert doctest.DocTestRunner().run(block).failed == 0


def test_the_table_of_defects_is_that_of_its_sections():
    rows = re.findall(r"^\| (.*?) \| \[.*\]\(#(.*?)\) \| .* \|$", DEFECTS_PAGE.read_text(), re.MULTILINE)
    assert rows == [(heading.split(": ")[0], anchor(heading)) for heading in DEFECTS]


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


def test_the_property_test_of_the_pages_passes_and_its_twin_fails(tmp_path):
    (suite,) = (suite for suite in suites().values() if "# test_mine.py" in suite)
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


def run(words, monkeypatch):
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    return stopped.value.code


def test_the_benchmarks_of_the_pages_run(tmp_path, monkeypatch, capsys):
    """With pretended times, and with what is recorded on this machine."""
    monkeypatch.setattr("gradcheck.bench.run.measure", pretended.measure)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "benchmarks", "benchmarks", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "examples" / "two_moons.toml", "net.toml")
    Path("mine.py").write_text(MINE)
    assert run(["gradcheck", "bench", "--json", "benchmarks/recorded.json"], monkeypatch) == 0
    lines = commands("gradcheck bench")
    assert len(lines) == 4
    for line in lines:
        assert run(shlex.split(line, comments=True), monkeypatch) == 0, capsys.readouterr()
    assert "new over recorded" in capsys.readouterr().out
    assert list(Path("growth").glob("*.png"))
    assert Path("mine.json").exists()


def test_what_is_recorded_is_what_the_measurements_say():
    recorded = read(ROOT / "benchmarks" / "recorded.json")
    said = (ROOT / "docs" / "measurements.md").read_text()
    rows = re.findall(r"^\| (.*), \d+ \|(.*)\| (\d\.\d\d) \|$", said, re.MULTILINE)
    assert [round(case.rows[0].of_floor, 2) for case in recorded.cases] == [float(ratio) for *_, ratio in rows]
    for case, (_, times, _) in zip(recorded.cases, rows, strict=True):
        said = [float(cell.split()[0]) * {"ms": 1e-3, "µs": 1e-6}[cell.split()[1]] for cell in times.split("|")]
        measured = [case.floor.seconds, *(row.gradient.seconds for row in case.rows)]
        assert said == pytest.approx(measured, rel=0.006)


def test_the_tours_of_the_pages_run(tmp_path, monkeypatch, capsys):
    """One short step of each."""
    monkeypatch.chdir(tmp_path)
    Path("mine.libsvm").write_text("".join(f"{1 + i % 2} 1:{i % 2 + i / 40} 2:{i * i % 7}\n" for i in range(40)))
    lines = commands("gradcheck tour")
    assert len(lines) == 3
    for line in lines:
        words = shlex.split(line, comments=True)
        short = [] if "--only" in words else ["--only", "own" if "--data" in words else "data"]
        assert run([*words, "--quick", *short], monkeypatch) == 0, capsys.readouterr()
    assert Path("tour/index.html").exists()


def test_the_campaign_of_the_pages_runs(tmp_path, monkeypatch, capsys):
    """With fewer examples, one worker, and without a cluster."""
    lines = commands("gradcheck fuzz", "gradcheck report")
    assert len(lines) == 7
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


@pytest.mark.parametrize("command", commands("gradcheck verify", "gradcheck check"))
def test_the_commands_of_the_pages_succeed(command, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", shlex.split(command))
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 0
    assert "verdict: correct" in capsys.readouterr().out


def test_the_descriptions_of_the_pages_are_those_of_the_example_and_of_the_lines_in_python(tmp_path):
    page = ROOT / "docs" / "networks.md"
    flat, nested = blocks(page, "toml")
    (tmp_path / "net.toml").write_text(flat)
    assert gradcheck.load(tmp_path / "net.toml") == gradcheck.load(ROOT / "examples" / "two_moons.toml")
    (tmp_path / "nested.toml").write_text(nested)
    (tmp_path / "words.txt").write_text(page.read_text()[:513].lower())
    case = gradcheck.load(tmp_path / "nested.toml")
    globs = {"Network": gradcheck.Network, "Dense": gradcheck.Dense}
    lines = doctest.script_from_examples(next(text for text in blocks(page, "python") if "characters" in text))
    exec(lines, globs)
    assert case.network == globs["characters"]
    assert case.batch.inputs.shape == (32, 16)


def test_every_command_is_run_by_one_of_these_tests():
    """But for installing, the tests themselves and scripts: `test_what_is_named_is_there` looks for those."""
    tested = ("verify", "check", "bench", "tour", "fuzz", "report")
    scripts = ("python benchmarks/", "python -m benchmarks.")
    others = ("pip install ", "pytest", *scripts, "ruff ", "HYPOTHESIS_PROFILE=nightly pytest ")
    known = (*(f"gradcheck {command} " for command in tested), "gradcheck tour", *others)
    assert [line for line in commands("") if line and not line.startswith(known)] == []


def test_the_readme_is_short_and_has_the_two_commands():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 130
    for command in ("pip install -c constraints.txt '.[all]' && gradcheck verify", TEST_COMMAND):
        assert f"\n```console\n{command}\n```\n" in text


TEST_COMMAND = "pip install -c constraints.txt '.[all,test]' && pytest"


# Links, files, rooms and causes


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchor(heading: str) -> str:
    """As GitHub makes it."""
    plain = re.sub(r"\[(.*?)\]\(.*?\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    assert len(headings) == len(set(map(anchor, headings))), f"{page.name}: two headings have one anchor"
    return set(map(anchor, headings))


def dead_links(page: Path) -> list[str]:
    """Targets of relative links that lead nowhere: no file, or no heading of it."""
    dead: list[str] = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        path, _, heading = target.partition("#")
        found = page.parent / path if path else page
        if "://" in target or (found.exists() and (not heading or heading in anchors(found))):
            continue
        dead.append(target)
    return dead


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_somewhere(page):
    assert dead_links(page) == []


def test_every_page_can_be_reached_from_the_readme():
    seen: set[Path] = set()
    todo = [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        seen.add(page)
        targets = re.findall(r"\]\(([^)#\s]+\.md)", prose(page))
        todo += {(page.parent / target).resolve() for target in targets} - seen
    assert seen >= set(PAGES)


@pytest.mark.parametrize("link", ["nowhere.md", "reports.md#nothing", "#nothing", "../README.md#nothing"])
def test_a_link_to_what_is_not_there_is_found(link, tmp_path):
    """The twin: pages of which one link is wrong, and the same but for that."""
    docs = tmp_path / "docs"
    shutil.copytree(ROOT / "docs", docs)
    shutil.copy(ROOT / "README.md", tmp_path)
    page = docs / "pytest.md"
    for target, dead in (("reports.md#causes", []), (link, [link])):
        page.write_text(f"# Title\n\n[one](verify.md), [two]({target}), [three](https://example.org)\n")
        assert dead_links(page) == dead


def missing_files(text: str) -> list[str]:
    """Paths in the checkout that a text names, in code, and that are not there."""
    rooms = "gradcheck|gradcheck_backends|backends|benchmarks|docs|examples|tests|\\.ci"
    paths = re.findall(rf"(?<![\w/.])(?:{rooms})/[\w./-]*\w/?", text)
    return [path for path in paths if not (ROOT / path).exists() and not (ROOT / "backends" / path).exists()]


@pytest.mark.parametrize("page", [page for page in PAGES if page != ROOT / "docs" / "gallery.md"], ids=named)
def test_what_is_named_is_there(page):
    code = [*re.findall(r"`([^`\n]+)`", prose(page)), *blocks(page, "console")]
    assert missing_files("\n".join(code)) == []


def test_a_file_that_is_not_there_is_found():
    """The twin."""
    assert missing_files("gradcheck/errors.py, gradcheck/diagnosis/, benchmarks/detection.py --seed 0, .ci/run") == []
    assert missing_files("in `gradcheck/error.py` and benchmarks/detect.py") == [
        "gradcheck/error.py",
        "benchmarks/detect.py",
    ]


def rooms(package: Path) -> set[str]:
    """Every folder of a package that is a room, by its path in it."""
    inner = {str(path.parent.relative_to(package)) for path in package.rglob("__init__.py")}
    return inner - {"."}


def named_rooms(text: str) -> set[str]:
    return set(re.findall(r"`([\w/]+)`", text))


ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()


@pytest.mark.parametrize("package", [gradcheck, gradcheck_backends], ids=lambda package: package.__name__)
def test_every_room_is_on_the_page_of_the_architecture(package):
    assert rooms(Path(package.__file__).parent) - named_rooms(ARCHITECTURE) == set()


def test_every_room_of_its_table_exists():
    table = re.findall(r"^\| `([\w/]+)` \|", ARCHITECTURE, re.MULTILINE)
    assert len(table) == len(set(table))
    assert set(table) == rooms(Path(gradcheck.__file__).parent)


def test_a_room_that_is_not_on_the_page_is_found(tmp_path):
    """The twin."""
    for room in ("oracles", "network/layers", "attic"):
        (tmp_path / room).mkdir(parents=True)
        (tmp_path / room / "__init__.py").touch()
    assert rooms(tmp_path) - named_rooms(ARCHITECTURE) == {"attic"}


def causes_of_the_page() -> set[str]:
    _, _, table = (ROOT / "docs" / "reports.md").read_text().partition("\n| cause | what is wrong |\n")
    rows = re.findall(r"^\| (`.*?) \|", table.partition("\n\n")[0], re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([\w-]+)`", row)}


def test_the_page_of_reports_names_every_cause():
    assert causes_of_the_page() == set(map(str, Cause))
    assert len(causes_of_the_page()) > 20  # the twin of an empty table


def reasons_that_nothing_gives(page: str) -> list[str]:
    """Pieces of the reasons in the table of `unresolved`, between the numbers, that the source does not have."""
    _, _, table = page.partition("\n| the reason says | ")
    rows = re.findall(r"^\| (.*?) \|", table.partition("\n\n")[0], re.MULTILINE)
    pieces = [piece.strip() for row in rows for piece in re.split(r" / |\.\.\.", row)]
    source = "".join(path.read_text() for path in Path(gradcheck.__file__).parent.rglob("*.py"))
    assert len(rows) >= 8
    return [piece for piece in pieces if piece not in source]


def test_every_reason_that_is_explained_is_one_that_is_given():
    assert reasons_that_nothing_gives((ROOT / "docs" / "reports.md").read_text()) == []


def test_a_reason_that_nothing_gives_is_found():
    """The twin."""
    page = (ROOT / "docs" / "reports.md").read_text()
    assert reasons_that_nothing_gives(page.replace("| a staircase: flat nearby", "| a stair: flat nearby")) == [
        "a stair: flat nearby, and sloped further off"
    ]


def unexplained_reasons(page: str) -> list[str]:
    """Of each wording of a reason its longest piece without a number or colon, where the page does not have that."""
    tree = ast.parse((ROOT / "gradcheck" / "verdict" / "reasons.py").read_text())
    said = [node.value for node in tree.body if isinstance(node, ast.Assign)]
    said += [node.value for node in ast.walk(tree) if isinstance(node, ast.Return) and node.value]
    wordings = [each.values if isinstance(each, ast.JoinedStr) else [each] for each in said]
    texts = [[part.value for part in parts if isinstance(part, ast.Constant)] for parts in wordings]
    pieces = [re.split(": |:$", "".join(f"{text}: " for text in each if isinstance(text, str))) for each in texts]
    longest = [max(each, key=len).strip(" ,;") for each in pieces]
    assert len(longest) > 25
    return [piece for piece in longest if piece not in page]


def test_every_reason_that_is_given_is_explained():
    page = (ROOT / "docs" / "reports.md").read_text()
    assert unexplained_reasons(page) == []
    assert unexplained_reasons(page.replace("the function is not cont", "the function is cont")) == [
        "the function is not continuous here"
    ]


def test_every_verdict_and_every_exit_code_is_explained():
    said = (ROOT / "docs" / "reports.md").read_text()
    for verdict in gradcheck.Verdict:
        assert f"\n| `{verdict}` | " in said
        assert f"\n| `{verdict}` | " in (ROOT / "README.md").read_text()
    for code in Exit:
        assert f"\n| {int(code)} | " in said


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_correct_in_every_build(path):
    report = gradcheck.verify(gradcheck.load(path))
    assert report.verdict == "correct", str(report)
    losses = [finding for finding in report.findings if finding.name == "loss"]
    assert len(losses) == 3
    assert all(finding.error < 1e-14 for finding in losses)


def test_the_examples_are_the_networks_of_the_tour():
    networks = {path.stem: gradcheck.load(path).network for path in EXAMPLES}
    widths = {name: [layer.units for layer in each.layers[::2]] for name, each in networks.items() if each.flat}
    assert widths["two_moons"] == [15, 1]
    assert widths["two_moons_deep"] == [4, 5, 8, 4, 1]
    assert [widths[f"tour_{name}"] for name in ("1_layer", "2_layers", "3_layers", "5_layers")] == [
        [1], [8, 1], [3, 4, 1], [4, 5, 8, 4, 1],
    ]  # fmt: skip
    assert widths["digits"] == [32, 10]


def test_the_example_of_a_transformer_names_its_parameters_as_code_for_such_models_does():
    names = gradcheck.load(ROOT / "examples" / "transformer_characters.toml").network.parameter_shapes
    assert {"embedding.weight", "blocks.1.attention.query.weight", "blocks.0.up.bias", "norm.weight"} <= names.keys()
    assert "head.weight" not in names


def test_the_course_example_is_independent_and_a_mistake_in_it_is_found(tmp_path):
    source = (ROOT / "examples" / "numpy_course.py").read_text()
    assert not re.search(r"import (torch|autograd|gradcheck)|from (torch|autograd|gradcheck)", source)
    broken = tmp_path / "course.py"
    broken.write_text(source.replace("dA = W[l].T @ dZ", "dA = -W[l].T @ dZ"))
    report = gradcheck.verify(gradcheck.load("examples/two_moons_deep.toml"), [f"{broken}:loss_and_gradients"])
    flipped_an_odd_number_of_times = (6, 2)
    assert report.wrong == {f"{index}.{kind}" for index in flipped_an_odd_number_of_times for kind in ("weight", "bias")}
