"""Points given on the command line: read from a file, or random of a shape."""

from pathlib import Path
from typing import Any, cast

import numpy as np

from gradcheck.errors import DataError


def read_point(path: Path) -> Any:
    """The array of an ``.npy`` file; of an ``.npz`` file its only array, or a dict of its arrays by name."""
    try:
        content: Any = np.load(path, allow_pickle=False)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or 'cannot be read'}") from None
    except ValueError:  # NumPy's own sentence proposes to unpickle whatever it is
        raise DataError(f"{path}: expected an .npy or .npz file") from None
    if isinstance(content, np.ndarray):
        return cast("Any", content)
    with content:
        arrays = {str(name): _member(path, content, name) for name in content.files}
    if not arrays:
        raise DataError(f"{path}: holds no array")
    return next(iter(arrays.values())) if len(arrays) == 1 else arrays


def _member(path: Path, archive: Any, name: str) -> Any:
    try:
        return archive[name]
    except ValueError as error:
        raise DataError(f"{path}: {name}: {' '.join(str(error).split())}") from None


def random_point(shape: str, seed: int) -> Any:
    """Standard normal numbers in the shape that a string such as ``30,40`` says."""
    try:
        sizes = tuple(int(size) for size in shape.split(","))
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        raise DataError(f"--shape: expected sizes >= 1 separated by commas, got {shape!r}")
    return np.random.default_rng(seed).standard_normal(sizes)
