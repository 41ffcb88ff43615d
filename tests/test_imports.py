"""Who imports whom: the contracts of `.importlinter`, and what importing the package itself brings along."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import gradcheck

ROOT = Path(__file__).resolve().parents[1]
HARNESS = Path(gradcheck.__file__).parent


def lint(folder):
    """The contracts, on the packages that lie in a folder."""
    command = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command; lint_imports_command()",
        "--no-cache",
    ]
    environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{folder / 'backends'}", "NO_COLOR": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_contracts_between_rooms_are_kept():
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 broken" in done.stdout


PLANTED = {
    "an arrow that runs back up": ("gradcheck/oracles/line.py", "gradcheck.verdict.findings", "Imports run one way"),
    "from the ground up": ("gradcheck/foundation/wording.py", "gradcheck.network.batch", "Imports run one way"),
    "a network in the black box": ("gradcheck/checking/probe.py", "gradcheck.network.network", "knows no network"),
    "its meaning": (
        "backends/gradcheck_backends/manual/dense.py",
        "gradcheck.network.reference",
        "their meaning",
    ),
    "derivatives in the meaning": (
        "gradcheck/network/reference/attention.py",
        "gradcheck.network.analysis.tape",
        "knows no derivatives of ours",
    ),
    "a build in a build": ("backends/gradcheck_backends/jax/dense.py", "gradcheck_backends.manual", "share no code"),
    "a build in the harness": ("gradcheck/bench/run.py", "gradcheck_backends.pytorch", "imports no build"),
    "the face inside": ("gradcheck/tour/step.py", "gradcheck", "imports the face"),
    "a circle": ("gradcheck/verdict/findings.py", "gradcheck.verdict.entrywise", "circle"),
    "a library elsewhere": ("gradcheck/verdict/heat.py", "optree", "One library, one room"),
}


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A copy of the packages."""
    folder = tmp_path_factory.mktemp("house")
    for package in ("gradcheck", "backends"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".importlinter", folder)
    return folder


@pytest.fixture(scope="module")
def broken(house):
    """What is said of the copy once all of these imports are planted in functions of it."""
    for name, module, _ in PLANTED.values():
        path = house / name
        path.write_text(f"{path.read_text()}\n\ndef planted():\n    import {module}\n")
    done = lint(house)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_import_breaks_its_contract(broken, fault):
    """The twin: each contract can fail."""
    name, module, sentence = PLANTED[fault]
    importer = name.removeprefix("backends/").removesuffix(".py").replace("/", ".")
    verdicts, details = broken.split("Broken contracts")
    assert any(sentence in line and "BROKEN" in line for line in verdicts.splitlines())
    assert importer in details
    assert module.rpartition(".")[2] in details


def test_a_room_in_no_contract_fails(house):
    (house / "gradcheck" / "cellar").mkdir()
    (house / "gradcheck" / "cellar" / "__init__.py").touch()
    done = lint(house)
    assert done.returncode == 1
    assert "gradcheck.cellar" in done.stdout


def imports(path):
    """Every module that a file imports, wherever in the file, as dotted names."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_one_module_imports_what_it_is_told():
    users = {path for path in HARNESS.rglob("*.py") if any(name.startswith("importlib.util") for name in imports(path))}
    assert users == {HARNESS / "foundation" / "loading.py"}


def test_the_root_holds_the_face_the_errors_and_one_door():
    assert {path.name for path in HARNESS.glob("*.py")} == {"__init__.py", "__main__.py", "errors.py", "pytest_plugin.py"}


FOLDERS = sorted({path.parent for path in HARNESS.rglob("*.py")} - {HARNESS})


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: str(path.relative_to(HARNESS)))
def test_a_room_says_its_purpose_and_is_not_crowded(folder):
    assert len([path for path in folder.iterdir() if path.is_file()]) <= 15
    docstring = ast.get_docstring(ast.parse((folder / "__init__.py").read_text()))
    assert docstring
    assert docstring.splitlines()[0].endswith((".", ":", ";")) or "\n" in docstring


def fresh(code: str) -> str:
    return subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True).stdout


REFERENCE = HARNESS / "network" / "reference"


def test_what_the_oracles_differentiate_loads_no_analysis():
    loaded = fresh("import sys, gradcheck.network.reference; print(*sys.modules)").split()
    assert "gradcheck.network.reference.meaning" in loaded
    assert not [name for name in loaded if name.startswith("gradcheck.network.analysis")]
    twin = fresh("import sys, gradcheck.network.analysis.tape, gradcheck.network.reference; print(*sys.modules)").split()
    assert "gradcheck.network.analysis.tape" in twin


def backward(source):
    """What a source defines, imports or reads from others that is named as a reverse sweep is."""
    named = [getattr(node, "name", getattr(node, "attr", "")) for node in ast.walk(ast.parse(source))]
    return [
        each for each in named if isinstance(each, str) and {"back", "backward", "vjp", "gradients"} & {*each.split("_")}
    ]


@pytest.mark.parametrize("path", sorted(REFERENCE.glob("*.py")), ids=lambda path: path.stem)
def test_the_meaning_of_a_layer_has_no_way_back(path):
    assert backward(path.read_text()) == []


@pytest.mark.parametrize("planted", ["def back(g): ...", "tape.gradients(y)", "from x import softmax_vjp"])
def test_a_planted_way_back_is_noticed(planted):
    """The twin."""
    assert len(backward(f"{(REFERENCE / 'meaning.py').read_text()}\n{planted}\n")) == 1


def test_importing_gradcheck_imports_nothing_third_party():
    code = "import sys; before = set(sys.modules); import gradcheck; print(*(set(sys.modules) - before))"
    third_party = {"numpy", "scipy", "msgspec", "rich", "typer", "torch", "autograd", "hypothesis", "pytest"}
    assert not {name.split(".")[0] for name in fresh(code).split()} & third_party


def test_every_public_name_resolves_and_the_stubs_name_the_same():
    for name in gradcheck.__all__:
        assert getattr(gradcheck, name) is not None
    tree = ast.parse(Path(gradcheck.__file__).read_text())
    typed = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.If)
        for inner in node.body
        if isinstance(inner, ast.ImportFrom)
        for alias in inner.names
    }
    assert typed == set(gradcheck.__all__)


def test_no_module_shares_its_name_with_a_public_function():
    assert not {path.stem for path in HARNESS.glob("*.py")} & set(gradcheck.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'chekc'"):
        _ = gradcheck.chekc
