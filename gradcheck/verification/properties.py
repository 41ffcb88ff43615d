"""What a layer must have so that all that is derived from its description and meaning is right: a function a property."""

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import tomli_w

from gradcheck.builds.protocol import Backend, HasModule, built
from gradcheck.cases.case import SPREADS, Case
from gradcheck.errors import Unsupported
from gradcheck.foundation.arithmetic import COMPLEX_STEP
from gradcheck.foundation.arrays import Array, dot
from gradcheck.network import losses as ls
from gradcheck.network.layers import LAYERS, Dense, Layer, Shape
from gradcheck.network.network import Network, by_layer, from_table, to_table
from gradcheck.network.reference import copies, meaning
from gradcheck.network.reference.coupling import coupled, is_measured
from gradcheck.network.reference.tangents import derivative
from gradcheck.verification.measured_rounding import ratios
from gradcheck.verification.problem import Problem, posed

SAMPLES, SCALE = 5, 0.5  # a small network, of weights that saturate nothing
POINTS = 3  # copies at once
SEEN = 1e-4  # of a slope: an estimate that is known no better shows nothing
WIDEST = 1e4  # times as wide as what it bounds, and a bound says nothing


class Violated(Exception):
    """A property that a layer has not; the message is one sentence."""


class Subject:
    """A layer in a small network: a dense layer before it, where inputs are real, and one behind it."""

    def __init__(self, layer: Layer, inputs: Shape, backends: Mapping[str, Backend], seed: int) -> None:
        self.layer, self.inputs, self.backends, self.seed = layer, inputs, backends, seed

    @cached_property
    def network(self) -> Network:
        """The network; the layer is called ``layer`` in it."""
        before = {"before": Dense(self.inputs[-1])} if self.inputs and self.layer.vocabulary is None else {}
        behind = {"after": Dense(2)} if self.layer.output_shape(self.inputs) else {}
        layers: Any = {**before, "layer": self.layer, **behind}
        return Network(self.inputs, layers, ls.MSE())

    def case(self, init: str = "normal", dtype: Any = "float64", seed: int = 0) -> Case:
        """The network made concrete."""
        samples, scale = max(SAMPLES, self.network.least_samples), SCALE if init == "normal" else 1.0
        return Case(self.network, samples=samples, init=init, scale=scale, dtype=dtype, seed=self.seed + seed)

    @cached_property
    def problem(self) -> Problem:
        return posed(self.case(), 0.0, self.seed, "float64")

    @property
    def place(self) -> int:
        """The layer's number."""
        return self.network.layers.index(self.layer)

    @property
    def own(self) -> dict[str, Array]:
        """The layer's parameters, by its own names."""
        return dict(by_layer(self.network, self.case().parameters)[self.place])

    @property
    def x(self) -> Array:
        """What the layer is given: outputs of the dense layer, or indices."""
        case = self.case()
        before = by_layer(self.network, case.parameters)[: self.place]
        x = case.batch.inputs
        for layer, own in zip(self.network.layers, before, strict=False):
            x = meaning.apply(layer, own, x)
        return x


def shapes(subject: Subject) -> str:
    """The meaning returns what is declared, for any number of samples and in any dtype, twice the same."""
    layer, own, x = subject.layer, subject.own, subject.x
    declared = layer.output_shape(subject.inputs)
    kept = [value.copy() for value in (*own.values(), x)]
    for dtype in (np.float32, np.float64, np.complex128):
        cast = {name: value.astype(dtype) for name, value in own.items()}
        z = x if x.dtype.kind == "i" else x.astype(dtype)
        for given in (z, np.concatenate([z, z])):
            y = meaning.apply(layer, cast, given)
            _require(np.shape(y) == (len(given), *declared), f"declared {declared}, returned {np.shape(y)[1:]} a sample")
            wide = dtype if cast or x.dtype.kind == "f" else y.dtype
            _require(y.dtype == wide, f"given {np.dtype(dtype)}, returned {y.dtype}")
            _require(np.array_equal(y, meaning.apply(layer, cast, given)), "asked twice, it returned something else")
    _require(all(map(np.array_equal, kept, (*own.values(), x))), "it changed what it was given")
    return f"{subject.inputs} to {declared}, in every dtype"


def complex_step(subject: Subject) -> str:
    """Imaginary parts give the slopes that differences of real losses see."""
    problem, seen = subject.problem, 0
    claim = {name: problem.tangents.gradient(name) for name in problem.parameters}
    for name, gradient in claim.items():
        v = _direction(name, gradient.shape)
        ours, theirs = dot(gradient, v), problem.real.slope({name: v}, {name: gradient})
        far = abs(ours - theirs.value) - problem.allowed[name].along(v)
        _require(not far > theirs.bound, f"{name}: {ours:.6g} by complex step, {theirs.value:.6g} by real differences")
        seen += theirs.bound < SEEN * abs(ours)
    _require(seen > 0 or not claim, "no slope is large enough to be differenced")
    return f"slopes as real differences see them, in {seen} of {len(claim)} blocks"


def samples(subject: Subject) -> str:
    """Whoever says that his samples know nothing of each other is asked for each by itself."""
    said = bool(coupled(subject.network, subject.case().parameters, subject.problem.tangents.states) & {subject.place})
    measured = is_measured(subject.layer, subject.own, subject.x)
    _require(said or not measured, "a sample's output depends on the others of its batch, and couples_samples says False")
    return "samples are coupled, and said to be" if said else "each sample by itself"


def as_a_loop(subject: Subject) -> str:
    """Losses and slopes of many copies at once are those of one after the other."""
    problem, network = subject.problem, subject.network
    (x, y), at = problem.batch.astype(np.float64), problem.parameters
    rng = np.random.default_rng(subject.seed)
    for name, value in at.items():
        moves = rng.standard_normal((POINTS, *value.shape))
        stack = {name: value + 0.1 * moves}
        together = copies.losses(network, at, x, y, stack, problem.tangents.coupled)
        alone = np.array([meaning.loss(network, {**at, name: each}, x, y) for each in stack[name]])
        _close(f"{name}: losses", together, alone, problem.bounds.loss)
        stepped = [{**at, name: value + 1j * COMPLEX_STEP * each} for each in moves]
        loop = np.array([derivative(meaning.loss(network, each, x, y)) for each in stepped])
        allowed = max(problem.allowed[name].along(each) for each in moves)
        _close(f"{name}: slopes", problem.tangents.along({name: moves}), loop, allowed)
        entries = moves.reshape(POINTS, -1) @ problem.tangents.gradient(name).ravel()
        _close(f"{name}: gradient", entries, loop, allowed)
    return f"{POINTS} copies at once as in a loop"


def rounding(subject: Subject) -> str:
    """Bounds hold for a pass in float32, and are not much wider than its errors."""
    own = {name: value.astype(np.float32).astype(np.float64) for name, value in subject.own.items()}
    x = subject.x if subject.x.dtype.kind == "i" else subject.x.astype(np.float32).astype(np.float64)
    found = ratios(subject.layer, own, x, np.random.default_rng(subject.seed))
    for name, ratio in found.items():
        _require(not np.any(ratio > 1), f"{name}: an error in float32 is {np.max(ratio):.3g} times its bound")
    each = np.concatenate([ratio.ravel() for ratio in found.values()])
    each = each[each > 0]
    if not each.size:
        return "nothing is rounded"
    median = float(np.median(each))
    _require(median > 1 / WIDEST, f"bounds are {1 / median:.3g} times as wide as errors in float32")
    return f"errors in float32 at most {each.max():.2g} of their bounds, median {median:.1g}"


def starts(subject: Subject) -> str:
    """Parameters are drawn, finite and of the declared shapes, for every ``init``."""
    declared = subject.layer.parameter_shapes(subject.inputs)
    said = subject.layer.starts(subject.inputs)
    _require(said.keys() == declared.keys(), f"starts of {', '.join(said)}, parameters {', '.join(declared)}")
    for name, start in said.items():
        _require(not start.fans or start.fans[0] > 0 <= start.fans[1], f"{name}: fans {start.fans}")
    for init in SPREADS:
        drawn = subject.case(init).parameters  # refuses what is not finite
        _require({name: value.shape for name, value in drawn.items()} == subject.network.parameter_shapes, init)
    return f"{', '.join(SPREADS)} give finite parameters" if declared else "no parameters"


def description(subject: Subject) -> str:
    """The description comes back from TOML, from JSON and from its ``repr``."""
    network = subject.network
    table = to_table(network)
    for kind, back in (("TOML", tomllib.loads(tomli_w.dumps(table))), ("JSON", json.loads(json.dumps(table)))):
        _require(from_table(back) == network, f"{kind} gives {from_table(back).layers[subject.place]!r}")
    rows: dict[str, Any] = {row.__name__: row for row in LAYERS.values()}
    _require(eval(repr(subject.layer), rows) == subject.layer, f"its repr is that of another: {subject.layer!r}")
    return "TOML, JSON and repr, both ways"


def names(subject: Subject) -> str:
    """Parameters can stand in a ``state_dict``; where a build has a module, it calls them so."""
    own = subject.layer.parameter_shapes(subject.inputs)
    for name in own:
        _require(re.fullmatch(r"\w+(\.\w+)*", name), f"{name!r} is no name with dots between")
        _require(not any(other.startswith(f"{name}.") for other in own), f"{name!r} is a parameter, and a part of others")
    shared = list[str]()
    for backend, module in ((name, _module(each, subject.network)) for name, each in subject.backends.items()):
        if module is None:
            continue
        theirs = {name: tuple(parameter.shape) for name, parameter in module.named_parameters()}
        ours = subject.network.parameter_shapes
        differ = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
        _require(not differ, f"{backend}'s state_dict differs in {', '.join(differ)}")
        shared.append(f", as in {backend}'s state_dict")
    return f"{', '.join(own) or 'none'}{''.join(shared)}"


def examples(subject: Subject) -> str:
    """What is offered to be drawn fits the input that it is offered for."""
    row = type(subject.layer)
    offered = row.examples(subject.inputs)
    for example in offered:
        _require(type(example) is row, f"{example!r} is no {row.__name__}")
        example.output_shape(subject.inputs)
    return f"{len(offered)} to draw" if offered else "none: it is not drawn for such an input"


PROPERTIES: dict[str, Callable[[Subject], str]] = {
    "shapes": shapes,
    "complex step": complex_step,
    "samples": samples,
    "copies": as_a_loop,
    "rounding": rounding,
    "starts": starts,
    "description": description,
    "names": names,
    "examples": examples,
}


def _require(holds: object, sentence: str) -> None:
    if not holds:
        raise Violated(sentence)


def _close(what: str, together: Array, alone: Array, allowed: float) -> None:
    far = np.abs(together - alone)
    _require(not np.any(far > allowed), f"{what} differ by {far.max():.3g}, rounding by {allowed:.3g}")


def _direction(name: str, shape: Shape) -> Array:
    return np.random.default_rng(list(name.encode())).choice([-1.0, 1.0], shape)


def _module(backend: Backend, network: Network) -> Any:
    try:
        model = built(backend, network)
    except Unsupported:
        return None
    return model.module if isinstance(model, HasModule) else None
