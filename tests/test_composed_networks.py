"""Networks over the whole table of layers: all that is meant to be drawn is drawn, fits, and can be taken apart again."""

from collections import Counter
from functools import cache

import numpy as np
import pytest
from hypothesis import Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from gradcheck import (
    GELU,
    MSE,
    Attention,
    BatchNorm,
    Case,
    Conv2d,
    CrossEntropy,
    Dense,
    Embedding,
    Flatten,
    Layer,
    LayerNorm,
    Network,
    ReLU,
    Residual,
    Sequential,
    Tanh,
    Tied,
)
from gradcheck.campaign.shrinking.dismantling import smaller_layers, without_layers
from gradcheck.campaign.shrinking.parts import Parts
from gradcheck.campaign.shrinking.reduce import is_small, reduced
from gradcheck.network.layers import LAYERS, Activation
from gradcheck.network.layers.blocks import Block, leaves
from gradcheck.strategies import LOSSES, ROWS, batches, cases, composed_networks, parameters
from gradcheck.strategies.composition import SAMPLES
from gradcheck.strategies.drawing import networks_with
from gradcheck.strategies.edge_cases import Draft, edge_cases_of, equal_entries


@cache
def drawn(strategy=None, count=400):
    """All of what a run draws."""
    found = []

    @seed(0)
    @settings(max_examples=count, database=None, phases=[Phase.generate])
    @given(composed_networks() if strategy is None else strategy)
    def keep(value):
        found.append(value)

    keep()
    return found


def within(layers):
    """All layers, blocks and what is in them."""
    for layer in layers:
        yield layer
        yield from within(layer.layers if isinstance(layer, Block) else (layer.layer,) if isinstance(layer, Tied) else ())


def kinds(networks):
    return Counter(type(layer) for network in networks for layer in within(network.layers))


def test_every_layer_loss_and_sort_of_sample_is_drawn():
    found = drawn()
    met = kinds(found)
    assert {row for row in ROWS if met[row] < 5} == set()
    assert {loss for loss in LOSSES if loss not in {network.loss for network in found}} == set()
    assert {len(network.inputs) for network in found} == {1, 2, 3}
    assert sum(network.vocabulary is not None for network in found) > 50
    assert any(len(network.shapes[-1]) > 1 and isinstance(network.loss, CrossEntropy) for network in found)
    assert any(network.names for network in found)
    assert any(layer.names == ("",) for network in found for layer in within(network.layers) if isinstance(layer, Block))
    assert any(isinstance(inner, Block) for network in found for each in network.layers for inner in within(each_in(each)))
    assert any(isinstance(layer, Tied) and isinstance(layer.layer, Dense) for n in found for layer in n.layers)


def each_in(layer):
    return layer.layers if isinstance(layer, Block) else ()


def test_what_is_drawn_is_small():
    for network in drawn():
        assert max(network.inputs) <= 8
        assert len(network.layers) <= 8
        assert all(np.prod(shape) <= 128 for shape in network.shapes)


def test_what_is_chosen_is_drawn_and_no_other():
    """The twin of drawing everything."""
    found = drawn(composed_networks(layers=(Conv2d, ReLU), losses=(MSE(),), kinds=("image", "vector")), 100)
    assert set(kinds(found)) == {Conv2d, ReLU, Dense, Flatten}
    assert {len(network.inputs) for network in found} == {3}  # no convolution takes a vector
    assert {network.loss for network in found} == {MSE()}
    narrow = drawn(composed_networks(max_width=2, max_depth=0), 100)
    assert max(side for network in narrow for side in network.inputs) <= 2
    assert {len(network.layers) for network in narrow} <= {0, 1, 2, 3}


class Scale(Layer, frozen=True):
    """A third party's: a factor for each place of a sequence."""

    def output_shape(self, inputs):
        return inputs

    def parameter_shapes(self, inputs):
        return {"factor": inputs[:1]}

    @classmethod
    def examples(cls, inputs):
        return (cls(),) if len(inputs) == 2 else ()


def test_a_third_party_has_its_layers_drawn_too():
    found = drawn(composed_networks(layers=(*ROWS, Scale)), 120)
    assert kinds(found)[Scale] > 5
    assert Scale not in kinds(drawn())


@pytest.mark.parametrize(
    ("names", "sorts"),
    [
        ([], {"flat", "other"}),
        (["tanh", "relu"], {"flat"}),
        (["conv2d", "attention"], {"other"}),
        (["conv2d", "tanh"], {"flat", "other"}),
    ],
)
def test_a_campaign_draws_of_the_layers_that_are_named(names, sorts):
    found = drawn(networks_with(names), 150)
    known = {type(layer) for network in found for layer in leaves(network.layers)}
    wanted = {LAYERS[name] for name in names} or set(ROWS)
    assert {"flat" if network.flat and not network.names else "other" for network in found} >= sorts
    if sorts == {"flat"}:
        assert all(network.flat for network in found)
    assert known - {Dense, Flatten, Embedding} <= wanted
    assert not names or wanted <= known


@pytest.mark.parametrize(
    "arguments",
    [
        {"kinds": ("picture",)},
        {"kinds": ()},
        {"layers": ()},
        {"layers": (Dense(3),)},
        {"layers": (int,)},
        {"losses": ()},
        {"max_depth": -1},
        {"max_width": 0},
    ],
    ids=str,
)
def test_a_bad_argument_is_refused_at_once(arguments):
    (name,) = arguments
    with pytest.raises(InvalidArgument, match=f"^{name}="):
        composed_networks(**arguments)


@given(st.data(), composed_networks(), st.sampled_from(["float64", "float32"]))
def test_parameters_and_batches_fit_the_network(data, network, dtype):
    arrays = data.draw(parameters(network=network, dtype=dtype))
    assert {name: array.shape for name, array in arrays.items()} == network.parameter_shapes
    batch = data.draw(batches(network=network, max_samples=3, dtype=dtype))
    count = len(batch.inputs)
    assert network.least_samples <= count <= max(3, network.least_samples)
    assert batch.inputs.shape == (count, *network.inputs)
    assert batch.targets.shape == (count, *network.target_shape)
    assert batch.inputs.dtype == (dtype if network.vocabulary is None else np.int64)


@given(cases(networks=composed_networks()))
def test_a_case_can_be_used_as_it_was_drawn(case):
    assert {name: value.shape for name, value in case.parameters.items()} == case.network.parameter_shapes
    assert len(case.batch.inputs) >= case.network.least_samples


def test_all_places_may_be_alike_where_there_are_some():
    network, flat = Network((2, 3), (LayerNorm(),), MSE()), Network((3,), (Dense(1),), MSE())
    draft = Draft(network, {}, np.arange(12.0).reshape(2, 2, 3) + 1, np.zeros((2, 2, 3)))
    equal_entries(None, draft, "float64")
    assert (draft.inputs == 1).all()
    assert equal_entries in edge_cases_of(network)
    assert equal_entries not in edge_cases_of(flat)


# Taking apart.

DEEP = Network(
    (5,),
    {
        "embedding": Embedding(9, 4),
        "block": Residual((LayerNorm(), Attention(2, causal=True), Residual((Dense(8), GELU(), Dense(4)))), ("a", "b", "c")),
        "norm": Sequential((BatchNorm(), Tanh())),
        "head": Tied(Dense(9), {"weight": "embedding.weight"}),
    },
    CrossEntropy(),
    weight_decay=0.5,
)
IMAGE = Network((2, 6, 6), (Conv2d(4, 3, padding=1), BatchNorm(), ReLU(), Flatten(), Dense(3)), MSE())


def has(row):
    return lambda case: any(isinstance(layer, row) for layer in within(case.network.layers))


@pytest.mark.parametrize("row", [Embedding, Attention, LayerNorm, BatchNorm, GELU, Tied, Residual, Sequential])
def test_what_depends_on_one_layer_alone_shrinks_to_it(row):
    found = reduced(Case(DEEP, samples=4, seed=3), has(row))
    left = list(within(found.network.layers))
    assert has(row)(found)
    assert len(left) <= {Tied: 3, Residual: 2, Sequential: 2}.get(row, 1), found
    assert len(found.network.shapes[-1]) <= 2
    assert max(side for shape in found.network.shapes for side in shape) <= 2
    assert not found.network.names
    assert not found.network.weight_decay
    assert max(found.network.inputs) <= 2
    assert len(found.batch.inputs) <= 2
    assert all(np.array_equal(values, np.round(values)) for values in (*found.parameters.values(), *found.batch))


@pytest.mark.parametrize("row", [Conv2d, BatchNorm, Flatten])
def test_what_depends_on_a_layer_of_images_shrinks_to_it(row):
    found = reduced(Case(IMAGE, samples=4), has(row))
    assert [type(layer) for layer in found.network.layers] == [row]
    assert is_small(found)
    assert not is_small(Case(IMAGE, samples=4))


def test_what_depends_on_an_option_keeps_it_and_no_other():
    """The twin of shrinking: what is asked for stays."""
    found = reduced(
        Case(DEEP, samples=4), lambda case: any(getattr(layer, "causal", False) for layer in within(case.network.layers))
    )
    assert found.network.layers == (Attention(causal=True, bias=False),)


@settings(max_examples=25)
@given(cases(networks=composed_networks(max_depth=4)))
def test_every_step_from_every_network_is_a_case_and_ends(case):
    steps = 0
    parts = Parts(case.network, case.parameters, *case.batch, case.dtype)
    for smaller in (*without_layers(parts), *smaller_layers(parts)):
        assert {name: value.shape for name, value in smaller.parameters.items()} == smaller.network.parameter_shapes
        assert smaller.network.vocabulary is None or smaller.inputs.max() < smaller.network.vocabulary

    def fails(_):
        nonlocal steps
        steps += 1
        return True

    found = reduced(case, fails)
    assert steps < 300
    assert found.network.layers == ()
    assert len(found.batch.inputs) == 1


def test_values_stay_where_their_layer_stays():
    case = Case(DEEP, samples=4)
    found = reduced(case, lambda smaller: "embedding.weight" in smaller.parameters and not smaller.network.weight_decay)
    kept = found.parameters["embedding.weight"]
    assert found.network.names == ("embedding",)
    assert kept.shape == (1, 1)
    untouched = next(iter(without_layers(Parts(DEEP, case.parameters, *case.batch, "float64"))), None)
    assert untouched is not None


def test_all_rows_but_activations_are_no_functions_of_an_entry():
    assert {row for row in ROWS if issubclass(row, Activation)} == {
        row for row in LAYERS.values() if issubclass(row, Activation)
    }
    assert set(SAMPLES) == {"vector", "sequence", "image", "tokens"}
