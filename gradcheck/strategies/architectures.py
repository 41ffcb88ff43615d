"""Networks: dense layers with anything else before, between and behind them, under every loss."""

from collections.abc import Sequence

from hypothesis import strategies as st

from gradcheck.network import layers as ly
from gradcheck.network import losses as ls
from gradcheck.network.network import Network
from gradcheck.strategies.arguments import choices, rarely, whole

USUAL_DEPTH = 3  # dense layers; one network in SELDOM may have more
SELDOM = 16
FIRST = 6  # one in so many has something in front of the first dense layer
EMPTY = 2000  # one network in so many has no dense layer at all, where that is allowed


def is_ours(row: type) -> bool:
    """Whether a row is not a third party's, who may have registered it before this is imported."""
    return row.__module__.startswith("gradcheck.")


# With their defaults, and settings that make another function of them.
ACTIVATIONS: tuple[ly.Activation, ...] = (
    *(row() for row in ly.LAYERS.values() if issubclass(row, ly.Activation) and is_ours(row)),
    *(ly.LeakyReLU(slope=-0.5), ly.ELU(alpha=0.5), ly.GELU(approximate="tanh")),
)
LOSSES: tuple[ls.Loss, ...] = (
    *(row() for row in ls.LOSSES.values() if is_ours(row)),
    ls.Huber(delta=0.25),
)


def networks(
    *,
    min_depth: int = 0,
    max_depth: int = 12,
    max_width: int = 8,
    layers: Sequence[ly.Layer] = ACTIVATIONS,
    losses: Sequence[ls.Loss] = LOSSES,
) -> st.SearchStrategy[Network]:
    """Fully connected networks: dense layers, with or without bias, and up to two other layers behind each.

    Most have up to three dense layers, some as many as are allowed. Shrinks toward one dense layer of one unit.

    Parameters
    ----------
    min_depth, max_depth : int
        Bounds on the number of dense layers. A network of depth 0 has no parameters; it is drawn seldom.
    max_width : int
        Largest number of inputs, and of units in a layer.
    layers : sequence of Layer
        What may stand before, between and behind dense layers, each as it is; shrinks toward none, then toward the first. By
        default every activation in the table of layers, some with several settings. A third party adds its own:
        ``(*ACTIVATIONS, Sine())``. May be empty.
    losses : sequence of Loss
        What to choose from; shrinks toward the first.

    Raises
    ------
    InvalidArgument
        At once, with the argument's name and value.
    """
    min_depth = whole("min_depth", min_depth, at_least=0)
    max_depth = whole("max_depth", max_depth, at_least=min_depth)
    max_width = whole("max_width", max_width, at_least=1)
    return _networks(
        min_depth, max_depth, max_width, choices("layers", layers, ly.Layer), choices("losses", losses, ls.Loss, at_least=1)
    )


@st.composite
def _networks(
    draw: st.DrawFn,
    min_depth: int,
    max_depth: int,
    max_width: int,
    between: tuple[ly.Layer, ...],
    losses: tuple[ls.Loss, ...],
) -> Network:
    size = st.integers(1, max_width)
    dense = st.builds(ly.Dense, units=size, bias=st.sampled_from([True, False]))
    others = st.lists(st.sampled_from(between), max_size=2) if between else st.just(list[ly.Layer]())
    inputs = (draw(size),)
    first = draw(others) if rarely(draw, FIRST) else []
    blocks: list[tuple[ly.Layer, list[ly.Layer]]] = []
    if max_depth and not (min_depth == 0 and rarely(draw, EMPTY)):
        deepest = max_depth if rarely(draw, SELDOM) else min(max_depth, max(USUAL_DEPTH, min_depth))
        blocks = draw(st.lists(st.tuples(dense, others), min_size=max(min_depth, 1), max_size=deepest))
    layers = (*first, *(layer for dense, behind in blocks for layer in (dense, *behind)))
    return Network(inputs, layers, draw(st.sampled_from(losses)), weight_decay=draw(st.sampled_from([0.0, 0.5])))
