"""Passes of a network over a tape: recorded, moved a little, and once more in float32."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from gradcheck.foundation.arithmetic import UNIT_FLOAT32
from gradcheck.foundation.arrays import Array, rms
from gradcheck.network.analysis import rules_arithmetic, rules_choosing, rules_functions, rules_moving
from gradcheck.network.analysis.nodes import Node
from gradcheck.network.analysis.tape import SHAKEN, Tape
from gradcheck.network.batch import Parameters
from gradcheck.network.network import Network
from gradcheck.network.reference.meaning import forward
from gradcheck.network.reference.tangents import loss_slopes

KNOWN = (rules_arithmetic, rules_choosing, rules_functions, rules_moving)  # they enter their rules
# By so much every parameter is moved, of its own size and that of its block: thousands of times what rounding does in
# float64, and little enough that few units switch.
MOVED = 2.0**-20


def recorded(tape: Tape, network: Network, parameters: Parameters, inputs: Array) -> tuple[dict[str, Any], Any]:
    """A forward pass: the parameters' leaves and the outputs."""
    leaves = {name: tape.leaf(value) for name, value in parameters.items()}
    x = tape.leaf(inputs, needs=False) if network.vocabulary is None else inputs
    outputs: Any = forward(network, leaves, x)[-1]
    return leaves, outputs


def leave_out_steady(tape: Tape, network: Network, parameters: Parameters, inputs: Array) -> None:
    """Take back what is near a kink only because nothing moves it.

    Candidates that are equal whatever the parameters (two blank places of an image, two units that are off), a unit that is
    0 whatever they are: the gradient is the same whichever side is taken. Parameters are moved at random, by the same
    numbers always: what lies as it did, to rounding, does so for all.
    """
    if not any(choice.near.any() for choice in tape.choices):
        return
    rng, other = np.random.default_rng(0), Tape(Node)
    sizes = {name: np.abs(value) + (rms(value) or 1.0) for name, value in parameters.items()}
    moved = {name: value + MOVED * sizes[name] * rng.uniform(-1, 1, value.shape) for name, value in parameters.items()}
    recorded(other, network, moved, inputs)
    for choice, there in zip(tape.choices, other.choices, strict=True):
        choice.near[choice.near & choice.stays(there)] = False


def coherent(
    tape: Tape, network: Network, parameters: Parameters, inputs: Array, targets: Array, exact: Mapping[str, Array]
) -> Mapping[str, Array]:
    """Squares of the rounding errors of every gradient in two more passes, in units of u.

    Where rounding is the same in many places (equal samples, blank parts of images, a mean that all samples share), errors
    add up that the analysis takes for independent. One pass is in float32, has them, and sums in plain loops. In the other
    all sums are moved at random by what their rounding may be: those of float32 may be luckier than of another arithmetic,
    or order. Both make the choices that were made in ``tape``. Where they overflow and the builds do not, they say nothing.
    """
    narrow = Tape(Node, dtype=np.float32, replayed=tape.choices)
    moved = Tape(Node, replayed=tape.choices, shaken=tape.shared)
    unknown = np.inf if tape.u >= UNIT_FLOAT32 else 0.0
    total = {name: np.zeros(value.shape) for name, value in parameters.items()}
    for other, unit in ((narrow, UNIT_FLOAT32), (moved, SHAKEN)):
        leaves, outputs = recorded(other, network, parameters, inputs)
        top = loss_slopes(network.loss, outputs.value.astype(np.float64), targets)
        for name, node in other.gradients(outputs, other.leaf(top), leaves).items():
            found = 0.0 if node is None else node.value.astype(np.float64)
            total[name] += np.square((found - exact[name]) / unit)
    return {name: np.where(np.isfinite(each), each, unknown) for name, each in total.items()}
