"""Networks made concrete: their parameters, batches and cases, and how Hypothesis is steered toward what nearly fails.

Small arrays are drawn entry by entry, larger ones by seed; small cases are written out, others are recipes.
"""

from collections.abc import Sequence
from contextlib import suppress
from math import isfinite, log10, prod
from typing import Any

import hypothesis
import numpy as np
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument
from hypothesis.extra import numpy as npst

from gradcheck.cases.case import Case, Given
from gradcheck.cases.fitting import classes_of, random_targets
from gradcheck.foundation.arrays import Array
from gradcheck.network import losses as ls
from gradcheck.network.batch import Batch
from gradcheck.network.network import Network
from gradcheck.report import Report
from gradcheck.strategies import architectures
from gradcheck.strategies.arguments import DTYPES, dtypes_of, rarely, strategy, whole
from gradcheck.strategies.edge_cases import Draft, edge_cases_of
from gradcheck.verdict.findings import Verdict

# Integers, which meet kinks exactly, as often as numbers that no binary format holds exactly. In the order of shrinking.
WHOLE = (0.0, 1.0, -1.0, 2.0, -2.0)
TENTHS = tuple(sign * tenths / 10 for tenths in range(1, 20) if tenths != 10 for sign in (1, -1))
ENTRIES = st.sampled_from((*WHOLE * 7, *TENTHS))
SMALL = 24  # entries up to which an array is drawn entry by entry
# A seed counts as much as 40 decisions: what is written out in fewer is simpler, and a failure shrinks to it.
SEEDS = st.tuples(*[st.booleans()] * 40).map(lambda bits: sum(bit << place for place, bit in enumerate(bits)))
AT_AN_EDGE = st.sampled_from([False, False, False, True, True])
WRITTEN = 200  # parameters and inputs in all, up to which a case may be written out
EXTREME = 32  # one case by recipe in so many has a scale far from 1
SCALES = (1.0, 0.1, 0.25, 4.0)
INITS = ("normal", "he", "glorot")
FAR = (16.0, 1e-12, 0.03, 1e-4, 1e4)


def parameters(*, network: Network, dtype: str = "float64") -> st.SearchStrategy[dict[str, Array]]:
    """Parameters of a network by ``state_dict`` name, each array in the shape that the network wants.

    Entries are integers from -2 to 2, which meet kinks exactly, and tenths between them. Shrinks toward zeros. Arrays of
    more than 24 entries are standard normal, of two decimals, by seed.

    Parameters
    ----------
    network : Network
    dtype : {"float64", "float32"}
    """
    (dtype,) = dtypes_of(dtype)
    shapes = _known(network).parameter_shapes
    return st.fixed_dictionaries({name: reals(shape) for name, shape in shapes.items()}).map(
        lambda arrays: {name: arrays[name].astype(dtype) for name in shapes}
    )


def batches(*, network: Network, max_samples: int = 6, dtype: str = "float64") -> st.SearchStrategy[Batch]:
    """Inputs and targets for a network: inputs like `parameters`, targets in the domain of its loss.

    Parameters
    ----------
    network : Network
    max_samples : int
        Largest batch; the smallest is 1, or what a normalisation over the batch needs.
    dtype : {"float64", "float32"}
        Of real inputs and targets; tokens and class indices are int64.
    """
    max_samples = whole("max_samples", max_samples, at_least=1)
    (dtype,) = dtypes_of(dtype)
    return _sizes(_known(network), max_samples).flatmap(
        lambda n: st.builds(Batch, _inputs(network, n), targets(network, n)).map(lambda batch: batch.astype(dtype))
    )


def _sizes(network: Network, max_samples: int) -> st.SearchStrategy[int]:
    """Of batches. Of two samples a batch normalisation makes 1 and -1, whatever they are: three tell more."""
    least = network.least_samples + (network.least_samples > 1)
    return st.integers(least, max(least, max_samples))


def _inputs(network: Network, samples: int) -> st.SearchStrategy[Array]:
    shape, symbols = (samples, *network.inputs), network.vocabulary
    return reals(shape) if symbols is None else _indices(shape, symbols)


def _indices(shape: tuple[int, ...], symbols: int) -> st.SearchStrategy[Array]:
    if prod(shape) > SMALL:
        return SEEDS.map(lambda seed: np.random.default_rng(seed).integers(0, symbols, shape))
    return npst.arrays(np.int64, shape, elements=st.integers(0, symbols - 1), fill=st.nothing())


def reals(shape: tuple[int, ...]) -> st.SearchStrategy[Array]:
    """An array of this shape in float64."""
    if prod(shape) > SMALL:
        return SEEDS.map(lambda seed: np.round(np.random.default_rng(seed).standard_normal(shape), 2))
    return npst.arrays(np.float64, shape, elements=ENTRIES, fill=st.nothing())


def targets(network: Network, samples: int) -> st.SearchStrategy[Array]:
    """Targets in the domain of the loss."""
    shape, kind = (samples, *network.target_shape), network.loss.targets
    if kind is ls.Targets.CLASSES:
        return _indices(shape, classes_of(network))
    if prod(shape) > SMALL:
        return SEEDS.map(lambda seed: np.round(random_targets(np.random.default_rng(seed), network, samples), 2))
    elements: dict[ls.Targets, st.SearchStrategy[Any]] = {
        ls.Targets.SIGNS: st.sampled_from([1.0, -1.0]),
        ls.Targets.PROBABILITIES: st.sampled_from([0.0, 1.0, *(tenths / 10 for tenths in range(1, 10))]),
        ls.Targets.REALS: ENTRIES,
    }
    return npst.arrays(np.float64, shape, elements=elements[kind], fill=st.nothing())


def _known(network: Network) -> Network:
    if not isinstance(network, Network):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidArgument(f"network={network!r} must be a Network")
    return network


def cases(
    *, networks: st.SearchStrategy[Network] | None = None, max_samples: int = 6, dtypes: Sequence[str] = DTYPES
) -> st.SearchStrategy[Case]:
    """Networks with parameters and a batch, by default of flat networks.

    Small ones are mostly written out, and often made an edge case: weights of zero, a unit on its kink or within 1e-8 of it,
    a dead or saturated layer, logits of 1e4, weights of 1e-12, 1e12 and below the smallest normal number, equal samples,
    equal labels. Others are recipes: an initialisation, a scale, and a seed. Shrinks toward one unit, one sample, and zeros.

    Parameters
    ----------
    networks : strategy, optional
        Of networks; by default `networks()`. ``composed_networks()`` draws from the whole table of layers.
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
    small = sum(map(np.prod, network.parameter_shapes.values())) + max_samples * prod(network.inputs) <= WRITTEN
    by_recipe = draw(st.sampled_from([False, False, True])) or not small
    return draw(_recipes(network, max_samples, dtype) if by_recipe else _written_out(network, max_samples, dtype))


@st.composite
def _recipes(draw: st.DrawFn, network: Network, max_samples: int, dtype: Any) -> Case:
    # Where products of parameters are taken (attention) or divided by (norms), nobody starts from large ones.
    scales, inits = (SCALES, INITS) if network.flat else (SCALES[:3], INITS[1:])
    far = rarely(draw, EXTREME)
    scale, init = draw(st.sampled_from(FAR if far else scales)), draw(st.sampled_from(INITS if far else inits))
    samples = draw(_sizes(network, max_samples))
    return Case(network, "random", samples, draw(SEEDS), init, scale, dtype)


@st.composite
def _written_out(draw: st.DrawFn, network: Network, max_samples: int, dtype: Any) -> Case:
    batch = draw(batches(network=network, max_samples=max_samples))
    draft = Draft(network, draw(parameters(network=network)), batch.inputs, batch.targets)
    plain = _case(draft, dtype)
    # Most edges make norms and attention amplify rounding until nothing can be told.
    at_an_edge = draw(AT_AN_EDGE) if network.flat else rarely(draw, 6)
    for make in draw(st.lists(st.sampled_from(edge_cases_of(network)), max_size=2)) if at_an_edge else []:
        with suppress(NotImplementedError):  # a third party's layer of which nobody has said what it means
            make(draw, draft, dtype)
    return _case(draft, dtype) if _fits(draft, dtype) else plain


def _case(draft: Draft, dtype: Any) -> Case:
    data = {"inputs": draft.inputs, "targets": draft.targets}
    return Case(draft.network, data=Given.of(data), init=Given.of(draft.parameters), dtype=dtype)


def _fits(draft: Draft, dtype: str) -> bool:
    """Whether the dtype holds every parameter."""
    with np.errstate(over="ignore"):
        return all(bool(np.isfinite(value.astype(dtype)).all()) for value in draft.parameters.values())


def targeted(report: Report) -> Report:
    """Return the report, with how near its worst entry comes to its bound as Hypothesis's target: it searches for worse.

    The target is the decimal logarithm of the largest error in units of its bound (`hypothesis.target`); 0 is where an error
    becomes a fault. Outside of a test under ``@given`` there is no target.

    Examples
    --------
    >>> from hypothesis import given
    >>> import gradcheck
    >>> from gradcheck import strategies
    >>> @given(strategies.cases())
    ... def test_no_gradient_is_wrong(case):
    ...     report = strategies.targeted(gradcheck.verify(case, ["manual"]))
    ...     assert not report.wrong, report
    """
    smooth = (finding.ratio for finding in report.findings if finding.verdict is not Verdict.NONSMOOTH)
    worst = max(filter(isfinite, smooth), default=0.0)
    if worst > 0 and hypothesis.currently_in_test_context():
        hypothesis.target(log10(worst), label="error in units of its bound, log10")
    return report
