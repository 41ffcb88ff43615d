"""What is measured: four networks, a description, or a grid of widths, depths, batch sizes, dtypes and threads."""

import itertools
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from gradcheck.cases.case import Case
from gradcheck.cases.files import load, naming
from gradcheck.errors import DescriptionError
from gradcheck.foundation.describe import decode_tagged
from gradcheck.foundation.wording import nearest, shown
from gradcheck.network.layers import LAYERS, Activation, Dense
from gradcheck.network.losses import LOSSES, Loss
from gradcheck.network.network import Network

BATCH = 256
BASE = "64-128-128-1"  # of a sweep for which no network is given
DTYPES = ("float64", "float32")
SHOWN = 5  # of more equal layers the name has the number
STANDARD = {  # sizes, and samples in a batch
    "784-512-512-1": ((784, 512, 512, 1), BATCH),
    "20 x 256": ((256, *[256] * 19, 1), BATCH),
    "64-128-128-1": ((64, 128, 128, 1), BATCH),
    "2-15-1": ((2, 15, 1), 400),
}


class Point(NamedTuple):
    """A case, and how many threads libraries may use on it."""

    name: str
    case: Case
    batch: int
    threads: int


class Kind(NamedTuple):
    """What stands after every dense layer, and the loss."""

    activation: Activation
    loss: Loss


class Grid(NamedTuple):
    """What varies; empty for what stays as it is."""

    widths: tuple[int, ...] = ()
    depths: tuple[int, ...] = ()
    batches: tuple[int, ...] = ()
    dtypes: tuple[str, ...] = ()
    threads: tuple[int, ...] = ()


def kind(activation: str, loss: str) -> Kind:
    """Rows of the tables of layers and losses.

    Raises
    ------
    DescriptionError
        ``--activation.type: unknown layer 'arctn', did you mean 'arctan'?``
    """
    row = decode_tagged(activation, LAYERS, "--activation", "layer")
    if not isinstance(row, Activation):
        raise DescriptionError(f"expected an activation, got {activation!r}", "--activation")
    return Kind(row, decode_tagged(loss, LOSSES, "--loss", "loss"))


def parsed(text: str) -> tuple[int, ...]:
    """``64-128-1``: inputs, and the units of each dense layer."""
    if not re.fullmatch(r"[1-9]\d*(-[1-9]\d*)+", text, re.ASCII):
        raise DescriptionError(f"expected sizes with dashes between them, such as {BASE}, got {shown(text)}", "--network")
    return tuple(map(int, text.split("-")))


def network_of(sizes: Sequence[int], kind: Kind) -> Network:
    """A dense layer for each size but the first, each followed by the activation."""
    layers = itertools.chain.from_iterable((Dense(units), kind.activation) for units in sizes[1:])
    return Network((sizes[0],), tuple(layers), kind.loss)


def name_of(sizes: Sequence[int]) -> str:
    """The sizes with dashes, runs of equal ones folded: ``64-128x7-1``."""
    runs = [(size, len(list(run))) for size, run in itertools.groupby(sizes)]
    folded = [[f"{size}x{count}"] if count > SHOWN else [str(size)] * count for size, count in runs]
    return "-".join(itertools.chain.from_iterable(folded))


def standard(kind: Kind, grid: Grid, seed: int) -> list[Point]:
    """The four networks that are measured where none is named."""
    return [
        point
        for name, (sizes, batch) in STANDARD.items()
        for point in _spread(name, network_of(sizes, kind), grid._replace(batches=(batch,)), seed)
    ]


def swept(networks: Sequence[str], kind: Kind, grid: Grid, seed: int) -> list[Point]:
    """The full grid around each network."""
    wanted = itertools.product(map(parsed, networks), grid.widths or (None,), grid.depths or (None,))
    shapes = [_reshaped(sizes, width, depth) for sizes, width, depth in wanted]
    return [point for sizes in shapes for point in _spread(name_of(sizes), network_of(sizes, kind), grid, seed)]


def described(path: Path, grid: Grid) -> list[Point]:
    """A description, with other numbers of samples and dtypes where the grid has some.

    Raises
    ------
    DescriptionError, DataError
        Where the file or its data cannot be read, or the grid wants another network.
    """
    if grid.widths or grid.depths:
        raise DescriptionError("a description's widths and depths are fixed, expected --network", str(path))
    case = load(path)
    wanted = itertools.product(grid.batches or (case.samples,), grid.dtypes or (case.dtype,), grid.threads or (1,))
    # msgspec's replace does not validate; what is replaced was checked where it was parsed.
    found = ((msgspec.structs.replace(case, samples=batch, dtype=dtype), threads) for batch, dtype, threads in wanted)
    with naming(path):
        return [Point(path.stem, each, len(each.batch.inputs), threads) for each, threads in found]


def dtype_of(name: str) -> str:
    """A dtype that a case may have."""
    if name not in DTYPES:
        raise DescriptionError(f"unknown dtype {name!r}, {nearest(name, DTYPES)}", "--dtypes")
    return name


def _spread(name: str, network: Network, grid: Grid, seed: int) -> list[Point]:
    """A network at every batch size, dtype and number of threads."""
    rest = itertools.product(grid.batches or (BATCH,), grid.dtypes or DTYPES[:1], grid.threads or (1,))
    # Variances of Glorot and Bengio keep activations of deep networks off the ends of their range.
    drawn: Any = partial(Case, network, data="random", init="glorot", seed=seed)
    return [Point(name, drawn(samples=batch, dtype=dtype), batch, threads) for batch, dtype, threads in rest]


def _reshaped(sizes: tuple[int, ...], width: int | None, depth: int | None) -> tuple[int, ...]:
    inputs, *hidden, outputs = sizes
    if depth is not None:
        hidden = [hidden[0] if hidden else inputs] * (depth - 1)
    if width is not None and not hidden:
        raise DescriptionError(f"{name_of((inputs, outputs))} has no hidden layer that could have another width", "--widths")
    return (inputs, *(hidden if width is None else [width] * len(hidden)), outputs)
