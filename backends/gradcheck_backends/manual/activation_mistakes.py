"""The rows of the table of mistakes: dense layers, activations, losses.

Each right formula stands in the remedy of its mistakes. Where a mistake leaves the gradient right on this network (one
sample, equal layers), nothing can match it: only wrong claims are held against the table.
"""

from collections.abc import Callable, Iterator

import numpy as np

from gradcheck.foundation.arrays import Array
from gradcheck.network import layers as ly
from gradcheck.network import losses as ls
from gradcheck_backends.manual.buffers import NEW
from gradcheck_backends.manual.mistakes import Mistake, Trace, mistakes_of
from gradcheck_backends.manual.rules import LAYER_RULES, find

UNITS = 64  # of a layer, each of which may be left out; of wider layers the first so many

# Dense layers: z = x W^T + b


@mistakes_of(ly.Dense)
def reductions(layer: ly.Dense, trace: Trace, i: int) -> Iterator[Mistake]:
    """The bias gradient is a sum over samples, and nothing else."""
    if not layer.bias:
        return
    g, name = trace.above[i], trace.name(i)
    n, right = len(g), "sum over the samples, axis 0"
    yield Mistake(
        "mean-for-sum", i, f"the bias of {name} is a mean over samples", right, {"n": n}, own={"bias": g.mean(axis=0)}
    )
    everything = np.full(g.shape[1:], g.sum())
    yield Mistake(
        "wrong-axis", i, f"the bias of {name} is summed over both axes", right, own={"bias": everything}, habit="bias of all"
    )
    if g.shape[0] == g.shape[1]:
        yield Mistake(
            "wrong-axis",
            i,
            f"the bias of {name} is summed over units",
            right,
            own={"bias": g.sum(axis=1)},
            habit="bias axis",
        )


@mistakes_of(ly.Dense)
def accumulation(layer: ly.Dense, trace: Trace, i: int) -> Iterator[Mistake]:
    """A loop over samples that assigns where it should add."""
    x, g, name = trace.inputs[i], trace.above[i], trace.name(i)
    for kept in (-1, 0):
        own = {"weight": np.outer(g[kept], x[kept])} | ({"bias": g[kept]} if layer.bias else {})
        for names in ({"weight", "bias"}, {"weight"}, {"bias"}):
            lost = {key: value for key, value in own.items() if key in names}
            why = f"the {' and '.join(lost)} of {name} hold one sample's contribution alone"
            yield Mistake(
                "overwritten",
                i,
                why,
                "add each sample's contribution",
                {"kept": kept % len(g)},
                own=lost,
                habit=f"{sorted(lost)} {kept}",
            )


@mistakes_of(ly.Dense)
def inputs_of_others(_: ly.Dense, trace: Trace, i: int) -> Iterator[Mistake]:
    """The weight gradient is g^T x with x this layer's own input."""
    for k in trace.alike(i):
        uses = trace.entering(k)
        why = f"the weight of {trace.name(i)} is formed with {uses}"
        own = {"weight": trace.above[i].T @ trace.inputs[k]}
        yield Mistake(
            "stale-activation", i, why, "use this layer's own input", {"uses": uses}, own=own, habit=f"input {k - i:+d}"
        )


@mistakes_of(ly.Dense)
def handed_down(_: ly.Dense, trace: Trace, i: int) -> Iterator[Mistake]:
    """What goes on to the layer below is g W: all units of it, and W not transposed."""
    if i == 0:
        return
    g, weight, name = trace.above[i], trace.parameters[f"{i}.weight"], trace.name(i)
    if weight.shape[0] == weight.shape[1]:
        yield Mistake("transposed", i, f"{name} hands down g W^T", "hand down g W", below=g @ weight.T, habit="W^T")
    for unit in range(min(UNITS, weight.shape[0])):
        lost, below = f"unit {unit} of {name}", np.delete(g, unit, axis=1) @ np.delete(weight, unit, axis=0)
        yield Mistake("path-lost", i, f"{lost} hands nothing down", "add up over all units", {"lost": lost}, below)


# Activations a = rho(z), whose pullback is g -> g rho'(z)

FROM_OUTPUT: dict[type[ly.Activation], Callable[[Array], Array]] = {
    ly.Tanh: lambda a: 1 - a * a,
    ly.Sigmoid: lambda a: a * (1 - a),
    ly.ReLU: lambda a: (a > 0).astype(a.dtype),
    ly.Softplus: lambda a: 1 - np.exp(-a),
}


@mistakes_of(ly.Activation)
def derivatives(layer: ly.Activation, trace: Trace, i: int) -> Iterator[Mistake]:
    """Left out, taken elsewhere, applied in another way."""
    z, a, g, name = trace.inputs[i], trace.inputs[i + 1], trace.above[i], trace.name(i)
    right, slope = (
        f"multiply by the derivative of {type(layer).__name__} at its own input",
        trace.pullbacks[i](np.ones_like(g))[0],
    )

    def mistake(how: str, below: Array) -> Mistake:
        return Mistake(
            "activation-derivative", i, f"the derivative of {name} is {how}", right, {"how": how}, below, habit=how
        )

    yield mistake("omitted", g)
    yield mistake("taken at its output", g * _slope(layer, a))
    yield mistake("applied twice", g * slope * slope)
    yield mistake("divided by", np.where(slope, g / np.where(slope, slope, 1), 0))
    yield mistake("the function itself", g * a)
    for kind, formula in FROM_OUTPUT.items():
        said = f"that of {kind.__name__} in terms of its output"
        yield mistake(said, g * formula(a))
        yield mistake(f"{said}, but at the input", g * formula(z))
    yield Mistake(
        "path-lost", i, f"the gradient from above {name} is not multiplied in", right, {"lost": "all from above"}, slope
    )


@mistakes_of(ly.Activation)
def derivatives_of_others(layer: ly.Activation, trace: Trace, i: int) -> Iterator[Mistake]:
    z, g, name = trace.inputs[i], trace.above[i], trace.name(i)
    right = f"multiply by the derivative of {type(layer).__name__}"
    for other in OTHERS:
        if other != layer:
            how = f"that of {other!r}"
            why = f"the derivative of {name} is {how}"
            yield Mistake("activation-derivative", i, why, right, {"how": how}, g * _slope(other, z), habit=how)
    for k in trace.alike(i):
        uses = trace.entering(k)
        why = f"the derivative of {name} is taken at {uses}"
        below = g * _slope(layer, trace.inputs[k])
        yield Mistake(
            "stale-activation", i, why, "take it at this layer's own input", {"uses": uses}, below, habit=f"slope {k - i:+d}"
        )


@mistakes_of(ly.SiLU, ly.GELU)
def product_rule(_: ly.Activation, trace: Trace, i: int) -> Iterator[Mistake]:
    """z s(z) has two paths: s(z) + z s'(z)."""
    z, a, g, name = trace.inputs[i], trace.inputs[i + 1], trace.above[i], trace.name(i)
    gate = np.where(z, a / np.where(z, z, 1), 0.5)
    slope = trace.pullbacks[i](np.ones_like(g))[0]
    for lost, kept in (("z s'(z)", gate), ("s(z)", slope - gate)):
        why = f"of the derivative of {name}, s(z) + z s'(z), the term {lost} is missing"
        yield Mistake("path-lost", i, why, "a product has two terms", {"lost": lost}, g * kept, habit=lost)


OTHERS = (
    *(ly.Arctan(), ly.Tanh(), ly.Sigmoid(), ly.ReLU(), ly.SiLU(), ly.Softplus(), ly.GELU(), ly.GELU(approximate="tanh")),
    *(ly.LeakyReLU(slope=slope) for slope in (0.01, 0.1, 0.2, 0.3)),
    *(ly.ELU(), ly.Identity()),
)


def _slope(layer: ly.Layer, z: Array) -> Array:
    """rho'(z)"""
    _, pullback = find(LAYER_RULES, layer)(layer, {}, z, NEW)
    return pullback(np.ones_like(z))[0]


# Losses: the gradient at the output


@mistakes_of(ls.CrossEntropy)
def softmax(_: ls.CrossEntropy, trace: Trace, i: int) -> Iterator[Mistake]:
    """(p - onehot(y)) / n with p the softmax over classes."""
    z, y = trace.inputs[-1], trace.batch.targets
    n, hot = len(z), np.eye(z.shape[1], dtype=z.dtype)[trace.batch.targets]
    e = np.exp(z - z.max())
    p = trace.top * n + hot
    right = "(softmax(z) - onehot(y)) / n"
    yield Mistake(
        "wrong-axis", i, "the softmax runs over samples", "over classes, axis 1", below=(e / e.sum(axis=0) - hot) / n
    )
    yield Mistake("path-lost", i, "the target's own term, -onehot(y), is missing", right, {"lost": "-onehot(y)"}, p / n)
    yield Mistake("path-lost", i, "the softmax's term is missing", right, {"lost": "softmax(z)"}, -hot / n)
    how = "applied once more: the loss has it already"
    for derivative in (p * (1 - p), p * (1 - p[np.arange(n), y][:, None])):
        below = trace.top * derivative
        yield Mistake("activation-derivative", i, f"that of the softmax is {how}", right, {"how": how}, below)


@mistakes_of(ls.Logistic, ls.BinaryCrossEntropy)
def sigmoid_again(_: ls.Loss, trace: Trace, i: int) -> Iterator[Mistake]:
    """From logits: the sigmoid's derivative has cancelled."""
    s = 1 / (1 + np.exp(-trace.inputs[-1]))
    how = "applied once more: the loss has it already"
    below = trace.top * s * (1 - s)
    yield Mistake("activation-derivative", i, f"that of the sigmoid is {how}", "leave it out", {"how": how}, below)
