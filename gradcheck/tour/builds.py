"""One training in three builds: for how long are they one?

More than rounding is a difference of two losses beyond twice the bound that rounding analysis (`gradcheck.network.analysis`)
has for the loss of one evaluation, at the start or at the end of the training, whichever is less. What the steps before have
added up is not in it: so the iteration at which it is passed is that at which the builds have come apart.
"""

from collections.abc import Sequence
from functools import partial
from itertools import combinations
from typing import NamedTuple

import numpy as np

from gradcheck.builds import registry
from gradcheck.cases.case import Case
from gradcheck.errors import BackendNotInstalled
from gradcheck.foundation.arrays import Array
from gradcheck.network.analysis.rounding import error_bounds
from gradcheck.tour.networks import DEPTHS
from gradcheck.tour.pictures import Curve, Panel, curves
from gradcheck.tour.step import Picture, Result, Table
from gradcheck.tour.workbench import Workbench, case, listed, widths
from gradcheck.verification.verifier import DEFAULT

NOTHING = 1e-17  # as low as a difference is drawn


class Apart(NamedTuple):
    """Two builds in one training: how far their losses are apart, by iteration, and how far rounding may put them."""

    network: str
    pair: tuple[str, str]
    differences: Array
    allowed: float

    def first(self, more_than: float) -> str:
        """The iteration at which they differ by more."""
        beyond = self.differences > more_than
        return f"{int(np.argmax(beyond)):,}" if beyond.any() else "never"


def builds(bench: Workbench) -> Result:
    """From the same start with the same steps, for the networks of one and of four hidden layers."""
    present = [name for name in DEFAULT if registry.version(registry.BUILT_IN[name].requires)]
    if len(present) < 2:
        raise BackendNotInstalled("nothing to compare with: pip install 'gradcheck[autograd,torch]'")
    pairs = list(combinations(present, 2))
    found = [apart for each in (bench.case, case(*DEPTHS[-1])) for apart in trainings(bench, each, pairs)]
    rows = [
        (
            f"{each.network}: {listed(each.pair)}",
            f"{each.differences.max():.1e}",
            each.first(0),
            f"{each.allowed:.1e}",
            each.first(each.allowed),
        )
        for each in found
    ]
    columns = ("builds", "apart at most", "differ from iteration", "more than rounding", "from iteration")
    most = max(float(each.differences.max()) for each in found)
    figure = "losses differ by more than rounding: " + ", ".join(map(earliest, (found[: len(pairs)], found[len(pairs) :])))
    detail = (
        "More than rounding: beyond twice the bound that rounding analysis has for the loss of one evaluation, at the start "
        "or at the end, whichever is less. What the steps before have added up is not in it."
    )
    panel = Panel(
        "iteration (count)",
        "largest difference so far (nats)",
        [drawn(found[: len(pairs)]), drawn(found[len(pairs) :])],
        xscale="log",
        yscale="log",
        levels=[("more than rounding", min(each.allowed for each in found))],
    )
    picture = Picture(
        "The largest difference of two builds' losses so far; 1e-17 stands for none.", partial(curves, panels=[panel])
    )
    held = all(each.differences[0] <= each.allowed for each in found)
    return Result(figure, {"most": most}, (picture,), Table(columns, rows), held, detail)


def trainings(bench: Workbench, case: Case, pairs: Sequence[tuple[str, str]]) -> list[Apart]:
    """Of each pair of builds."""
    histories = {name: bench.trained(case, backend=name) for pair in pairs for name in pair}
    ends = case.parameters, histories["manual"].parameters
    allowed = 2 * min(error_bounds(case.network, at, *bench.batch, "float64").loss for at in ends)
    return [
        Apart(widths(case.network), (a, b), np.abs(histories[a].losses - histories[b].losses), allowed) for a, b in pairs
    ]


def drawn(found: Sequence[Apart]) -> Curve:
    """The largest of the pairs of one network, up to each iteration."""
    largest = np.maximum.accumulate(np.max([each.differences[1:] for each in found], axis=0))
    return Curve(found[0].network, np.arange(1, len(largest) + 1), np.maximum(largest, NOTHING))


def earliest(found: Sequence[Apart]) -> str:
    """Of the pairs of one network."""
    iterations = len(found[0].differences) - 1
    late = [int(np.argmax(each.differences > each.allowed)) for each in found if (each.differences > each.allowed).any()]
    return f"{found[0].network} {f'from iteration {min(late):,}' if late else f'never of {iterations:,}'}"
