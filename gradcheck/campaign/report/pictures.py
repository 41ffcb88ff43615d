"""What a campaign covered and how large its errors were, as pictures: grids of cells, and charts."""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise
from typing import TYPE_CHECKING

from gradcheck.campaign.report.words import counted
from gradcheck.network.layers import LAYERS
from gradcheck.network.losses import LOSSES
from gradcheck.report.charts import Chart, Column
from gradcheck.report.heatmap import Grid, Shade

if TYPE_CHECKING:
    from gradcheck.campaign.results.summary import Errors, Summary

SHADES, UNCOVERED = 4, "cx"  # of cells that hold cases, and of those that hold none
DTYPES = ("float64", "float32")
END = 2.5  # width of the columns at the ends of a histogram, in bins
GAP = 1.0  # between them and the bins
Figure = tuple[str, str, Chart]  # with its heading, and a line below that
POWERS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def histograms(summary: "Summary") -> Iterator[Figure]:
    """One for each backend, all of one scale."""
    most = max(max(errors.counts) for errors in summary.errors.values())
    for backend, errors in summary.errors.items():
        yield backend, _said(errors), _histogram(backend, errors, summary.edges, most)


def _said(errors: "Errors") -> str:
    above = f", {errors.counts[-1]:,} above 1" if errors.counts[-1] else ""
    return f"{counted(sum(errors.counts), 'case')}{above}, the worst {errors.worst:.2g}"


def _histogram(backend: str, errors: "Errors", edges: Sequence[float], most: int) -> Chart:
    """Errors on a logarithmic axis; what lies below or above it stands apart at its ends."""
    below, *inside, above = errors.counts
    first = END + GAP
    last = first + len(inside)
    length = last + GAP + END
    bins = (
        Column(first + i, first + i + 1, number, f"{counted(number, 'case')} from {low:.2g} to {high:.2g} of the bound")
        for i, (number, (low, high)) in enumerate(zip(inside, pairwise(edges), strict=True))
    )
    under = f"{counted(below, 'case')} below {edges[0]:.2g} of the bound, an error of 0 included"
    over = f"{counted(above, 'case')} above the bound"
    ends = (
        Column(0, END, below, under, "bar under", f"{below:,}"),
        Column(length - END, length, above, over, "bar over", f"{above:,}"),
    )
    whole = ((first + i, edge) for i, edge in enumerate(edges) if abs(math.log10(edge) - round(math.log10(edge))) < 1e-9)
    ticks = ((END / 2, "less"), *((place, _power(edge)) for place, edge in whole), (length - END / 2, "more"))
    label = f"Errors of {backend}: {_said(errors)}"
    return Chart(label, "error in units of its bound", length, (*bins, *ends), ticks, most, last, "bound")


def _power(edge: float) -> str:
    power = round(math.log10(edge))
    return "1" if power == 0 else f"10{str(power).translate(POWERS)}"


def depths(summary: "Summary") -> Figure:
    """How many dense layers the networks had."""
    said = {
        depth: f"{counted(summary.depths[depth], 'case')} of {counted(depth, 'dense layer')}" for depth in summary.depths
    }
    columns = tuple(
        Column(depth + 0.1, depth + 0.9, number, said[depth], label=f"{number:,}")
        for depth, number in sorted(summary.depths.items())
    )
    length = max(summary.depths) + 1
    ticks = tuple((depth + 0.5, str(depth)) for depth in range(0, length, math.ceil(length / 12)))
    chart = Chart("Depths of the networks", "dense layers", length, columns, ticks, max(summary.depths.values()))
    return "Depth", "how many dense layers the networks have", chart


def coverage(summary: "Summary") -> Iterator[tuple[str, str, Grid]]:
    """For each dtype: what it is called, what is covered of it, and layers down and losses across."""
    met = [row for rows in summary.coverage.values() for row in rows.values()]
    wanted = ("dense", *summary.plan.layers) if summary.plan.layers else LAYERS
    layers, losses = _known(wanted, chain(*met)), _known(LOSSES, chain(*summary.coverage.values()))
    most = max(number for row in met for number in row.values())
    for dtype in _known(DTYPES, summary.coverage):
        counts = summary.coverage.get(dtype, {})
        rows = [[_shade(counts.get(loss, {}).get(layer, 0), layer, loss, most) for loss in losses] for layer in layers]
        covered = sum(kind != UNCOVERED for row in rows for kind, *_ in row)
        said = f"{covered} of {len(layers) * len(losses)} pairs of a layer and a loss"
        yield dtype, said, Grid(f"Cases of {dtype}, by layer and loss", losses, layers, rows)


def _known(known: Iterable[str], met: Iterable[str]) -> list[str]:
    """In the order of the table; what somebody has registered besides comes last."""
    return list(dict.fromkeys([*known, *sorted(met)]))


def _shade(number: int, layer: str, loss: str, most: int) -> Shade:
    """The number of cases, darker where there are more."""
    if not number:
        return UNCOVERED, "·", f"{layer} with {loss}: not covered"
    level = math.ceil(SHADES * math.log1p(number) / math.log1p(most))
    return f"c{level}", f"{number:,}", f"{layer} with {loss}: {counted(number, 'case')}"
