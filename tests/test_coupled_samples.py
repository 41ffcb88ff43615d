"""A layer that couples samples, such as a batch normalisation: correct builds are correct, and planted faults are found."""

from typing import ClassVar

import numpy as np
import pytest

import gradcheck
from gradcheck import MSE, Case, Dense, Network, ReLU, Tanh, Verdict
from gradcheck.network import layers as ly
from gradcheck.network import reference
from gradcheck.network.reference import copies
from gradcheck.network.reference.coupling import coupled
from gradcheck.network.reference.tangents import Tangents

EPS = 0.1


class Scaled(ly.Layer, frozen=True):
    """A third party's: each feature times a factor, plus a shift."""

    def output_shape(self, inputs):
        return inputs

    def parameter_shapes(self, inputs):
        return {"gain": inputs, "shift": inputs}

    def standard(self, x):
        """What is scaled, and by what the gradient is divided."""
        return x, np.ones(x.shape[1])


class BatchNorm(Scaled, frozen=True):
    """The same of features that are standardised over the batch; it does not say that it couples samples."""

    def standard(self, x):
        centred = x - x.mean(axis=0)
        deviation = np.sqrt((centred**2).mean(axis=0) + EPS)
        return centred / deviation, deviation


class Declared(BatchNorm, frozen=True):
    """The same, and says so."""

    couples_samples: ClassVar[bool | None] = True


class Mistaken(BatchNorm, frozen=True):
    """The same, and says the contrary."""

    couples_samples: ClassVar[bool | None] = False


class Centred(ly.Activation, frozen=True):
    """What is no activation."""


@reference.apply.register
def _(_layer: Centred, _parameters, x):
    return x - x.mean(axis=0)


@reference.apply.register
def _(layer: Scaled, parameters, x):
    return parameters["gain"] * layer.standard(x)[0] + parameters["shift"]


def backward(layer, parameters, x, g):
    h, deviation = layer.standard(x)
    scaled = parameters["gain"] * g
    if isinstance(layer, BatchNorm):
        scaled = scaled - scaled.mean(axis=0) - h * (scaled * h).mean(axis=0)
    return scaled / deviation, {"gain": (g * h).sum(axis=0), "shift": g.sum(axis=0)}


def build(network, parameters, batch, factor=1.0):
    """By hand; the twin has another factor in the weight that lies below the layer."""
    x, y = batch
    first, layer, activation, last = network.layers
    own = {name.partition(".")[2]: value for name, value in parameters.items() if name.startswith("1.")}
    z = reference.apply(first, {"weight": parameters["0.weight"]}, x)
    h = reference.apply(layer, own, z)
    a = reference.apply(activation, {}, h)
    d = reference.apply(last, {"weight": parameters["3.weight"], "bias": parameters["3.bias"]}, a) - y
    g = 2 * d / d.size
    below = (g @ parameters["3.weight"]) * (1 - a**2 if isinstance(activation, Tanh) else h > 0)
    below, inner = backward(layer, own, z, below)
    gradients = {"0.weight": factor * below.T @ x, "3.weight": g.T @ a, "3.bias": g.sum(axis=0)}
    return np.mean(d**2), gradients | {f"1.{name}": value for name, value in inner.items()}


def off(network, parameters, batch):
    return build(network, parameters, batch, factor=1 + 1e-8)


def case_of(layer, activation, units=4, samples=6):
    layers = (Dense(units, bias=False), layer, activation, Dense(2))
    network = Network((3,), layers, MSE())
    rng = np.random.default_rng(2)
    init = {name: rng.standard_normal(shape) for name, shape in network.parameter_shapes.items()}
    return Case(network, samples=samples, init=gradcheck.Given.of(init))


@pytest.mark.parametrize("samples", [1, 6])
@pytest.mark.parametrize("activation", [Tanh(), ReLU()], ids=repr)
@pytest.mark.parametrize("layer", [Scaled(), BatchNorm(), Declared()], ids=repr)
def test_a_correct_build_is_correct_and_a_fault_below_the_layer_is_found(layer, activation, samples):
    case = case_of(layer, activation, samples=samples)
    for every_entry in (False, True):
        assert gradcheck.verify(case, [build], every_entry=every_entry).verdict is Verdict.CORRECT
        if samples > 1 or not isinstance(layer, BatchNorm):  # of one sample nothing is left below a normalisation
            assert gradcheck.verify(case, [off], every_entry=every_entry).wrong == {"0.weight"}


def test_a_layer_that_is_taken_for_uncoupled_is_accused():
    """The twin: what the declaration is there for."""
    assert gradcheck.verify(case_of(Mistaken(), Tanh()), [build]).verdict is not Verdict.CORRECT


def found(layer, samples=6):
    case = case_of(layer, Tanh(), samples=samples)
    return coupled(case.network, case.parameters, reference.forward(case.network, case.parameters, case.batch.inputs))


@pytest.mark.parametrize("samples", [1, 2, 7, 300])
def test_what_a_layer_does_not_say_is_measured(samples):
    assert found(BatchNorm(), samples) == {1}
    assert found(Scaled(), samples) == set()
    assert found(Declared(), samples) == {1}
    assert found(Mistaken(), samples) == set()


class Picky(Scaled, frozen=True):
    """Refuses a batch of one."""

    def standard(self, x):
        if len(x) < 2:
            raise ValueError("a batch of one")
        return super().standard(x)


def test_a_layer_that_refuses_a_batch_of_one_is_asked_copy_by_copy():
    assert found(Picky()) == {1}
    assert gradcheck.verify(case_of(Picky(), Tanh()), [build]).verdict is Verdict.CORRECT


def test_an_activation_that_couples_samples_is_refused_in_one_line():
    case = Case(Network((3,), (Dense(4), Centred(), Dense(2)), MSE()), samples=5)
    with pytest.raises(
        gradcheck.DescriptionError, match=r"layers\[1\]: Centred couples samples, and an Activation acts on each"
    ):
        gradcheck.verify(case, [build])


def test_entries_are_taken_one_by_one_only_where_samples_are_coupled():
    """As many tangents as units, or as entries below the layer, and one for each parameter of the layer's own."""
    units, entries, own, last = 4, 4 * 3, 8, 2
    for layer, tangents in ((Scaled(), units + own + last), (BatchNorm(), entries + own + last)):
        problem = gradcheck.verification.problem.posed(case_of(layer, Tanh()), 0.0, 0, "float64")
        for name in problem.given:
            problem.tangents.gradient(name)
        assert problem.tangents.evaluations == tangents


def test_what_every_entry_costs_counts_a_tangent_an_entry_where_samples_are_coupled():
    """So a large network goes by directions, where its faults are found as well."""
    forward, last = 50 * 3 + 2 * 50, 2 * 50
    assert tangents_of(case_of(Tanh(), Tanh(), units=50)).cost == 1
    assert tangents_of(case_of(BatchNorm(), Tanh(), units=50)).cost >= (forward + 50 * (3 + 1) * last) / forward
    large = case_of(BatchNorm(), Tanh(), units=400, samples=30)
    assert gradcheck.verify(large, [build]).verdict is Verdict.CORRECT
    assert gradcheck.verify(large, [off]).wrong == {"0.weight"}


def tangents_of(case):
    return Tangents(case.network, case.parameters, *case.batch)


def test_our_own_layers_are_not_measured(monkeypatch):
    monkeypatch.setattr(gradcheck.network.reference.coupling.meaning, "apply", None)
    for layer in (*gradcheck.strategies.ACTIVATIONS, Dense(2)):
        network = Network((4,), (Dense(4), layer, Dense(2)), MSE())
        assert coupled(network, {}, [np.ones((3, 4))] * 4) == frozenset()


@pytest.mark.parametrize("activation", [Tanh(), ReLU()], ids=repr)
def test_many_points_at_once_have_the_losses_of_each(activation):
    case = case_of(BatchNorm(), activation)
    moved = {"0.weight": np.multiply.outer([1.0, 1.1, -2.0], case.parameters["0.weight"])}
    each = [reference.loss(case.network, {**case.parameters, "0.weight": one}, *case.batch) for one in moved["0.weight"]]
    together = copies.losses(case.network, case.parameters, *case.batch, moved, coupled={1})
    assert np.allclose(together, each, rtol=1e-13)
    assert not np.allclose(copies.losses(case.network, case.parameters, *case.batch, moved), each, rtol=1e-3)
