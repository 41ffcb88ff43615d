"""Where batches come from: generated sets, sets that scikit-learn ships, and files (NPZ, CSV, LIBSVM; never pickle).

Every source gives inputs and labels; `batch` turns labels into the targets that a loss wants and refuses what does
not fit, in one line that says what, where and the value.
"""

import warnings
import zipfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gradcheck.arrays import Array
from gradcheck.errors import DataError
from gradcheck.network.describe import nearest
from gradcheck.network.losses import Loss, Targets
from gradcheck.network.network import Network
from gradcheck.protocol import Batch


class Labelled(NamedTuple):
    """Inputs (n, features), class numbers from 0 (n,), and how many classes there are."""

    inputs: Array
    labels: Array
    classes: int


def two_moons(samples: int, seed: int) -> Labelled:
    """Two interleaved half circles of radius 1 to 1.1, rescaled into [0.2, 0.8]^2."""
    rng = np.random.default_rng([seed, *b"two-moons"])
    labels = rng.integers(0, 2, samples)
    radius, angle = 1 + 0.1 * rng.random(samples), np.pi * (0.5 + rng.random(samples))
    x, y = radius * np.sin(angle), radius * np.cos(angle)
    x, y = np.where(labels == 1, x, x + 1), np.where(labels == 1, y, -0.7 - y)
    return Labelled(np.column_stack([0.2 + 0.6 * (x + 1) / 3, 0.2 + 0.6 * (y + 1) / 1.6]), labels, 2)


def breast_cancer(samples: int | None, seed: int) -> Labelled:
    """scikit-learn's 569 samples of 30 features, each feature standardised to mean 0 and variance 1."""
    raw: Any = _sklearn("load_breast_cancer")()
    inputs = (raw.data - raw.data.mean(axis=0)) / raw.data.std(axis=0)
    return _some(Labelled(inputs, raw.target, 2), samples, seed, "breast-cancer")


def digits(samples: int | None, seed: int) -> Labelled:
    """scikit-learn's 1797 images of 8 x 8 grey levels, divided by 16, with their ten classes."""
    raw: Any = _sklearn("load_digits")()
    return _some(Labelled(raw.data / 16, raw.target, 10), samples, seed, "digits")


GENERATED: dict[str, Callable[[int, int], Labelled]] = {"two-moons": two_moons}
SHIPPED: dict[str, Callable[[int | None, int], Labelled]] = {"breast-cancer": breast_cancer, "digits": digits}
NAMES = (*GENERATED, *SHIPPED, "random")
FILE_TYPES = (".npz", ".csv", ".libsvm", ".svm")
DEFAULT_SAMPLES = {"two-moons": 400, "random": 16}


def batch(network: Network, source: str, samples: int | None, seed: int, dtype: str) -> Batch:
    """The inputs and targets of a named set, or of a file, in the dtype asked for.

    Raises
    ------
    DataError
        ``train.csv: inputs[3, 1] is nan, expected finite numbers``
    """
    if source.endswith(FILE_TYPES):
        return fit(network, *_first(_read(Path(source), network), samples, source), dtype, source)
    if source == "random":
        return fit(network, *_random(network, samples or DEFAULT_SAMPLES["random"], seed), dtype, source)
    if source in GENERATED:
        labelled = GENERATED[source](samples or DEFAULT_SAMPLES[source], seed)
    elif source in SHIPPED:
        labelled = SHIPPED[source](samples, seed)
    else:
        raise DataError(f"unknown data {source!r}, {nearest(source, NAMES)} (or a file ending in {', '.join(FILE_TYPES)})")
    return fit(network, labelled.inputs, encode(network, labelled, source), dtype, source)


def encode(network: Network, data: Labelled, where: str) -> Array:
    """Class numbers as the targets that the network's loss wants."""
    kind, shape = network.loss.targets, network.target_shape
    if kind is Targets.CLASSES:
        return data.labels
    if kind is Targets.REALS and shape == (data.classes,):
        return np.eye(data.classes)[data.labels]
    if shape != (1,):
        raise DataError(f"{where}: one label a sample, the network's targets have shape {shape}")
    if kind is Targets.REALS and data.classes > 2:
        return data.labels[:, None].astype(float)
    if data.classes > 2:
        raise DataError(f"{where}: {data.classes} classes, {type(network.loss).__name__} expects two")
    return data.labels[:, None] * (1.0 if kind is Targets.PROBABILITIES else 2.0) - (kind is not Targets.PROBABILITIES)


def fit(network: Network, inputs: Any, targets: Any, dtype: str, where: str) -> Batch:
    """Refuse arrays that do not fit the network or the domain of its loss; return them in the dtype."""
    inputs = _numbers(inputs, "inputs", where, dtype)
    if inputs.shape[1:] != network.inputs or not len(inputs):
        expected = f"(n, {', '.join(map(str, network.inputs))})"
        raise DataError(f"{where}: inputs have shape {inputs.shape}, the network expects {expected} with n >= 1")
    classes = network.loss.targets is Targets.CLASSES
    targets = _numbers(targets, "targets", where, "float64" if classes else dtype)
    if targets.shape == (len(inputs),) and network.target_shape == (1,):
        targets = targets[:, None]
    if targets.shape != (len(inputs), *network.target_shape):
        raise DataError(f"{where}: targets have shape {targets.shape}, expected {(len(inputs), *network.target_shape)}")
    _check_domain(network, targets, where)
    return Batch(inputs, targets.astype(np.int64) if classes else targets)


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


def _numbers(values: Any, name: str, where: str, dtype: str) -> Array:
    try:
        with np.errstate(over="ignore"):
            array = np.asarray(values, dtype=dtype).copy(order="C")
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: {name} are not numbers: {error}") from None
    if not array.ndim:
        raise DataError(f"{where}: {name} are the single number {array}, expected an array with one row a sample")
    if not np.isfinite(array).all():
        index = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise DataError(f"{where}: {name}[{_text(index)}] is {array[index]}, expected finite numbers ({dtype})")
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


def _read(path: Path, network: Network) -> tuple[Array, Array]:
    """Inputs and targets as they stand in the file."""
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    with _unreadable(path):
        if path.suffix == ".npz":
            return _read_npz(path)
        if path.suffix == ".csv":
            table = np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2)
            return table[:, :-1], table[:, -1]
        inputs, targets = _sklearn("load_svmlight_file")(str(path), n_features=network.inputs[0])
        return inputs.toarray(), targets


def _read_npz(path: Path) -> tuple[Array, Array]:
    with np.load(path, allow_pickle=False) as arrays:
        missing = {"inputs", "targets"} - set(arrays)
        if missing:
            raise DataError(f"{path}: no array {min(missing)!r}, the file has {', '.join(arrays) or 'none'}")
        return arrays["inputs"], arrays["targets"]


@contextmanager
def _unreadable(path: Path) -> Generator[None]:
    """Whatever a reader raises or warns of, as one line that names the file."""
    try:
        with warnings.catch_warnings(action="error"):
            yield
    except (OSError, ValueError, EOFError, KeyError, UserWarning, zipfile.BadZipFile) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: {' '.join(str(error).split())}") from None


def _sklearn(name: str) -> Callable[..., Any]:
    try:
        from sklearn import datasets
    except ImportError:
        raise DataError("this data needs scikit-learn: pip install 'gradcheck[data]'") from None
    return getattr(datasets, name)


def _some(data: Labelled, samples: int | None, seed: int, where: str) -> Labelled:
    """A random choice of samples, or all of them in order."""
    if samples is None:
        return data
    if samples > len(data.labels):
        raise DataError(f"{where}: {len(data.labels)} samples, {samples} were asked for")
    chosen = np.random.default_rng([seed, *where.encode()]).permutation(len(data.labels))[:samples]
    return data._replace(inputs=data.inputs[chosen], labels=data.labels[chosen])


def _first(arrays: tuple[Array, Array], samples: int | None, where: str) -> tuple[Array, Array]:
    inputs, targets = arrays
    if samples is not None and inputs.ndim and samples > len(inputs):
        raise DataError(f"{where}: {len(inputs)} samples, {samples} were asked for")
    return (inputs, targets) if samples is None else (inputs[:samples], targets[:samples])


def _text(index: tuple[int, ...]) -> str:
    return ", ".join(map(str, index))
