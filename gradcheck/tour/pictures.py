"""The pictures of the tour: curves, points and maps. The only module of the tour that draws."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gradcheck.foundation.arrays import Array
from gradcheck.foundation.plotting import BLACK, COLOURS, OPEN_AXES, as_png
from gradcheck.foundation.writing import write
from gradcheck.network.batch import Batch
from gradcheck.tour.tour import GRID

PLUS, MINUS, *_ = COLOURS
SHADES = ("#E5995C", "#F7F7F7", "#5CA5CF")  # of probabilities, paler than the points that lie on them
WIDTH, HEIGHT = 7.5, 5.0  # inches of one panel; with letters of 14 points it can be read at half its size
LEGEND = 3.0
SQUARE = 5.0
MARK = "gradcheck tour"  # in every file that the tour writes, by which it knows them again
TEXT = {"font.size": 14, "axes.titlesize": 14, **OPEN_AXES}


class Picture(NamedTuple):
    """What is to be seen, for whoever does not see it as well; and what makes it a figure of matplotlib's ``pyplot``."""

    caption: str
    draw: Callable[[Any], Any]

    def save(self, plot: Any, path: Path) -> None:
        """As PNG."""
        figure = self.draw(plot)
        write(path, as_png(figure, dpi=110, metadata={"Software": MARK}))
        plot.close(figure)


class Curve(NamedTuple):
    """A line or points, in matplotlib's short form; the next colour unless one is named."""

    label: str
    x: Array
    y: Array
    look: str = "-"
    colour: str | None = None


class Panel(NamedTuple):
    """Axes with their curves; levels are lines across."""

    xlabel: str
    ylabel: str
    curves: Sequence[Curve]
    title: str = ""
    xscale: str = "linear"
    yscale: str = "linear"
    ylim: tuple[float, float] | None = None
    levels: Sequence[tuple[str, float]] = ()
    xticks: Sequence[float] | None = None
    legend_outside: bool = False


def curves(caption: str, *panels: Panel) -> Picture:
    """Panels side by side."""
    return Picture(caption, partial(_curves, panels=panels))


def _curves(plot: Any, panels: Sequence[Panel]) -> Any:
    with plot.rc_context(TEXT):
        width = sum(WIDTH + LEGEND if panel.legend_outside else WIDTH for panel in panels)
        figure, all_axes = plot.subplots(1, len(panels), figsize=(width, HEIGHT), squeeze=False)
        for axes, panel in zip(all_axes[0], panels, strict=True):
            _panel(axes, panel)
        figure.tight_layout()
    return figure


def _panel(axes: Any, panel: Panel) -> None:
    for curve, colour in zip(panel.curves, cycle((*COLOURS, BLACK)), strict=False):
        axes.plot(curve.x, curve.y, curve.look, color=curve.colour or colour, label=curve.label, linewidth=2, markersize=7)
    for (label, level), dashes in zip(panel.levels, ("--", ":", "-."), strict=False):
        axes.axhline(level, color="#555555", linestyle=dashes, linewidth=2, label=label)
    axes.set(xlabel=panel.xlabel, ylabel=panel.ylabel, title=panel.title, xscale=panel.xscale, yscale=panel.yscale)
    if panel.ylim:
        axes.set_ylim(*panel.ylim)
    if panel.yscale == "log":
        _plain_ticks(axes)
    if panel.xticks is not None:
        axes.set_xticks(panel.xticks)
    axes.grid(alpha=0.25)
    if len(panel.curves) + len(panel.levels) > 1:
        away = {"loc": "upper left", "bbox_to_anchor": (1.01, 1)} if panel.legend_outside else {"loc": "best"}
        axes.legend(frameon=False, fontsize=12, **away)


def _plain_ticks(axes: Any) -> None:
    """0.2, 0.3, 0.5 where the axis goes over less than two powers of ten, which matplotlib would write as 2 x 10^-1."""
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullLocator

    low, high = axes.get_ylim()
    if high < 100 * low:
        digits = (1, 2, 3, 4, 5, 6, 8) if high < 10 * low else (1, 2, 5)
        axes.yaxis.set_major_locator(LogLocator(subs=digits))
        axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
        axes.yaxis.set_minor_locator(NullLocator())


def scatter(caption: str, batch: Batch) -> Picture:
    """Points of the plane, with their labels."""
    return Picture(caption, partial(_scatter, batch=batch))


def _scatter(plot: Any, batch: Batch) -> Any:
    with plot.rc_context(TEXT):
        figure, axes = plot.subplots(figsize=(WIDTH, SQUARE))
        _points(axes, batch)
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        axes.legend(title="label", loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    return figure


def _points(axes: Any, batch: Batch) -> None:
    axes.set(xlabel="$x_1$ (no unit)", ylabel="$x_2$ (no unit)")
    for label, colour, marker in ((1, PLUS, "o"), (-1, MINUS, "^")):
        x, y = batch.inputs[batch.targets[:, 0] == label].T
        axes.plot(
            x, y, marker, color=colour, markersize=6, markeredgecolor="white", markeredgewidth=0.6, label=f"{label:+d}"
        )


def maps(caption: str, named: Mapping[str, Array], batch: Batch) -> Picture:
    """Probabilities over the unit square, with the points over them and the border where both labels are as likely."""
    return Picture(caption, partial(_maps, named=named, batch=batch))


def _maps(plot: Any, named: Mapping[str, Array], batch: Batch) -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    shades = LinearSegmentedColormap.from_list("labels", SHADES)
    columns = {1: 1, 3: 3}.get(len(named), 2)
    rows = -(-len(named) // columns)
    size = (SQUARE * columns + 1.2, SQUARE * rows + 0.4)
    axis = np.linspace(0, 1, GRID)
    with plot.rc_context(TEXT):
        figure, all_axes = plot.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
        shown: Any = None
        for axes, (title, values) in zip(all_axes.ravel(), named.items(), strict=True):
            shown = axes.imshow(values, origin="lower", extent=(0, 1, 0, 1), cmap=shades, vmin=0, vmax=1)
            if values.min() < 0.5 < values.max():
                axes.contour(axis, axis, values, levels=[0.5], colors="black", linewidths=2)
            _points(axes, batch)
            axes.set(title=title)
        figure.colorbar(shown, ax=all_axes, label="probability of the label +1", shrink=0.8)
    return figure
