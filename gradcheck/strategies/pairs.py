"""Losses with gradients that are right, or off by a known fault: for people who test a checker of gradients."""

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from hypothesis import strategies as st

from gradcheck.cases.case import Case, Given
from gradcheck.foundation.arrays import Array, rms
from gradcheck.network import reference
from gradcheck.network.network import Network
from gradcheck.oracles.complex_step import complex_step
from gradcheck.strategies.architectures import ACTIVATIONS, LOSSES, networks
from gradcheck.strategies.arguments import strategy
from gradcheck.strategies.concrete import batches, parameters

SIZES = (1.0, 1e-2, 1e-4)


class Fault(msgspec.Struct, frozen=True):
    """What is wrong with a gradient: ``size * max(|g_i|, RMS of the block)`` is added to these entries of a block.

    Attributes
    ----------
    block : str
    index : tuple of int, optional
        The one entry that is off; all of them where it is None.
    size : float
        Relative; absolute where the whole block is 0.
    """

    block: str
    index: tuple[int, ...] | None
    size: float


class Pair(msgspec.Struct, frozen=True):
    """A loss and a gradient; its ``repr`` evaluates back.

    Attributes
    ----------
    case : Case
        What loss and gradient are of: a network's parameters, by name.
    fault : Fault, optional
        What is wrong with the gradient; None where it is right to rounding.
    """

    case: Case
    fault: Fault | None = None

    @property
    def at(self) -> dict[str, Array]:
        """The point, as fresh float64 arrays by name."""
        return self.case.parameters

    def loss(self, at: Mapping[str, Array]) -> Any:
        """A float, of real arrays; complex arrays are carried through."""
        return reference.loss(self.case.network, at, *self.case.batch)

    def gradient(self, at: Mapping[str, Array]) -> dict[str, Array]:
        """By complex step, entry by entry; then the fault is added."""
        gradient = {name: self._right(at, name) for name in at}
        if self.fault is not None:
            block = gradient[self.fault.block]
            where = ... if self.fault.index is None else self.fault.index
            off = self.fault.size * (np.maximum(np.abs(block), rms(block)) if block.any() else np.ones_like(block))
            block[where] += off[where]
        return gradient

    def _right(self, at: Mapping[str, Array], name: str) -> Array:
        units = np.eye(at[name].size).reshape(-1, *at[name].shape)
        return np.reshape([complex_step(self.loss, at, {name: unit}) for unit in units], at[name].shape)


def loss_gradient_pairs(
    *, networks: st.SearchStrategy[Network] | None = None, faults: st.SearchStrategy[bool] | None = None
) -> st.SearchStrategy[Pair]:
    """Pairs of a loss and its gradient at a point, for testing whatever checks gradients.

    Parameters
    ----------
    networks : strategy, optional
        Each with parameters. By default smooth ones with up to three dense layers of up to four units.
    faults : strategy of bool, optional
        Whether a fault is planted; by default half of the gradients are wrong. ``st.just(False)`` draws right ones alone.

    Examples
    --------
    >>> from hypothesis import given
    >>> import gradcheck
    >>> @given(loss_gradient_pairs())
    ... def test_check_tells_right_from_wrong(pair):
    ...     report = gradcheck.check(pair.loss, pair.gradient, pair.at)
    ...     assert bool(report.wrong) == (pair.fault is not None)
    """
    networks = _smooth() if networks is None else networks
    faults = st.booleans() if faults is None else faults
    strategy("networks", networks)
    strategy("faults", faults)
    return _pairs(networks, faults)


def _smooth() -> st.SearchStrategy[Network]:
    layers = [layer for layer in ACTIVATIONS if not layer.kinks]
    losses = [loss for loss in LOSSES if not loss.joints]
    return networks(min_depth=1, max_depth=3, max_width=4, layers=layers, losses=losses)


@st.composite
def _pairs(draw: st.DrawFn, networks: st.SearchStrategy[Network], faults: st.SearchStrategy[bool]) -> Pair:
    network = draw(networks)
    point, batch = draw(parameters(network=network)), draw(batches(network=network))
    case = Case(network, data=Given.of(batch._asdict()), init=Given.of(point))
    return Pair(case, draw(_faults(point)) if draw(faults) else None)


@st.composite
def _faults(draw: st.DrawFn, point: Mapping[str, Array]) -> Fault:
    block = draw(st.sampled_from(list(point)))
    index = draw(st.none() | st.tuples(*(st.integers(0, length - 1) for length in point[block].shape)))
    return Fault(block, index, draw(st.sampled_from(SIZES)))
