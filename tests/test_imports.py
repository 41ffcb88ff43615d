"""Who imports whom: the rooms of the project, held by reading every import statement."""

import ast
import subprocess
import sys
from pathlib import Path

import gradcheck_backends
import pytest

import gradcheck

HARNESS = Path(gradcheck.__file__).parent
BACKENDS = Path(gradcheck_backends.__file__).parent

NETWORK_WING = ("network",)
CHECKING_WING = ("oracles", "verdict")
DOORS = ("cli", "__main__", "pytest_plugin")
HALL = ("diagnosis", "verification", "campaign", "bench", "training", "tour")
CHECKING_HALL = ("adapters", "candidates", "checking")  # know functions and arrays, never a network


def imports(path: Path) -> set[str]:
    """Every module that a file imports, wherever in the file, as dotted names."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room(path: Path) -> str:
    return path.relative_to(HARNESS).parts[0].removesuffix(".py")


def gradcheck_rooms(path: Path) -> set[str]:
    return {name.split(".")[1] for name in imports(path) if name.startswith("gradcheck.")}


HARNESS_FILES = [path for path in sorted(HARNESS.rglob("*.py")) if path.name != "__init__.py" or path.parent != HARNESS]


@pytest.mark.parametrize("path", HARNESS_FILES, ids=lambda path: str(path.relative_to(HARNESS)))
def test_imports_run_one_way(path):
    here, used = room(path), gradcheck_rooms(path)
    if here in NETWORK_WING:
        assert not used & {*CHECKING_WING, *HALL, *DOORS, "cases", "report", "builds"}
    if here in CHECKING_WING:
        assert not used & {*NETWORK_WING, *HALL, *DOORS, "cases", "report", "builds"}
    if here in CHECKING_HALL:
        assert not used & {*NETWORK_WING, *HALL, *DOORS, "cases", "builds"}
    if here not in DOORS:
        assert not used & set(DOORS)
    if here not in (*HALL, *DOORS):
        assert not used & set(HALL)


@pytest.mark.parametrize("path", HARNESS_FILES, ids=lambda path: str(path.relative_to(HARNESS)))
def test_the_harness_imports_no_framework_and_no_backend(path):
    frameworks = {"torch", "autograd", "jax", "gradcheck_backends"}
    own = {
        "adapters": {
            **dict.fromkeys(("pytorch", "pytorch_function", "pytorch_tensors", "pytorch_state"), "torch"),
            "jax_functions": "jax",
            "hips": "autograd",
        },
        "work": {"torch_products": "torch", "jax_products": "jax"},
        "tour": {"derivatives": "autograd", "quadratic": "autograd", "sequential": "torch"},
    }.get(path.parent.name, {})
    assert {name.split(".")[0] for name in imports(path)} & frameworks <= {own.get(path.stem)}


@pytest.mark.parametrize("path", HARNESS_FILES, ids=lambda path: str(path.relative_to(HARNESS)))
def test_each_library_has_one_room(path):
    rooms = {
        "importlib.util": "foundation",
        "hypothesis": "strategies",
        "sklearn": "cases",
        "typer": "cli",
        "optree": "foundation",
        "cloudpickle": "report",
        "pebble": "campaign",
        "distributed": "campaign",
        "sqlite3": "campaign",
        "matplotlib": ("foundation", "tour"),
        "threadpoolctl": "bench",
    }
    for library, only in rooms.items():
        if any(name == library or name.startswith(f"{library}.") for name in imports(path)):
            assert room(path) in ((only,) if isinstance(only, str) else only)


BACKEND_FILES = sorted(BACKENDS.rglob("*.py"))


@pytest.mark.parametrize("path", BACKEND_FILES, ids=lambda path: str(path.relative_to(BACKENDS)))
def test_backends_share_no_code_with_each_other_or_with_the_reference(path):
    allowed = {"foundation", "errors", "builds", "network"}
    used = imports(path)
    assert gradcheck_rooms(path) <= allowed
    assert not {name for name in used if name.startswith(("gradcheck.network.reference", "gradcheck.network.analysis"))}
    own = f"gradcheck_backends.{path.parent.name}" if path.parent != BACKENDS else "none"
    assert all(name.startswith(own) for name in used if name.startswith("gradcheck_backends"))


def test_these_rules_see_a_forbidden_import(tmp_path):
    """The twin: the reader of imports finds one however it is written."""
    path = tmp_path / "bad.py"
    path.write_text("def f():\n    from gradcheck.network import reference\n    import torch.nn as nn\n")
    assert {"gradcheck.network.reference", "torch.nn"} <= imports(path)


def fresh(code: str) -> str:
    return subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True).stdout


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
