"""The analysis computes the formulas that it documents: restated here in closed form, and by every choice at a kink.

That they are the right ones is another question, which `test_rounding.py` asks 80-bit arithmetic.
"""

from itertools import product

import numpy as np
import pytest
from scipy.special import erfc, expit

import gradcheck
from gradcheck import Dense, Network
from gradcheck.network import reference
from gradcheck.network.analysis import rounding
from gradcheck.network.analysis.rounding import error_bounds
from gradcheck.network.analysis.switches import distances
from gradcheck.network.reference.tangents import Tangents

U = {"float64": 2.0**-53, "float32": 2.0**-24}


def bell(z):
    return np.exp(-z * z / 2) / np.sqrt(2 * np.pi)


# Slope and curvature, absolute rounding of value and of slope beyond their own size.
CLOSED = {
    gradcheck.Tanh(): (
        lambda z: 1 / np.cosh(z) ** 2,
        lambda z: -2 * np.tanh(z) / np.cosh(z) ** 2,
        lambda z: 0 * z,
        np.ones_like,
    ),
    gradcheck.Sigmoid(): (
        lambda z: expit(z) * expit(-z),
        lambda z: expit(z) * expit(-z) * (1 - 2 * expit(z)),
        lambda z: 0 * z,
        lambda z: 1.0 * (z >= 0),
    ),
    gradcheck.Identity(): (np.ones_like, lambda z: 0 * z, lambda z: 0 * z, lambda z: 0 * z),
    gradcheck.ReLU(): (lambda z: 1.0 * (z > 0), lambda z: 0 * z, lambda z: 0 * z, lambda z: 0 * z),
    gradcheck.LeakyReLU(slope=0.3): (lambda z: np.where(z > 0, 1, 0.3), lambda z: 0 * z, lambda z: 0 * z, lambda z: 0 * z),
    gradcheck.GELU(): (
        lambda z: erfc(-z / np.sqrt(2)) / 2 + z * bell(z),
        lambda z: (2 - z * z) * bell(z),
        lambda z: np.clip(np.abs(z), 1, 10),
        lambda z: np.clip(np.abs(z), 1, 10),
    ),
}


def squared(z, y):
    return (z - y) ** 2, 2 * (z - y), 2 + 0 * z, 0 * z, 0 * z


def logistic(z, y):
    return np.logaddexp(0, -y * z), -y * expit(-y * z), expit(z) * expit(-z), 0 * z, 0 * z


def binary(z, y):
    size = np.maximum(np.abs(z), 1)
    return np.logaddexp(0, z) - y * z, expit(z) - y, expit(z) * expit(-z), size, np.minimum(np.abs(y), 1)


# Loss, slope and curvature of each entry, absolute rounding of value and of slope.
LOSSES = {gradcheck.MSE(): squared, gradcheck.Logistic(): logistic, gradcheck.BinaryCrossEntropy(): binary}


def of_entries(loss, z, variance, y, u):
    """Mean loss and gradient with their variances."""
    each, slope, bend, own_value, own_slope = LOSSES[loss](z, y)
    tolerance = 100 * u * np.sqrt(variance)
    steepest = np.maximum(*(np.abs(LOSSES[loss](z + side, y)[1]) for side in (tolerance, -tolerance)))
    spread = np.maximum(steepest, np.abs(slope)) ** 2 * variance + each**2 + own_value**2
    n = z.size
    return (each.mean(), spread.sum() / n**2 + each.mean() ** 2), (
        slope / n,
        (bend**2 * variance + 2 * slope**2 + own_slope**2) / n**2,
    )


def of_classes(_loss, z, variance, y, _u):
    n, hot = len(z), np.eye(z.shape[1])[y]
    gap = z - z.max(axis=1, keepdims=True)
    p = np.exp(gap) / np.exp(gap).sum(axis=1, keepdims=True)
    slope, exponent = p - hot, variance + gap**2
    each = np.log(np.exp(gap).sum(axis=1)) - (gap * hot).sum(axis=1)
    spread = (slope**2 * exponent).sum(axis=1) + each**2 + 1
    others = np.stack(
        [sum(p[:, j] ** 2 * exponent[:, j] for j in range(p.shape[1]) if j != k) for k in range(p.shape[1])], axis=1
    )
    moved = p**2 * ((1 - p) ** 2 * exponent + others)
    own = np.where(hot, 1, p)
    return (each.mean(), spread.sum() / n**2 + each.mean() ** 2), (slope / n, (moved + own**2 + slope**2) / n**2)


def restated(network, parameters, x, y, u):
    """Bounds on the loss and on every gradient, as `gradcheck.network.analysis.rounding` says in words."""
    states, v = [(x, 0 * x)], 0 * x
    for index, layer in enumerate(network.layers):
        z = reference.apply(layer, {name[2:]: value for name, value in parameters.items() if name[0] == str(index)}, x)
        if isinstance(layer, Dense):
            squares = parameters[f"{index}.weight"].T ** 2
            v = v @ squares + x**2 @ squares + z**2
            v = v + parameters[f"{index}.bias"] ** 2 if layer.bias else v
        else:
            slope, _, own, _ = CLOSED[layer]
            v = slope(x) ** 2 * v + z**2 + own(x) ** 2
        x = z
        states.append((x, v))
    (loss, spread), (g, w) = (of_entries if network.loss in LOSSES else of_classes)(network.loss, x, v, y, u)
    bounds = {}
    for index, layer in reversed([*enumerate(network.layers)]):
        x, v = states[index]
        if isinstance(layer, Dense):
            own = {"weight": (g.T @ x, (w + g**2).T @ x**2 + (g**2).T @ v + (g.T @ x) ** 2)}
            if layer.bias:
                own["bias"] = g.sum(axis=0), (w + g**2).sum(axis=0) + g.sum(axis=0) ** 2
            for name, (value, variance) in own.items():
                if network.weight_decay and name == "weight":
                    decay = network.weight_decay * parameters[f"{index}.{name}"]
                    variance = variance + decay**2 + (value + decay) ** 2
                    total = network.weight_decay / 2 * (parameters[f"{index}.{name}"] ** 2).sum()
                    loss, spread = loss + total, spread + total**2
                bounds[f"{index}.{name}"] = 100 * u * np.sqrt(variance + 0.01 * variance.mean())
            weight = parameters[f"{index}.weight"]
            below = g @ weight
            g, w = below, (w + g**2) @ weight**2 + below**2
        else:
            slope, bend, _, own = CLOSED[layer]
            value = g * slope(x)
            g, w = value, slope(x) ** 2 * w + g**2 * (bend(x) ** 2 * v + own(x) ** 2) + value**2
    return 100 * u * np.sqrt(spread + loss**2 if network.weight_decay else spread), bounds


def drawn(layer, loss, decay, bias=True, seed=0):
    rng = np.random.default_rng(seed)
    network = Network((3,), (Dense(4, bias=bias), layer, Dense(3), layer, Dense(2)), loss, weight_decay=decay)
    parameters = {name: rng.standard_normal(shape) for name, shape in network.parameter_shapes.items()}
    shape = (5, *network.target_shape)
    targets = {"CLASSES": rng.integers(0, 2, 5), "SIGNS": rng.choice([-1.0, 1.0], shape)}
    return network, parameters, rng.standard_normal((5, 3)), targets.get(loss.targets.name, rng.uniform(0, 1, shape))


@pytest.mark.parametrize("decay", [0.0, 0.7, 30.0])
@pytest.mark.parametrize("loss", [*LOSSES, gradcheck.CrossEntropy()], ids=repr)
@pytest.mark.parametrize("layer", CLOSED, ids=repr)
def test_bounds_are_those_of_the_formulas_in_closed_form(layer, loss, decay):
    for dtype, bias in (("float64", True), ("float32", False)):
        network, parameters, x, y = drawn(layer, loss, decay, bias)
        found = error_bounds(network, parameters, x, y, dtype)
        loss_bound, bounds = restated(network, parameters, x, y, U[dtype])
        assert found.loss == pytest.approx(loss_bound, rel=1e-3)
        assert list(found.rounding) == list(network.parameter_shapes)
        for name, bound in bounds.items():
            np.testing.assert_allclose(found.rounding[name], bound, rtol=1e-3, err_msg=name)
            assert found.low[name] is found.high[name]
            assert not found.exact[name].any()
        assert found.units == ()


def test_another_constant_is_told_apart(monkeypatch):
    """The twin."""
    network, parameters, x, y = drawn(gradcheck.Tanh(), gradcheck.MSE(), 0.7)
    bounds = restated(network, parameters, x, y, U["float64"])[1]
    monkeypatch.setattr(rounding, "FLOOR", 0.2)
    found = error_bounds(network, parameters, x, y, "float64").rounding
    assert not any(np.allclose(found[name], bound, rtol=1e-3, atol=0) for name, bound in bounds.items())


def at_kinks(layer, loss):
    """Units that lie exactly on a kink in two samples of three, in the first of two such layers or in the second."""
    network = Network((2,), (Dense(3, bias=False), layer, Dense(2, bias=False), layer, Dense(1, bias=False)), loss)
    parameters = {
        "0.weight": np.array([[1.0, 1.0], [1.0, -2.0], [-1.0, 0.5]]),
        "2.weight": np.array([[1.0, -1.0, 2.0], [0.5, 1.0, -3.0]]),
        "4.weight": np.array([[2.0, -1.0]]),
    }
    return network, parameters, np.array([[1.0, -1.0], [2.0, 1.0], [0.3, 0.4]]), np.array([[1.0], [-1.0], [1.0]])


def choices(network, parameters, x, y):
    """Gradients for every choice of slopes of the units that lie on a kink."""
    plain = Tangents(network, parameters, x, y)
    places = [
        (index, tuple(place))
        for index, layer in enumerate(network.layers)
        if isinstance(layer, gradcheck.Activation)
        for place in np.argwhere(plain.states[index] == 0)
    ]
    for sides in product((0, 1), repeat=len(places)):
        tangents = Tangents(network, parameters, x, y)
        for (index, place), side in zip(places, sides, strict=True):
            (kink,) = network.layers[index].kinks
            tangents.slopes[index][place] = (kink.left, kink.right)[side]
        yield {name: tangents.gradient(name) for name in parameters}


@pytest.mark.parametrize("layer", [gradcheck.ReLU(), gradcheck.LeakyReLU(slope=-0.5), gradcheck.ELU(alpha=2.0)], ids=repr)
def test_a_gradient_by_any_choice_at_a_kink_lies_between_the_ends_and_the_ends_are_met(layer):
    network, parameters, x, y = at_kinks(layer, gradcheck.MSE())
    every = [*choices(network, parameters, x, y)]
    assert len(every) > 1
    found = error_bounds(network, parameters, x, y, "float64")
    assert found.units
    met = 0
    for name in parameters:
        low, high = (end([each[name] for each in every], axis=0) for end in (np.min, np.max))
        room = 1e-12 * max(np.abs(high).max(), np.abs(low).max())
        assert (found.low[name] <= low + room).all()
        assert (found.high[name] >= high - room).all()
        np.testing.assert_allclose(found.exact[name], found.high[name] - found.low[name], rtol=1e-9)
        met += int(np.allclose(found.low[name], low) and np.allclose(found.high[name], high))
        assert (found.high[name] - found.low[name] <= 4 * (high - low) + room).all()
    assert met >= 2  # where two kinks multiply, both sides are given in full


def test_a_margin_on_its_kink_leaves_its_slope_open_on_its_own_side():
    network = Network((2,), (Dense(1, bias=False),), gradcheck.Hinge())
    for sign in (1.0, -1.0):
        x, y = np.array([[sign, 0.0], [3.0, 1.0]]), np.array([[sign], [-1.0]])
        found = error_bounds(network, {"0.weight": np.array([[1.0, 5.0]])}, x, y, "float64")
        # The second sample is wrong by far: slope 1/2 * (3, 1). The first is at its margin: from 0 to -1/2 y x.
        np.testing.assert_allclose(found.high["0.weight"], [[1.5, 0.5]])
        np.testing.assert_allclose(found.low["0.weight"], [[1.0, 0.5]])
        np.testing.assert_allclose(found.exact["0.weight"], [[0.5, 0.0]])
        assert found.units == ("loss, sample 0, unit 0",)


def test_distances_are_signed_and_those_of_every_joint():
    network = Network((1,), (Dense(2, bias=False), gradcheck.ReLU()), gradcheck.Hinge())
    x, y, w = np.array([[2.0]]), np.array([[1.0, -1.0]]), {"0.weight": np.array([[1.5], [-0.5]])}
    np.testing.assert_array_equal(distances(network, w, x, y, {}), [[3.0, -1.0, 3.0 - 1, 0.0 - 1]])
    huber = Network((1,), (Dense(2, bias=False),), gradcheck.Huber(delta=0.5))
    np.testing.assert_array_equal(distances(huber, w, x, y, {}), [[2.0 - 0.5, 0.0 - 0.5]])
    smooth = Network((1,), (Dense(2, bias=False),), gradcheck.MSE())
    assert distances(smooth, w, x, y, {}).shape == (1, 0)
