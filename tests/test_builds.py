"""The three builds: conventions at kinks, no warning at logits of 1e4, dtypes, names and shapes."""

import warnings

import numpy as np
import pytest

import gradcheck
from gradcheck import Batch, Case, Dense, Hinge, Identity, Network, ReLU, Verdict
from gradcheck.network.losses import Loss, Targets
from gradcheck.strategies import ACTIVATIONS, LOSSES

BUILDS = ("manual", "autograd", "torch")


def gradients(build: str, network: Network, parameters, inputs, targets):
    model = gradcheck.backend(build).build(network)
    return model.loss_and_gradients(parameters, Batch(np.asarray(inputs), np.asarray(targets)))


def slope_at(build: str, layer, z: float) -> float:
    """rho'(z) as the build computes it: the bias gradient of rho(0 x + b), whose loss is the mean of itself."""
    network = Network((1,), (Dense(1), layer), Hinge())  # hinge of a small output: 1 + a for the target -1
    parameters = {"0.weight": np.zeros((1, 1)), "0.bias": np.array([z])}
    _, found = gradients(build, network, parameters, [[0.0]], [[-1.0]])
    return found["0.bias"][0]


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("layer", [layer for layer in ACTIVATIONS if layer.kinks], ids=repr)
def test_every_build_takes_the_slope_of_the_table_at_a_kink(build, layer):
    for kink in layer.kinks:
        assert slope_at(build, layer, kink.at) == kink.chosen
        assert slope_at(build, layer, kink.at - 1e-9) == pytest.approx(kink.left, abs=1e-8)
        assert slope_at(build, layer, kink.at + 1e-9) == pytest.approx(kink.right, abs=1e-8)


@pytest.mark.parametrize("build", BUILDS)
def test_hinge_has_slope_0_at_its_margin(build):
    network = Network((1,), (Dense(1),), Hinge())
    for margin, expected in ((1.0, 0.0), (1 - 1e-9, -1.0), (1 + 1e-9, 0.0)):
        parameters = {"0.weight": np.zeros((1, 1)), "0.bias": np.array([margin])}
        assert gradients(build, network, parameters, [[0.0]], [[1.0]])[1]["0.bias"][0] == expected


def targets_for(loss, rng, samples: int, units: int, dtype: str):
    if loss.targets is Targets.CLASSES:
        return rng.integers(0, units, samples)
    values = {Targets.SIGNS: [-1, 1], Targets.PROBABILITIES: [0, 1], Targets.REALS: [-3, 0.5, 2]}[loss.targets]
    return rng.choice(values, (samples, units)).astype(dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
@pytest.mark.parametrize("layer", ACTIVATIONS, ids=repr)
def test_logits_of_1e4_raise_no_warning_and_lose_no_dtype(layer, loss, dtype):
    rng = np.random.default_rng(0)
    network = Network((2,), (Dense(4), layer, Dense(3)), loss)
    parameters = {name: rng.standard_normal(shape).astype(dtype) for name, shape in network.parameter_shapes.items()}
    parameters["0.bias"] = np.array([-1e4, -30, 30, 1e4], dtype=dtype)
    parameters["2.bias"] = np.array([-1e4, 0, 1e4], dtype=dtype)
    inputs, targets = rng.standard_normal((6, 2)).astype(dtype), targets_for(loss, rng, 6, 3, dtype)
    losses = []
    for build in BUILDS:
        with warnings.catch_warnings(), np.errstate(over="raise", invalid="raise", divide="raise"):
            warnings.simplefilter("error")
            value, found = gradients(build, network, parameters, inputs, targets)
        losses.append(value)
        assert list(found) == list(parameters)
        for name, gradient in found.items():
            assert gradient.dtype == dtype
            assert gradient.shape == parameters[name].shape
            assert np.isfinite(gradient).all()
    assert losses == pytest.approx(losses[0] * np.ones(3), rel=1e-5)


def test_torch_softplus_at_its_default_threshold_would_be_found():
    """The twin: slope exactly 1 above 20 is 2e-9 off, and the harness sees it."""
    import torch

    def library_default(network, parameters, batch):
        tensors = {name: torch.from_numpy(value).requires_grad_() for name, value in parameters.items()}
        z = torch.from_numpy(batch.inputs) @ tensors["0.weight"].T + tensors["0.bias"]
        loss = torch.nn.functional.softplus(z).square().mean()
        loss.backward()
        return loss.item(), {name: tensor.grad.numpy() for name, tensor in tensors.items()}

    network = Network((1,), (Dense(1), gradcheck.Softplus()), gradcheck.MSE())
    case = Case(
        network,
        data=gradcheck.Given.of({"inputs": [[20.5], [21.0]], "targets": [[0.0], [0.0]]}),
        init=gradcheck.Given.of({"0.weight": [[1.0]], "0.bias": [0.0]}),
    )
    assert gradcheck.verify(case).verdict is Verdict.CORRECT
    assert gradcheck.verify(case, [library_default]).verdict is Verdict.WRONG


@pytest.mark.parametrize("build", BUILDS)
def test_a_model_is_reentrant_and_leaves_its_arguments_alone(build):
    case = Case(Network((3,), (Dense(4), ReLU(), Dense(2)), gradcheck.MSE(), weight_decay=0.1), samples=5)
    model = gradcheck.backend(build).build(case.network)
    parameters, batch = case.parameters, case.batch
    first = model.loss_and_gradients(parameters, batch)
    kept = {name: gradient.copy() for name, gradient in first[1].items()}
    other = {name: value + 1 for name, value in parameters.items()}
    model.loss_and_gradients(other, batch)
    again = model.loss_and_gradients(parameters, batch)
    assert again[0] == first[0] == model.loss(parameters, batch)
    for name in parameters:
        assert np.array_equal(first[1][name], kept[name])
        assert np.array_equal(again[1][name], kept[name])
        assert np.array_equal(parameters[name], case.parameters[name])


@pytest.mark.parametrize("build", BUILDS)
def test_weight_decay_adds_its_multiple_of_the_weights_and_spares_the_biases(build):
    case = Case(Network((3,), (Dense(4), Identity(), Dense(2)), gradcheck.MSE()), samples=5)
    decayed = Network(case.network.inputs, case.network.layers, case.network.loss, weight_decay=0.25)
    (plain, without), (value, found) = (
        gradcheck.backend(build).build(network).loss_and_gradients(case.parameters, case.batch)
        for network in (case.network, decayed)
    )
    weights = [case.parameters["0.weight"], case.parameters["2.weight"]]
    assert value - plain == pytest.approx(0.125 * sum((w**2).sum() for w in weights))
    assert found["0.weight"] - without["0.weight"] == pytest.approx(0.25 * weights[0])
    assert np.array_equal(found["0.bias"], without["0.bias"])


def test_the_torch_build_carries_the_names_of_its_state_dict():
    network = Network((3,), (Dense(4), ReLU(), Dense(2, bias=False)), gradcheck.MSE())
    module = gradcheck.backend("torch").build(network).module
    assert {name: tuple(value.shape) for name, value in module.state_dict().items()} == network.parameter_shapes


class Cubed(gradcheck.Activation, frozen=True):
    """z^3"""


class Quartic(Loss, frozen=True):
    """(z - y)^4"""


@pytest.mark.parametrize("build", [*BUILDS, "jax"])
@pytest.mark.parametrize(("layer", "loss"), [(Cubed(), gradcheck.MSE()), (ReLU(), Quartic())])
def test_a_layer_or_loss_without_a_rule_is_one_clear_line(build, layer, loss):
    pytest.importorskip("numpy" if build == "manual" else build)
    with pytest.raises(gradcheck.BackendError, match=f"^the {build} build has no rule for (Cubed|Quartic)$"):
        gradcheck.backend(build).build(Network((2,), (Dense(2), layer), loss))
