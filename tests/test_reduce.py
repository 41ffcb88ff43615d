"""A failing case is taken apart until no single step leaves it failing, and what is left still fails."""

import numpy as np
import pytest

from gradcheck import GELU, MSE, Case, CrossEntropy, Dense, Logistic, Network, ReLU, Sigmoid, Tanh
from gradcheck.campaign.shrinking.reduce import is_small, reduced
from gradcheck.network.reference import forward

WIDE = (Dense(5), Tanh(), Dense(4, bias=False), GELU(), ReLU(), Dense(6), Sigmoid(), Dense(3))


def case(loss=None, layers=WIDE, **fields):
    return Case(Network((7,), layers, loss or MSE(), weight_decay=0.5), samples=6, seed=3, dtype="float32", **fields)


def has(layer):
    return lambda found: layer in found.network.layers


def dense(found):
    return [layer for layer in found.network.layers if isinstance(layer, Dense)]


def written(found):
    return [*found.parameters.values(), *found.batch]


@pytest.mark.parametrize("loss", [MSE(), Logistic(), CrossEntropy()], ids=repr)
@pytest.mark.parametrize("layer", [Tanh(), GELU(), Sigmoid()], ids=repr)
def test_what_depends_on_one_layer_alone_shrinks_to_it(layer, loss):
    found = reduced(case(loss), has(layer))
    assert found.network == Network((1,), (layer,), loss)
    assert found.dtype == "float64"
    assert len(found.batch.inputs) == 1
    assert not found.batch.inputs.any()


def test_what_is_left_fails_and_every_case_that_was_tried_could_be_built():
    tried = []

    def fails(found):
        tried.append(found.batch.targets.shape[1:] == found.network.target_shape)
        return len(dense(found)) >= 2 and max(layer.units for layer in dense(found)) >= 2

    found = reduced(case(), fails)
    assert fails(found)
    assert all(tried)
    assert sorted(layer.units for layer in dense(found)) == [1, 2]
    assert is_small(found)
    assert not is_small(case())
    assert all(np.array_equal(values, np.round(values)) for values in written(found))


def test_as_many_units_as_samples_stay_as_many():
    found = reduced(case(), lambda each: any(layer.units == len(each.batch.inputs) > 1 for layer in dense(each)))
    assert len(found.batch.inputs) == 2
    assert [layer.units for layer in dense(found)] == [2]


def test_as_many_units_as_inputs_stay_as_many():
    square = (Dense(7), Tanh(), Dense(7), Dense(2))
    found = reduced(case(layers=square), lambda each: any(s == t and s[0] > 1 for s, t in _ends(each)))
    assert [(s, t) for s, t in _ends(found)] == [((2,), (2,))]


def _ends(found):
    shapes = found.network.shapes
    return [(shapes[i], shapes[i + 1]) for i, layer in enumerate(found.network.layers) if isinstance(layer, Dense)]


def test_what_needs_large_numbers_keeps_them_in_one_unit():
    def saturates(found):
        states = forward(found.network, found.parameters, found.batch.inputs)
        return any((z > 30).any() for z, layer in zip(states, found.network.layers, strict=False) if layer == Sigmoid())

    large = case(layers=(Dense(6), Dense(6), Sigmoid(), Dense(2)), scale=4.0)
    assert saturates(large)
    found = reduced(large, saturates)
    assert saturates(found)
    assert is_small(found)


def test_a_case_of_which_nothing_can_be_left_out_stays_as_it_is():
    whole = case()
    assert reduced(whole, lambda each: False) is whole
