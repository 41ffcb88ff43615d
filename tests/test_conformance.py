"""Each layer of the table has all properties that are taken for granted, and a layer that violates one is found."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import msgspec
import numpy as np
import pytest
from hypothesis import Phase, find, settings
from hypothesis.errors import NoSuchExample

from gradcheck import (
    MSE,
    Activation,
    Case,
    Dense,
    DescriptionError,
    GradientMismatch,
    Layer,
    Network,
    Report,
    Residual,
    Unsupported,
    check_backend,
    check_layer,
    register_layer,
    verify,
)
from gradcheck.builds.registry import backend
from gradcheck.campaign.shrinking.dismantling import _plainer
from gradcheck.campaign.shrinking.reduce import reduced
from gradcheck.network.analysis.nodes import RULES
from gradcheck.network.analysis.tape import Rule
from gradcheck.network.layers import LAYERS
from gradcheck.network.layers.base import Start
from gradcheck.network.layers.blocks import Block, Tied
from gradcheck.network.reference import apply, copies, tangents
from gradcheck.network.reference.primitives import primitive
from gradcheck.strategies.composition import ROWS, composed_networks
from gradcheck.verification.conformance import GLUE, SHAPES
from gradcheck.verification.properties import PROPERTIES, Subject

BUILDS = ("manual", "autograd", "torch")
NETWORKS_PAGE = Path(__file__).resolve().parents[1] / "docs" / "networks.md"
EXAMPLES = [
    (layer, shape)
    for row in ROWS
    for fitting in [[shape for shape in SHAPES if row.examples(shape)] or SHAPES[:1]]
    for shape in dict.fromkeys((fitting[0], fitting[0 if issubclass(row, Activation) else -1]))
    for layer in (*row.examples(shape), *GLUE.get(row, ()))
]
PLAINEST = {type(layer): (layer, shape) for layer, shape in reversed(EXAMPLES)}
# One of each kind by default, the last: it has most options.
EACH = [
    pytest.param(
        *pair, id=repr(pair), marks=[pytest.mark.slow] * any(type(pair[0]) is type(later[0]) for later in EXAMPLES[i + 1 :])
    )
    for i, pair in enumerate(EXAMPLES)
]


@pytest.fixture(autouse=True)
def the_table_as_before():
    before = dict(LAYERS), dict(RULES)
    yield
    for table, was in zip((LAYERS, RULES), before, strict=True):
        table.clear()
        table.update(was)


@pytest.mark.parametrize(("layer", "inputs"), EACH)
def test_a_layer_of_the_table_has_every_property_in_every_build(layer, inputs):
    for build in BUILDS[1:]:
        pytest.importorskip(build)
    found = check_layer(layer, inputs, BUILDS)
    found.require(supported=True)
    assert [row.name for row in found.rows] == [*PROPERTIES, *BUILDS]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["conv2d", "max_pool2d", "layer_norm", "batch_norm", "attention", "embedding", "residual"])
def test_a_layer_of_the_table_has_every_property_in_jax(kind):
    pytest.importorskip("jax")
    check_layer(*PLAINEST[LAYERS[kind]], ["jax"]).require(supported=True)


# What only a third party can do wrong: a layer that has every property, and twins of it that each lack one.


class Scaled(Layer, frozen=True):
    """``x * scale``, by a scale for each feature."""

    couples_samples: ClassVar[bool | None] = False

    def output_shape(self, inputs):
        return inputs

    def parameter_shapes(self, inputs):
        return {"scale": (inputs[-1],)}

    def mean(self, p, x):
        return x * p["scale"]


@apply.register
def _(layer: Scaled, parameters, x):
    return layer.mean(parameters, x)


class Shorter(Scaled, frozen=True):
    def mean(self, p, x):
        return (x * p["scale"])[:, :-1]


class AlwaysDouble(Scaled, frozen=True):
    def mean(self, p, x):
        return x * p["scale"] * np.ones(x.shape[-1])


class Random(Scaled, frozen=True):
    def mean(self, p, x):
        return x * p["scale"] * np.random.default_rng().standard_normal(x.shape).astype(x.dtype)


class InPlace(Scaled, frozen=True):
    def mean(self, p, x):
        if isinstance(x, np.ndarray):
            x *= 2
        return x * p["scale"]


class NotAnalytic(Scaled, frozen=True):
    def mean(self, p, x):
        return np.real(x * p["scale"])


class Coupling(Scaled, frozen=True):
    def mean(self, p, x):
        return (x - x.mean(axis=0)) * p["scale"]


class OfTheSize(Scaled, frozen=True):
    def mean(self, p, x):
        return x * p["scale"] / float(len(x))


class OtherCopies(Scaled, frozen=True):
    pass


@copies.each_copy.register
def _(layer: OtherCopies, parameters, moved, x):
    return x * {**parameters, **moved}["scale"].reshape(-1, *(1 for _ in x.shape[2:]), x.shape[-1])[:1]


class OtherTangents(Scaled, frozen=True):
    pass


@tangents.push.register
def _(layer: OtherTangents, parameters, moved, x, tangents):
    return tangents * parameters["scale"]


@primitive
def cubed(x):
    return x * x * x


class Cubed(Rule):
    """A rule of somebody's, who has added up wrongly."""

    def __init__(self, part):
        self.part = part

    def value(self, x):
        return cubed(x)

    def spread(self, node):
        return self.part * np.square(3 * node.arguments[0].value ** 2) * node.arguments[0].spread

    def own(self, node):
        return self.part * np.square(node.value)

    def back(self, node, g):
        return (g * 3 * node.arguments[0] * node.arguments[0],)


class OwnFunction(Scaled, frozen=True):
    def mean(self, p, x):
        return cubed(x * p["scale"])


class Clashing(Scaled, frozen=True):
    def parameter_shapes(self, inputs):
        return {"scale": (inputs[-1],), "scale.more": (1,)}


class Unnamed(Scaled, frozen=True):
    def parameter_shapes(self, inputs):
        return {"scale": (inputs[-1],), "a name": (1,)}


class Infinite(Scaled, frozen=True):
    def start(self, name, shape):
        return Start((0.0, 0.0))


class OtherStarts(Scaled, frozen=True):
    def starts(self, inputs):
        return {**super().starts(inputs), "weight": Start(None)}


class Renamed(Scaled, frozen=True):
    factor: float = 1.0

    def __repr__(self):
        return "Renamed()"


class Growing(Scaled, frozen=True):
    factor: float = 1.0

    def __post_init__(self):
        super().__post_init__()
        msgspec.structs.force_setattr(self, "factor", 2 * self.factor)


class Misfit(Scaled, frozen=True):
    @classmethod
    def examples(cls, inputs):
        return (Dense(2),)


class NoFit(Scaled, frozen=True):
    rank: int = 1

    def output_shape(self, inputs):
        if len(inputs) != self.rank:
            raise DescriptionError(f"expected rank {self.rank}", "rank")
        return inputs

    @classmethod
    def examples(cls, inputs):
        return (cls(), cls(2))


class Unknown(Scaled, frozen=True):
    def mean(self, p, x):
        return np.sort(x, axis=-1) * p["scale"]


TWINS = {
    "another shape than declared": (Shorter(), "shapes", r"declared \(4,\), returned \(3,\) a sample"),
    "another dtype than given": (AlwaysDouble(), "shapes", "given float32, returned float64"),
    "another output at each call": (Random(), "shapes", "asked twice"),
    "arguments changed": (InPlace(), "shapes", "it changed what it was given|asked twice"),
    "a function that is not analytic": (NotAnalytic(), "complex step", "by complex step, .* by real differences"),
    "coupled samples, said to be none": (Coupling(), "samples", "couples_samples says False"),
    "a meaning of the batch's size": (OfTheSize(), "samples", "couples_samples says False"),
    "coupled samples, joined": (Coupling(), "copies", "losses differ by"),
    "copies that are others": (OtherCopies(), "copies", "layer.scale: losses differ by"),
    "tangents that are others": (OtherTangents(), "copies", "layer.scale: slopes differ by"),
    "a name and its beginning": (Clashing(), "names", "'scale' is a parameter, and a part of others"),
    "a name that is none": (Unnamed(), "names", "'a name' is no name"),
    "fans of 0": (Infinite(), "starts", r"scale: fans \(0"),
    "starts of others": (OtherStarts(), "starts", "starts of scale, weight, parameters scale"),
    "a repr of another": (Renamed(2.0), "description", "its repr is that of another"),
    "a table of another": (Growing(), "description", r"TOML gives Growing\(factor=4"),
    "examples of another kind": (Misfit(), "examples", "Dense.* is no Misfit"),
    "examples that do not fit": (NoFit(), "examples", "expected rank 2"),
    "a function that the analysis does not know": (Unknown(), "rounding", "the meaning of Unknown raised .* no numpy.sort"),
}


def seen(layer, backends=()):
    register_layer("of_a_test", type(layer))
    found = check_layer(layer, (4,), backends)
    return {row.name: row for row in found.rows}, found


def test_a_third_partys_layer_has_every_property():
    _, found = seen(Scaled())
    found.require()
    assert found


@pytest.mark.parametrize("twin", TWINS)
def test_a_layer_that_lacks_a_property_is_found(twin):
    layer, name, sentence = TWINS[twin]
    rows, found = seen(layer)
    assert not rows[name].ok
    assert re.search(sentence, rows[name].sentence)
    with pytest.raises(GradientMismatch, match=f"violated: .*{name}"):
        found.require()


@pytest.mark.parametrize(
    ("part", "sentence"), [(1.0, None), (1e-10, "times its bound"), (1e14, "bounds are .* times as wide as errors")]
)
def test_a_rule_that_predicts_too_little_or_too_much_is_found(part, sentence):
    RULES[cubed] = Cubed(part)
    row = seen(OwnFunction())[0]["rounding"]
    assert row.ok == (sentence is None), row.sentence
    assert re.search(sentence or "errors in float32 at most", row.sentence)


def test_a_layer_that_is_not_registered_has_no_description():
    row = next(row for row in check_layer(Scaled(), (4,), ()).rows if row.name == "description")
    assert not row.ok
    assert row.sentence.startswith("Scaled is not registered")


def test_what_does_not_fit_is_refused():
    with pytest.raises(DescriptionError, match=r"inputs\.heads: 3 heads do not divide the width, 4"):
        check_layer(LAYERS["attention"](3), (2, 4))


class Broken(Scaled, frozen=True):
    def mean(self, p, x):
        return x * p["wight"]


RAISING = [
    (Unknown(), r"1: the meaning of Unknown raised TypeError: .* no numpy\.sort; it knows"),
    (Residual((Unknown(),)), r"1\.0: the meaning of Unknown raised TypeError: "),
    (Broken(), r"1: the meaning of Broken raised KeyError: 'wight' \(test_conformance\.py:"),
]


@pytest.mark.parametrize(("layer", "line"), RAISING)
def test_what_a_meaning_raises_is_one_line_of_verify_that_names_the_layer(layer, line):
    with pytest.raises(DescriptionError, match=f"^{line}"):
        verify(Case(Network((4,), (Dense(4), layer), MSE())), ["manual"])


# Builds


def spoilt(network, parameters, batch):
    loss, gradients = backend("manual").build(network).loss_and_gradients(parameters, batch)
    return loss, {**gradients, "layer.bias": gradients["layer.bias"] * (1 + 1e-6)}


def test_a_wrong_build_is_a_row_and_the_others_are_right():
    found = check_layer(Dense(3), (4,), ["manual", spoilt])
    assert found.violated == ("spoilt",)
    assert found.rows[-1].sentence.startswith("layer.bias is wrong: 3 of 3 entries")
    assert str(found).startswith("Dense(units=3, bias=True) for (4,): does not conform\n  ok        shapes")


def test_a_build_without_a_rule_is_unsupported_and_violates_nothing():
    rows, found = seen(Scaled(), ["manual"])
    assert found.unsupported == ("manual",)
    assert rows["manual"].sentence == "unsupported: the manual build has no rule for Scaled"
    found.require()
    with pytest.raises(GradientMismatch, match="unsupported: manual"):
        found.require(supported=True)


def nothing_but_dense(network, parameters, batch):
    for layer in network.layers:
        if type(layer) is not Dense:
            raise Unsupported(f"no {type(layer).__name__}")
    return backend("manual").build(network).loss_and_gradients(parameters, batch)


def test_a_build_that_nothing_is_known_of_has_not_been_proved(monkeypatch):
    monkeypatch.setattr("gradcheck.verification.conformance.verify", lambda *_, **__: Report(title="", findings=()))
    found = check_layer(Dense(3), (4,), ["manual"])
    assert found.violated == ("manual",)
    assert found.rows[-1].sentence == "no gradient could be judged: unresolved"


def test_a_backend_is_looked_at_layer_by_layer():
    found = check_backend(nothing_but_dense)
    assert found
    assert [row.name for row in found.rows] == list(LAYERS)
    assert found.unsupported == tuple(name for name in LAYERS if name != "dense")

    def wrong(network, parameters, batch):
        loss, gradients = nothing_but_dense(network, parameters, batch)
        return loss, {name: -gradient for name, gradient in gradients.items()}

    assert check_backend(wrong).violated == ("dense",)


def test_a_module_that_calls_its_parameters_otherwise_is_found():
    parameter = SimpleNamespace(shape=(3,))
    model = SimpleNamespace(
        module=SimpleNamespace(named_parameters=lambda: [("layer.beta", parameter)]), loss=None, loss_and_gradients=None
    )
    other = SimpleNamespace(build=lambda network: model, __name__="other")
    subject = Subject(Dense(3), (4,), {"other": other}, 0)
    with pytest.raises(Exception, match=r"other's state_dict differs in .*layer\.bias, .*layer\.beta"):
        PROPERTIES["names"](subject)


# Drawing and shrinking


def parts(layers):
    for layer in layers:
        yield layer
        yield from parts(layer.layers if isinstance(layer, Block) else (layer.layer,) if isinstance(layer, Tied) else ())


def has(row):
    return lambda network: any(type(layer) is row for layer in parts(network.layers))


FEW = settings(max_examples=1000, database=None, derandomize=True, phases=[Phase.generate])


@pytest.mark.parametrize("row", ROWS)
def test_a_layer_of_the_table_is_drawn(row):
    assert find(composed_networks(), has(row), settings=FEW)


def test_a_third_partys_layer_is_drawn_where_it_is_asked_for():
    assert find(composed_networks(layers=(*ROWS, Scaled)), has(Scaled), settings=FEW)


class NeverOffered(Scaled, frozen=True):
    @classmethod
    def examples(cls, inputs):
        return ()


def test_a_layer_that_offers_no_examples_is_not_drawn():
    with pytest.raises(NoSuchExample):
        find(composed_networks(layers=(*ROWS, NeverOffered)), has(NeverOffered), settings=settings(FEW, max_examples=100))


def test_no_layer_is_taken_for_smaller_than_itself():
    assert [layer for layer, _ in EXAMPLES if layer in list(_plainer(layer))] == []


@pytest.mark.parametrize("row", ROWS)
def test_a_case_shrinks_to_the_layer_that_matters(row):
    case = Subject(*PLAINEST[row], {}, 0).case()
    small = reduced(case, lambda case: has(row)(case.network))
    assert len(small.network.layers) <= 1 + (row is Tied)
    assert len(small.batch.inputs) <= small.network.least_samples
    assert len(reduced(case, lambda case: has(row)(case.network) and has(Dense)(case.network)).network.layers) <= 2


# What pages say


def rows_of(page):
    return {name for row in re.findall(r"^\| (`.*?) \|", page, re.MULTILINE) for name in re.findall(r"`(\w+)", row)}


def test_every_layer_has_a_row_in_the_documentation():
    page = NETWORKS_PAGE.read_text()
    assert rows_of(page) >= {name for name, row in LAYERS.items() if row in ROWS}
    assert "attention" not in rows_of(page.replace("| `attention", "| `attentive"))
