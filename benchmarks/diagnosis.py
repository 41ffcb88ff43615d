# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# (Hooks are one-line functions of arrays.)
"""How often the right cause comes first: mistakes planted in random dense networks, and a table of what was said.

``python benchmarks/diagnosis.py --networks 40 --seed 0`` plants them in backpropagation that shares nothing with the
library of mistakes (`tests/backprop.py`). A row says how many planted gradients had the right cause first in every wrong
block; what was said instead, where it was something else, stands beside it.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from tests_of_ours import module_of_tests

import gradcheck
from gradcheck import MSE, Arctan, Case, CrossEntropy, Dense, Logistic, Network, ReLU, Sigmoid, SiLU, Softplus, Tanh
from gradcheck.network.batch import Batch

ACTIVATIONS = (Tanh(), Sigmoid(), Arctan(), ReLU(), Softplus(), SiLU())
LOSSES = (Logistic(), MSE(), CrossEntropy())
Backend = Callable[..., Any]


BACKPROP: Any = module_of_tests("backprop")


def draw_case(rng: np.random.Generator) -> Case:
    """Two to four hidden layers of two to six units, half of the time all of one width."""
    width = int(rng.integers(2, 7))
    widths = [width if rng.random() < 0.5 else int(rng.integers(2, 7)) for _ in range(int(rng.integers(3, 6)))]
    loss = LOSSES[rng.integers(3)]
    outputs = 3 if isinstance(loss, CrossEntropy) else int(rng.integers(1, 4))
    hidden = tuple(layer for units in widths[1:] for layer in (Dense(units), ACTIVATIONS[rng.integers(6)]))
    network = Network((widths[0],), (*hidden, Dense(outputs)), loss)
    samples, seed, scale = int(rng.integers(4, 40)), int(rng.integers(10**6)), float(rng.uniform(0.8, 2))
    return Case(network, samples=samples, seed=seed, init="glorot", scale=scale)


def with_hook(where: int | str, hook: Callable[..., Any]) -> Backend:
    return lambda network, parameters, batch: BACKPROP.loss_and_gradients(network, parameters, batch, {where: hook})


def of_blocks(change: Callable[[Any, Any], Any], *names: str) -> Backend:
    """All blocks, or those of these names, changed at the end."""

    def mine(network: Any, parameters: Any, batch: Any) -> Any:
        loss, found = BACKPROP.loss_and_gradients(network, parameters, batch)
        return loss, {k: change(g, parameters[k]) if k in names or not names else g for k, g in found.items()}

    return mine


def of_samples(kept: Any, factor: float) -> Backend:
    """The mean over some samples, by a factor."""

    def mine(network: Any, parameters: Any, batch: Any) -> Any:
        part = Batch(batch.inputs[kept], batch.targets[kept])
        _, found = BACKPROP.loss_and_gradients(network, parameters, part)
        return BACKPROP.loss_and_gradients(network, parameters, batch)[0], {k: factor * g for k, g in found.items()}

    return mine


def own(change: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    return lambda mine, g, xs, weight: ({**mine, **change(g, xs)}, g @ weight)


def handed(change: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    return lambda mine, g, xs, weight: (mine, change(g, weight))


def bfloat16(g: Any) -> Any:
    return (g.astype(np.float32).view(np.uint32) & 0xFFFF0000).view(np.float32).astype(float)


def nudged(g: Any, _: Any) -> Any:
    out = g.copy()
    out.flat[7 % g.size] += 0.3 * np.abs(g).max()
    return out


def mistakes(case: Case, rng: np.random.Generator) -> Iterator[tuple[str, Backend]]:
    """A cause and a backend that makes it, for every cause that this network offers an occasion for."""
    network, batch, shapes = case.network, case.batch, case.network.shapes
    n, depth = len(batch.inputs), len(network.layers)
    upper, layer = 2 * int(rng.integers(1, depth // 2 + 1)), 2 * int(rng.integers(depth // 2 + 1))
    act = 2 * int(rng.integers(depth // 2)) + 1
    slope = BACKPROP.FUNCTIONS[type(network.layers[act])][1]
    weight, rows, columns = f"{layer}.weight", *network.parameter_shapes[f"{layer}.weight"]
    yield "missing-mean", of_blocks(lambda g, _: n * g)
    yield "extra-mean", of_blocks(lambda g, _: g / n)
    yield "factor", of_blocks(lambda g, _: 2.0 * g, weight)
    yield "factor", of_blocks(lambda g, _: 0.7 * g)
    yield "sign", of_blocks(lambda g, _: -g, weight)
    yield "sign", with_hook(upper, handed(lambda g, w: -(g @ w)))
    yield "zero", of_blocks(lambda g, _: 0 * g, weight)
    yield "stops-below", with_hook(upper, handed(lambda g, w: 0 * (g @ w)))
    yield "regularisation", of_blocks(lambda g, theta: g + 0.01 * theta, weight)
    yield "single-entry", of_blocks(nudged, weight)
    for narrow in ("float32", "float16"):
        yield "low-precision", of_blocks(lambda g, _, narrow=narrow: g.astype(narrow).astype(float))
    yield "low-precision", of_blocks(lambda g, _: bfloat16(g))
    yield "constants", of_blocks(lambda g, _: g * (1 + 3e-8 * np.cos(1 + np.arange(g.size).reshape(g.shape))))
    yield "mean-for-sum", with_hook(layer, own(lambda g, xs: {"bias": g.mean(axis=0)}))
    if rows > 1:
        yield "wrong-axis", with_hook(layer, own(lambda g, xs: {"bias": np.full(rows, g.sum())}))
    if rows > 2:
        yield "permuted", of_blocks(lambda g, _: np.roll(g, 1, axis=0), weight)
    if rows == columns:
        yield "transposed", of_blocks(lambda g, _: g.T, weight)
    if rows * columns > 4:
        yield "clipped", of_blocks(lambda g, _: np.clip(g, *(np.sort(np.abs(g).ravel())[-3] * np.array([-1, 1]))), weight)
    yield "overwritten", with_hook(layer, own(lambda g, xs: {"weight": np.outer(g[-1], xs[layer][-1]), "bias": g[-1]}))
    yield "overwritten", of_samples([n - 1], 1 / n)
    yield "sample-dropped", of_samples(np.delete(np.arange(n), rng.integers(n)), (n - 1) / n)
    if n > 5:
        yield "sample-dropped", of_samples(np.arange(n - 2), 1.0)
    labels, counts = np.unique(batch.targets, return_counts=True)
    if batch.targets.size == n and 1 < len(labels) < n and counts[0] > 1 and not isinstance(network.loss, MSE):
        yield "sample-subset", with_hook("top", lambda g, z, y: np.where(y.reshape(n, -1) == labels[0], 0.5 * g, g))
    yield "activation-derivative", with_hook(act, lambda g, z, a, xs: g)
    if not isinstance(network.layers[act], ReLU):
        yield "activation-derivative", with_hook(act, lambda g, z, a, xs: g * slope(a))
    other = ACTIVATIONS[(ACTIVATIONS.index(network.layers[act]) + int(rng.integers(1, 6))) % 6]
    yield "activation-derivative", with_hook(act, lambda g, z, a, xs: g * BACKPROP.FUNCTIONS[type(other)][1](z))
    alike = [k for k in range(depth + 1) if k != layer and shapes[k] == shapes[layer]]
    if alike:
        yield "stale-activation", with_hook(layer, own(lambda g, xs: {"weight": g.T @ xs[alike[0]]}))
    alike_slope = [k for k in range(depth + 1) if k not in (act, act + 1) and shapes[k] == shapes[act]]
    if alike_slope and not isinstance(network.layers[act], ReLU):
        yield "stale-activation", with_hook(act, lambda g, z, a, xs: g * slope(xs[alike_slope[0]]))
    if network.parameter_shapes[f"{upper}.weight"][0] > 1:
        yield "path-lost", with_hook(upper, handed(lambda g, w: g[:, 1:] @ w[1:]))


def said(case: Case, backend: Backend) -> str:
    """The causes that come first, over all wrong blocks; the verdict where nothing is wrong."""
    with np.errstate(all="ignore"):
        report = gradcheck.verify(case, [backend])
    if not report.wrong:
        return f"({report.verdict})"
    first = {diagnosis.name: diagnosis.cause for diagnosis in reversed(report.diagnoses)}
    return " ".join(sorted({first.get(name, "none") for name in report.wrong}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    table: dict[str, Counter[str]] = {}
    for _ in range(arguments.networks):
        case = draw_case(rng)
        for cause, backend in mistakes(case, rng):
            table.setdefault(cause, Counter())[said(case, backend)] += 1
        table.setdefault("(correct)", Counter())[said(case, BACKPROP.loss_and_gradients)] += 1
    right = {cause: counts[cause] for cause, counts in table.items()}
    for cause, counts in sorted(table.items()):
        others = ", ".join(f"{count} {what}" for what, count in counts.most_common() if what != cause)
        print(f"{cause:24s}{right[cause]:5d} of {counts.total():4d}   {others}")
    named = [cause for cause in table if cause != "(correct)"]
    print(f"{'all':24s}{sum(right[c] for c in named):5d} of {sum(table[c].total() for c in named):4d}")


if __name__ == "__main__":
    main()
