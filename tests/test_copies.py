"""Many points at once give what one point at a time gives: every layer, every loss, one entry and all of them moved."""

from functools import partial

import numpy as np
import pytest

from gradcheck import Case, CrossEntropy, Dense, Identity, Network, Tanh
from gradcheck.foundation.arithmetic import COMPLEX_STEP_FLOAT32
from gradcheck.network import layers as ly
from gradcheck.network import reference
from gradcheck.network.analysis.switches import distances
from gradcheck.network.reference import copies, meaning
from gradcheck.oracles.complex_step import complex_step
from gradcheck.strategies import ACTIVATIONS, LOSSES


class Gain(ly.Layer, frozen=True):
    """A third party's: each feature by a factor of its own, whose rule in the reference is for one batch at a time."""

    def output_shape(self, inputs):
        return inputs

    def parameter_shapes(self, inputs):
        return {"gain": inputs, "weight": (1,)}


@reference.apply.register
def _(_layer: Gain, parameters, x):
    assert x.ndim == 2
    assert parameters["gain"].ndim == 1
    return np.tanh(x * parameters["gain"] + parameters["weight"])


class Centred(ly.Activation, frozen=True):
    """What no layer may do: a sample's output depends on the others."""


@reference.apply.register
def _(_layer: Centred, _parameters, x):
    return x - x.mean(axis=0)


def case_of(*layers, loss, decay=0.0):
    return Case(Network((3,), (Dense(4), *layers, Dense(2)), loss, weight_decay=decay), samples=5, seed=3)


def one_by_one(case, name, directions):
    loss = partial(reference.loss, case.network, inputs=case.batch.inputs, targets=case.batch.targets)
    return np.array([complex_step(loss, case.parameters, {name: v}) for v in directions])


def stacked(case, name, directions):
    moved = {name: case.parameters[name] + 1j * COMPLEX_STEP_FLOAT32 * directions}
    with np.errstate(all="ignore"):
        return np.imag(copies.losses(case.network, case.parameters, *case.batch, moved)) / COMPLEX_STEP_FLOAT32


def agrees(case) -> bool:
    """Along every entry of every block, and along random directions, to rounding."""
    rng = np.random.default_rng(1)
    for name, value in case.parameters.items():
        units = np.eye(value.size).reshape(-1, *value.shape)
        for directions in (units, rng.standard_normal((7, *value.shape))):
            expected = one_by_one(case, name, directions)
            if not np.allclose(stacked(case, name, directions), expected, rtol=1e-13, atol=1e-13 * np.abs(expected).max()):
                return False
    return True


@pytest.mark.parametrize("layer", [*ACTIVATIONS, Dense(4), Dense(3, bias=False), Gain()], ids=repr)
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_complex_steps_of_all_copies_are_those_of_each_point(layer, loss):
    assert agrees(case_of(layer, loss=loss))
    assert agrees(case_of(layer, Gain(), loss=loss, decay=0.3))


def test_a_mistake_is_noticed(monkeypatch):
    """The twin: weight decay left out, a bias for each sample in place of each copy, and samples that know each other."""
    assert not agrees(case_of(Centred(), loss=LOSSES[0]))
    with monkeypatch.context() as patched:
        patched.setattr(copies, "_squares", lambda *_: 0.0)
        assert not agrees(case_of(Tanh(), loss=LOSSES[0], decay=0.3))
    case = Case(Network((3,), (Dense(5),), LOSSES[0]), samples=5)  # as many samples as biases
    assert agrees(case)
    monkeypatch.setattr(copies, "each_copy", lambda layer, own, moved, x: reference.apply(layer, {**own, **moved}, x))
    assert not agrees(case)


def test_real_points_that_differ_in_everything_have_the_losses_of_each():
    case = case_of(Gain(), Tanh(), loss=CrossEntropy(), decay=0.3)
    moved = {name: value + np.multiply.outer([-0.5, 0.0, 0.25], value) for name, value in case.parameters.items()}
    found = copies.losses(case.network, case.parameters, *case.batch, moved)
    each = [{name: stack[i] for name, stack in moved.items()} for i in range(3)]
    expected = [reference.loss(case.network, point, *case.batch) for point in each]
    assert np.allclose(found, expected, rtol=1e-14)


def test_memory_is_bounded_and_the_parts_add_up(monkeypatch):
    case = case_of(Tanh(), loss=LOSSES[0])
    units = np.eye(12).reshape(-1, 4, 3)
    whole = stacked(case, "0.weight", units)
    sizes: list[int] = []
    honest = meaning.losses
    monkeypatch.setattr(meaning, "losses", lambda loss, z, y: sizes.append(len(z)) or honest(loss, z, y))
    for limit, most in ((100, 25), (1, 5)):
        monkeypatch.setattr(copies, "AT_ONCE", limit)
        sizes.clear()
        assert np.allclose(stacked(case, "0.weight", units), whole, rtol=1e-14)
        assert max(sizes) == most


@pytest.mark.parametrize("layer", [Identity(), *(layer for layer in ACTIVATIONS if layer.joints)], ids=repr)
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_distances_of_many_points_are_those_of_each(layer, loss):
    case = case_of(layer, loss=loss)
    there = partial(distances, case.network, case.parameters, *case.batch)
    stack = {"2.weight": np.multiply.outer([1.0, -1.0, 2.0], case.parameters["2.weight"])}
    stacked_distances = there(stack)
    assert stacked_distances.shape[1] == 20 * len(layer.joints) + 10 * len(loss.joints)
    for row, value in zip(stacked_distances, stack["2.weight"], strict=False):
        np.testing.assert_allclose(there({"2.weight": value[None]})[0], row, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(there({})[0], stacked_distances[0], rtol=1e-13, atol=1e-13)
