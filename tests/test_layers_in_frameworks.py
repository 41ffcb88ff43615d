"""Layers of images, sequences and tokens, and blocks, as PyTorch and JAX build them: against loops and the complex step."""

from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest

from gradcheck import MSE, Batch, CrossEntropy, Dense, Network, Tanh
from gradcheck.builds.registry import backend
from gradcheck.errors import BackendError
from gradcheck.network.layers import (
    Activation,
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

pytest.importorskip("torch")
from gradcheck_backends import pytorch

BUILDS = ("torch", "jax")


def dense(_, p, x):
    return x @ p["weight"].T + p.get("bias", 0)


def conv2d(layer, p, x):
    padded = np.pad(x, ((0, 0), (0, 0), (layer.padding,) * 2, (layer.padding,) * 2))
    z = np.zeros((len(x), *layer.output_shape(x.shape[1:])), complex)
    ins, outs = x.shape[1] // layer.groups, layer.channels // layer.groups
    for o, i, j in np.ndindex(*z.shape[1:]):
        rows, columns = (slice(at * layer.stride, None, layer.dilation) for at in (i, j))
        seen = padded[:, o // outs * ins :][:, :ins, rows, columns][..., : layer.kernel, : layer.kernel]
        z[:, o, i, j] = (seen * p["weight"][o]).sum((1, 2, 3)) + (p["bias"][o] if layer.bias else 0)
    return z


def max_pool2d(layer, _, x):
    padded = np.pad(x, ((0, 0), (0, 0), (layer.padding,) * 2, (layer.padding,) * 2), constant_values=-np.inf)
    z = np.zeros((len(x), *layer.output_shape(x.shape[1:])), complex)
    for n, c, i, j in np.ndindex(*z.shape):
        window = padded[n, c, i * layer.step :, j * layer.step :][: layer.kernel, : layer.kernel].ravel()
        z[n, c, i, j] = window[window.real.argmax()]
    return z


def normal(layer, p, x, axes, shape):
    centred = x - x.mean(axes, keepdims=True)
    z = centred / np.sqrt((centred**2).mean(axes, keepdims=True) + layer.eps)
    return z * p["weight"].reshape(shape) + p["bias"].reshape(shape) if layer.affine else z


def batch_norm(layer, p, x):
    return normal(layer, p, x, (0, *range(2, x.ndim)), (-1, *(1,) * (x.ndim - 2)))


def attention(layer, p, x):
    size, z = x.shape[-1] // layer.heads, np.zeros(x.shape, complex)
    q, k, v = (dense(None, parameters_of(p, name), x) for name in ("query", "key", "value"))
    for n, head, t in np.ndindex(len(x), layer.heads, x.shape[1]):
        own, other = (slice(at * size, (at + 1) * size) for at in (head, head // layer.groups))
        last = t + 1 if layer.causal else x.shape[1]
        by = [turn(size, place) if layer.rope else np.eye(size) for place in range(x.shape[1])]
        scores = np.array([(by[t] @ q[n, t, own]) @ (by[s] @ k[n, s, other]) for s in range(last)])
        weights = np.exp(scores / np.sqrt(size))
        z[n, t, own] = weights / weights.sum() @ v[n, :last, other]
    return dense(None, parameters_of(p, "output"), z)


@cache
def turn(size, place):
    """The matrix that turns the entries i and i + size / 2, each pair by its angle."""
    half, matrix = size // 2, np.eye(size)
    for i in range(half):
        c, s = np.cos(place * 10_000 ** (-i / half)), np.sin(place * 10_000 ** (-i / half))
        matrix[np.ix_((i, i + half), (i, i + half))] = [[c, -s], [s, c]]
    return matrix


def through(block, p, x):
    for name, inner in named(block):
        x = MEANING[type(inner)](inner, parameters_of(p, name), x)
    return x


MEANING = {
    Dense: dense,
    Tanh: lambda _, __, x: np.tanh(x),
    Conv2d: conv2d,
    MaxPool2d: max_pool2d,
    Flatten: lambda _, __, x: x.reshape(len(x), -1),
    LayerNorm: lambda layer, p, x: normal(layer, p, x, -1, (-1,)),
    BatchNorm: batch_norm,
    Embedding: lambda _, p, x: p["weight"][x],
    Attention: attention,
    Sequential: through,
    Residual: lambda layer, p, x: x + through(layer, p, x),
    Tied: lambda layer, p, x: MEANING[type(layer.layer)](layer.layer, p, x),
}


def loss(network, parameters, batch):
    x = batch.inputs
    for layer, own in zip(network.layers, by_layer(network, parameters), strict=True):
        x = MEANING[type(layer)](layer, own, x)
    if network.loss == MSE():
        return ((x - batch.targets) ** 2).mean()
    each = np.log(np.exp(x).sum(-1)) - np.take_along_axis(x, batch.targets[..., None], -1)[..., 0]
    return each.mean()


def drawn(network):
    rng, samples = np.random.default_rng(5), 3
    parameters = {name: 0.7 * rng.standard_normal(shape) for name, shape in network.parameter_shapes.items()}
    inputs, targets = (samples, *network.inputs), (samples, *network.target_shape)
    x = rng.integers(0, network.vocabulary, inputs) if network.vocabulary else rng.standard_normal(inputs)
    y = rng.standard_normal(targets) if network.loss == MSE() else rng.integers(0, 5, targets)
    return parameters, Batch(x, y)


def slopes(network, parameters, batch, step=1e-100):
    """The gradients, by the complex step: no difference is taken."""
    found = {name: np.zeros(value.shape) for name, value in parameters.items()}
    for name, gradient in found.items():
        for entry in np.ndindex(*gradient.shape):
            moved = parameters[name].astype(complex)
            moved[entry] += 1j * step
            gradient[entry] = loss(network, {**parameters, name: moved}, batch).imag / step
    return found


@cache
def truth(network):
    return slopes(network, *drawn(network))


def far(found, expected):
    """The largest difference, as a part of the largest slope."""
    largest = max(abs(slope).max() for slope in expected.values())
    return max(abs(found[name] - slope).max() for name, slope in expected.items()) / largest


def built(build, network, *at):
    if build == "jax":
        pytest.importorskip("jax")
    return backend(build).build(network).loss_and_gradients(*at)


def around(inputs, layer):
    """With a dense layer before it, so that gradients pass through it, and one behind."""
    before = {} if layer.vocabulary else {"before": Dense(inputs[-1])}
    return Network(inputs, {**before, "": layer, "after": Dense(2)}, MSE())


def bent(layer):
    return Sequential({"": layer, "bend": Tanh()})


IMAGE, SEQUENCE = (2, 4, 5), (3, 8)
BLOCK = Sequential({"half": Residual((Dense(4), Tanh())), "": Dense(3), "type": Sequential((Tanh(), Dense(4)))})
ROTARY = Attention(2, kv_heads=1, causal=True, rope=True, bias=False)

# Each with another of the same parameters, which it must not be taken for.
LAYERS = {
    "dense": (SEQUENCE, Dense(3), bent(Dense(3))),
    "embedding": ((3,), Embedding(5, 4), bent(Embedding(5, 4))),
    "convolution": (IMAGE, Conv2d(3, 2, stride=2, padding=1), bent(Conv2d(3, 2, stride=2, padding=1))),
    "convolution of groups": (IMAGE, Conv2d(4, 3, padding=2, dilation=2, groups=2), Conv2d(4, 3, padding=1, groups=2)),
    "convolution without bias": (IMAGE, Conv2d(1, 1, bias=False), bent(Conv2d(1, 1, bias=False))),
    "pooling": (IMAGE, MaxPool2d(2), bent(MaxPool2d(2))),
    "pooling that overlaps": (IMAGE, MaxPool2d(3, stride=1, padding=1), MaxPool2d(1)),
    "flatten": (IMAGE, Flatten(), bent(Flatten())),
    "layer norm": (SEQUENCE, LayerNorm(), LayerNorm(eps=1e-3)),
    "layer norm alone": (SEQUENCE, LayerNorm(affine=False), BatchNorm(affine=False)),
    "batch norm": ((3,), BatchNorm(), LayerNorm()),
    "batch norm of places": ((3, 3), BatchNorm(), LayerNorm()),
    "batch norm of images": ((2, 3, 2), BatchNorm(), LayerNorm()),
    "batch norm alone": ((2, 3, 2), BatchNorm(affine=False), BatchNorm(affine=False, eps=1e-3)),
    "attention": ((3, 4), Attention(), Attention(heads=2)),
    "attention to what was": ((3, 4), Attention(2, causal=True), Attention(2)),
    "attention by place": (SEQUENCE, ROTARY, Attention(2, kv_heads=1, causal=True, bias=False)),
    "blocks": ((3, 4), BLOCK, bent(BLOCK)),
}


WITH_JAX = ("convolution of groups", "attention by place")
EACH = [("torch", name) for name in LAYERS]
EACH += [pytest.param("jax", name, marks=[pytest.mark.slow] * (name not in WITH_JAX)) for name in LAYERS]


@pytest.mark.parametrize(("build", "name"), EACH)
def test_every_layer_is_built_as_it_is_described(build, name):
    inputs, layer, other = LAYERS[name]
    network, neighbour = around(inputs, layer), around(inputs, other)
    at = drawn(network)
    value, found = built(build, network, *at)
    assert value == pytest.approx(loss(network, *at).real, rel=1e-13)
    assert far(found, truth(network)) < 1e-12
    assert far(found, truth(neighbour)) > 1e-6


@pytest.mark.parametrize("build", BUILDS)
def test_of_equals_in_a_window_the_first_is_taken(build, monkeypatch):
    network = around(IMAGE, MaxPool2d(3, stride=1, padding=1))
    parameters, batch = drawn(network)
    parameters["before.weight"][:] = parameters["before.bias"][:] = 0
    _, found = built(build, network, parameters, batch)
    assert far(found, slopes(network, parameters, batch)) < 1e-12
    monkeypatch.setitem(MEANING, MaxPool2d, lambda layer, p, x: max_pool2d(layer, p, x[..., ::-1, ::-1])[..., ::-1, ::-1])
    assert far(found, slopes(network, parameters, batch)) > 1e-6


TOKENS = {"tokens": Embedding(5, 4), "block": BLOCK, "head": Dense(5)}
TIED = {**TOKENS, "head": Tied(TOKENS["head"], {"weight": "tokens.weight"})}
INSIDE = Tied(
    Sequential({"": Dense(4, bias=False), "forward": Dense(4)}), {"weight": "2.weight", "forward.weight": "2.weight"}
)


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("layers", [TIED, (Embedding(5, 4), INSIDE, Dense(4), Dense(5))], ids=["one", "nested"])
def test_gradients_of_a_tied_parameter_add_up_over_its_uses_with_a_class_for_every_token(build, layers):
    network = Network((3,), layers, CrossEntropy())
    _, found = built(build, network, *drawn(network))
    assert far(found, truth(network)) < 1e-12
    name = next(name for name in found if name.endswith("weight"))
    assert far({**found, name: found[name] / 2}, truth(network)) > 1e-6


NAMED = [
    Network((3,), TIED, CrossEntropy()),
    Network((2, 4), (INSIDE, Dense(4), Dense(4)), MSE()),
    Network((2, 8), {"": Residual((Dense(8),)), "0": Sequential({"norm": LayerNorm()}), "training": ROTARY}, MSE()),
    Network(IMAGE, (Conv2d(3, 2), BatchNorm(), MaxPool2d(2), Flatten(), Dense(2, bias=False)), MSE()),
]


@pytest.mark.parametrize("network", NAMED, ids=repr)
def test_the_torch_build_carries_the_names_of_its_state_dict_and_no_others(network):
    module = backend("torch").build(network).module
    assert dict(module.named_parameters()).keys() == network.parameter_shapes.keys()
    assert {name: tuple(value.shape) for name, value in module.state_dict().items()} == network.parameter_shapes


def test_a_tied_parameter_that_the_module_kept_would_be_found(monkeypatch):
    monkeypatch.setattr(
        pytorch.blocks, "_tied", lambda tied, inputs, wires: pytorch.blocks._built(tied.layer, inputs, wires)
    )
    found = dict(backend("torch").build(NAMED[0]).module.named_parameters())
    assert found.keys() - NAMED[0].parameter_shapes.keys() == {"head.weight"}


class Cubed(Activation, frozen=True):
    """z^3"""


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("block", [Sequential((Residual((Cubed(),)),)), Tied(Cubed(), {})], ids=repr)
def test_a_layer_without_a_rule_is_found_when_it_is_built_wherever_it_lies(build, block):
    pytest.importorskip(build)
    with pytest.raises(BackendError, match=f"^the {build} build has no rule for Cubed$"):
        backend(build).build(Network((2,), (block, Dense(1)), MSE()))


@pytest.mark.parametrize("arithmetic", ["float32", "bfloat16"])
def test_tokens_stay_indices_in_a_narrower_arithmetic(arithmetic):
    network = Network((3,), (Embedding(300, 4), Dense(5)), CrossEntropy())
    parameters, batch = drawn(network)
    exact = built("torch", network, parameters, batch)[1]
    _, found = pytorch.on(arithmetic=arithmetic).build(network).loss_and_gradients(parameters, batch)
    assert 1e-9 < far(found, exact) < 0.02  # of 300 indices bfloat16 knows a few
    assert {gradient.dtype for gradient in found.values()} == {np.dtype("float64")}


def test_one_model_of_any_layers_may_be_called_from_many_threads():
    block = Sequential((Attention(2, causal=True, rope=True), LayerNorm(), BLOCK, BatchNorm()))
    network = Network((3,), {**TIED, "block": block}, CrossEntropy())
    model, (parameters, batch) = backend("torch").build(network), drawn(network)
    points = [{name: value + shift / 9 for name, value in parameters.items()} for shift in range(8)]
    expected = [model.loss_and_gradients(point, batch)[0] for point in points]
    assert len(set(expected)) == 8
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda point: model.loss_and_gradients(point, batch)[0], points * 20)) == expected * 20


@pytest.mark.slow  # of compiling
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # torch's own, of torch's own
@pytest.mark.parametrize("name", ["attention by place", "batch norm of images"])
def test_the_compiled_build_is_the_same(name):
    network = around(*LAYERS[name][:2])
    _, found = pytorch.compiled.build(network).loss_and_gradients(*drawn(network))
    assert far(found, truth(network)) < 1e-12
