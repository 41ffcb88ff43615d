"""Files of samples: NPZ, CSV with a header, LIBSVM, and texts, character by character. Never pickle."""

import csv
import math
import re
from array import array
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from gradcheck.cases.fitting import finite_array
from gradcheck.cases.numpy_files import MOST, read_named
from gradcheck.cases.opening import reading, text
from gradcheck.errors import DataError
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.wording import shown
from gradcheck.network.losses import Targets
from gradcheck.network.network import Network

FILE_TYPES = (".npz", ".csv", ".libsvm", ".svm", ".txt")


def read(path: Path, network: Network) -> tuple[Array, Array]:
    """Inputs and targets as they stand in the file."""
    if path.suffix == ".npz":
        inputs, targets = read_named(path, ("inputs", "targets"))
        return inputs, targets
    with text(path) as lines:
        if path.suffix == ".csv":
            return _read_csv(lines)
        return _read_text(lines.read(), network) if path.suffix == ".txt" else _read_libsvm(lines, math.prod(network.inputs))


def _read_text(characters: str, network: Network) -> tuple[Array, Array]:
    """Stretches of as many characters as a sample has tokens, one behind the other; the target of each is the next.

    A token is the place of its character among all that occur, in the order of Unicode. Where a sample has one target, it is
    the character behind the whole of it.
    """
    if network.vocabulary is None or len(network.inputs) != 1 or network.loss.targets is not Targets.CLASSES:
        raise DataError("a text is for a network of tokens (length,) and classes: an embedding first, and cross_entropy")
    points = np.frombuffer(characters.encode("utf-32-le", "surrogatepass"), np.uint32)
    symbols, tokens = np.unique(points, return_inverse=True)
    if len(symbols) > network.vocabulary:
        raise DataError(f"{len(symbols)} distinct characters, the embedding has {network.vocabulary} symbols")
    length = network.inputs[0]
    samples = (len(tokens) - 1) // length
    if samples < 1:
        raise DataError(f"{len(tokens)} characters, the network expects {length} and the one behind them")
    inputs, targets = (tokens[first : first + samples * length].reshape(samples, length) for first in (0, 1))
    return inputs, targets if network.target_shape else targets[:, -1]


def _read_csv(lines: Iterable[str]) -> tuple[Array, Array]:
    """A header, then one row a sample with its target last."""
    reader = csv.reader(lines, strict=True)
    header = next(reader, list[str]())
    if all(map(_is_number, header)):
        raise DataError(f"line 1: expected a header with names, got {shown(','.join(header))}")
    numbers = array("d")
    for cells in reader:
        if cells:
            numbers.extend(_row(cells, header, f"line {reader.line_num}"))
    if not numbers:
        raise DataError("no rows below the header")
    table = np.array(numbers).reshape(-1, len(header))
    return table[:, :-1], table[:, -1]


def _row(cells: list[str], header: list[str], where: str) -> list[float]:
    if len(cells) != len(header):
        raise DataError(f"{where}: {len(cells)} cells, the header has {len(header)}")
    return [_number(cell, f"{where}, column {shown(name)}") for cell, name in zip(cells, header, strict=True)]


def read_libsvm(path: Path) -> tuple[Array, Array]:
    """Inputs and labels of a file that no network is known for: as many features as its largest index says.

    Raises
    ------
    DataError
        ``heart.svm: line 3, feature 2: expected a number, got 'x'``
    """
    where = str(path)
    with reading(where), text(path) as lines:
        inputs, labels = _read_libsvm(lines, None)
    return finite_array(inputs, "inputs", where, "float64"), finite_array(labels, "labels", where, "float64")


def _read_libsvm(lines: Iterable[str], features: int | None) -> tuple[Array, Array]:
    """``label index:value ...`` a line; what is not there is 0. Indices count from 1, or from 0 where a 0 occurs."""
    labels, samples, indices, values = array("d"), array("q"), array("q"), array("d")
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if words:
            label, entries = _sample(words, f"line {number}")
            samples.extend([len(labels)] * len(entries))
            labels.append(label)
            indices.extend(entries)
            values.extend(entries.values())
    start = 0 if 0 in indices else 1
    known = max(indices, default=start - 1) + 1 - start
    if features is None:
        features = known
    elif known > features:
        sample = next(sample for sample, index in zip(samples, indices, strict=True) if index - start >= features)
        last = max(index for of, index in zip(samples, indices, strict=True) if of == sample)
        raise DataError(f"sample {sample} has a feature {last}, the network expects {features} features")
    if len(labels) * features > MOST:
        raise DataError(f"{len(labels)} samples of {features} features are more than {MOST} numbers")
    inputs = np.zeros((len(labels), features))
    inputs[np.array(samples), np.array(indices) - start] = values
    return inputs, np.array(labels)


def _sample(words: list[str], where: str) -> tuple[float, dict[int, float]]:
    """The label, and the values by index."""
    entries: dict[int, float] = {}
    last = -1
    for word in words[1:]:
        index, _, value = word.partition(":")
        if not re.fullmatch(r"\d{1,18}", index, re.ASCII) or int(index) <= last:
            raise DataError(f"{where}: expected index:value with ascending indices, got {shown(word)}")
        last = int(index)
        entries[last] = _number(value, f"{where}, feature {index}")
    return _number(words[0], f"{where}, label"), entries


def _number(text: str, where: str) -> float:
    if not _is_number(text):
        raise DataError(f"{where}: expected a number, got {shown(text)}")
    return float(text)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
