"""Every entry of every build is within its bound of an independent 80-bit computation, and the bound is not loose."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

import gradcheck
from gradcheck import Batch, Case, Dense, Given, Network
from gradcheck.network.analysis.rounding import error_bounds
from gradcheck.strategies import ACTIVATIONS, LOSSES

ROOT = Path(__file__).resolve().parents[1]


def load(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem + "_loaded", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


truth = load(ROOT / "tests" / "truth.py")
extended = pytest.mark.skipif(not truth.EXTENDED, reason="longdouble is double here")
BUILDS = ("manual", "autograd", "torch")


def ratios(network: Network, parameters, inputs, targets, dtype: str):
    """Error of every entry of every build in units of its bound."""
    wide = {name: value.astype("f8") for name, value in parameters.items()}
    wide_targets = targets.astype("f8") if targets.dtype.kind == "f" else targets
    bounds = error_bounds(network, wide, inputs.astype("f8"), wide_targets, dtype)
    _, exact = truth.truth(network, wide, inputs.astype("f8"), wide_targets)
    for build in BUILDS:
        _, found = gradcheck.backend(build).build(network).loss_and_gradients(parameters, Batch(inputs, targets))
        for name, gradient in found.items():
            error = np.abs((gradient.astype(np.longdouble) - exact[name]).astype("f8"))
            # Build and truth may lie on different sides of a kink, the reference on either.
            bound = bounds.rounding[name] + (bounds.high[name] - bounds.low[name])
            with np.errstate(all="ignore"):
                yield np.where(error == 0, 0.0, error / bound)


def random_networks(count: int, seed: int):
    benchmark = load(ROOT / "benchmarks" / "rounding.py")
    rng = np.random.default_rng(seed)
    return [benchmark.draw(rng) for _ in range(count)]


@extended
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_every_entry_of_every_build_is_within_its_bound_of_80_bit_truth(dtype):
    found = []
    for network, parameters, (inputs, targets) in random_networks(60, seed=1):
        given = {name: value.astype(dtype) for name, value in parameters.items()}
        y = targets.astype(dtype) if targets.dtype.kind == "f" else targets
        found += [ratio.ravel() for ratio in ratios(network, given, inputs.astype(dtype), y, dtype)]
    everything = np.concatenate(found)
    assert everything.max() <= 1
    assert np.median(everything) > 1e-3


@extended
def test_an_entry_off_by_a_hundred_times_its_bound_is_beyond_it():
    """The twin: the comparison with the truth can fail."""
    network, parameters, (inputs, targets) = random_networks(1, seed=5)[0]
    name = next(iter(parameters))
    _, exact = truth.truth(network, parameters, inputs, targets)
    bounds = error_bounds(network, parameters, inputs, targets, "float64")
    _, found = gradcheck.backend("manual").build(network).loss_and_gradients(parameters, Batch(inputs, targets))
    spoiled = found[name] + 2 * bounds.rounding[name] + (bounds.high[name] - bounds.low[name])
    assert (
        np.abs((spoiled - exact[name]).astype("f8")) > bounds.rounding[name] + (bounds.high[name] - bounds.low[name])
    ).all()


def one_unit(layer, z: float, *, dtype: str, weight: float = 1.0):
    network = Network((1,), (Dense(1), layer, Dense(1)), gradcheck.MSE())
    parameters = {"0.weight": [[1.0]], "0.bias": [0.0], "2.weight": [[weight]], "2.bias": [0.0]}
    given = {name: np.array(value, dtype=dtype) for name, value in parameters.items()}
    return network, given, np.array([[z]], dtype=dtype), np.array([[1.0]], dtype=dtype)


CORNERS = {
    "sigmoid flushed to 0": (gradcheck.Sigmoid(), -96.0, "float32"),
    "elu with a large alpha": (gradcheck.ELU(alpha=1e6), -8.0, "float64"),
    "tanh saturated": (gradcheck.Tanh(), 15.0, "float64"),
    "gelu in its left tail": (gradcheck.GELU(), -5.3, "float32"),
    "silu where its slope vanishes": (gradcheck.SiLU(), -1.2784645, "float64"),
}


@extended
@pytest.mark.parametrize("name", CORNERS)
def test_corners_of_single_activations_stay_within_the_bound(name):
    layer, z, dtype = CORNERS[name]
    for weight in (1.0, 1e-3, 1e3):
        assert max(ratio.max() for ratio in ratios(*one_unit(layer, z, dtype=dtype, weight=weight), dtype)) <= 1


@extended
@pytest.mark.parametrize("slope", [-0.5, 3.0])
def test_nested_kinks_are_allowed_for(slope):
    rng = np.random.default_rng(7)
    layer = gradcheck.LeakyReLU(slope=slope)
    network = Network((3,), (Dense(4), layer, Dense(3), layer, Dense(2)), gradcheck.Hinge())
    for _ in range(20):
        parameters = {name: rng.integers(-2, 3, shape) / 10 for name, shape in network.parameter_shapes.items()}
        inputs, targets = rng.integers(-2, 3, (5, 3)) / 10, rng.choice([-1.0, 1.0], (5, 2))
        assert max(ratio.max() for ratio in ratios(network, parameters, inputs, targets, "float64")) <= 1 + 1e-9


@pytest.mark.parametrize("layer", [gradcheck.GELU("tanh"), gradcheck.Softplus(), gradcheck.Identity()], ids=repr)
def test_where_a_build_may_overflow_nothing_is_promised(layer):
    network = Network((1,), (Dense(1), layer), gradcheck.MSE())
    wide = {"0.weight": np.array([[1.0]]), "0.bias": np.zeros(1)}
    large = np.array([[1e30]])
    bounds = error_bounds(network, wide, large, np.zeros((1, 1)), "float32")
    assert np.isinf(bounds.loss)
    assert all(np.isinf(bound).all() for bound in bounds.rounding.values())
    assert np.isfinite(error_bounds(network, wide, large, np.zeros((1, 1)), "float64").loss)


def test_where_terms_may_overflow_that_cancel_only_what_they_reach_is_open():
    """The twin: the other unit of the same layer, of which all is known."""
    network = Network((2,), (Dense(2, bias=False), gradcheck.Identity()), gradcheck.MSE())
    weight = {"0.weight": np.array([[1e19, -1e19], [1.0, 1.0]])}
    bounds = error_bounds(network, weight, np.ones((1, 2)), np.zeros((1, 2)), "float32")
    assert np.isinf(bounds.rounding["0.weight"][0]).all()
    assert np.isinf(error_bounds(network, weight, np.ones((1, 2)), np.zeros((1, 2)), "float32").loss)
    assert np.isfinite(
        error_bounds(network, weight, np.ones((1, 2)), np.zeros((1, 2)), "float64").rounding["0.weight"]
    ).all()
    single = {"0.weight": np.array([[1.0, -1.0], [1.0, 1.0]])}
    assert np.isfinite(error_bounds(network, single, np.ones((1, 2)), np.zeros((1, 2)), "float32").loss)


@pytest.mark.parametrize("last", [(), (Dense(1),)], ids=["the whole gradient", "beside another block"])
def test_a_block_lost_to_saturation_is_unresolved_unless_it_is_nothing_beside_another(last):
    init = {"0.weight": [[1.0]], "0.bias": [0.0], "2.weight": [[1.0]], "2.bias": [0.0]}
    network = Network((1,), (Dense(1), gradcheck.Tanh(), *last), gradcheck.MSE())
    given = {name: init[name] for name in network.parameter_shapes}
    case = Case(network, data=Given.of({"inputs": [[30.0]], "targets": [[0.5]]}), init=Given.of(given))
    lost = [finding for finding in gradcheck.verify(case).findings if finding.name in {"0.weight", "0.bias"}]
    for finding in lost:
        assert finding.verdict == ("correct" if last else "unresolved")
        assert ("zero to rounding" in finding.reason) == bool(last)
    assert lost


def cancelling(layers, loss, seed):
    """Outputs that are the difference of terms of 1e12, so that float32 knows nothing of them but their size."""
    rng = np.random.default_rng(seed)
    network = gradcheck.Network((3,), (gradcheck.Dense(2, bias=False), *layers), loss)
    inputs = rng.uniform(0.5, 2, (4, 3)).astype(np.float32).astype(float)
    weight = 1e12 * rng.standard_normal((2, 3))
    weight[:, 2] = -(weight[:, :2] @ inputs[0, :2]) / inputs[0, 2]
    targets = {"classes": rng.integers(0, 2, 4), "signs": rng.choice([-1.0, 1.0], (4, 2))}.get(
        loss.targets.name.lower(), rng.uniform(0, 1, (4, 2))
    )
    data = gradcheck.Given.of({"inputs": inputs, "targets": targets})
    return gradcheck.Case(network, data=data, init=gradcheck.Given.of({"0.weight": weight}), dtype="float32")


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
@pytest.mark.parametrize("layer", [None, *ACTIVATIONS], ids=repr)
def test_a_correct_build_is_not_accused_where_rounding_carries_a_unit_across_its_whole_range(layer, loss):
    """First order would say that sigmoid(-1e5) has no error, however far off its argument is."""
    for seed in range(4):
        case = cancelling(() if layer is None else (layer,), loss, seed)
        report = gradcheck.verify(case, ["manual", "torch"])
        assert report.verdict is not gradcheck.Verdict.WRONG, f"{case!r}\n{report}"


def test_first_order_alone_would_accuse_it(monkeypatch):
    """The twin of the test above."""
    from gradcheck.network.analysis import calculus

    monkeypatch.setattr(calculus, "FAR", -1.0)
    monkeypatch.setattr(calculus, "_around", lambda *_: [])
    cases = (cancelling((), gradcheck.BinaryCrossEntropy(), seed) for seed in range(12))
    assert any(gradcheck.verify(case, ["manual"]).verdict is gradcheck.Verdict.WRONG for case in cases)


@pytest.mark.parametrize("loss", [loss for loss in LOSSES if not loss.kinks], ids=repr)
def test_nor_where_many_units_and_samples_are_carried_together(loss):
    """Equal samples, and outputs that are all multiples of one number which float32 knows nothing of."""
    rng = np.random.default_rng(0)
    for _ in range(8):
        network = gradcheck.Network((2,), (gradcheck.Dense(1, bias=False), gradcheck.Dense(8, bias=False)), loss)
        x = rng.uniform(0.5, 2, 2).astype(np.float32).astype(float)
        first = rng.standard_normal()
        weights = {"0.weight": [[first, -first * x[0] / x[1]]], "1.weight": 1e12 * rng.standard_normal((8, 1))}
        shape = (6, *network.target_shape)
        targets = rng.integers(0, 8, 6) if loss.targets.name == "CLASSES" else rng.choice([1.0, -1.0], shape)
        targets = np.abs(targets) if loss.targets.name == "PROBABILITIES" else targets
        data = gradcheck.Given.of({"inputs": np.tile(x, (6, 1)), "targets": targets})
        case = gradcheck.Case(network, data=data, init=gradcheck.Given.of(weights), dtype="float32")
        report = gradcheck.verify(case, ["manual", "torch"])
        assert report.verdict is not gradcheck.Verdict.WRONG, f"{case!r}\n{report}"


@pytest.mark.parametrize("layer", [None, gradcheck.ReLU()], ids=repr)
def test_a_value_within_rounding_of_a_kink_may_be_that_of_either_side(layer):
    """1 - y z is 1e-13 below 0 in one build and above it in another: a loss of 0 and one of 1e-13 are both honest."""
    network = Network((3,), (Dense(1), *([layer] if layer else [])), gradcheck.MSE() if layer else gradcheck.Hinge())
    for seed in range(40):
        rng = np.random.default_rng(seed)
        x, w = rng.standard_normal(3), 1e3 * rng.standard_normal(3)
        at = 0.0 if layer else 1.0
        init = {"0.weight": [w], "0.bias": [at - w @ x]}
        case = Case(network, data=gradcheck.Given.of({"inputs": [x], "targets": [[at]]}), init=gradcheck.Given.of(init))
        report = gradcheck.verify(case)
        assert report.verdict is not gradcheck.Verdict.WRONG, f"{case!r}\n{report}"


def corner(layer, loss, seed):
    """A network whose one unit is within rounding of 0 (ELU) or of delta (huber), where curvature jumps."""
    rng = np.random.default_rng(seed)
    network = Network((3,), (Dense(1), *([layer] if layer else [])), loss)
    x, w = rng.standard_normal(3), 10.0 ** rng.integers(3, 12) * rng.standard_normal(3)
    at = 0.0 if layer else 1.0
    data = Given.of({"inputs": [x], "targets": [[1.0 if layer else 0.0]]})
    return Case(network, data=data, init=Given.of({"0.weight": [w], "0.bias": [at - w @ x]}))


JUMPS = [(None, gradcheck.Huber()), (gradcheck.ELU(), gradcheck.MSE()), (gradcheck.ELU(), gradcheck.Huber())]


@pytest.mark.parametrize(("layer", "loss"), JUMPS, ids=repr)
def test_where_curvature_jumps_a_build_may_be_on_the_bent_side(layer, loss):
    for seed in range(60):
        case = corner(layer, loss, seed)
        report = gradcheck.verify(case)
        assert report.verdict is not gradcheck.Verdict.WRONG, f"{case!r}\n{report}"


def test_the_smoother_side_alone_would_accuse_it(monkeypatch):
    """The twin of the test above."""
    from gradcheck.network.analysis import calculus

    both = calculus.curvature
    monkeypatch.setattr(calculus, "curvature", lambda *where: both(*where[:-1], gradcheck.ReLU().kinks))
    cases = (corner(layer, loss, seed) for layer, loss in JUMPS for seed in range(60))
    assert any(gradcheck.verify(case).verdict is gradcheck.Verdict.WRONG for case in cases)


@pytest.mark.parametrize(("layer", "loss"), JUMPS, ids=repr)
def test_a_gradient_wrong_at_such_a_place_is_found(layer, loss):
    for seed in range(10):
        case = corner(layer, loss, seed)

        def wrong(network, parameters, batch):
            value, gradients = gradcheck.backend("manual").build(network).loss_and_gradients(parameters, batch)
            return value, {**gradients, "0.weight": gradients["0.weight"] * 1.01}

        report = gradcheck.verify(case, [wrong])
        assert "0.weight" in report.wrong or report.verdict is gradcheck.Verdict.UNRESOLVED, f"{case!r}\n{report}"
