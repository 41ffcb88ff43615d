"""Cases: networks made concrete, written out or by recipe."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from gradcheck.cases.case import Case, Given
from gradcheck.network.network import Network
from gradcheck.strategies import architectures
from gradcheck.strategies.arguments import DTYPES, dtypes_of, rarely, strategy, whole
from gradcheck.strategies.edge_cases import EDGE_CASES, Draft
from gradcheck.strategies.values import SEEDS, batches, parameters

AT_AN_EDGE = st.sampled_from([False, False, False, True, True])
WRITTEN = 200  # parameters and inputs in all, up to which a case may be written out
EXTREME = 32  # one case by recipe in so many has a scale far from 1
SCALES = (1.0, 0.1, 0.25, 4.0)
FAR = (16.0, 1e-12, 0.03, 1e-4, 1e4)


def cases(
    *,
    networks: st.SearchStrategy[Network] | None = None,
    max_samples: int = 6,
    dtypes: Sequence[str] = DTYPES,
) -> st.SearchStrategy[Case]:
    """Networks with parameters and a batch.

    Small ones are mostly written out, and often made an edge case: weights of zero, a unit on its kink or within 1e-8 of it,
    a dead or saturated layer, logits of 1e4, weights of 1e-12, 1e12 and below the smallest normal number, equal samples,
    equal labels. Others are recipes: an initialisation, a scale, and a seed. Shrinks toward one unit, one sample, and zeros.

    Parameters
    ----------
    networks : strategy, optional
        Of networks; by default `networks()`.
    max_samples : int
        Largest batch; the smallest is 1.
    dtypes : sequence of {"float64", "float32"}
        What to choose from; shrinks toward the first.

    Raises
    ------
    InvalidArgument
        At once, with the argument's name and value.
    """
    networks = architectures.networks() if networks is None else networks
    strategy("networks", networks)
    max_samples = whole("max_samples", max_samples, at_least=1)
    return _cases(networks, max_samples, dtypes_of(dtypes))


@st.composite
def _cases(draw: st.DrawFn, networks: st.SearchStrategy[Network], max_samples: int, dtypes: tuple[str, ...]) -> Case:
    network, dtype = draw(networks), draw(st.sampled_from((dtypes[0], *dtypes)))  # the first twice as often
    small = sum(map(np.prod, network.parameter_shapes.values())) + max_samples * network.inputs[0] <= WRITTEN
    by_recipe = draw(st.sampled_from([False, False, True])) or not small
    return draw(_recipes(network, max_samples, dtype) if by_recipe else _written_out(network, max_samples, dtype))


@st.composite
def _recipes(draw: st.DrawFn, network: Network, max_samples: int, dtype: Any) -> Case:
    scale = draw(st.sampled_from(FAR if rarely(draw, EXTREME) else SCALES))
    init = draw(st.sampled_from(["normal", "he", "glorot"]))
    samples = draw(st.integers(1, max_samples))
    return Case(network, "random", samples, draw(SEEDS), init, scale, dtype)


@st.composite
def _written_out(draw: st.DrawFn, network: Network, max_samples: int, dtype: Any) -> Case:
    batch = draw(batches(network=network, max_samples=max_samples))
    draft = Draft(network, draw(parameters(network=network)), batch.inputs, batch.targets)
    plain = _case(draft, dtype)
    for make in draw(st.lists(st.sampled_from(EDGE_CASES), max_size=2)) if draw(AT_AN_EDGE) else []:
        make(draw, draft, dtype)
    return _case(draft, dtype) if _fits(draft, dtype) else plain


def _case(draft: Draft, dtype: Any) -> Case:
    data = {"inputs": draft.inputs, "targets": draft.targets}
    return Case(draft.network, data=Given.of(data), init=Given.of(draft.parameters), dtype=dtype)


def _fits(draft: Draft, dtype: str) -> bool:
    """Whether the dtype holds every parameter."""
    with np.errstate(over="ignore"):
        return all(bool(np.isfinite(value.astype(dtype)).all()) for value in draft.parameters.values())
