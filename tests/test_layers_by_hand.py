"""The manual and the Autograd build of every layer, against central differences of what the layer means, in plain loops."""

from itertools import product

import numpy as np
import pytest
from autograd.extend import defvjp, primitive
from gradcheck_backends.hips_autograd import blocks as in_autograd
from gradcheck_backends.manual import blocks as by_hand
from gradcheck_backends.manual.mistakes import Mistakes

import gradcheck
from gradcheck import MSE, Batch, CrossEntropy, Dense, Network, ReLU, Tanh
from gradcheck.network.layers import (
    Attention,
    BatchNorm,
    Conv2d,
    Embedding,
    Flatten,
    LayerNorm,
    MaxPool2d,
    Residual,
    Sequential,
    Tied,
)
from gradcheck.network.layers.blocks import named, parameters_of
from gradcheck.network.network import by_layer

BUILDS = ("manual", "autograd")
RULES = {"manual": by_hand.LAYERS, "autograd": in_autograd.LAYERS}

# What each layer means


def images(layer, shape, x, fill, of_window):
    """``of_window(channel, window of all channels)`` at every place."""
    p, s, d = layer.padding, getattr(layer, "step", 0) or layer.stride, getattr(layer, "dilation", 1)
    x = np.pad(x, ((0, 0), (p, p), (p, p)), constant_values=fill)
    reach = d * (layer.kernel - 1) + 1
    found = np.empty(shape)
    for channel, i, j in product(*map(range, shape)):
        window = x[:, s * i : s * i + reach : d, s * j : s * j + reach : d]
        found[channel, i, j] = of_window(channel, window)
    return found


def conv2d(layer, p, x):
    shape, size = layer.output_shape(x.shape), p["weight"].shape[1]
    bias = p.get("bias", np.zeros(layer.channels))

    def of_window(channel, window):
        first = channel // (layer.channels // layer.groups) * size
        return (window[first : first + size] * p["weight"][channel]).sum() + bias[channel]

    return images(layer, shape, x, 0, of_window)


def max_pool2d(layer, _, x):
    return images(layer, layer.output_shape(x.shape), x, -np.inf, lambda channel, window: window[channel].max())


def attention(layer, p, x):
    size = x.shape[1] // layer.heads
    q, k, v = (dense(None, parameters_of(p, name), x) for name in ("query", "key", "value"))
    mixed = np.empty_like(q)
    for head, t in product(range(layer.heads), range(len(x))):
        mine = slice(head * size, (head + 1) * size)
        shared = slice(head // layer.groups * size, (head // layer.groups + 1) * size)
        seen = range(t + 1 if layer.causal else len(x))
        query, keys = q[t, mine], [k[u, shared] for u in seen]
        if layer.rope:
            query, keys = turned(query, t), [turned(key, u) for u, key in zip(seen, keys, strict=True)]
        weights = np.exp([query @ key / np.sqrt(size) for key in keys])
        mixed[t, mine] = sum(w * v[u, shared] for w, u in zip(weights / weights.sum(), seen, strict=True))
    return dense(None, parameters_of(p, "output"), mixed)


def turned(x, t):
    """As complex numbers."""
    half = len(x) // 2
    z = (x[:half] + 1j * x[half:]) * np.exp(1j * t * 10_000.0 ** (-np.arange(half) / half))
    return np.concatenate([z.real, z.imag])


def dense(_, p, x):
    return np.einsum("uf,...f->...u", p["weight"], x) + p.get("bias", 0)


def normalized(layer, p, x, axes, kept):
    found = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + layer.eps)
    along = [-1 if axis == kept else 1 for axis in range(x.ndim)]
    return found * p["weight"].reshape(along) + p["bias"].reshape(along) if layer.affine else found


def through(block, p, x):
    for name, layer in named(block):
        x = meaning(layer, parameters_of(p, name), x)
    return x


OF_A_SAMPLE = {Conv2d: conv2d, MaxPool2d: max_pool2d, Attention: attention, Flatten: lambda _, __, x: x.ravel()}
OF_A_BATCH = {
    Dense: dense,
    Tanh: lambda _, __, x: np.tanh(x),
    ReLU: lambda _, __, x: np.where(x > 0, x, 0),
    LayerNorm: lambda layer, p, x: normalized(layer, p, x, x.ndim - 1, x.ndim - 1),
    BatchNorm: lambda layer, p, x: normalized(layer, p, x, (0, *range(2, x.ndim)), 1),
    Embedding: lambda _, p, x: np.array([p["weight"][i] for i in x.ravel()]).reshape(*x.shape, -1),
    Sequential: through,
    Residual: lambda block, p, x: x + through(block, p, x),
    Tied: lambda tied, p, x: meaning(tied.layer, p, x),
}


def meaning(layer, p, x):
    if type(layer) in OF_A_BATCH:
        return OF_A_BATCH[type(layer)](layer, p, x)
    return np.stack([OF_A_SAMPLE[type(layer)](layer, p, sample) for sample in x])


def outputs(network, parameters, x):
    for layer, own in zip(network.layers, by_layer(network, parameters), strict=True):
        x = meaning(layer, own, x)
    return x


def loss(network, parameters, batch):
    x = outputs(network, parameters, batch.inputs)
    if isinstance(network.loss, CrossEntropy):
        tokens = zip(x.reshape(-1, x.shape[-1]), batch.targets.ravel(), strict=True)
        return np.mean([np.log(np.exp(z).sum()) - z[y] for z, y in tokens])
    return np.mean((x - batch.targets) ** 2)


def differences(network, parameters, batch):
    found = {name: np.empty_like(value) for name, value in parameters.items()}
    for name, value in parameters.items():
        for place in np.ndindex(value.shape):
            ends = []
            for step in (1e-6, -1e-6):
                moved = value.copy()
                moved[place] += step
                ends.append(loss(network, {**parameters, name: moved}, batch))
            found[name][place] = (ends[0] - ends[1]) / 2e-6
    return found


# Networks: for each layer that is new the smallest that use all of its options

MLP = (LayerNorm(), Dense(3), Tanh(), Dense(4))
NETWORKS = {
    "conv2d": ((4, 4, 5), (Conv2d(6, 2, 2, 1, 2, groups=2),), Conv2d),
    "conv2d-below": ((2, 3, 4), (Conv2d(2, 2, bias=False), Tanh(), Conv2d(1, 2, padding=1)), Conv2d),
    "max_pool2d": ((1, 4, 3), (Conv2d(2, 1), MaxPool2d(2, padding=1)), MaxPool2d),
    "max_pool2d-overlapping": ((1, 4, 4), (Conv2d(2, 2), MaxPool2d(3, 1, 1), Flatten(), Dense(2)), MaxPool2d),
    "flatten": ((2, 1, 2), (Conv2d(2, 1), Flatten(), Dense(2)), Flatten),
    "layer_norm": ((3, 2), (Dense(4), LayerNorm(), Tanh(), Dense(3), LayerNorm(1e-2, affine=False)), LayerNorm),
    "batch_norm": ((3,), (Dense(2), BatchNorm(), Tanh(), Dense(2), BatchNorm(affine=False)), BatchNorm),
    "batch_norm-images": ((1, 3, 2), (Conv2d(2, 1), BatchNorm(1e-2), ReLU()), BatchNorm),
    "attention": ((3, 2), (Dense(2), Attention(bias=False)), Attention),
    "attention-causal-rope": ((4, 3), (Dense(4), Attention(2, causal=True, rope=True)), Attention),
    "attention-kv_heads": ((3, 4), (Dense(4, bias=False), Attention(4, 2, causal=True)), Attention),
    "dense": ((2, 3, 2), (Dense(3), Tanh(), Dense(1)), Dense),
    "activation": ((2, 3), (Dense(3), Tanh(), Dense(2)), Tanh),
    "embedding": ((2, 3), (Embedding(5, 2), Dense(2)), Embedding),
    "residual": ((3, 4), (Dense(4), Residual(MLP, names=("norm", "up", "act", "down"))), Residual),
    "sequential": ((4,), (Sequential((Dense(2), Sequential((Residual((Tanh(), Dense(2))),)), Dense(1))),), Sequential),
    "tied": (
        (3,),
        {"tokens": Embedding(4, 3), "": Residual((Dense(3),)), "out": Tied(Dense(4), {"weight": "tokens.weight"})},
        Tied,
    ),
    "tied-in-a-block": ((2,), (LayerNorm(), Dense(2), Residual((Tied(Dense(2), {"weight": "1.weight"}),))), Tied),
}


def problem(name, dtype="float64"):
    inputs, layers, _ = NETWORKS[name]
    rng = np.random.default_rng(7)
    tokens = "embedding" in name or name == "tied"
    network = Network(inputs, layers, CrossEntropy() if tokens else MSE())
    parameters = {k: rng.standard_normal(shape).astype(dtype) for k, shape in network.parameter_shapes.items()}
    x = rng.integers(0, network.vocabulary, (3, *inputs)) if tokens else rng.standard_normal((3, *inputs)).astype(dtype)
    shape = (3, *network.target_shape)
    y = rng.integers(0, network.shapes[-1][-1], shape) if tokens else rng.standard_normal(shape).astype(dtype)
    return network, parameters, Batch(x, y)


def computed(build, network, parameters, batch):
    return gradcheck.backend(build).build(network).loss_and_gradients(parameters, batch)


def furthest(found, expected):
    """The largest difference of an entry, in the size of the largest."""
    assert list(found) == list(expected)
    largest = max(np.abs(value).max() for value in expected.values())
    return max(np.abs(found[name] - expected[name]).max() for name in expected) / largest


@pytest.fixture(scope="module", params=NETWORKS)
def posed(request):
    network, parameters, batch = problem(request.param)
    return request.param, (network, parameters, batch), differences(network, parameters, batch)


@pytest.mark.parametrize("build", BUILDS)
def test_gradients_are_the_differences_of_what_the_layer_means(build, posed):
    _, (network, parameters, batch), expected = posed
    before = {name: value.copy() for name, value in parameters.items()}
    value, found = computed(build, network, parameters, batch)
    assert value == pytest.approx(loss(network, parameters, batch), rel=1e-12)
    assert value == gradcheck.backend(build).build(network).loss(parameters, batch)
    assert furthest(found, expected) < 1e-7
    assert all(np.array_equal(before[name], parameters[name]) for name in parameters)


def crooked(rule):
    """The rule with a pullback that is 0.01 % too large."""

    def wrong(layer, parameters, x, buffers):
        y, pullback = rule(layer, parameters, x, buffers)
        return y, lambda g: pullback(1.0001 * g)

    return wrong


too_steep = primitive(lambda y: y + 0)
defvjp(too_steep, lambda _, __: lambda g: 1.0001 * g)


@pytest.mark.parametrize("build", BUILDS)
def test_a_pullback_that_is_wrong_is_found(build, posed, monkeypatch):
    """The twin."""
    name, problem, expected = posed
    kind = NETWORKS[name][2]
    rule = RULES[build][kind]
    wrong = crooked(rule) if build == "manual" else lambda *given: too_steep(rule(*given))
    monkeypatch.setitem(RULES[build], kind, wrong)
    assert furthest(computed(build, *problem)[1], expected) > 1e-6


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("name", NETWORKS)
def test_single_precision_stays_single(build, name):
    network, parameters, batch = problem(name, "float32")
    _, found = computed(build, network, parameters, batch)
    assert {value.dtype for value in found.values()} == {np.dtype("float32")}
    double = {key: value.astype(float) for key, value in parameters.items()}
    inputs, targets = (part.astype(float) if part.dtype.kind == "f" else part for part in batch)
    assert 0 < furthest(found, computed(build, network, double, Batch(inputs, targets))[1]) < 1e-4


@pytest.mark.parametrize("build", BUILDS)
def test_max_pooling_takes_the_first_of_equals_and_never_the_border(build):
    network = Network((1, 2), (Embedding(2, 2), MaxPool2d(2, padding=1), Flatten(), Dense(1)), MSE())
    parameters = {"0.weight": -np.ones((2, 2)), "3.weight": np.ones((1, 4)), "3.bias": np.zeros(1)}
    value, found = computed(build, network, parameters, Batch(np.array([[[0, 1]]]), np.zeros((1, 1))))
    assert value == 16
    assert np.array_equal(found["0.weight"], np.full((2, 2), -8.0))
    network = Network((1, 2), (Embedding(2, 2), MaxPool2d(2), Flatten()), MSE())
    value, found = computed(build, network, {"0.weight": -np.ones((2, 2))}, Batch(np.array([[[0, 1]]]), np.zeros((1, 1))))
    assert np.array_equal(found["0.weight"], [[-2.0, 0], [0, 0]])


class Cubed(gradcheck.Activation, frozen=True):
    """z^3"""


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("layer", [Residual((Cubed(),)), Sequential((Residual((Cubed(),)),)), Tied(Cubed(), {})], ids=repr)
def test_a_layer_without_a_rule_is_refused_before_anything_is_computed_however_deep_it_lies(build, layer):
    with pytest.raises(gradcheck.BackendError, match=f"^the {build} build has no rule for Cubed$"):
        gradcheck.backend(build).build(Network((2,), (Dense(2), layer), MSE()))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_library_of_mistakes_starts_from_the_right_gradients_and_changes_some(name):
    network, parameters, batch = problem(name)
    library = Mistakes(network, parameters, batch)
    assert furthest(library.gradients, computed("autograd", network, parameters, batch)[1]) < 1e-12
    made = [dict(changed) for _, changed in (*library.singly(), *library.habits())]
    assert all(value.shape == parameters[key].shape for changed in made for key, value in changed.items())
    assert not (made and name.startswith("tied"))
    each = library.contributions()
    assert (each == {}) == name.startswith("batch_norm")
    means = {key: rows.mean(axis=0).reshape(parameters[key].shape) for key, rows in each.items()}
    assert not means or furthest(means, library.gradients) < 1e-12


def test_a_mistake_above_a_block_is_carried_down_through_it():
    """Without its derivative a tanh hands down what MSE would give below it for other targets."""
    below, parameters, batch = problem("residual")
    network = Network(below.inputs, (*below.layers, Tanh()), MSE())
    library = Mistakes(network, parameters, batch)
    omitted = next(each for each in library.mistakes() if each.evidence.get("how") == "omitted")
    z = outputs(below, parameters, batch.inputs)
    _, expected = computed("autograd", below, parameters, Batch(batch.inputs, z - np.tanh(z) + batch.targets))
    carried = dict(library.with_mistake(omitted))
    assert furthest({name: carried[name] for name in expected}, expected) < 1e-12
    assert furthest(library.gradients, expected) > 0.01
