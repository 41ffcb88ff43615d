"""Networks of all layers on the tape: values, gradients, bounds; what is near a kink, what it changes, how it is called."""

from itertools import islice

import numpy as np
import pytest
from test_rounding import ROOT, extended, load

import gradcheck
from gradcheck import MSE, Dense, Network, ReLU
from gradcheck.foundation.arithmetic import COMPLEX_STEP, precision
from gradcheck.network import layers as ly
from gradcheck.network import reference
from gradcheck.network.analysis import rounding, rules_arithmetic, rules_choosing, rules_functions
from gradcheck.network.analysis.nodes import RULES, Node
from gradcheck.network.analysis.passes import coherent, leave_out_steady, recorded
from gradcheck.network.analysis.rounding import error_bounds
from gradcheck.network.analysis.switches import distances
from gradcheck.network.analysis.tape import Tape
from gradcheck.network.layers import BatchNorm, Conv2d, Flatten, LayerNorm, MaxPool2d, Residual
from gradcheck.network.layers.blocks import leaves
from gradcheck.network.network import is_weight
from gradcheck.network.reference.tangents import loss_slopes

random = load(ROOT / "benchmarks" / "rounding_layers.py")
F64 = precision("float64")


def played(example, **options):
    """Outputs and gradients by the tape."""
    network, parameters, (inputs, targets), *_ = example
    tape = Tape(Node, **options)
    known, outputs = recorded(tape, network, parameters, inputs)
    top = tape.leaf(loss_slopes(network.loss, outputs.value.astype(float), targets))
    found = tape.gradients(outputs, top, known)
    return outputs.value, {name: 0 * parameters[name] if node is None else node.value for name, node in found.items()}


def is_right(example):
    """Values are the reference's, gradients along a direction in each block a complex step's."""
    network, parameters, (inputs, targets), *_ = example
    outputs, gradients = played(example)
    plain = reference.forward(network, parameters, inputs)[-1]
    if not np.allclose(outputs, plain, rtol=1e-12, atol=1e-13 * np.abs(plain).max()):
        return False
    rng, whole = np.random.default_rng(0), max(np.abs(g).max() for g in gradients.values())
    for name, g in gradients.items():
        d = rng.standard_normal(g.shape)
        moved = {**parameters, name: parameters[name] + 1j * COMPLEX_STEP * d}
        with np.errstate(all="ignore"):
            slope = np.imag(reference.loss(network, moved, inputs, targets)) / COMPLEX_STEP
        g = g + network.weight_decay * parameters[name] if is_weight(name) else g
        if not abs(slope - (g * d).sum()) <= 1e-9 * np.abs(g * d).sum() + 1e-13 * whole:
            return False
    return True


EXAMPLES = [random.draw(seed, "ordinary") for seed in range(40)]


def test_these_networks_are_made_of_all_layers():
    kinds = {type(leaf) for example in EXAMPLES for leaf in leaves(example.network.layers)}
    ours = {kind for kind in ly.LAYERS.values() if kind.__module__.startswith("gradcheck.network.")}
    assert kinds >= {kind for kind in ours if not issubclass(kind, ly.Block)} - {ly.Tied}


def test_values_are_those_of_the_reference_and_gradients_those_of_the_complex_step():
    assert all(is_right(example) for example in EXAMPLES)


@pytest.mark.parametrize("what", ["value", "back"])
def test_a_rule_that_is_wrong_in_a_network_is_noticed(what, monkeypatch):
    """The twin."""
    rule = RULES[np.matmul]
    honest = getattr(rule, what)

    def spoilt(*x, **options):
        found = honest(*x, **options)
        return found * (1 + 1e-6) if what == "value" else [None if each is None else each * (1 + 1e-6) for each in found]

    monkeypatch.setattr(rule, what, spoilt)
    assert not any(is_right(example) for example in EXAMPLES if any(isinstance(x, Dense) for x in example.network.layers))


@extended
def test_builds_of_all_layers_are_within_their_bounds_and_a_millionth_of_an_entry_is_beyond_them():
    builds = {"manual": random.manual, "autograd": random.hips_autograd, "torch": random.pytorch}
    told = []
    for seed, example in enumerate(EXAMPLES):
        with np.errstate(all="ignore"):
            found = [*random.measured(example, seed, builds)]
            bounds, exact = (
                error_bounds(example.network, example.parameters, *example.batch, example.dtype),
                random.truth(example),
            )
        for build, name, block in found:
            assert block.coarse > 1e-2 or block.ratio.max() <= 1, (seed, build, name)
            if block.coarse < 1e-8 and not block.zero:
                largest = np.abs(exact[name]).argmax()
                bound = (bounds.rounding[name] + bounds.high[name] - bounds.low[name]).flat[largest]
                told.append(1e-6 * np.abs(exact[name].flat[largest]) > bound)
    assert len(told) > 400
    assert all(told)


def given(layers, inputs, parameters, loss=None):
    """A network at a point; all parameters that are not given are drawn."""
    inputs = np.asarray(inputs, float)
    network = Network(inputs.shape[1:], layers, loss or MSE())
    rng = np.random.default_rng(3)
    point = {name: rng.standard_normal(shape) for name, shape in network.parameter_shapes.items()}
    point |= {name: np.asarray(value, float).reshape(point[name].shape) for name, value in parameters.items()}
    return network, point, inputs, rng.standard_normal((len(inputs), *network.target_shape))


class Bent(ly.Layer, frozen=True):
    """A third party's, with a kink at its own bias: by `numpy.where`, of a comparison."""

    def output_shape(self, inputs):
        return inputs

    def parameter_shapes(self, inputs):
        return {"bias": inputs}


@reference.apply.register
def _(_layer: Bent, parameters, x):
    z = x + parameters["bias"]
    return np.where(np.real(z) > 0, z, 0.25 * z)


RAGGED = np.random.default_rng(5).integers(0, 3, (1, 1, 4, 4))  # many of its windows have the same sum
KINKS = {
    "max pool": given((Conv2d(1, 2), MaxPool2d(2, 1), Flatten(), Dense(1)), RAGGED, {"0.weight": [1] * 4}),
    "relu": given((Dense(3, bias=False), ReLU(), Dense(1)), [[1, -1], [2, 1]], {"0.weight": [1, 1, 1, -2, 3, 4]}),
    "in a block": given(
        (Residual((Dense(2), ly.LeakyReLU(0.1))), Dense(1)), [[1, -1]], {"0.0.weight": [1, 1] * 2, "0.0.bias": [0] * 2}
    ),
    "where": given((Bent(), Dense(2), Dense(1)), [[1, -1], [2, 3]], {"0.bias": [-1, 1]}),
    "where above": given(
        (Dense(2), Bent(), Dense(1)), [[1, -1]], {"0.weight": [1, 1] * 2, "0.bias": [0, -1], "1.bias": [0] * 2}
    ),
}


class Sloped(Bent, frozen=True):
    """The same as a factor, which jumps."""


@reference.apply.register
def _(_layer: Sloped, parameters, x):
    z = x + parameters["bias"]
    return np.where(np.real(z) > 0, 1.0, 0.25) * z


def test_a_factor_that_jumps_at_a_kink_may_be_that_of_either_side(monkeypatch):
    values = {"0.weight": [1, 1] * 2, "0.bias": [0, -1], "1.bias": [1e-17, 0]}
    bent, sloped = (given((Dense(2), layer, Dense(1)), [[1, -1]], values) for layer in (Bent(), Sloped()))
    (gradients, other), bounds = (
        (played((*point[:2], point[2:]))[1] for point in (bent, sloped)),
        error_bounds(*sloped, "float64"),
    )
    bent[1]["1.bias"][0] = -1e-17  # on the other side, where a build may find itself
    there = played((*bent[:2], bent[2:]))[1]
    for name in ("0.weight", "0.bias", "1.bias"):
        np.testing.assert_allclose(other[name], gradients[name])
        apart = np.abs(there[name] - gradients[name])
        assert apart.max() > 0.1
        assert (apart <= 1.000001 * bounds.rounding[name]).all()
    monkeypatch.setattr(RULES[np.where], "own", lambda _: None)  # the twin
    assert apart.max() > 1e6 * error_bounds(*sloped, "float64").rounding["1.bias"].max()


def choices_of(network, parameters, inputs):
    tape = Tape(Node, F64)
    recorded(tape, network, parameters, inputs)
    leave_out_steady(tape, network, parameters, inputs)
    return tape.choices


def flips(network, parameters, inputs, targets):
    """Gradients where one unit near a kink is put on a side of it, or one candidate is made the largest."""
    choices = choices_of(network, parameters, inputs)
    for at, choice in enumerate(choices):
        for index in map(tuple, np.argwhere(choice.near)):
            for side in (np.inf,) if choice.joints is None else (-np.inf, np.inf):
                moved = choice.at.copy()
                level = choice.at[index[:-1]].max() if choice.joints is None else choice.joints[0]
                moved[index] = np.nextafter(level, side)
                other = [*choices[:at], choice._replace(at=moved), *choices[at + 1 :]]
                yield played((network, parameters, (inputs, targets)), replayed=other)[1]


def contained(point):
    """How many single flips there are, and whether each gradient by one lies between the ends."""
    bounds, found = error_bounds(*point, "float64"), [*islice(flips(*point), 40)]
    decay = {name: point[0].weight_decay * is_weight(name) * value for name, value in point[1].items()}
    room = {name: bounds.rounding[name] for name in point[1]}
    lies = [
        ((bounds.low[name] - room[name] <= g + decay[name]) & (g + decay[name] <= bounds.high[name] + room[name])).all()
        for each in found
        for name, g in each.items()
    ]
    return len(found), all(lies)


@pytest.mark.parametrize("name", KINKS)
def test_every_single_flip_at_a_kink_lies_between_the_ends(name, monkeypatch):
    count, inside = contained(KINKS[name])
    assert count >= 2
    assert inside
    for rule in (rules_choosing.MASKED, rules_functions.SLOPE):  # the twin
        monkeypatch.setattr(rule, "kinks", lambda _: None)
    assert contained(KINKS[name]) == (count, False)


def test_every_single_flip_in_a_random_network_of_small_integers_does():
    """So that many units lie on a kink, and many candidates are equal."""
    count = 0
    for network, parameters, (inputs, targets), *_ in EXAMPLES:
        if len(inputs) * sum(np.prod(shape) for shape in network.shapes) < 1500:
            integers = {name: np.round(value) for name, value in parameters.items()}
            found, inside = contained((network, integers, np.round(inputs).astype(inputs.dtype), targets))
            assert inside, network
            count += found
    assert count > 200


BLANK = [[[[0, 0, 0, 1], [0, 0, 0, 2], [0, 0, 3, 1], [0, 0, 2, 5]]]]
STEADY = {
    "two blank places": given((Conv2d(1, 1), MaxPool2d(2), Flatten(), Dense(1)), BLANK, {}),
    "two units that are off": given(
        (Conv2d(1, 1), ReLU(), MaxPool2d(2), Flatten(), Dense(1)), [[[[1, 2], [3, 4]]]], {"0.weight": [1], "0.bias": [-9]}
    ),
    "equal samples": given((Dense(2), BatchNorm(affine=False), ReLU(), Dense(1)), [[1, 2], [1, 2]], {}),
    "one candidate": given((Conv2d(1, 1), MaxPool2d(1), Flatten(), Dense(1)), BLANK, {}),
}
MOVED = {
    "two places that a weight tells apart": given(
        (Conv2d(1, 2), MaxPool2d(2, 1), Flatten(), Dense(1)), [[[[0, 0, 1], [0, 0, 2], [1, 2, -1]]]], {"0.weight": [1] * 4}
    ),
    "a unit whose bias may move": given((Dense(1), ReLU()), [[1, -1]], {"0.weight": [1, 1], "0.bias": [0]}),
    "equal samples that a bias moves": given(
        (Dense(2), BatchNorm(), ReLU(), Dense(1)), [[1, 2], [1, 2]], {"1.bias": [0, 1]}
    ),
}


def near(point):
    return sum(int(choice.near.sum()) for choice in choices_of(*point[:3]))


@pytest.mark.parametrize("name", STEADY)
def test_a_tie_that_no_parameter_moves_is_none(name):
    assert near(STEADY[name]) == 0
    assert error_bounds(*STEADY[name], "float64").units == ()
    tape = Tape(Node, F64)
    recorded(tape, *STEADY[name][:3])
    assert any(choice.near.any() for choice in tape.choices) == (name != "one candidate")  # the twin


@pytest.mark.parametrize("name", MOVED)
def test_a_tie_that_a_parameter_moves_is_one(name):
    assert near(MOVED[name]) > 0
    assert error_bounds(*MOVED[name], "float64").units


def shared(equal):
    """Squares of the errors of a pass in float32, in units of what the analysis says of them, block by block."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 6)).astype(np.float32).astype(float)
    network, point, x, y = given(
        (Dense(5), LayerNorm(), gradcheck.Tanh(), Dense(3)), x[np.zeros(200, int)] if equal else x, {}
    )
    point = {name: value.astype(np.float32).astype(float) for name, value in point.items()}
    tape = Tape(Node, precision("float32"), in_a_loop=False)
    known, outputs = recorded(tape, network, point, x)
    found = tape.gradients(outputs, tape.leaf(loss_slopes(network.loss, outputs.value, 0 * y)), known)
    again = coherent(tape, network, point, x, 0 * y, {name: node.value for name, node in found.items()})
    return np.array([np.sqrt(again[name].mean() / node.variance.mean()) for name, node in found.items()])


def test_errors_that_are_the_same_in_every_sample_are_seen_to_add_up():
    assert np.median(shared(equal=True)) > 4 * np.median(shared(equal=False))


def test_they_are_part_of_the_bounds_of_all_but_flat_networks(monkeypatch):
    squares = np.arange(8.0).reshape(2, 4) * 1e4
    bounds = []
    for again in (0 * squares, squares):
        monkeypatch.setattr(rounding, "coherent", lambda *_, again=again: {"1.weight": again})
        layered, flat = (given((layer, Dense(2)), np.ones((1, 4)), {}) for layer in (LayerNorm(), gradcheck.Tanh()))
        bounds.append([error_bounds(*point, "float64").rounding["1.weight"] for point in (layered, flat)])
    (without, flat), (found, still) = bounds
    np.testing.assert_allclose(found**2 - without**2, (100 * F64.u) ** 2 * (squares + 0.1 * squares.mean()), rtol=1e-6)
    np.testing.assert_array_equal(still, flat)


UNKNOWN = {
    "einsum": lambda x: np.einsum("ij->i", x),
    "maximum": lambda x: np.maximum(x, 0),
    "absolute": abs,
    "norm": np.linalg.norm,
    "reduce": np.add.reduce,
    "asarray": np.asarray,
    "floor": np.floor,
    "power": lambda x: 2**x,
    "equal": lambda x: x == 1,
    "bitwise_and": lambda x: (x > 0) & (x < 1),
    "stack": lambda x: np.stack([x, x]),
    "logaddexp": lambda x: np.logaddexp(x, 0),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_a_function_that_the_tape_does_not_know_is_refused_by_name(name):
    with pytest.raises(
        TypeError, match=rf"^the analysis of rounding knows no numpy\.{name}; it knows add, .*where, windows$"
    ):
        UNKNOWN[name](Tape(Node).leaf(np.ones((2, 3))))


def test_a_branch_of_pythons_is_refused():
    with pytest.raises(TypeError, match=r"no branches of Python's by the values of an array, only numpy\.where"):
        bool(Tape(Node).leaf(np.ones(3)).sum() > 0)


def test_distances_of_candidates_change_sign_where_another_becomes_the_largest():
    rng = np.random.default_rng(0)
    layers = (Conv2d(2, 2), MaxPool2d(2, 1), Flatten(), Dense(1))
    network, point, x, y = given(layers, rng.standard_normal((1, 1, 4, 4)), {})
    stack = {name: np.stack([rng.standard_normal(value.shape) for _ in range(40)]) for name, value in point.items()}
    rows = distances(network, point, x, y, stack)
    winners = []
    for i, row in enumerate(rows):
        tape = Tape(Node)
        recorded(tape, network, {name: values[i] for name, values in stack.items()}, x)
        (choice,) = tape.choices
        winners.append(choice.winner)
        np.testing.assert_array_equal(row.reshape(choice.at.shape) > 0, choice.taken)
    assert len({tuple(each.ravel()) for each in winners}) > 20


def test_units_near_a_kink_are_called_by_their_layer_and_place():
    x = np.stack([np.arange(80.0).reshape(2, 10, 4), np.zeros((2, 10, 4))], axis=1)
    x[0, :, 9, 2] = x[0, 0, 9, 3] - 5, 5  # as large as its neighbour where both channels have the same weight
    layers = (Conv2d(3, 1), gradcheck.Identity(), ly.Sequential({"pooled": MaxPool2d(2)}), MaxPool2d(1), Flatten(), Dense(1))
    units = {
        MaxPool2d(2): ["layer 3, sample 0, channel 2, window (4, 1)"],
        ly.Sequential({"pooled": MaxPool2d(2)}): ["layer 3.pooled, sample 0, channel 2, window (4, 1)"],
        Flatten(): [],
    }
    for layer, expected in units.items():
        layers = (Conv2d(3, 1), gradcheck.Identity(), gradcheck.Softplus(), layer, Flatten(), Dense(1))
        point = given(layers, x, {"0.weight": [1, 0, 1, 0.5, 1, 1], "0.bias": [0] * 3})
        assert list(error_bounds(*point, "float64").units) == expected
    for layers, shape, expected in (
        ((Dense(2), ReLU()), (3, 2), ["layer 1, sample 2, unit 1"]),
        ((Dense(2), ReLU(), Flatten()), (3, 5, 2), ["layer 1, sample 2, place 4, unit 1"]),
        ((Conv2d(2, 1), ReLU(), Flatten()), (3, 2, 5, 2), ["layer 1, sample 2, channel 1, place (4, 1)"]),
    ):
        x = np.ones(shape)
        x[(-1, slice(None), -1, -1) if len(shape) == 4 else (-1, -1)[: len(shape) - 1]] = -1, 1
        point = given(layers, x, {"0.weight": [1, 0, 1, 1], "0.bias": [2, 0]})
        assert list(error_bounds(*point, "float64").units) == expected


def test_the_error_of_a_mean_that_all_samples_share_counts_as_one(monkeypatch):
    rng = np.random.default_rng(0)
    network = Network((3, 4, 4), (Conv2d(2, 3), BatchNorm(), Flatten(), Dense(2)), MSE())
    parameters = {name: rng.standard_normal(shape) for name, shape in network.parameter_shapes.items()}
    batch = rng.standard_normal((600, 3, 4, 4)), rng.standard_normal((600, 2))
    usual = error_bounds(network, parameters, *batch, "float64").rounding["0.weight"]
    monkeypatch.setattr(rules_arithmetic, "ROOTS", 0.0)
    apart = error_bounds(network, parameters, *batch, "float64").rounding["0.weight"]
    assert (usual > 1.2 * apart).all()
