"""Other networks and other data: four depths, other activations in the hidden layer, and a file of the user's own."""

import math

from gradcheck.cases.case import Case
from gradcheck.network.layers import Arctan, Dense, ReLU, Sigmoid
from gradcheck.network.losses import Logistic
from gradcheck.network.network import Network
from gradcheck.tour.pictures import curves, maps
from gradcheck.tour.step import Result, Skipped, Table
from gradcheck.tour.steps.descent import curve_of, fell, last_record, summary
from gradcheck.tour.tour import DEPTHS, ITERATIONS, Tour, moons_case, name_of, probabilities, widths
from gradcheck.training.accuracy import accuracy

INSTEAD = (Arctan(), ReLU(), Sigmoid())
WORK = 10**10  # multiply-adds of a training: about a minute. Chosen, not derived
PASSES = 3  # products of a gradient: one forward, two backward
FEWEST = 400


def depths(tour: Tour) -> Result:
    """From logistic regression to four hidden layers, all with the same step."""
    return compared(tour, {widths(each.network): each for each in (moons_case(*hidden) for hidden in DEPTHS)})


def activations(tour: Tour) -> Result:
    """Another function in the hidden layer; arctan stays at the output, which must have both signs."""
    return compared(tour, {name_of(layer): moons_case(15, activation=layer) for layer in INSTEAD})


def compared(tour: Tour, cases: dict[str, Case]) -> Result:
    """Train each, and lay losses and maps side by side."""
    histories = {name: tour.trained(each) for name, each in cases.items()}
    found = {name: accuracy(each.network, histories[name].parameters, tour.batch) for name, each in cases.items()}
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
