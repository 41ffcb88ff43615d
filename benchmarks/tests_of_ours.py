"""Modules that the tests share and benchmarks need: subjects, and backpropagation with hooks."""

import importlib.util
from pathlib import Path
from types import ModuleType


def module_of_tests(name: str) -> ModuleType:
    """The module of this name in ``tests/``."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parents[1] / "tests" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
