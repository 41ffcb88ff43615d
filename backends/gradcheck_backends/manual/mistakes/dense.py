"""Mistakes in dense layers, z = x W^T + b; each right formula stands in the remedy."""

from collections.abc import Iterator

import numpy as np

from gradcheck.network.layers import Dense
from gradcheck_backends.manual.mistakes.trace import Mistake, Row, Step, Table

UNITS = 64  # of a layer, each of which may be left out; of wider layers the first so many


def reductions(layer: Dense, step: Step) -> Iterator[Mistake]:
    """The bias gradient is a sum over samples, and nothing else."""
    if not layer.bias:
        return
    i, g, said, right = step.index, step.g, f"the bias of {step.name} is", "sum over the samples, axis 0"
    mean, everything = {"bias": g.mean(axis=0)}, {"bias": np.full(g.shape[1:], g.sum())}
    yield Mistake("mean-for-sum", i, f"{said} a mean over samples", right, {"n": len(g)}, own=mean)
    yield Mistake("wrong-axis", i, f"{said} summed over both axes", right, own=everything, habit="bias of all")
    if g.shape[0] == g.shape[1]:
        over_units = {"bias": g.sum(axis=1)}
        yield Mistake("wrong-axis", i, f"{said} summed over units", right, own=over_units, habit="bias axis")


def accumulation(layer: Dense, step: Step) -> Iterator[Mistake]:
    """A loop over samples that assigns where it should add."""
    right, n = "add each sample's contribution", len(step.g)
    for kept in (-1, 0):
        g, x = step.g[kept], step.x[kept]
        own = {"weight": np.outer(g, x)} | ({"bias": g} if layer.bias else {})
        for names in ({"weight", "bias"}, {"weight"}, {"bias"}):
            lost = {key: value for key, value in own.items() if key in names}
            why = f"the {' and '.join(lost)} of {step.name} hold one sample's contribution alone"
            evidence, habit = {"kept": kept % n}, f"{sorted(lost)} {kept}"
            yield Mistake("overwritten", step.index, why, right, evidence, own=lost, habit=habit)


def inputs_of_others(_: Dense, step: Step) -> Iterator[Mistake]:
    """The weight gradient is g^T x with x this layer's own input."""
    for uses, above, x in step.others():
        why, own = f"the weight of {step.name} is formed with {uses}", {"weight": step.g.T @ x}
        right, habit = "use this layer's own input", f"input {above:+d}"
        yield Mistake("stale-activation", step.index, why, right, {"uses": uses}, own=own, habit=habit)


def handed_down(_: Dense, step: Step) -> Iterator[Mistake]:
    """What goes on to the layer below is g W: all units of it, and W not transposed."""
    i, g, name = step.index, step.g, step.name
    if i == 0:
        return
    weight = step.trace.parameters[step.trace.network.wiring[i]["weight"]]
    if weight.shape[0] == weight.shape[1]:
        yield Mistake("transposed", i, f"{name} hands down g W^T", "hand down g W", below=g @ weight.T, habit="W^T")
    for unit in range(min(UNITS, weight.shape[0])):
        lost, below = f"unit {unit} of {name}", np.delete(g, unit, axis=1) @ np.delete(weight, unit, axis=0)
        yield Mistake("path-lost", i, f"{lost} hands nothing down", "add up over all units", {"lost": lost}, below)


def _on_vectors(row: Row) -> Row:
    """Only where a sample is a vector."""
    return lambda layer, step: row(layer, step) if step.x.ndim == 2 else iter(())


MISTAKES: Table = {Dense: tuple(map(_on_vectors, (reductions, accumulation, inputs_of_others, handed_down)))}
