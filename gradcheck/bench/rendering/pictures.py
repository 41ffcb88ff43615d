"""Pictures of a measurement: time and memory against what they grow with, and where the time of a case goes."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import cycle, groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from gradcheck.bench.rendering.text import title
from gradcheck.bench.results.growth import informative
from gradcheck.bench.results.schema import Growth, Measured, Result
from gradcheck.bench.work.counts import Step
from gradcheck.errors import OutputError
from gradcheck.foundation.plotting import COLOURS, OPEN_AXES, as_png, pyplot
from gradcheck.foundation.writing import write

MARKERS = "osD^vP"
BESIDE = {"floor": ("black", "X"), "verification": ("#999999", "*")}  # what is no backend
SIZE = (8.0, 5.5)  # inches; with letters of 13 points a picture can be read at half its size
AXES = {
    "width": "width (units of a hidden layer)",
    "depth": "depth (dense layers)",
    "batch": "batch (samples)",
    "parameters": "parameters",
}
UNITS = {"time": ("time of one call (ms)", 1e3), "memory": ("peak memory of one call (MB)", 1e-6)}
PARTS = {
    "forward": ("product, forward", "#0072B2"),
    "weight": ("product, gradient of the weight", "#56B4E9"),
    "input": ("product, gradient of the input", "#009E73"),
    "activation": ("activation", "#E69F00"),
}


def draw(result: Result, folder: Path) -> list[Path]:
    """Write every picture that the measurement has, as PNG.

    Raises
    ------
    LibraryNotInstalled
        Where matplotlib is absent.
    OutputError
        Where the folder cannot be written to.
    """
    drawing = pyplot()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made: {error.strerror or error}") from None
    with drawing.rc_context({"font.size": 13, **OPEN_AXES}):
        growth = _all_growth(drawing, informative(result.growth), folder)
        layered = enumerate((case for case in result.cases if case.floor.steps), 1)
        return growth + [_layers(drawing, case, folder / f"layers-{number}.png") for number, case in layered]


def require() -> None:
    """Raise `LibraryNotInstalled` where there can be no pictures, before anything is measured."""
    pyplot()


def _saved(drawing: Any, figure: Any, path: Path) -> Path:
    write(path, as_png(figure, dpi=120))
    drawing.close(figure)
    return path


def _all_growth(drawing: Any, growth: Iterable[Growth], folder: Path) -> list[Path]:
    """One picture for each quantity, axis, and rest that is held."""
    rest = attrgetter("of", "against", "at")
    paths: list[Path] = []
    taken = Counter[str]()
    for (of, against, _), curves in groupby(sorted(growth, key=rest), rest):
        name = f"{of}-{against}"
        taken[name] += 1
        path = folder / f"{name}{f'-{taken[name]}' if taken[name] > 1 else ''}.png"
        paths.append(_growth(drawing, list(curves), path))
    return paths


def _growth(drawing: Any, curves: Sequence[Growth], path: Path) -> Path:
    figure, axes = drawing.subplots(figsize=SIZE)
    first, looks = curves[0], _looks([each.backend for each in curves])
    label, unit = UNITS[first.of]
    heights = [y * unit for each in curves for _, y in each.points]
    axes.set(xscale="log", yscale="log", ylim=(min(heights) / 1.5, max(heights) * 1.5))
    axes.set(xlabel=AXES[first.against], ylabel=label, title=first.at)
    for each in curves:
        _curve(axes, each, unit, looks[each.backend])
    at = sorted({x for each in curves for x, _ in each.points})
    axes.set_xticks(at, [f"{each:,g}" for each in at])  # there are few, and seldom at powers of ten
    axes.set_xticks([], minor=True)
    note = f"lines: least squares\nslope counted {first.expected:.2f}, asymptotic {first.asymptotic:g}"
    axes.legend(title=note, loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, alignment="left")
    axes.grid(which="both", alpha=0.25)
    return _saved(drawing, figure, path)


def _looks(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Colours and markers."""
    others = dict.fromkeys(name for name in names if name not in BESIDE)
    return {**BESIDE, **dict(zip(others, cycle(zip(COLOURS, MARKERS, strict=True)), strict=False))}


def _curve(axes: Any, growth: Growth, unit: float, look: tuple[str, str]) -> None:
    """Its points, and the fitted line through the means of their logarithms."""
    x, y = np.array(growth.points).T * [[1], [unit]]
    across, up, (colour, marker) = np.log(x), np.log(y), look
    axes.plot(x, y, marker, color=colour, markersize=8, label=f"{growth.backend}: slope {growth.measured:.2f}")
    axes.plot(x, np.exp(up.mean() + growth.measured * (across - across.mean())), "-", color=colour, linewidth=1.5)


def _layers(drawing: Any, case: Measured, path: Path) -> Path:
    """The floor layer by layer, and beside it what each backend takes on top of it."""
    figure, (left, right) = drawing.subplots(1, 2, figsize=(13, 5.5), width_ratios=(3, 2))
    _steps(left, case.floor.steps, [f"{index} {layer['type']}" for index, layer in enumerate(case.network["layers"])])
    _totals(right, case)
    figure.suptitle(title(case))
    figure.tight_layout()
    return _saved(drawing, figure, path)


def _steps(axes: Any, steps: Sequence[Step], names: Sequence[str]) -> None:
    """A stacked bar for each layer."""
    ends = [0.0] * len(names)
    for what, (label, colour) in PARTS.items():
        own = [1e3 * sum(step.seconds for step in steps if (step.layer, step.what) == (i, what)) for i in range(len(names))]
        axes.barh(range(len(names)), own, left=ends, color=colour, label=label)
        ends = [end + each for end, each in zip(ends, own, strict=True)]
    every = max(1, len(names) // 10)
    axes.set_yticks(range(0, len(names), every), names[::every])
    axes.invert_yaxis()
    axes.set(xlabel="time (ms)", title="the floor, layer by layer")
    axes.legend(frameon=False, fontsize=11, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.15))


def _totals(axes: Any, case: Measured) -> None:
    """Gradients, and the floor as a line; the number is what is left beyond it."""
    floor = 1e3 * (case.floor.seconds or 0)
    times = {row.backend: 1e3 * row.gradient.seconds for row in case.rows if row.gradient}
    bars = axes.barh(range(len(times)), list(times.values()), color="#BBBBBB")
    axes.bar_label(bars, [f" {each - floor:+.3g} ms" for each in times.values()])
    axes.axvline(floor, color="black", linestyle="--", label=f"floor, {floor:.3g} ms")
    axes.set_yticks(range(len(times)), list(times))
    axes.set_xlim(0, 1.35 * max([floor, *times.values()]))
    axes.invert_yaxis()
    axes.set(xlabel="time of one gradient (ms)", title="gradients beside the floor")
    axes.legend(frameon=False, fontsize=11, loc="upper center", bbox_to_anchor=(0.5, -0.15))
