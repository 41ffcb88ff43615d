"""Versions of what is installed."""

import sys
from collections.abc import Iterable
from functools import lru_cache
from importlib import metadata


def version(distribution: str) -> str | None:
    """Of an installed distribution; None where it is absent."""
    try:
        return _found(distribution, tuple(sys.path))
    except metadata.PackageNotFoundError:
        return None


def versions(distributions: Iterable[str]) -> dict[str, str]:
    """Of those that are installed, by their names."""
    return {distribution: found for distribution in distributions if (found := version(distribution))}


# Metadata takes milliseconds to read: what is found on a path is taken to stay there while the process lives. A missing
# distribution is looked for again.
@lru_cache(maxsize=64)
def _found(distribution: str, _path: tuple[str, ...]) -> str:
    return metadata.version(distribution)
