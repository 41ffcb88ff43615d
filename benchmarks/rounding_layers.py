"""How large is the rounding error of correct builds in units of its bound, in networks of all layers?

``python benchmarks/rounding_layers.py`` draws random networks of images, sequences, tokens and vectors, ordinary and hard,
and compares the gradients of every build with the truth: the reverse sweep of the reference in 80-bit arithmetic,
activations as `tests/truth.py` writes them. Of some networks that truth is held against complex steps in 80 bits, which
take another way. No entry may lie beyond its bound where a block is resolved, and the median must not be so far below it
that the bound says nothing.
"""

import argparse
import runpy
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from gradcheck_backends import hips_autograd, manual, pytorch

from gradcheck.foundation.arrays import Array
from gradcheck.network import layers as ly
from gradcheck.network import losses as ls
from gradcheck.network.analysis import rules_functions
from gradcheck.network.analysis.nodes import RULES, Node
from gradcheck.network.analysis.passes import recorded
from gradcheck.network.analysis.rounding import ErrorBounds, error_bounds
from gradcheck.network.analysis.tape import Tape
from gradcheck.network.batch import Batch
from gradcheck.network.layers.blocks import leaves
from gradcheck.network.network import Network, is_weight
from gradcheck.network.reference.meaning import entrywise, loss

TESTS = runpy.run_path(str(Path(__file__).parents[1] / "tests" / "truth.py"))
LD = np.longdouble
ACTIVATIONS = (
    *(ly.Arctan(), ly.Tanh(), ly.Sigmoid(), ly.ReLU(), ly.LeakyReLU(0.2), ly.ELU(), ly.ELU(0.5), ly.GELU(), ly.GELU("tanh")),
    *(ly.SiLU(), ly.Softplus(), ly.Identity()),
)
REGIMES = ("ordinary", "same", "blank", "offset", "deep", "large", "batch", "long")


class Exact(rules_functions.Entrywise):
    """Activations, value and slope, as the tests' truth has them."""

    def value(self, *x: Array, **options: Any) -> Array:
        layer = options["layer"]
        return np.asarray(TESTS["ACTIVATIONS"][type(layer)](layer, x[0])[0])

    def back(self, node: Any, g: Any) -> Any:
        layer = node.options["layer"]
        return [g * Node(g.tape, np.asarray(TESTS["ACTIVATIONS"][type(layer)](layer, node.arguments[0].value)[1], LD))]


class Example(NamedTuple):
    """A network made concrete; all numbers are those of ``dtype``, in float64."""

    network: Network
    parameters: dict[str, Array]
    batch: Batch
    dtype: str
    regime: str


def pick(rng: np.random.Generator, choices: Any) -> Any:
    return choices[rng.integers(len(choices))]


def divisors(n: int) -> list[int]:
    return [k for k in range(1, n + 1) if n % k == 0]


def convolution(rng: np.random.Generator, shape: ly.Shape) -> ly.Layer:
    groups = pick(rng, divisors(shape[0]))
    kernel, dilation, padding = int(rng.integers(1, 4)), int(rng.integers(1, 3)), int(rng.integers(0, 3))
    while dilation * (kernel - 1) + 1 > min(shape[1:]) + 2 * padding:
        kernel -= 1
    options = {"stride": int(rng.integers(1, 3)), "padding": padding, "dilation": dilation, "groups": groups}
    return ly.Conv2d(groups * int(rng.integers(1, 4)), kernel, **options, bias=bool(rng.random() < 0.8))


def pool(rng: np.random.Generator, shape: ly.Shape) -> ly.Layer:
    kernel = int(rng.integers(1, min(3, *shape[1:]) + 1))
    return ly.MaxPool2d(kernel, int(rng.integers(1, 3)), int(rng.integers(0, kernel // 2 + 1)))


def attention(rng: np.random.Generator, shape: ly.Shape) -> ly.Layer:
    heads = pick(rng, divisors(shape[1]))
    rope = bool(shape[1] // heads % 2 == 0 and rng.random() < 0.5)
    causal, bias = bool(rng.random() < 0.5), bool(rng.random() < 0.8)
    return ly.Attention(heads, pick(rng, [None, *divisors(heads)]), causal, rope, bias)


def dense(rng: np.random.Generator, _shape: ly.Shape) -> ly.Layer:
    return ly.Dense(int(rng.integers(1, 13)), bool(rng.random() < 0.8))


def residual(rng: np.random.Generator, shape: ly.Shape) -> ly.Layer:
    first = pick(rng, [ly.LayerNorm(), ly.BatchNorm()])
    if len(shape) == 3:
        return ly.Residual((first, ly.Conv2d(shape[0], 3, padding=1)))
    if len(shape) == 2 and rng.random() < 0.5:
        return ly.Residual((first, attention(rng, shape)), names=("norm", "attention"))
    layers = first, dense(rng, shape), pick(rng, ACTIVATIONS), ly.Dense(shape[-1])
    return ly.Residual(layers, names=("norm", "up", "act", "down"))


def batch_norm(_rng: np.random.Generator, _shape: ly.Shape) -> ly.Layer:
    return ly.BatchNorm()


def layer_norm(_rng: np.random.Generator, _shape: ly.Shape) -> ly.Layer:
    return ly.LayerNorm()


MENU: dict[int, list[Any]] = {
    1: [dense, dense, batch_norm, layer_norm, residual],
    2: [dense, attention, attention, layer_norm, batch_norm, residual],
    3: [convolution, convolution, pool, batch_norm, layer_norm, residual],
}


def draw_network(rng: np.random.Generator, regime: str) -> Network:
    kind = pick(rng, ["vector", "image", "image", "sequence", "tokens"])
    kind = "image" if regime == "blank" else kind
    far = 32 if regime == "long" else 8
    shape: ly.Shape = {
        "vector": (int(rng.integers(2, 13)),),
        "image": (int(rng.integers(1, 5)), *(int(k) for k in rng.integers(3, far + 1 if regime == "blank" else 9, 2))),
        "sequence": (int(rng.integers(1, far)), int(rng.integers(2, 9))),
        "tokens": (int(rng.integers(1, far)),),
    }[kind]
    inputs, layers = shape, list[ly.Layer]()

    def push(layer: ly.Layer) -> None:
        nonlocal shape
        shape = layer.output_shape(shape)
        layers.append(layer)

    if kind == "tokens":
        push(ly.Embedding(7, int(rng.integers(2, 9))))
    for _ in range(int(rng.integers(9, 15)) if regime == "deep" else int(rng.integers(1, 7))):
        push(pick(rng, MENU[len(shape)])(rng, shape) if rng.random() < 0.6 else pick(rng, ACTIVATIONS))
    tokens_out = len(shape) == 2 and rng.random() < 0.4
    if len(shape) > 1 and not tokens_out:
        push(ly.Flatten())
    found = pick(rng, [ls.Logistic(), ls.MSE(), ls.CrossEntropy(), ls.Huber(0.5), ls.BinaryCrossEntropy(), ls.Hinge()])
    push(ly.Dense(int(rng.integers(2, 6))))
    return Network(inputs, tuple(layers), found, weight_decay=float(pick(rng, [0, 0, 0, 0.01])))


def draw(seed: int, regime: str) -> Example:
    """A network with weights 0.1 to 8 times He, or 8 to 64 in the regime of large ones."""
    rng = np.random.default_rng([seed, REGIMES.index(regime)])
    network, dtype = draw_network(rng, regime), pick(rng, ["float64", "float32"])
    low, high = (8, 64) if regime == "large" else (0.1, 8)
    scale = low * (high / low) ** rng.random()
    parameters: dict[str, Array] = {}
    for (layer, names), shape in zip(zip(network.layers, network.wiring, strict=True), network.shapes, strict=False):
        for own, start in layer.starts(shape).items():
            e = rng.standard_normal(layer.parameter_shapes(shape)[own])
            plain = start.centre + 0.3 * e * (scale if rng.random() < 0.5 and not start.centre else 0.3)
            parameters[names[own]] = e * scale * np.sqrt(2 / start.fans[0]) if start.fans else plain
    coupled = any(isinstance(leaf, ly.BatchNorm) for leaf in leaves(network.layers))
    n = int(rng.integers(200, 4001)) if regime == "batch" else int(rng.integers(2 if coupled else 1, 9))
    n = min(n, 4_000_000 // sum(int(np.prod(shape)) for shape in network.shapes)) if regime == "batch" else n
    batch = Batch(draw_inputs(rng, network, n, regime), draw_targets(rng, network, n))
    if regime == "same":
        batch = Batch(*(np.repeat(array[:1], n, axis=0) for array in batch))
    cast = {name: value.astype(dtype).astype(float) for name, value in parameters.items()}
    return Example(network, cast, batch.astype(dtype).astype(float), dtype, regime)


def draw_inputs(rng: np.random.Generator, network: Network, n: int, regime: str) -> Array:
    if network.vocabulary is not None:
        return rng.integers(0, network.vocabulary, (n, *network.inputs))
    x: Array = rng.standard_normal((n, *network.inputs))
    if regime == "blank":
        x[..., x.shape[-1] // 2 :] = 0.0
        x = x * (rng.random() < 0.8)
    if regime == "offset":
        x = x + pick(rng, [100.0, 1e4])
    return x + 100.0 if regime == "ordinary" and rng.random() < 0.1 else x


def draw_targets(rng: np.random.Generator, network: Network, n: int) -> Array:
    shape = (n, *network.target_shape)
    match network.loss.targets:
        case ls.Targets.SIGNS:
            return rng.choice([-1.0, 1.0], shape)
        case ls.Targets.PROBABILITIES:
            return rng.random(shape)
        case ls.Targets.CLASSES:
            return rng.integers(0, network.shapes[-1][-1], shape)
        case ls.Targets.REALS:
            return rng.standard_normal(shape)


def truth(example: Example, choices: Any = None) -> dict[str, Array]:
    """Gradients in 80 bits; at kinks as a build in float64 chooses."""
    network, parameters, (inputs, targets), *_ = example
    RULES[entrywise], usual = Exact(), RULES[entrywise]
    try:
        tape = Tape(Node, dtype=LD)
        known, outputs = recorded(tape, network, {name: value.astype(LD) for name, value in parameters.items()}, inputs)
        top = of_loss(network.loss, outputs.value, targets)
        found = tape.gradients(outputs, tape.leaf(top), known)
    finally:
        RULES[entrywise] = usual
    gradients = {name: np.zeros(known[name].shape, LD) if node is None else node.value for name, node in found.items()}
    decay = LD(network.weight_decay)
    return {name: g + decay * parameters[name] if is_weight(name) else g for name, g in gradients.items()}


def of_loss(loss: ls.Loss, z: Array, targets: Array) -> Array:
    """The slope of the mean loss, as the tests' truth has it."""
    flat = isinstance(loss, ls.CrossEntropy)
    each, y = (z.reshape(-1, z.shape[-1]), targets.reshape(-1)) if flat else (z, targets)
    return np.asarray(TESTS["LOSSES"][type(loss)](loss, each, y)[1], LD).reshape(z.shape)


def stepped(example: Example, exact: Mapping[str, Array], rng: np.random.Generator) -> float:
    """How far the truth is from a complex step in 80 bits along a random direction, relative to the sum of |g d|."""
    network, parameters, (inputs, targets), *_ = example
    d = {name: rng.standard_normal(value.shape) for name, value in parameters.items()}
    h = LD("1e-1000")
    moved = {name: value.astype(np.clongdouble) + np.clongdouble(1j) * h * d[name] for name, value in parameters.items()}
    x = inputs.astype(np.clongdouble) if inputs.dtype.kind == "f" else inputs
    slope = np.imag(loss(network, moved, x, targets)) / h
    terms = [exact[name] * d[name] for name in exact]
    return float(abs(slope - sum(t.sum() for t in terms)) / max(sum(np.abs(t).sum() for t in terms), LD(1e-300)))


class Measured(NamedTuple):
    """One block of one build: errors in units of the bound, and the bound in units of the block; whether that is 0."""

    ratio: Array
    coarse: float
    zero: bool
    seed: int


def measured(example: Example, seed: int, backends: Mapping[str, Any]) -> Iterator[tuple[str, str, Measured]]:
    inputs, targets = example.batch
    bounds: ErrorBounds = error_bounds(example.network, example.parameters, inputs, targets, example.dtype)
    exact = truth(example)
    point = {name: value.astype(example.dtype) for name, value in example.parameters.items()}
    whole = max(float(np.max(np.abs(g))) for g in exact.values())
    for backend, build in backends.items():
        _, gradients = build.build(example.network).loss_and_gradients(point, example.batch.astype(example.dtype))
        for name, g in exact.items():
            bound = bounds.rounding[name] + (bounds.high[name] - bounds.low[name])
            error = np.abs(gradients[name].astype(LD) - g).astype(float)
            with np.errstate(all="ignore"):
                ratio = np.where(np.isfinite(bound), np.where(error > 0, error / bound, 0.0), 0.0)
                scale = np.maximum(np.abs(g), np.sqrt(np.mean(g * g))).astype(float)
                coarse = float(np.median(np.where(np.isfinite(bound), bound, np.inf) / np.where(scale > 0, scale, np.nan)))
            zero = float(np.max(np.abs(g))) <= 1e-15 * whole
            yield backend, name, Measured(np.where(np.isnan(ratio), np.inf, ratio), coarse, zero, seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--regimes", nargs="*", default=list(REGIMES))
    parser.add_argument("--jax", action="store_true", help="the fourth build, on a tenth of the networks")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    usual: dict[str, Any] = {"manual": manual, "autograd": hips_autograd, "torch": pytorch}
    blocks: dict[tuple[str, str], list[Measured]] = defaultdict(list)
    apart: list[float] = []
    for index in range(arguments.networks):
        regime = arguments.regimes[index % len(arguments.regimes)]
        seed = arguments.seed * 1_000_000 + index
        example = draw(seed, regime)
        backends = dict(usual)
        if arguments.jax and index % 10 == 0:
            from gradcheck_backends import jax

            backends["jax"] = jax
        with np.errstate(all="ignore"):
            for backend, name, found in measured(example, seed, backends):
                blocks[regime, example.dtype].append(found)
                blocks[f"({backend})", example.dtype].append(found)
                if (found.ratio > 1).any():
                    worst = found.ratio.max()
                    print(f"beyond: {regime} {seed} {example.dtype} {backend} {name} {worst:.2f}, bound {found.coarse:.1e}")
            smooth = not any(
                isinstance(leaf, ly.GELU) and leaf.approximate == "none" for leaf in leaves(example.network.layers)
            )
            if index % 5 == 0 and smooth:
                apart.append(stepped(example, truth(example), np.random.default_rng(seed)))
    print_table(blocks)
    if apart:
        print(
            f"truth against complex steps in 80 bits, {len(apart)} networks: "
            f"median {np.median(apart):.1e}, max {max(apart):.1e}"
        )


def print_table(blocks: Mapping[tuple[str, str], list[Measured]]) -> None:
    print("error / bound               blocks (not zero) resolved   median   99.99%      max  beyond  beyond, resolved")
    for (what, dtype), found in blocks.items():
        resolved = [each for each in found if each.coarse < 1e-2]
        alive = sum(not each.zero for each in found)
        ratios = np.concatenate([each.ratio.ravel() for each in found])
        nonzero = np.concatenate([each.ratio[each.ratio > 0] for each in resolved] or [np.zeros(1)])
        wrong = sum((each.ratio > 1).any() for each in resolved)
        print(
            f"{what:16}{dtype:9}{len(found):9}{alive:11}{len(resolved) / alive:9.1%}{np.median(nonzero):9.1e}"
            f"{np.quantile(ratios, 0.9999):9.3f}{ratios.max():9.3f}{(ratios > 1).sum():8}{wrong:9}"
        )


if __name__ == "__main__":
    main()
