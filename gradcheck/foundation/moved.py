"""Modules under the names that they had before 0.2: what people have kept, reproducers and pickles, still finds them."""

import sys
from importlib import import_module
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
    "pytree": "foundation.pytree",
    "recipe": "report.reproducer.recipe",
    "registry": "builds.registry",
    "verifier": "verification.verifier",
}


class Moved:
    """Finds a module under its former name; both names are one module. Asked last, when nothing else has found it."""

    def __init__(self, name: str) -> None:
        self.name = name

    @classmethod
    def find_spec(cls, name: str, path: Any = None, target: Any = None) -> Any:
        """As `importlib` asks for it."""
        package, _, former = name.partition(".")
        if package != "gradcheck" or former not in MOVED:
            return None
        from importlib.machinery import ModuleSpec  # rarely needed, and importing the package takes milliseconds

        loader: Any = cls(f"{package}.{MOVED[former]}")
        return ModuleSpec(name, loader)

    def create_module(self, spec: Any) -> None:
        """A module as always, which `exec_module` puts the other one in the place of."""

    def exec_module(self, module: ModuleType) -> None:
        """``import`` returns whatever a module has put in its own place."""
        sys.modules[module.__name__] = import_module(self.name)
