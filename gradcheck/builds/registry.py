"""From a name to a backend, lazily. Third parties register in the entry-point group ``gradcheck.backends``."""

import os
import sys
from collections.abc import Callable, Iterable
from functools import lru_cache
from importlib import metadata
from typing import Any, NamedTuple, cast

from gradcheck.builds.protocol import Backend, Configurable, FunctionBackend
from gradcheck.errors import BackendBroken, BackendError, BackendNotInstalled, Broken, NotFound, UnknownBackend
from gradcheck.foundation.loading import locate
from gradcheck.foundation.versions import version
from gradcheck.foundation.wording import nearest
from gradcheck.network.batch import Batch, Parameters
from gradcheck.network.network import Network


class Entry(NamedTuple):
    """Where a registered backend is, and the distribution that it needs."""

    target: str
    requires: str
    extra: str | None = None


BUILT_IN = {
    "manual": Entry("gradcheck_backends.manual", "numpy"),
    "autograd": Entry("gradcheck_backends.hips_autograd", "autograd", "autograd"),
    "torch": Entry("gradcheck_backends.pytorch", "torch", "torch"),
    "jax": Entry("gradcheck_backends.jax", "jax", "jax"),
}
GROUP = "gradcheck.backends"
MISTAKES = "gradcheck_backends.manual.mistakes:Mistakes"


class Status(NamedTuple):
    """A registered backend as far as it can be known without importing it."""

    name: str
    requires: str
    version: str | None


def registered() -> dict[str, Entry]:
    """Every registered backend by name; two under one name raise `BackendError`."""
    entries = dict(BUILT_IN)
    for name, entry in _third_parties(tuple(sys.path)):
        if name in entries:
            raise BackendError(f"backend {name!r} is registered twice: {entries[name].target}, {entry.target}")
        entries[name] = entry
    return entries


def installed() -> list[Status]:
    """What is registered, and the installed version of what it needs (None where it is absent). Imports none of it."""
    return [Status(name, entry.requires, version(entry.requires)) for name, entry in registered().items()]


def backend(name: str, *, device: str | None = None, arithmetic: str | None = None) -> Backend:
    """The backend of this name.

    Parameters
    ----------
    name : str
        A registered name, ``module:attribute``, or ``path/to/file.py:attribute``.
    device : str, optional
        Where to compute, as the backend names it: ``"cpu"``, ``"cuda"``.
    arithmetic : str, optional
        ``"float64"``, ``"float32"``, ``"tf32"`` or ``"bfloat16"``; by default that of the arrays it is given.

    Raises
    ------
    UnknownBackend, BackendNotInstalled, BackendBroken
        Three different things, each with what can be done about it.
    BackendError
        Where an option is given to a backend that takes none, or cannot be had.
    """
    return _told(_named(name), name, device, arithmetic)


def _named(name: str) -> Backend:
    entries = registered()
    if name in entries:
        return _registered(name, entries[name])
    if not name.rpartition(":")[0]:
        raise UnknownBackend(
            f"unknown backend {name!r}, {nearest(name, entries)} (or module:attribute, or file.py:attribute)"
        )
    return as_backend(_located(name, name), name)


def resolve(
    names: Iterable[str | Backend | Callable[..., Any]], *, device: str | None = None, arithmetic: str | None = None
) -> dict[str, Backend]:
    """Backends by the name under which they are reported: for ``mine.py:attribute`` that is the attribute's.

    All are told the device and the arithmetic. A bare function is taken to compute in the arithmetic that is asked for.
    """
    found: dict[str, Backend] = {}
    for each in names:
        if isinstance(each, str):
            name, built = each.rpartition(":")[2], _named(each)
        else:
            name = str(getattr(each, "__name__", type(each).__name__)).rpartition(".")[2]
            built = as_backend(each, name)
        if name in found:
            raise BackendError(f"two backends are called {name!r}")
        found[name] = _told(built, name, device, None if isinstance(built, FunctionBackend) else arithmetic)
    return found


def mistakes(network: Network, parameters: Parameters, batch: Batch) -> Any:
    """A pass with the library of mistakes at hand; raises `Unsupported` where the manual build has no rule for a layer."""
    return cast("Callable[..., Any]", _located(MISTAKES, "mistakes"))(network, parameters, batch)


def absolute(name: str) -> str:
    """``path/to/file.py:attribute`` from wherever it is resolved; other names as they are."""
    return os.path.abspath(name) if name.rpartition(":")[0].endswith(".py") else name


def as_backend(candidate: object, name: str) -> Backend:
    """The candidate itself where it can build, a `FunctionBackend` around a bare function."""
    if isinstance(candidate, Backend):
        return candidate
    if callable(candidate):
        return FunctionBackend(cast("Callable[..., Any]", candidate))
    raise BackendError(f"backend {name!r}: expected build(network) or a function, got {type(candidate).__name__}")


def _told(found: Backend, name: str, device: str | None, arithmetic: str | None) -> Backend:
    options = {"device": device, "arithmetic": arithmetic}
    asked = {option: value for option, value in options.items() if value is not None}
    if not asked:
        return found
    if not isinstance(found, Configurable):
        raise BackendError(f"backend {name!r} takes no {next(iter(asked))}, got {next(iter(asked.values()))!r}")
    return found.on(**asked)


def _registered(name: str, entry: Entry) -> Backend:
    if version(entry.requires) is None:
        hint = f"pip install 'gradcheck[{entry.extra}]'" if entry.extra else f"pip install {entry.requires}"
        raise BackendNotInstalled(f"backend {name!r} needs {entry.requires}, which is not installed: {hint}")
    return as_backend(_located(entry.target, name), name)


def _located(target: str, name: str) -> object:
    try:
        return locate(target, f"backend {name!r}")
    except NotFound as error:
        raise UnknownBackend(str(error)) from None
    except Broken as error:
        raise BackendBroken(str(error)) from error.__cause__


# Metadata takes milliseconds to read: what is found on a path is taken to stay there while the process lives.
@lru_cache(maxsize=8)
def _third_parties(_path: tuple[str, ...]) -> tuple[tuple[str, Entry], ...]:
    points = metadata.entry_points(group=GROUP)
    return tuple((point.name, Entry(point.value, point.dist.name if point.dist else "?")) for point in points)
