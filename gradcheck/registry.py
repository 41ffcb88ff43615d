"""From a name to a backend, lazily: the only place that imports what it is told to.

A backend is named by a registered name (``manual``), by ``module:attribute``, or by ``path/to/file.py:attribute``.
Third parties register in the entry-point group ``gradcheck.backends``.
"""

import importlib
import importlib.util
import sys
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple, cast

from gradcheck.errors import BackendBroken, BackendError, BackendNotInstalled, UnknownBackend
from gradcheck.network.describe import nearest
from gradcheck.protocol import Backend, FunctionBackend


class Entry(NamedTuple):
    """Where a registered backend is, and the distribution that it needs."""

    target: str
    requires: str
    extra: str | None = None


BUILT_IN = {
    "manual": Entry("gradcheck_backends.manual", "numpy"),
    "autograd": Entry("gradcheck_backends.hips_autograd", "autograd", "autograd"),
    "torch": Entry("gradcheck_backends.pytorch", "torch", "torch"),
}
GROUP = "gradcheck.backends"


class Status(NamedTuple):
    """A registered backend as far as it can be known without importing it."""

    name: str
    requires: str
    version: str | None


def registered() -> dict[str, Entry]:
    """Every registered backend by name; two under one name raise `BackendError`."""
    entries = dict(BUILT_IN)
    for point in metadata.entry_points(group=GROUP):
        if point.name in entries:
            raise BackendError(f"backend {point.name!r} is registered twice: {entries[point.name].target}, {point.value}")
        entries[point.name] = Entry(point.value, point.dist.name if point.dist else "?")
    return entries


def installed() -> list[Status]:
    """What is registered, and the installed version of what it needs (None where it is absent). Imports none of it."""
    return [Status(name, entry.requires, _version(entry.requires)) for name, entry in registered().items()]


def backend(name: str) -> Backend:
    """The backend of this name.

    Raises
    ------
    UnknownBackend, BackendNotInstalled, BackendBroken
        Three different things, each with what can be done about it.
    """
    path, colon, attribute = name.rpartition(":")
    if colon and path.endswith(".py"):
        return as_backend(_attribute(_load_file(Path(path), name), attribute, name), name)
    entries = registered()
    if name in entries:
        return _registered(name, entries[name])
    if not path:
        raise UnknownBackend(
            f"unknown backend {name!r}, {nearest(name, entries)} (or module:attribute, or file.py:attribute)"
        )
    return as_backend(_attribute(_import(path, name), attribute, name), name)


def resolve(names: Iterable[str | Backend | Callable[..., Any]]) -> dict[str, Backend]:
    """Backends by the name under which they are reported: for ``mine.py:attribute`` that is the attribute's."""
    found: dict[str, Backend] = {}
    for each in names:
        if isinstance(each, str):
            name, built = each.rpartition(":")[2], backend(each)
        else:
            name = str(getattr(each, "__name__", type(each).__name__)).rpartition(".")[2]
            built = as_backend(each, name)
        if name in found:
            raise BackendError(f"two backends are called {name!r}")
        found[name] = built
    return found


def as_backend(candidate: object, name: str) -> Backend:
    """The candidate itself where it can build, a `FunctionBackend` around a bare function."""
    if isinstance(candidate, Backend):
        return candidate
    if callable(candidate):
        return FunctionBackend(cast("Callable[..., Any]", candidate))
    raise BackendError(f"backend {name!r}: expected build(network) or a function, got {type(candidate).__name__}")


def _registered(name: str, entry: Entry) -> Backend:
    if _version(entry.requires) is None:
        hint = f"pip install 'gradcheck[{entry.extra}]'" if entry.extra else f"pip install {entry.requires}"
        raise BackendNotInstalled(f"backend {name!r} needs {entry.requires}, which is not installed: {hint}")
    module, _, attribute = entry.target.partition(":")
    loaded = _import(module, name)
    return as_backend(_attribute(loaded, attribute, name) if attribute else loaded, name)


def _import(module: str, name: str) -> object:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(f"{error.name}.")):
            raise UnknownBackend(f"backend {name!r}: no module called {error.name!r}") from None
        raise BackendBroken(_broken(name, error)) from error
    except (Exception, SystemExit) as error:
        raise BackendBroken(_broken(name, error)) from error


def _load_file(path: Path, name: str) -> object:
    """A file as a module, under a name of its own so that it shadows nothing; it may import its neighbours."""
    if not path.is_file():
        raise UnknownBackend(f"backend {name!r}: {path}: no such file")
    spec = importlib.util.spec_from_file_location(f"gradcheck_user_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UnknownBackend(f"backend {name!r}: {path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and pickling look their module up
    try:
        with _first_on_path(str(path.parent.resolve())):
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[spec.name]
        raise BackendBroken(_broken(name, error)) from error
    return module


@contextmanager
def _first_on_path(folder: str) -> Generator[None]:
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        with suppress(ValueError):  # the file may have changed the path itself
            sys.path.remove(folder)


def _attribute(module: object, attribute: str, name: str) -> object:
    try:
        return getattr(module, attribute)
    except AttributeError:
        public = [each for each in vars(module) if not each.startswith("_")]
        raise UnknownBackend(f"backend {name!r}: no attribute {attribute!r}, {nearest(attribute, public)}") from None


def _broken(name: str, error: BaseException) -> str:
    return f"backend {name!r} raises when imported: {type(error).__name__}: {' '.join(str(error).split())}"


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
