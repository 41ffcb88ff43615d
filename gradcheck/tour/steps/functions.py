"""Data and functions: the points, the activations and their slopes, the loss where its textbook form overflows."""

import numpy as np

from gradcheck.builds import registry
from gradcheck.cases.case import Case, Given
from gradcheck.foundation.arithmetic import UNIT
from gradcheck.network import reference
from gradcheck.network.layers import ELU, GELU, Arctan, Dense, ReLU, Sigmoid, Tanh
from gradcheck.network.losses import Logistic
from gradcheck.network.network import Network
from gradcheck.network.reference.tangents import activation_slopes
from gradcheck.tour.pictures import Curve, Panel, curves, scatter
from gradcheck.tour.step import Result, Table
from gradcheck.tour.tour import Tour, name_of

FUNCTIONS = (Arctan(), Tanh(), Sigmoid(), ReLU(), ELU(), GELU())
FAR = (-1000.0, -10.0, 0.0, 10.0, 1000.0)


def data(tour: Tour) -> Result:
    """Two moons that no straight line separates."""
    inputs, targets = tour.batch
    plus = int((targets > 0).sum())
    (left, below), (right, above) = inputs.min(axis=0), inputs.max(axis=0)
    headline = (
        f"{len(inputs)} points, {plus} of +1 and {len(inputs) - plus} of -1, "
        f"in [{left:.2f}, {right:.2f}] x [{below:.2f}, {above:.2f}]"
    )
    picture = scatter("Two interleaved half circles, one for each label.", tour.batch)
    return Result(headline, {"points": len(inputs), "plus": plus}, (picture,))


def activation(_tour: Tour) -> Result:
    """Values, and slopes by complex step; for arctan these are held against the formula."""
    u = np.linspace(-5, 5, 201)
    error = float(np.max(np.abs(activation_slopes(Arctan(), u) * (1 + u**2) - 1))) / UNIT
    # Nowhere at a kink: there the slope is a matter of choice.
    values = [Curve(name_of(layer), u, reference.apply(layer, {}, u)) for layer in FUNCTIONS]
    slopes = [Curve(name_of(layer), u, activation_slopes(layer, u)) for layer in FUNCTIONS]
    picture = curves(
        "Six activations and their slopes between -5 and 5.",
        Panel("u (no unit)", r"$\rho(u)$ (no unit)", values, "activations", ylim=(-1.6, 3)),
        Panel("u (no unit)", r"$\rho'(u)$ (no unit)", slopes, "their slopes, by complex step"),
    )
    headline = f"arctan' by complex step is 1/(1 + u²) to {error:.1f} u at {len(u)} points"
    return Result(headline, {"error_in_u": error}, (picture,), held=error <= 4)


def textbook_loss(z: float, y: float) -> tuple[float, float]:
    """log(1 + exp(-y z)) and its derivative, as they are printed."""
    with np.errstate(over="ignore", invalid="ignore"):
        e = np.exp(-y * z)
        return float(np.log(1 + e)), float(-y * e / (1 + e))


def stable_loss(z: float, y: float) -> tuple[float, float]:
    """The same from the manual build: of a network whose weight is z, at the input 1, where dl/dw = l'(z)."""
    network = Network((1,), (Dense(1, bias=False),), Logistic())
    given = Given.of({"inputs": [[1.0]], "targets": [[y]]})
    case = Case(network, given, init=Given.of({"0.weight": [[z]]}))
    loss, gradients = registry.backend("manual").build(network).loss_and_gradients(case.parameters, case.batch)
    return loss, float(gradients["0.weight"][0, 0])


def loss(_tour: Tour) -> Result:
    """Both forms side by side, far out and near."""
    rows = [(z, *textbook_loss(z, 1.0), *stable_loss(z, 1.0)) for z in FAR]
    ours = {z: (value, derivative) for z, _, _, value, derivative in rows}
    held = ours[-1000.0] == (1000.0, -1.0) and ours[1000.0] == (0.0, 0.0)
    headline = (
        f"at y z = -1000 the textbook gives {rows[0][1]}, slope {rows[0][2]}; the stable form {ours[-1000.0][0]:g}, "
        f"slope {ours[-1000.0][1]:g}"
    )
    columns = ("z (with y = +1)", "textbook loss", "textbook slope", "stable loss", "stable slope")
    table = Table(columns, [tuple(f"{value + 0.0:.6g}" for value in row) for row in rows])
    picture = curves("The textbook form ends at y z = -709; the stable one goes on.", *_both_forms())
    return Result(headline, {"loss": ours[-1000.0][0], "slope": ours[-1000.0][1]}, (picture,), table, held)


def _both_forms() -> list[Panel]:
    margin = np.linspace(-800, 800, 321)
    some = margin[::20]
    textbook = np.transpose([textbook_loss(float(z), 1.0) for z in margin])
    stable = np.transpose([stable_loss(float(z), 1.0) for z in some])
    labels = ("loss of one point (nats)", "slope of the loss (nats)")
    return [
        Panel("y z (no unit)", label, [Curve("textbook", margin, printed), Curve("stable", some, ours, "o")])
        for label, printed, ours in zip(labels, textbook, stable, strict=True)
    ]
