"""How large is the largest rounding error of a correct build, in units of its bound?

``python benchmarks/rounding.py`` draws random dense networks, builds each three ways in float64 and float32, and
compares loss and gradients with an 80-bit truth. SAFETY and FLOOR of `gradcheck.network.analysis.rounding` rest on what it
prints: no entry may lie beyond its bound, and the median must not be so far below it that the bound says nothing.
"""

import argparse
import runpy
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from gradcheck_backends import hips_autograd, manual, pytorch
from numpy.typing import NDArray

from gradcheck.builds.protocol import Backend
from gradcheck.network import layers as ly
from gradcheck.network import losses as ls
from gradcheck.network.analysis.rounding import ErrorBounds, error_bounds
from gradcheck.network.batch import Batch
from gradcheck.network.network import Network

Array: TypeAlias = NDArray[Any]
Truth: TypeAlias = tuple[np.longdouble, dict[str, Array]]

# By path: tests are no package, and the truth is theirs.
TESTS = runpy.run_path(str(Path(__file__).parents[1] / "tests" / "truth.py"))
truth: Callable[..., Truth] = TESTS["truth"]

BACKENDS: dict[str, Backend] = {"manual": manual, "autograd": hips_autograd, "torch": pytorch}

ACTIVATIONS: list[Callable[[np.random.Generator], ly.Layer]] = [
    lambda _: ly.Arctan(),
    lambda _: ly.Tanh(),
    lambda _: ly.Sigmoid(),
    lambda _: ly.ReLU(),
    lambda rng: ly.LeakyReLU(float(rng.choice([0.01, 0.2, 1.5, -0.5]))),
    lambda rng: ly.ELU(float(rng.choice([1.0, 0.3, 2.0]))),
    lambda _: ly.GELU(),
    lambda _: ly.GELU("tanh"),
    lambda _: ly.SiLU(),
    lambda _: ly.Softplus(),
    lambda _: ly.Identity(),
]

LOSSES: list[Callable[[np.random.Generator], ls.Loss]] = [
    lambda _: ls.Logistic(),
    lambda _: ls.BinaryCrossEntropy(),
    lambda _: ls.CrossEntropy(),
    lambda _: ls.MSE(),
    lambda rng: ls.Huber(float(rng.choice([1.0, 0.1, 10.0]))),
    lambda _: ls.Hinge(),
]


class Example(NamedTuple):
    """A network made concrete."""

    network: Network
    parameters: dict[str, Array]
    batch: Batch

    def astype(self, dtype: str) -> "Example":
        """The same numbers, rounded to ``dtype``; class indices stay."""
        parameters = {name: value.astype(dtype) for name, value in self.parameters.items()}
        inputs, targets = self.batch
        rounded = targets if targets.dtype.kind == "i" else targets.astype(dtype)
        return Example(self.network, parameters, Batch(inputs.astype(dtype), rounded))


class Excess(NamedTuple):
    """Errors of one build in units of the bound: of every gradient entry, and of the loss."""

    entries: Array
    loss: float


def draw(rng: np.random.Generator) -> Example:
    """A network of 1 to 12 dense layers with weights scaled 0.03 to 16, its parameters and a batch."""
    network = draw_network(rng)
    scale, power = 0.03 * (16 / 0.03) ** rng.random(), float(rng.choice([0, 0.5]))
    parameters = {
        name: scale * rng.standard_normal(shape) / (shape[-1] ** power if len(shape) > 1 else 1)
        for name, shape in network.parameter_shapes.items()
    }
    n = size(rng, 40)
    inputs = rng.standard_normal((n, *network.inputs))
    return Example(network, parameters, Batch(inputs, draw_targets(rng, network, n)))


def draw_network(rng: np.random.Generator) -> Network:
    favourite = pick(rng, ACTIVATIONS) if rng.random() < 0.5 else None
    layers: list[ly.Layer] = []
    for _ in range(rng.integers(1, 13)):
        layers += [ly.Dense(size(rng, 30), bias=bool(rng.random() < 0.9)), favourite or pick(rng, ACTIVATIONS)]
    ends_dense = rng.random() < 0.7
    decay = float(rng.choice([0, 0, 1e-4, 0.1]))
    return Network((size(rng, 30),), tuple(layers[:-1] if ends_dense else layers), pick(rng, LOSSES), decay)


def draw_targets(rng: np.random.Generator, network: Network, n: int) -> Array:
    shape = (n, *network.target_shape)
    match network.loss.targets:
        case ls.Targets.SIGNS:
            return rng.choice([-1.0, 1.0], shape)
        case ls.Targets.PROBABILITIES:
            return rng.random(shape) if rng.random() < 0.5 else rng.integers(0, 2, shape).astype("float64")
        case ls.Targets.CLASSES:
            return rng.integers(0, network.shapes[-1][0], shape)
        case ls.Targets.REALS:
            return rng.standard_normal(shape)


def pick(rng: np.random.Generator, makers: list[Callable[[np.random.Generator], Any]]) -> Any:
    return makers[rng.integers(len(makers))](rng)


def size(rng: np.random.Generator, most: int) -> int:
    """From 1 to ``most``, small as often as large."""
    return int((most + 1) ** rng.random())


def bounds_of(example: Example, dtype: str) -> ErrorBounds:
    wide = example.astype("float64")
    return error_bounds(wide.network, wide.parameters, *wide.batch, dtype)


def excess(backend: Backend, example: Example, bounds: ErrorBounds, exact: Truth) -> Excess:
    """How one build errs. Where the bound is infinite, nothing is claimed, and nothing compared."""
    loss, gradients = backend.build(example.network).loss_and_gradients(example.parameters, example.batch)
    parts = [
        in_units(gradients[name] - g, bounds.rounding[name] + (bounds.high[name] - bounds.low[name]))
        for name, g in exact[1].items()
    ]
    of_loss = in_units(np.array(loss - exact[0]), np.array(bounds.loss))
    return Excess(np.concatenate(parts), float(of_loss.max(initial=0)))


def in_units(error: Array, bound: Array) -> Array:
    ratios = np.abs(error[np.isfinite(bound)]) / bound[np.isfinite(bound)]
    return np.where(np.isnan(ratios), np.inf, ratios).astype("float64")


def resolutions(bounds: ErrorBounds, exact: Truth) -> Iterator[float]:
    """Per block the worst bound, relative to the larger of the entry and the block's RMS; dead blocks have none."""
    for name, g in exact[1].items():
        scale = np.maximum(np.abs(g), np.sqrt(np.mean(g * g)))
        if scale.all():
            yield float(((bounds.rounding[name] + (bounds.high[name] - bounds.low[name])) / scale).max())


def measure(networks: int, seed: int) -> tuple[dict[tuple[str, str], list[Excess]], dict[str, list[float]]]:
    """Errors by dtype and backend, resolutions by dtype."""
    errors: dict[tuple[str, str], list[Excess]] = defaultdict(list)
    resolved: dict[str, list[float]] = defaultdict(list)
    for index in range(networks):
        drawn = draw(np.random.default_rng([seed, index]))
        for dtype in ("float64", "float32"):
            example = drawn.astype(dtype)
            bounds, exact = bounds_of(example, dtype), truth(example.network, example.parameters, *example.batch)
            resolved[dtype] += resolutions(bounds, exact)
            for name, backend in BACKENDS.items():
                errors[dtype, name].append(excess(backend, example, bounds, exact))
    return errors, resolved


def print_errors(dtype: str, backend: str, errors: list[Excess]) -> None:
    entries = np.concatenate([each.entries for each in errors])
    worst = max(range(len(errors)), key=lambda index: errors[index].entries.max(initial=0))
    median, tail = np.quantile(entries, [0.5, 0.9999])
    print(
        f"{dtype}  {backend:9}{len(entries):9}  {median:8.1e}  {tail:7.3f}  {entries.max():7.3f}"
        f"  {(entries > 1).sum():6}  {max(each.loss for each in errors):7.3f}  {worst:6}"
    )


def print_resolutions(dtype: str, resolved: list[float]) -> None:
    quantiles = np.quantile(resolved, [0.5, 0.9, 0.98, 0.99, 1], method="lower")
    print(f"{dtype}  {len(resolved):9}" + "".join(f"  {each:7.1e}" for each in quantiles))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with np.errstate(all="ignore"):  # some networks overflow in float32, and their bounds say so
        errors, resolved = measure(arguments.networks, arguments.seed)
    print("error / bound        entries    median   99.99%      max  beyond     loss  worst network")
    for (dtype, backend), each in errors.items():
        print_errors(dtype, backend, each)
    print("\nresolution       blocks      50%      90%      98%      99%      max")
    for dtype, each in resolved.items():
        print_resolutions(dtype, each)


if __name__ == "__main__":
    main()
