"""Three ways downhill for one network, and the map that it ends with."""

import numpy as np

from gradcheck.tour.pictures import Curve, Panel, curves, maps
from gradcheck.tour.step import Result
from gradcheck.tour.tour import ITERATIONS, Tour, probabilities, widths
from gradcheck.training.accuracy import accuracy
from gradcheck.training.descent import FIXED
from gradcheck.training.history import History
from gradcheck.training.optimizers import Armijo, MiniBatch
from gradcheck.training.starts import STARTS, trials

BATCH = 40
SEEDS = 10  # from which it is counted how often a start arrives; `benchmarks/starts.py` takes 60
STARTED = {"normal": "normal weights", "3 he": "He's weights times 3"}  # the tour's start, and one that does better
LOSS = "loss of all points (nats)"
RARE = 20  # iterations from one loss of the whole batch to the next, where a step sees a part of it


def fixed(tour: Tour) -> Result:
    """Always the same step, from the tour's start and from one that arrives more often."""
    histories = {start: tour.trained(STARTS[start](tour.case)) for start in STARTED}
    history = histories["normal"]
    picture = curves(
        "The loss falls fast, then slowly; from weights that are spread wider it is ahead all the way.",
        curve_of({f"{name}, step {FIXED.step}": histories[start] for start, name in STARTED.items()}),
    )
    found, least = right(tour, history), 0.99
    by_start = (trials(tour.case, start, range(SEEDS), iterations=tour.shortened(ITERATIONS)) for start in STARTED)
    arrived = [each.reaching(least) for each in by_start]
    headline = f"{summary(history)}, {found:.1%} right; {least:.0%} from {arrived[0]} of {SEEDS} seeds, by 3 He {arrived[1]}"
    seeds = dict(zip((f"seeds_{start.replace(' ', '_')}" for start in STARTED), arrived, strict=True))
    return Result(headline, last_record(history) | {"accuracy": found} | seeds, (picture,), held=fell(history))


def armijo(tour: Tour) -> Result:
    """Steps as long as the slope's promise is kept."""
    history, fixed_steps = tour.trained(tour.case, Armijo()), tour.trained(tour.case)
    steps, spent = (np.array(history.table()[column]) for column in ("step", "evaluations"))
    reached = history.losses <= fixed_steps.losses[-1]
    when = f"after {int(spent[np.argmax(reached)]):,} calls" if reached.any() else "never reached"
    middle = float(np.median(steps[1:]))
    accepted = [Curve("step", np.arange(1, len(steps)), steps[1:], ".")]
    picture = curves(
        "Loss against evaluations for both, and the steps that were accepted.",
        curve_of({"Armijo": history, f"fixed step {FIXED.step}": fixed_steps}, "evaluations"),
        Panel("iteration (count)", "step (no unit)", accepted, yscale="log"),
    )
    headline = f"{summary(history)}, median step {middle:.2g}; step {FIXED.step}'s loss {when}"
    never_up = bool((np.diff(history.losses) <= 0).all())
    return Result(headline, last_record(history) | {"median_step": middle}, (picture,), held=never_up)


def minibatch(tour: Tour) -> Result:
    """A step from a tenth of the points."""
    optimizer = MiniBatch(step=FIXED.step, size=BATCH, seed=0)
    history, fixed_steps = tour.trained(tour.case, optimizer, record_every=RARE), tour.trained(tour.case)
    seen = {f"{BATCH} points a step": (history, BATCH), "all of them": (fixed_steps, len(tour.batch.inputs))}
    lines = [Curve(name, size * np.array(each.table()["iteration"]), each.losses) for name, (each, size) in seen.items()]
    panel = Panel("points seen (count)", LOSS, lines, xscale="symlog", yscale="log")
    picture = curves("With a tenth of the points a step, ten steps for the same work.", panel)
    ups = float(np.mean(np.diff(history.losses) > 0))
    found = right(tour, history)
    headline = f"{summary(history)}, {found:.1%} right; upward in {ups:.0%} of the records"
    return Result(headline, last_record(history) | {"upward": ups, "accuracy": found}, (picture,), held=fell(history))


def probability_map(tour: Tour) -> Result:
    """What the trained network says of every place in the square."""
    history, network = tour.trained(tour.case), tour.case.network
    values = probabilities(network, history.parameters)
    found = right(tour, history)
    low, high = float(values.min()), float(values.max())
    headline = f"probabilities from {low:.3f} to {high:.3f} on 100 x 100 places, {found:.1%} of the points right"
    detail = "With arctan at the output, logits stay within π/2 of 0 and probabilities between 0.172 and 0.828."
    picture = maps("The border runs between the moons.", {widths(network): values}, tour.batch)
    held = 0 <= low < 0.5 < high <= 1
    return Result(headline, {"smallest": low, "largest": high, "accuracy": found}, (picture,), held=held, detail=detail)


def curve_of(histories: dict[str, History], against: str = "iteration") -> Panel:
    """Losses against a column of the records."""
    lines = [Curve(name, np.array(history.table()[against]), history.losses) for name, history in histories.items()]
    label = {"iteration": "iteration (count)", "evaluations": "evaluations of the loss (count)"}[against]
    return Panel(label, LOSS, lines, xscale="symlog", yscale="log")


def summary(history: History) -> str:
    """``10,000 iterations: loss 0.9047 to 0.2204``"""
    stopped = f", stopped: {history.stopped}" if history.stopped else ""
    iterations = history.records[-1].iteration
    return f"{iterations:,} iterations: loss {history.losses[0]:.4f} to {history.losses[-1]:.4f}{stopped}"


def last_record(history: History) -> dict[str, float]:
    """The same for machines, and what it cost."""
    last = history.records[-1]
    return {"first": float(history.losses[0]), "loss": last.loss, "iterations": last.iteration, "seconds": last.seconds}


def fell(history: History) -> bool:
    """Whether the loss is lower at the end."""
    return bool(history.losses[-1] < history.losses[0])


def right(tour: Tour, history: History) -> float:
    """Share of the points on the right side."""
    return accuracy(tour.case.network, history.parameters, tour.batch)
