"""Modules under the names that they had before they had rooms: reproducers and pickles that people have kept find them."""

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

MOVED = {
    "arguments": "foundation.validation",
    "arrays": "foundation.arrays",
    "case": "cases.case",
    "checker": "checking.checker",
    "data": "cases.datasets",
    "files": "cases.files",
    "linear": "checking.products",
    "locate": "foundation.loading",
    "pickles": "report.reproducer.pickles",
    "protocol": "builds.protocol",
    "pytree": "foundation.objects.pytree",
    "recipe": "report.reproducer.recipe",
    "registry": "builds.registry",
    "verifier": "verification.verifier",
}


class Moved:
    """Loads a module under its former name; both names are one module."""

    def __init__(self, name: str) -> None:
        self.name = name

    def create_module(self, spec: ModuleSpec) -> None:
        """A module as always, which `exec_module` puts the other one in the place of."""

    def exec_module(self, module: ModuleType) -> None:
        """``import`` returns whatever a module has put in its own place."""
        sys.modules[module.__name__] = import_module(self.name)


def spec_of(name: str) -> ModuleSpec | None:
    """How to load ``gradcheck.locate`` and its like; None where no module was called so."""
    home = MOVED.get(name.removeprefix("gradcheck."))
    loader: Any = Moved(f"gradcheck.{home}")
    return ModuleSpec(name, loader) if home else None
