"""What a function reaches besides its arguments: closure, globals, defaults, its object; and what such things hold."""

import dis
import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, cast

DEPTH = 4  # of attributes and nestings: an optimiser's, a network's, its layers', their arrays
OPAQUE = (ModuleType, type, FunctionType, MethodType, BuiltinFunctionType, str, bytes, int, float, complex)


def captured(f: Callable[..., Any]) -> dict[str, Any]:
    """Variables that a function's code reads and that are no arguments of it, by name.

    Functions of its own module that it calls are read as well. What somebody else's machine code reads nobody can see.
    """
    found: dict[str, Any] = {}
    _collect(f, found, set())
    return found


def holders(f: Callable[..., Any], is_wanted: Callable[[Any], bool]) -> tuple[str, ...]:
    """Those of these variables in which something wanted lies, however deeply."""
    return tuple(name for name, value in captured(f).items() if any(within(value, name, is_wanted)))


def _collect(f: Any, found: dict[str, Any], seen: set[int]) -> None:
    if id(f) in seen:
        return
    seen.add(id(f))
    if isinstance(f, partial):
        given = cast("partial[Any]", f)
        found.update({f"partial.{i}": value for i, value in enumerate(given.args)} | given.keywords)
        _collect(given.func, found, seen)
    elif isinstance(f, MethodType):
        found.setdefault(type(f.__self__).__name__, f.__self__)
        _collect(f.__func__, found, seen)
    elif isinstance(f, FunctionType):
        _collect_function(f, found, seen)
    elif not isinstance(f, OPAQUE):
        found.setdefault(type(f).__name__, f)


def _collect_function(f: FunctionType, found: dict[str, Any], seen: set[int]) -> None:
    if hasattr(f, "__wrapped__"):
        return _collect(inspect.unwrap(f), found, seen)
    own = dict(_cells(f))
    own |= {name: f.__globals__[name] for name in _globals(f.__code__) if name in f.__globals__}
    own |= {name: each.default for name, each in inspect.signature(f).parameters.items() if each.default is not each.empty}
    for name, value in own.items():  # by their types: a proxy may not say its class
        if issubclass(type(value), FunctionType):
            if value.__module__ == f.__module__:
                _collect(value, found, seen)
        elif issubclass(type(value), MethodType | partial):
            _collect(value, found, seen)
        else:
            found.setdefault(name, value)
    return None


def _cells(f: FunctionType) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(f.__code__.co_freevars, f.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not assigned yet
            continue


def _globals(code: CodeType) -> dict[str, None]:
    """Names that a piece of code, or one inside it, loads from its module, in that order."""
    loads = (each for each in dis.get_instructions(code) if each.opname in ("LOAD_GLOBAL", "LOAD_NAME"))
    found = dict.fromkeys(str(each.argval) for each in loads)
    for inner in code.co_consts:
        found |= _globals(inner) if isinstance(inner, CodeType) else {}
    return found


def within(value: Any, path: str, is_wanted: Callable[[Any], bool]) -> Iterator[tuple[str, Any]]:
    """All that is wanted in a thing, with where it lies: in attributes, slots, mappings and sequences, each thing once."""
    yield from _within(value, path, is_wanted, set(), DEPTH)


def _within(
    value: Any, path: str, is_wanted: Callable[[Any], bool], seen: set[int], depth: int
) -> Iterator[tuple[str, Any]]:
    if id(value) in seen:
        return
    seen.add(id(value))
    found, parts = _looked_into(value, is_wanted)
    if found:
        yield path, value
    for name, part in parts if depth and not found else ():
        yield from _within(part, f"{path}.{name}" if path else name, is_wanted, seen, depth - 1)


def _looked_into(value: Any, is_wanted: Callable[[Any], bool]) -> tuple[bool, list[tuple[str, Any]]]:
    """Whether it is wanted, and its parts; of a proxy that answers no question nothing is known."""
    try:
        if is_wanted(value):
            return True, []
        return False, [] if isinstance(value, OPAQUE) else _parts(value)
    except Exception:
        return False, []


def _parts(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return [(str(name), part) for name, part in cast("Mapping[Any, Any]", value).items()]
    if isinstance(value, list | tuple | set | frozenset):
        return [(str(i), part) for i, part in enumerate(cast("list[Any]", value))]
    slots = [name for kind in type(value).__mro__ for name in _names(getattr(kind, "__slots__", ()))]
    own = {name: getattr(value, name) for name in slots if name != "__weakref__" and hasattr(value, name)}
    return list((own | dict(getattr(value, "__dict__", {}))).items())


def _names(slots: Any) -> tuple[str, ...]:
    return (slots,) if isinstance(slots, str) else tuple(slots)
