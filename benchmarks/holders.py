"""Where a constant is held: where it is assigned, where it was imported by name, and in the defaults of parameters."""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

Place = tuple[Any, str, Any]
"""As `unittest.mock.patch.object` takes it: an object, the name of an attribute, and its new value."""
OURS = ("gradcheck", "gradcheck_backends")


def holders(origin: str, name: str, value: Any) -> Iterator[Place]:
    """All that must be patched in the modules of ours that are loaded, for a constant of ``origin`` to have this value."""
    for holder in [module for key, module in sys.modules.items() if key.split(".")[0] in OURS]:
        for known in _names_in(holder, origin, name):
            yield holder, known, value
            for function, here in _with_default(holder, known):
                pairs = zip(here, function.__defaults__, strict=True)
                yield function, "__defaults__", tuple(value if is_it else old for is_it, old in pairs)


@cache
def _parsed(module: ModuleType) -> ast.Module:
    return ast.parse(Path(module.__file__).read_text(encoding="utf-8")) if module.__file__ else ast.Module([], [])


def _names_in(holder: ModuleType, origin: str, name: str) -> set[str]:
    """Under which names a module holds a constant of another, or its own."""
    imports = [node for node in ast.walk(_parsed(holder)) if isinstance(node, ast.ImportFrom) and node.module == origin]
    found = {alias.asname or alias.name for node in imports for alias in node.names if alias.name == name}
    return found | ({name} if holder.__name__ == origin else set[str]())


def _with_default(holder: ModuleType, name: str) -> Iterator[tuple[Any, list[bool]]]:
    """Functions of a module and of its classes with parameters whose default is this constant."""
    tree = _parsed(holder)
    classes = [(node, getattr(holder, node.name)) for node in tree.body if isinstance(node, ast.ClassDef)]
    for node, owner in ((tree, holder), *classes):
        for function in (one for one in node.body if isinstance(one, ast.FunctionDef)):
            here = [isinstance(one, ast.Name) and one.id == name for one in function.args.defaults]
            if any(here):
                yield getattr(owner, function.name), here
