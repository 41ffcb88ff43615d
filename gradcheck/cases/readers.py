"""Files of samples: NPZ, CSV with a header, LIBSVM. Never pickle."""

import csv
import zipfile
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from gradcheck.cases.fitting import finite_array
from gradcheck.errors import DataError
from gradcheck.foundation.arrays import Array

FILE_TYPES = (".npz", ".csv", ".libsvm", ".svm")
# Numbers in a matrix whose size only a file decides: 1 GiB. A file of 389 bytes can ask for more; the largest set that is
# shipped has 115,008.
MOST = 1 << 27


@contextmanager
def reading(source: str) -> Generator[None]:
    """Put the name in front of whatever a reader raises: bytes can be wrong in more ways than any reader lists."""
    try:
        yield
    except Exception as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise DataError(f"{source}: {' '.join(reason.split()) or type(error).__name__}") from error


def read(path: Path, features: int) -> tuple[Array, Array]:
    """Inputs and targets as they stand in the file."""
    if path.suffix == ".npz":
        return _read_npz(path)
    with path.open(encoding="utf-8-sig", newline="") as lines:
        return _read_csv(lines) if path.suffix == ".csv" else _read_libsvm(lines, features)


def _read_npz(path: Path) -> tuple[Array, Array]:
    with path.open("rb") as stream:
        if not zipfile.is_zipfile(stream):
            raise DataError("not an NPZ file, or a truncated one")
        stream.seek(0)
        arrays = np.load(stream, allow_pickle=False)
        missing = {"inputs", "targets"} - set(arrays)
        if missing:
            raise DataError(f"no array {min(missing)!r}, the file has {', '.join(arrays) or 'none'}")
        return arrays["inputs"], arrays["targets"]


def _read_csv(lines: Iterable[str]) -> tuple[Array, Array]:
    """A header, then one row a sample with its target last."""
    reader = csv.reader(lines, strict=True)
    header = next(reader, list[str]())
    if all(map(_is_number, header)):
        raise DataError(f"line 1: expected a header with names, got {','.join(header)!r}")
    rows = [_row(cells, header, f"line {reader.line_num}") for cells in reader if cells]
    if not rows:
        raise DataError("no rows below the header")
    table = np.array(rows)
    return table[:, :-1], table[:, -1]


def _row(cells: list[str], header: list[str], where: str) -> list[float]:
    if len(cells) != len(header):
        raise DataError(f"{where}: {len(cells)} cells, the header has {len(header)}")
    return [_number(cell, f"{where}, column {name!r}") for cell, name in zip(cells, header, strict=True)]


def read_libsvm(path: Path) -> tuple[Array, Array]:
    """Inputs and labels of a file that no network is known for: as many features as its largest index says.

    Raises
    ------
    DataError
        ``heart.svm: line 3, feature 2: expected a number, got 'x'``
    """
    where = str(path)
    with reading(where), path.open(encoding="utf-8-sig") as lines:
        inputs, labels = _read_libsvm(lines, None)
    return finite_array(inputs, "inputs", where, "float64"), finite_array(labels, "labels", where, "float64")


def _read_libsvm(lines: Iterable[str], features: int | None) -> tuple[Array, Array]:
    """``label index:value ...`` a line; what is not there is 0. Indices count from 1, or from 0 where a 0 occurs."""
    texts = ((number, line.partition("#")[0].split()) for number, line in enumerate(lines, 1))
    samples = [_sample(words, f"line {number}") for number, words in texts if words]
    start = 0 if any(0 in entries for _, entries in samples) else 1
    if features is None:
        features = max((max(entries) + 1 - start for _, entries in samples if entries), default=0)
        if len(samples) * features > MOST:
            raise DataError(f"{len(samples)} samples of {features} features are more than {MOST} numbers")
    inputs = np.zeros((len(samples), features))
    for row, (_, entries) in enumerate(samples):
        last = max(entries, default=start)
        if last - start >= features and entries:
            raise DataError(f"sample {row} has a feature {last}, the network expects {features} features")
        inputs[row, np.array(list(entries), dtype=int) - start] = list(entries.values())
    return inputs, np.array([label for label, _ in samples])


def _sample(words: list[str], where: str) -> tuple[float, dict[int, float]]:
    """The label, and the values by index."""
    entries: dict[int, float] = {}
    last = -1
    for word in words[1:]:
        index, _, value = word.partition(":")
        if not index.isdecimal() or int(index) <= last:
            raise DataError(f"{where}: expected index:value with ascending indices, got {word!r}")
        last = int(index)
        entries[last] = _number(value, f"{where}, feature {index}")
    return _number(words[0], f"{where}, label"), entries


def _number(text: str, where: str) -> float:
    if not _is_number(text):
        raise DataError(f"{where}: expected a number, got {text!r}")
    return float(text)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
