"""The forward pass with all that it keeps, and the backward recursion that needs it, written out in a few lines."""

import numpy as np

from gradcheck.builds import registry
from gradcheck.foundation.arrays import Array, norm
from gradcheck.network import reference
from gradcheck.network.analysis.rounding import error_bounds
from gradcheck.network.batch import Batch, Parameters
from gradcheck.network.layers import Activation
from gradcheck.network.network import Network, by_layer, layers_with
from gradcheck.network.reference.tangents import activation_slopes, loss_slopes
from gradcheck.tour.pictures import Curve, Panel, curves
from gradcheck.tour.step import Result, Table
from gradcheck.tour.tour import DEPTHS, Tour, moons_case, name_of, widths


def backward(network: Network, parameters: Parameters, batch: Batch) -> tuple[list[Array], dict[str, Array]]:
    """From the slopes of the loss down: through an activation times rho', through a matrix times its transpose.

    Gradients are those by the input of every layer, first layer first, and by the parameters, by name. Slopes are those of
    the reference by complex step, so that nothing here is shared with any build.
    """
    states = reference.forward(network, parameters, batch.inputs)
    down = [loss_slopes(network.loss, states[-1], batch.targets)]
    gradients: dict[str, Array] = {}
    for index in reversed(range(len(network.layers))):
        layer, x, g = network.layers[index], states[index], down[0]
        if isinstance(layer, Activation):
            down.insert(0, g * activation_slopes(layer, x))
        else:
            gradients |= {f"{index}.weight": g.T @ x, f"{index}.bias": g.sum(axis=0)}
            down.insert(0, g @ parameters[f"{index}.weight"])
    return down, {name: gradients[name] for name in parameters}


def forward_step(tour: Tour) -> Result:
    """Layer by layer: what multiplies, and what is kept for the way back."""
    network, batch = tour.case.network, tour.batch
    states = reference.forward(network, tour.case.parameters, batch.inputs)
    rows = [("input", "", _shape(states[0]), f"{norm(states[0]):.4g}")]
    parameters = by_layer(network, tour.case.parameters)
    for index, (layer, weights, state) in enumerate(zip(network.layers, parameters, states[1:], strict=True)):
        kept = ", ".join(f"{name} {_shape(value)}" for name, value in weights.items())
        rows.append((f"{index} {name_of(layer)}", kept, _shape(state), f"{norm(state):.4g}"))
    kept = sum(state.size for state in states)
    count = sum(value.size for value in tour.case.parameters.values())
    value = float(reference.loss(network, tour.case.parameters, *batch))
    headline = f"{widths(network)}: {count} parameters, {kept:,} numbers kept for the way back, loss {value:.10g}"
    table = Table(("layer", "parameters", "output", "norm"), rows)
    return Result(headline, {"parameters": count, "kept": kept, "loss": value}, table=table)


def backward_step(_tour: Tour) -> Result:
    """Through four hidden layers, held against the manual build."""
    deep = moons_case(*DEPTHS[-1])
    network, parameters, batch = deep.network, deep.parameters, deep.batch
    states, (down, by_hand) = reference.forward(network, parameters, batch.inputs), backward(network, parameters, batch)
    _, manual = registry.backend("manual").build(network).loss_and_gradients(parameters, batch)
    bounds = error_bounds(network, parameters, *batch, "float64").rounding
    ratio = max(float(np.max(np.abs(by_hand[name] - manual[name]) / (2 * bounds[name]))) for name in parameters)
    dense = layers_with(network, "weight")
    norms = {
        "δ": [norm(down[index + 1]) for index in dense],
        "gradient by A": [norm(by_hand[f"{index}.weight"]) for index in dense],
        "gradient by b": [norm(by_hand[f"{index}.bias"]) for index in dense],
    }
    rows = [
        (f"{r}", f"{norm(states[index]):.4g}", *(f"{each[r]:.3e}" for each in norms.values()))
        for r, index in enumerate(dense)
    ]
    table = Table(("layer r", "|x_r|", "|δ_r|", "|gradient by A_r|", "|gradient by b_r|"), rows)
    picture = curves("The gradient becomes smaller or larger from layer to layer.", _panel(norms))
    top, bottom = norms["δ"][-1], norm(down[1])
    headline = (
        f"{widths(network)}: the manual build's gradient to {ratio:.2g} of its bound, |δ| {top:.1e} down to {bottom:.1e}"
    )
    return Result(headline, {"ratio": ratio}, (picture,), table, ratio <= 1)


def _panel(norms: dict[str, list[float]]) -> Panel:
    layers = np.arange(len(norms["δ"]))
    lines = [Curve(name, layers, np.array(values), "o-") for name, values in norms.items()]
    labels = ("layer r (0 is next to the data)", "Euclidean norm (nats per unit)")
    return Panel(*labels, lines, yscale="log", xticks=layers.tolist(), legend_outside=True)


def _shape(array: Array) -> str:
    return " x ".join(map(str, array.shape))
