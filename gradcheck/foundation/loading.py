"""Modules that are named or may be missing: ``module:attribute``, ``path/to/file.py:attribute``, and optional frameworks."""

import importlib
import importlib.util
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from gradcheck.errors import Broken, LibraryNotInstalled, NotFound
from gradcheck.foundation.calling import message, passes, theirs
from gradcheck.foundation.wording import nearest

PREFIX = "gradcheck_user_"  # of the names of modules that are files


def locate(target: str, what: str) -> object:
    """The object that a target names; a module where there is no colon.

    Raises
    ------
    NotFound, Broken
        With ``what`` it was to be in front.
    """
    path, colon, attribute = target.rpartition(":")
    if colon and not path:
        raise NotFound(f"{what}: expected module:attribute or file.py:attribute")
    if colon and path.endswith(".py"):
        return _attribute(_load_file(Path(path), what), attribute, what)
    module = _import(path if colon else target, what)
    return _attribute(module, attribute, what) if colon else module


def files_of(target: str) -> list[Path]:
    """Those that `locate` would read for a target, packages included; nothing is imported to know, some may not exist."""
    module, colon, _ = target.rpartition(":")
    if not colon or module.endswith(".py"):
        return [Path(module)] if colon else []
    top, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        spec = None
    if spec is None or spec.origin is None:
        return []
    places = [
        Path(folder, *rest[:depth]) for folder in spec.submodule_search_locations or () for depth in range(len(rest) + 1)
    ]
    return [Path(spec.origin), *(file for place in places for file in (place.with_suffix(".py"), place / "__init__.py"))]


@contextmanager
def needing(library: str) -> Generator[None]:
    """Around an import that asks for a framework.

    Raises
    ------
    LibraryNotInstalled
        Where there is none, with the command that installs it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != library:
            raise
        raise LibraryNotInstalled(f"{library} is not installed: pip install 'gradcheck[{library}]'") from None


def _import(module: str, what: str) -> object:
    try:
        with theirs(f"importing {what}"):
            return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(f"{error.name}.")):
            raise NotFound(f"{what}: no module called {error.name!r}") from None
        raise _broken(what, error) from error
    except BaseException as error:
        raise _broken(what, error) from error


def _load_file(path: Path, what: str) -> object:
    """A file as a module, under a name of its own so that it shadows nothing; it may import its neighbours."""
    if not path.is_file():
        raise NotFound(f"{what}: {path}: no such file")
    spec = importlib.util.spec_from_file_location(PREFIX + path.stem, path)
    if spec is None or spec.loader is None:
        raise NotFound(f"{what}: {path} is not a Python file")
    loaded = sys.modules.get(spec.name)
    if loaded is not None and Path(loaded.__file__ or "").resolve() == path.resolve():
        return loaded  # two attributes of one file share its state
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and pickling look their module up
    try:
        with _first_on_path(str(path.parent.resolve())), theirs(f"importing {what}"):
            spec.loader.exec_module(module)
    except BaseException as error:
        sys.modules.pop(spec.name, None)
        raise _broken(what, error) from error
    return module


@contextmanager
def _first_on_path(folder: str) -> Generator[None]:
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        with suppress(ValueError):  # the file may have changed the path itself
            sys.path.remove(folder)


def _attribute(module: object, attribute: str, what: str) -> object:
    try:
        return getattr(module, attribute)
    except AttributeError:
        public = [each for each in vars(module) if not each.startswith("_")]
        raise NotFound(f"{what}: no attribute {attribute!r}, {nearest(attribute, public)}") from None


def _broken(what: str, error: BaseException) -> BaseException:
    """What to raise: `Broken`, or the error itself where it is no mistake of the module's."""
    return error if passes(error) else Broken(f"{what} raises when imported: {type(error).__name__}: {message(error)}")
