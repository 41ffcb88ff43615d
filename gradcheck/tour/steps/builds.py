"""One training in three builds: for how long are they one?

What is more than rounding (`MORE_THAN_ROUNDING`) leaves out what the steps before have added up: so the iteration at which
that begins is the one at which the builds have come apart.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from gradcheck.cases.case import Case
from gradcheck.errors import BackendNotInstalled
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.wording import enumerated
from gradcheck.network.analysis.rounding import error_bounds
from gradcheck.tour.pictures import Curve, Panel, Picture, curves
from gradcheck.tour.step import Result, Table
from gradcheck.tour.tour import DEPTHS, Tour, installed_builds, moons_case, widths

MORE_THAN_ROUNDING = (
    "More than rounding: beyond twice the bound that rounding analysis has for the loss of one evaluation, at the start "
    "or at the end, whichever is less. What the steps before have added up is not in it."
)
NOTHING = 1e-17  # as low as a difference is drawn


class Divergence(NamedTuple):
    """Two builds in one training: how far their losses differ, by iteration, and how far rounding may let them."""

    network: str
    pair: tuple[str, str]
    differences: Array
    allowed: float

    def first(self, more_than: float) -> str:
        """The iteration at which they differ by more."""
        beyond = np.flatnonzero(self.differences > more_than)
        return f"{beyond[0]:,}" if beyond.size else "never"


def builds(tour: Tour) -> Result:
    """From the same start with the same steps, for the networks of one and of four hidden layers."""
    present = installed_builds()
    if len(present) < 2:
        raise BackendNotInstalled("nothing to compare with: pip install 'gradcheck[autograd,torch]'")
    pairs = list(combinations(present, 2))
    by_network = [trainings(tour, each, pairs) for each in (tour.case, moons_case(*DEPTHS[-1]))]
    found = [each for divergences in by_network for each in divergences]
    most = max(float(each.differences.max()) for each in found)
    headline = f"losses differ by more than rounding: {', '.join(map(_earliest, by_network))}"
    held = all(each.differences[0] <= each.allowed for each in found)
    return Result(headline, {"most": most}, (_picture(by_network),), _table(found), held, MORE_THAN_ROUNDING)


def trainings(tour: Tour, case: Case, pairs: Sequence[tuple[str, str]]) -> list[Divergence]:
    """Of each pair of builds."""
    histories = {name: tour.trained(case, backend=name) for pair in pairs for name in pair}
    ends = case.parameters, histories["manual"].parameters
    allowed = 2 * min(error_bounds(case.network, at, *tour.batch, "float64").loss for at in ends)
    losses = {name: history.losses for name, history in histories.items()}
    return [Divergence(widths(case.network), (a, b), np.abs(losses[a] - losses[b]), allowed) for a, b in pairs]


def _table(found: Sequence[Divergence]) -> Table:
    columns = ("builds", "apart at most", "differ from iteration", "more than rounding", "from iteration")
    rows = [
        (
            f"{each.network}: {enumerated(each.pair)}",
            f"{each.differences.max():.1e}",
            each.first(0),
            f"{each.allowed:.1e}",
            each.first(each.allowed),
        )
        for each in found
    ]
    return Table(columns, rows)


def _picture(by_network: Sequence[Sequence[Divergence]]) -> Picture:
    lines = [_curve(found) for found in by_network]
    levels = [("more than rounding", min(each.allowed for found in by_network for each in found))]
    label = "largest difference so far (nats)"
    panel = Panel("iteration (count)", label, lines, xscale="log", yscale="log", levels=levels)
    return curves("The largest difference of two builds' losses so far; 1e-17 stands for none.", panel)


def _curve(found: Sequence[Divergence]) -> Curve:
    """The largest of the pairs of one network, up to each iteration."""
    largest = np.maximum.accumulate(np.max([each.differences[1:] for each in found], axis=0))
    return Curve(found[0].network, np.arange(1, len(largest) + 1), np.maximum(largest, NOTHING))


def _earliest(found: Sequence[Divergence]) -> str:
    """Of the pairs of one network."""
    beyond = np.flatnonzero(np.any([each.differences > each.allowed for each in found], axis=0))
    when = f"from iteration {beyond[0]:,}" if beyond.size else f"never of {len(found[0].differences) - 1:,}"
    return f"{found[0].network} {when}"
