"""Derivatives pushed forward layer by layer are those of a complex step through the whole reference."""

from functools import partial

import numpy as np
import pytest
from test_copies import Gain

import gradcheck
from gradcheck import Case, Dense, Network, ReLU, Tanh
from gradcheck.foundation.arithmetic import COMPLEX_STEP
from gradcheck.network import reference
from gradcheck.network.reference import tangents
from gradcheck.network.reference.tangents import Tangents
from gradcheck.oracles.complex_step import complex_step
from gradcheck.strategies import ACTIVATIONS, LOSSES

SHAPES = {
    "in the middle": lambda layer: (Dense(4), layer, Dense(3)),
    "first, twice, last": lambda layer: (layer, Dense(3), layer, layer, Dense(3), layer),
    "without bias": lambda layer: (Dense(4, bias=False), Dense(3), layer),
}


def case_of(layers, loss, decay=0.1):
    return Case(Network((3,), layers, loss, weight_decay=decay), samples=5, seed=3)


def expected(case, name, directions):
    loss = partial(reference.loss, case.network, inputs=case.batch.inputs, targets=case.batch.targets)
    return np.array([complex_step(loss, case.parameters, {name: v}, COMPLEX_STEP) for v in directions])


def agree(case) -> bool:
    """Every entry of every block, and every block along its entries and along random directions."""
    rng, found = np.random.default_rng(1), Tangents(case.network, case.parameters, *case.batch)
    for name, value in case.parameters.items():
        units = np.eye(value.size).reshape(-1, *value.shape)
        right = expected(case, name, units)
        directions = rng.standard_normal((2, *value.shape))
        close = partial(np.allclose, rtol=1e-12, atol=1e-13 * max(np.abs(right).max(), 1e-3))
        if not (close(found.gradient(name).ravel(), right) and close(found.along({name: units}), right)):
            return False
        if not close(found.along({name: directions}), expected(case, name, directions)):
            return False
    return True


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
@pytest.mark.parametrize("layer", ACTIVATIONS, ids=repr)
def test_they_are_those_of_the_whole_reference(layer, loss, shape):
    assert agree(case_of(SHAPES[shape](layer), loss))


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_a_third_partys_layer_with_parameters_is_differentiated_by_a_step_of_its_own(loss):
    assert agree(case_of((Gain(), Dense(4), Gain(), Tanh(), Gain(), Dense(3), Gain()), loss))


def test_a_direction_may_move_everything_at_once():
    case = case_of((Dense(4), Tanh(), Dense(3)), LOSSES[0])
    rng, found = np.random.default_rng(1), Tangents(case.network, case.parameters, *case.batch)
    v = {name: rng.standard_normal((3, *value.shape)) for name, value in case.parameters.items()}
    by_block = sum((found.gradient(name) * v[name]).reshape(3, -1).sum(axis=1) for name in v)
    np.testing.assert_allclose(found.along(v), by_block, rtol=1e-12)


def test_a_mistake_in_a_rule_is_noticed(monkeypatch):
    """The twin: the bias, weight decay, or the input's tangent left out."""
    case = case_of((Dense(4), Tanh(), Dense(3)), LOSSES[0])
    assert agree(case)
    with monkeypatch.context() as patched:
        patched.setattr(Tangents, "_decay", lambda *_: 0.0)
        assert not agree(case)
    with monkeypatch.context() as patched:
        plain = tangents.push
        patched.setattr(tangents, "push", lambda layer, own, moved, x, t: plain(layer, own, moved, x, 0 * t))
        assert not agree(case_of((Dense(4), Dense(3), Dense(2)), LOSSES[0]))
    monkeypatch.setattr(
        Tangents, "slopes", [None, 1.01 * Tangents(case.network, case.parameters, *case.batch).slopes[1], None]
    )
    assert not agree(case)


@pytest.mark.parametrize("widths", [(40, 60, 30), (300, 40)])
def test_units_go_up_in_parts_where_they_do_not_fit_at_once(widths, monkeypatch):
    layers = tuple(layer for units in widths for layer in (Dense(units), ReLU()))
    case = Case(Network((5,), (*layers, Dense(3)), gradcheck.CrossEntropy()), samples=20, init="he")
    whole = Tangents(case.network, case.parameters, *case.batch)
    monkeypatch.setattr(tangents, "ROOM", 1)
    parts = Tangents(case.network, case.parameters, *case.batch)
    for name in case.parameters:
        np.testing.assert_allclose(parts.gradient(name), whole.gradient(name), rtol=1e-12, atol=1e-15)


def test_a_loss_with_many_outputs_is_differentiated_along_few_tangents_one_by_one():
    case = Case(Network((3,), (Dense(50),), gradcheck.CrossEntropy()), samples=4)
    found = Tangents(case.network, case.parameters, *case.batch)
    v = np.random.default_rng(0).standard_normal((2, 50, 3))
    few = found.along({"0.weight": v})
    assert "top" not in found.__dict__
    np.testing.assert_allclose(few, expected(case, "0.weight", v), rtol=1e-12)
    np.testing.assert_allclose(few, np.tensordot(v, found.gradient("0.weight")), rtol=1e-11)


WIDE = Case(Network((30,), (Dense(60), Tanh(), Dense(60), Tanh(), Dense(1)), gradcheck.MSE()), samples=64, init="he")


def spoilt(entry, relative):
    """The manual build with one entry of the second weight off."""

    def wrong(network, parameters, batch):
        loss, gradients = gradcheck.backend("manual").build(network).loss_and_gradients(parameters, batch)
        gradients["2.weight"][entry] *= 1 + relative
        return loss, gradients

    return wrong


def test_every_entry_is_held_against_one_where_that_is_asked_for():
    report = gradcheck.verify(WIDE, ["manual"], every_entry=True)
    assert report.verdict is gradcheck.Verdict.CORRECT
    assert any("every entry, 5,581 in all" in note for note in report.notes)
    finest = {finding.name: finding.resolution for finding in report.findings}
    report = gradcheck.verify(WIDE, [spoilt((17, 41), 1e-10)], every_entry=True)
    assert report.wrong == {"2.weight"}
    assert report.findings[3].worst_index == (17, 41)
    assert finest["2.weight"] < 1e-11
