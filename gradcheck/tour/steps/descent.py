"""Networks trained: three ways downhill, a map, four depths, other activations, and a file of the user's own."""

import math

import numpy as np

from gradcheck.cases.case import Case
from gradcheck.network.layers import Arctan, Dense, ReLU, Sigmoid
from gradcheck.network.losses import Logistic
from gradcheck.network.network import Network
from gradcheck.tour.pictures import Curve, Panel, curves, maps
from gradcheck.tour.step import Result, Skipped, Table
from gradcheck.tour.tour import DEPTHS, ITERATIONS, Tour, moons_case, name_of, probabilities, widths
from gradcheck.training.descent import FIXED
from gradcheck.training.history import History
from gradcheck.training.optimizers import Armijo, MiniBatch
from gradcheck.training.starts import STARTS, accuracy, trials

BATCH = 40
SEEDS = 10  # from which it is counted how often a start arrives; `benchmarks/starts.py` takes 60
STARTED = {"normal": "normal weights", "3 he": "He's weights times 3"}  # the tour's start, and one that does better
LOSS = "loss of all points (nats)"
RARE = 20  # iterations from one loss of the whole batch to the next, where a step sees a part of it
INSTEAD = (Arctan(), ReLU(), Sigmoid())
WORK = 10**10  # multiply-adds of a training: 2 to 26 s, by the width of the data
PASSES = 3  # products of a gradient: one forward, two backward
FEWEST = 400


def fixed(tour: Tour) -> Result:
    """Always the same step, from the tour's start and from one that arrives more often."""
    histories = {start: tour.trained(STARTS[start](tour.case)) for start in STARTED}
    history = histories["normal"]
    picture = curves(
        "The loss falls fast, then slowly; from weights that are spread wider it is ahead all the way.",
        curve_of({f"{name}, step {FIXED.step}": histories[start] for start, name in STARTED.items()}),
    )
    found, least = right(tour.case, history), 0.99
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
    found = right(tour.case, history)
    headline = f"{summary(history)}, {found:.1%} right; upward in {ups:.0%} of the records"
    return Result(headline, last_record(history) | {"upward": ups, "accuracy": found}, (picture,), held=fell(history))


def probability_map(tour: Tour) -> Result:
    """What the trained network says of every place in the square."""
    history, network = tour.trained(tour.case), tour.case.network
    values = probabilities(network, history.parameters)
    found = right(tour.case, history)
    low, high = float(values.min()), float(values.max())
    headline = f"probabilities from {low:.3f} to {high:.3f} on 100 x 100 places, {found:.1%} of the points right"
    detail = "With arctan at the output, logits stay within π/2 of 0 and probabilities between 0.172 and 0.828."
    picture = maps("The border runs between the moons.", {widths(network): values}, tour.batch)
    held = 0 <= low < 0.5 < high <= 1
    return Result(headline, {"smallest": low, "largest": high, "accuracy": found}, (picture,), held=held, detail=detail)


def depths(tour: Tour) -> Result:
    """From logistic regression to four hidden layers, all with the same step."""
    return compared(tour, {widths(each.network): each for each in (moons_case(*hidden) for hidden in DEPTHS)})


def activations(tour: Tour) -> Result:
    """Another function in the hidden layer; arctan stays at the output, which must have both signs."""
    return compared(tour, {name_of(layer): moons_case(15, activation=layer) for layer in INSTEAD})


def compared(tour: Tour, cases: dict[str, Case]) -> Result:
    """Train each, and lay losses and maps side by side."""
    histories = {name: tour.trained(each) for name, each in cases.items()}
    found = {name: right(each, histories[name]) for name, each in cases.items()}
    drawn = {name: probabilities(each.network, histories[name].parameters) for name, each in cases.items()}
    first, last = ({name: history.losses[index] for name, history in histories.items()} for index in (0, -1))
    rows = [(name, f"{first[name]:.4f}", f"{last[name]:.4f}", f"{found[name]:.1%}") for name in cases]
    table = Table(("network", "loss at the start", "at the end", "points right"), rows)
    headline = "loss and points right: " + ", ".join(f"{name} {last[name]:.2f} {found[name]:.0%}" for name in cases)
    pictures = (
        maps("A map for each; the black line is the border.", drawn, tour.batch),
        curves("Their losses.", curve_of(histories)),
    )
    ends = {f"loss_{name}": float(loss) for name, loss in last.items()} | {f"right_{name}": found[name] for name in cases}
    return Result(headline, ends, pictures, table, held=all(map(fell, histories.values())))


def user_data(tour: Tour) -> Result:
    """One hidden layer of 15 units, as on the two moons."""
    if tour.user_data is None:
        raise Skipped("no data: give a file as LIBSVM writes it with --data FILE.libsvm")
    network = Network((tour.user_data.features,), (Dense(15), Arctan(), Dense(1), Arctan()), Logistic())
    case, entries = tour.user_data.case(network, init="glorot"), sum(map(math.prod, network.parameter_shapes.values()))
    affordable = WORK // (PASSES * entries * len(tour.user_data.training.inputs))
    history = tour.trained(case, iterations=min(ITERATIONS, max(FEWEST, affordable)))
    parts = {"held out": tour.user_data.held_out, "trained on": tour.user_data.training}
    found = {name: accuracy(network, history.parameters, batch) for name, batch in parts.items()}
    rows = [(name, f"{len(batch.inputs)}", f"{found[name]:.1%}") for name, batch in parts.items()]
    headline = (
        f"{widths(network)}: {found['held out']:.1%} of {len(parts['held out'].inputs)} samples held out are right, "
        f"{found['trained on']:.1%} of {len(parts['trained on'].inputs)} trained on"
    )
    picture = curves("The loss on the part trained on.", curve_of({"loss": history}))
    detail = "; ".join([*tour.user_data.notes, summary(history)]) + "."
    least = last_record(history) | {"held_out": found["held out"], "trained_on": found["trained on"]}
    table = Table(("part", "samples", "right"), rows)
    return Result(headline, least, (picture,), table, held=fell(history), detail=detail)


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


def right(case: Case, history: History) -> float:
    """Share of the points on the right side."""
    return accuracy(case.network, history.parameters, case.batch)
