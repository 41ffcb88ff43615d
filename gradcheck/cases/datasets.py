"""Where batches come from: generated sets, sets that scikit-learn ships, and files (NPZ, CSV, LIBSVM; never pickle).

Every source gives inputs and labels; `batch` turns labels into the targets that a loss wants and refuses what does
not fit, in one line that says what, where and the value.
"""

import csv
import math
import zipfile
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gradcheck.errors import DataError, DescriptionError
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.wording import nearest
from gradcheck.network.batch import Batch
from gradcheck.network.losses import Loss, Targets
from gradcheck.network.network import Network


class Labelled(NamedTuple):
    """Inputs (n, features), class numbers from 0 (n,), and how many classes there are."""

    inputs: Array
    labels: Array
    classes: int


def two_moons(samples: int, seed: int) -> Labelled:
    """Two interleaved half circles of radius 1 to 1.1; [-1, 2] x [-1, 0.6], which holds most, becomes [0.2, 0.8]^2."""
    rng = np.random.default_rng([seed, *b"two-moons"])
    labels = rng.integers(0, 2, samples)
    radius, angle = 1 + 0.1 * rng.random(samples), np.pi * (0.5 + rng.random(samples))
    x, y = radius * np.sin(angle), radius * np.cos(angle)
    x, y = np.where(labels == 1, x, x + 1), np.where(labels == 1, y, -0.7 - y)
    return Labelled(np.column_stack([0.2 + 0.6 * (x + 1) / 3, 0.2 + 0.6 * (y + 1) / 1.6]), labels, 2)


def breast_cancer(samples: int | None, seed: int) -> Labelled:
    """scikit-learn's 569 samples of 30 features, each feature standardised to mean 0 and variance 1."""
    raw = _shipped("load_breast_cancer")
    inputs = (raw.data - raw.data.mean(axis=0)) / raw.data.std(axis=0)
    return _some(Labelled(inputs, raw.target, 2), samples, seed, "breast-cancer")


def digits(samples: int | None, seed: int) -> Labelled:
    """scikit-learn's 1797 images of 8 x 8 grey levels, divided by 16, with their ten classes."""
    raw = _shipped("load_digits")
    return _some(Labelled(raw.data / 16, raw.target, 10), samples, seed, "digits")


GENERATED: dict[str, Callable[[int, int], Labelled]] = {"two-moons": two_moons}
SHIPPED: dict[str, Callable[[int | None, int], Labelled]] = {"breast-cancer": breast_cancer, "digits": digits}
NAMES = (*GENERATED, *SHIPPED, "random")
FILE_TYPES = (".npz", ".csv", ".libsvm", ".svm")
DEFAULT_SAMPLES = {"two-moons": 400, "random": 16}
MOST = 1 << 27  # numbers in a matrix whose size only a file decides: 1 GiB. Chosen, not derived.


def batch(network: Network, source: str, samples: int | None, seed: int, dtype: str) -> Batch:
    """The inputs and targets of a named set, or of a file, in the dtype asked for.

    Raises
    ------
    DataError
        ``train.csv: inputs[3, 1] is nan, expected a finite float64``
    """
    with _reading(source):
        inputs, targets = _arrays(network, source, samples, seed)
    return fit(network, inputs, targets, samples, dtype, source)


def check_known(source: str) -> None:
    """Refuse what is neither the name of a set nor that of a file."""
    if source not in NAMES and not source.endswith(FILE_TYPES):
        raise DescriptionError(
            f"unknown data {source!r}, {nearest(source, NAMES)}, or a file ending in {', '.join(FILE_TYPES)}"
        )


def _arrays(network: Network, source: str, samples: int | None, seed: int) -> tuple[Array, Array]:
    if source.endswith(FILE_TYPES):
        return _read(Path(source), math.prod(network.inputs))
    if source == "random":
        return _random(network, samples or DEFAULT_SAMPLES[source], seed)
    if source in GENERATED:
        labelled = GENERATED[source](samples or DEFAULT_SAMPLES[source], seed)
    else:
        labelled = SHIPPED[source](samples, seed)
    return labelled.inputs, encode(network, labelled)


@contextmanager
def _reading(source: str) -> Generator[None]:
    """Put the name in front of whatever a reader raises: bytes can be wrong in more ways than any reader lists."""
    try:
        yield
    except Exception as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise DataError(f"{source}: {' '.join(reason.split()) or type(error).__name__}") from error


def encode(network: Network, data: Labelled) -> Array:
    """Class numbers as the targets that the network's loss wants."""
    kind, shape = network.loss.targets, network.target_shape
    if kind is Targets.CLASSES:
        return data.labels
    if kind is Targets.REALS and shape == (data.classes,):
        return np.eye(data.classes)[data.labels]
    if shape != (1,):
        raise DataError(f"one label a sample, the network's targets have shape {shape}")
    if kind is Targets.REALS and data.classes > 2:
        return data.labels[:, None].astype(float)
    if data.classes > 2:
        raise DataError(f"{data.classes} classes, {type(network.loss).__name__} expects two")
    return data.labels[:, None] * (1.0 if kind is Targets.PROBABILITIES else 2.0) - (kind is not Targets.PROBABILITIES)


def fit(network: Network, inputs: Any, targets: Any, samples: int | None, dtype: str, where: str) -> Batch:
    """Refuse arrays that do not fit the network or the domain of its loss; return the first samples in the dtype."""
    inputs = numbers(inputs, "inputs", where, dtype)
    if inputs.shape[1:] != network.inputs or not len(inputs):
        expected = f"(n, {', '.join(map(str, network.inputs))})"
        raise DataError(f"{where}: inputs have shape {inputs.shape}, the network expects {expected} with n >= 1")
    classes = network.loss.targets is Targets.CLASSES
    targets = numbers(targets, "targets", where, "float64" if classes else dtype)
    if targets.shape == (len(inputs),) and network.target_shape == (1,):
        targets = targets[:, None]
    if targets.shape != (len(inputs), *network.target_shape):
        raise DataError(f"{where}: targets have shape {targets.shape}, expected {(len(inputs), *network.target_shape)}")
    _check_domain(network, targets, where)
    if samples is not None and samples > len(inputs):
        raise DataError(f"{where}: {len(inputs)} samples, {samples} were asked for")
    return Batch(inputs[:samples], (targets.astype(np.int64) if classes else targets)[:samples])


def _check_domain(network: Network, targets: Array, where: str) -> None:
    kind, classes = network.loss.targets, network.shapes[-1][-1]
    allowed = {
        Targets.SIGNS: np.abs(targets) == 1,
        Targets.PROBABILITIES: (targets >= 0) & (targets <= 1),
        Targets.CLASSES: (targets >= 0) & (targets < classes) & (targets == np.round(targets)),
        Targets.REALS: np.isfinite(targets),
    }[kind]
    if not allowed.all():
        index = tuple(int(i) for i in np.argwhere(~allowed)[0])
        domain = f"a class index from 0 to {classes - 1}" if kind is Targets.CLASSES else kind.value
        loss = type(network.loss).__name__
        raise DataError(f"{where}: targets[{_text(index)}] is {targets[index]:g}, {loss} expects {domain}")


def numbers(values: Any, name: str, where: str, dtype: str) -> Array:
    """A fresh array in the dtype; refuses what is no real number, or not finite in it."""
    raw = np.asarray(values)
    if raw.dtype.kind not in "biuf":
        raise DataError(f"{where}: {name} has dtype {raw.dtype}, expected real numbers")
    if not raw.ndim:
        raise DataError(f"{where}: {name} is the single number {raw}, expected an array")
    with np.errstate(over="ignore"):
        array = raw.astype(dtype, order="C")
    if not np.isfinite(array).all():
        index = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise DataError(f"{where}: {name}[{_text(index)}] is {raw[index]:g}, expected a finite {dtype}")
    return array


def _random(network: Network, samples: int, seed: int) -> tuple[Array, Array]:
    """Standard normal inputs and targets drawn from the domain of the loss."""
    rng = np.random.default_rng([seed, *b"random"])
    return rng.standard_normal((samples, *network.inputs)), random_targets(
        rng, network.loss, (samples, *network.target_shape), network.shapes[-1][-1]
    )


def random_targets(rng: np.random.Generator, loss: Loss, shape: tuple[int, ...], classes: int) -> Array:
    """Targets of a shape, drawn from the domain of the loss."""
    if loss.targets is Targets.REALS:
        return rng.standard_normal(shape)
    if loss.targets is Targets.CLASSES:
        return rng.integers(0, classes, shape)
    return rng.choice([-1.0, 1.0] if loss.targets is Targets.SIGNS else [0.0, 1.0], shape)


def _read(path: Path, features: int) -> tuple[Array, Array]:
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
    with _reading(where), path.open(encoding="utf-8-sig") as lines:
        inputs, labels = _read_libsvm(lines, None)
    return numbers(inputs, "inputs", where, "float64"), numbers(labels, "labels", where, "float64")


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


def _shipped(name: str) -> Any:
    """A set of scikit-learn's."""
    try:
        from sklearn import datasets
    except ImportError:
        raise DataError("this data needs scikit-learn: pip install 'gradcheck[data]'") from None
    return _parsed(getattr(datasets, name))


@lru_cache
def _parsed(loader: Callable[[], Any]) -> Any:
    """What a loader returns, read once; nobody writes to it."""
    return loader()


def _some(data: Labelled, samples: int | None, seed: int, where: str) -> Labelled:
    """A random choice of samples, or all of them in order."""
    if samples is None:
        return data
    chosen = np.random.default_rng([seed, *where.encode()]).permutation(len(data.labels))[:samples]
    return data._replace(inputs=data.inputs[chosen], labels=data.labels[chosen])


def _text(index: tuple[int, ...]) -> str:
    return ", ".join(map(str, index))
