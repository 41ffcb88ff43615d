"""Objects as bytes that a fresh process can read: what it could not import travels with them.

The only user of cloudpickle.
"""

import io
import subprocess
import sys
import sysconfig
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import cloudpickle

from gradcheck.errors import OutputError
from gradcheck.foundation.calling import one_line

INSTALLED = tuple(Path(sysconfig.get_path(kind)) for kind in ("purelib", "platlib"))
ASKED = """
import sys
from importlib.util import find_spec
spec = find_spec(sys.argv[1])
if spec is not None:
    print(spec.origin, *(spec.submodule_search_locations or ()), sep="\\n")
"""


def dumps(objects: Mapping[str, Any]) -> tuple[bytes, bool]:
    """A tuple of these objects, pickled together so that what they share they share again.

    Where Autograd's primitives are among what had to be pickled by value, the rules by which it differentiates them are a
    last element, and the second value is true: Autograd keeps them apart, in a table of its own. `OutputError` has the name
    of the first object that cannot be pickled, and why.
    """
    rules: dict[Any, Any] = {}
    with _modules_by_value():
        while True:
            pickled, needed = _dumped((*objects.values(), rules) if rules else tuple(objects.values()), objects)
            if needed.keys() <= rules.keys():
                return pickled, bool(rules)
            rules |= needed


def is_importable(module: ModuleType) -> bool:
    """Whether a fresh process, started anywhere, finds the same module under the same name."""
    file = getattr(module, "__file__", None)
    top = module.__name__.partition(".")[0]
    if top in sys.stdlib_module_names or top == "gradcheck":
        return top != "__main__"
    if file is None:
        return bool(_origins(top))
    here = [folder for folder in INSTALLED if Path(file).is_relative_to(folder)]
    if here and Path(file).relative_to(here[0]).parts[0].partition(".")[0] == top:
        return True  # without asking: most modules are of this kind
    return any(Path(file).is_relative_to(origin) for origin in _origins(top))


def lookup(module: ModuleType, path: str) -> Any:
    """The attribute at the end of a dotted path, or None."""
    value: Any = module
    for name in path.split("."):
        value = getattr(value, name, None)
    return value


@cache
def _origins(top: str) -> tuple[str, ...]:
    """File and folders of a top-level module where a fresh process finds it; nothing where it does not."""
    command = [sys.executable, "-P", "-c", ASKED, top]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(sys.prefix)).stdout
    return tuple(answer.splitlines())


def _dumped(values: tuple[Any, ...], objects: Mapping[str, Any]) -> tuple[bytes, dict[Any, Any]]:
    file = io.BytesIO()
    pickler = _Pickler(file)
    try:
        pickler.dump(values)
    except Exception as error:  # whatever an object's own __reduce__ raises
        raise OutputError(_why_not(objects, error)) from error
    return file.getvalue(), pickler.rules


def _why_not(objects: Mapping[str, Any], error: Exception) -> str:
    """The first object that does not go alone either, and its own error."""
    for name, value in objects.items():
        try:
            _Pickler(io.BytesIO()).dump(value)
        except Exception as own:
            return f"{name}: cannot be pickled: {type(own).__name__}: {one_line(own)}"
    return f"cannot be pickled: {type(error).__name__}: {one_line(error)}"


class _Pickler(cloudpickle.Pickler):
    """Cloudpickle's, with two things that frameworks need."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.rules: dict[Any, Any] = {}  # by which Autograd differentiates the primitives that were pickled by value

    def reducer_override(self, obj: Any) -> Any:
        """Called for every object that is no plain value."""
        if isinstance(obj, FunctionType) and hasattr(obj, "_is_autograd_primitive") and not _is_found(obj):
            rules = sys.modules["autograd.core"].primitive_vjps
            self.rules |= {obj: rules[obj]} if obj in rules else {}
        if not isinstance(obj, type) and _asks_for_more(type(obj)):
            reduced: Any = obj.__reduce_ex__(4)
            if reduced[0].__name__ == "__newobj__" and reduced[1] == (type(obj),):
                return (object.__new__, *reduced[1:])
        return super().reducer_override(obj)


def _is_found(function: FunctionType) -> bool:
    """Whether unpickling a mere name would give this function."""
    module = sys.modules.get(function.__module__)
    return module is not None and lookup(module, function.__qualname__) is function and is_importable(module)


def _asks_for_more(kind: Any) -> bool:
    """Of classes whose ``__new__`` wants arguments that pickle does not know (``jax.custom_vjp``): their state is all."""
    new = kind.__new__
    return isinstance(new, FunctionType) and new.__code__.co_argcount - len(new.__defaults__ or ()) > 1


@contextmanager
def _modules_by_value() -> Generator[None]:
    """Functions and classes of modules that a fresh process does not find are pickled whole."""
    modules = {module.__name__: module for module in list(sys.modules.values()) if not is_importable(module)}
    with ExitStack() as stack:
        for name in modules.keys() & sys.modules.keys() - cloudpickle.list_registry_pickle_by_value():
            cloudpickle.register_pickle_by_value(modules[name])
            stack.callback(cloudpickle.unregister_pickle_by_value, modules[name])
        yield
