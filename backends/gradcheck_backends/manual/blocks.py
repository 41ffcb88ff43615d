"""Layers one after the other, and blocks of them; the rules of all layers for samples in rows, (n, *shape)."""

from collections.abc import Iterable, Mapping, Sequence

from gradcheck.foundation.arrays import Array
from gradcheck.network.layers import Block, Flatten, Layer, Residual, Sequential, Tied
from gradcheck.network.layers.blocks import named, parameters_of
from gradcheck_backends.manual import activations, attention, dense, images, normalization
from gradcheck_backends.manual.buffers import NEW, NONE, Buffers
from gradcheck_backends.manual.rules import Gradients, LayerPullback, LayerRule, prefixed, rule_of


def forward(
    layers: Iterable[Layer], parameters: Iterable[Mapping[str, Array]], x: Array
) -> tuple[Array, list[LayerPullback]]:
    """Through layers, each with its parameters: the last output, and the pullback of each."""
    pullbacks: list[LayerPullback] = []
    for layer, own in zip(layers, parameters, strict=True):
        x, pullback = rule_of(layer, LAYERS)(layer, own, x, NEW)
        pullbacks.append(pullback)
    return x, pullbacks


def backward(g: Array, pullbacks: Sequence[LayerPullback]) -> tuple[Array, list[Mapping[str, Array]]]:
    """From the gradient at the last output to that at the first input, and those of each layer's parameters."""
    gradients: list[Mapping[str, Array]] = []
    for pullback in reversed(pullbacks):
        g, own = pullback(g)
        gradients.append(own)
    return g, gradients[::-1]


def sequential(block: Block, parameters: Mapping[str, Array], x: Array, _: Buffers) -> tuple[Array, LayerPullback]:
    names = [name for name, _ in named(block)]
    y, pullbacks = forward(block.layers, [parameters_of(parameters, name) for name in names], x)

    def pullback(g: Array) -> tuple[Array, Gradients]:
        below, each = backward(g, pullbacks)
        return below, prefixed(zip(names, each, strict=True))

    return y, pullback


def residual(block: Residual, parameters: Mapping[str, Array], x: Array, buffers: Buffers) -> tuple[Array, LayerPullback]:
    y, inner = sequential(block, parameters, x, buffers)

    def pullback(g: Array) -> tuple[Array, Mapping[str, Array]]:
        below, gradients = inner(g)
        return g + below, gradients

    return x + y, pullback


def tied(layer: Tied, parameters: Mapping[str, Array], x: Array, buffers: Buffers) -> tuple[Array, LayerPullback]:
    """What the layer is tied to comes among its parameters; the network adds up the gradients of all uses."""
    return rule_of(layer.layer, LAYERS)(layer.layer, parameters, x, buffers)


def flatten(_: Flatten, _parameters: Mapping[str, Array], x: Array, _buffers: Buffers) -> tuple[Array, LayerPullback]:
    return x.reshape(len(x), -1), lambda g: (g.reshape(x.shape), NONE)


def check(layers: Iterable[Layer]) -> None:
    """Raises `BackendError` for a layer without a rule, however deep in blocks."""
    for layer in layers:
        rule_of(layer, LAYERS)
        check(layer.layers if isinstance(layer, Block) else (layer.layer,) if isinstance(layer, Tied) else ())


LAYERS: dict[type[Layer], LayerRule] = {
    **activations.LAYERS,
    **dense.LAYERS,
    **images.LAYERS,
    **normalization.LAYERS,
    **attention.LAYERS,
    Sequential: sequential,
    Residual: residual,
    Tied: tied,
    Flatten: flatten,
}
