"""The README's picture: a hand-written gradient with one wrong entry, beside three correct builds.

python examples/picture.py examples/report.svg
"""

import io
import sys

from rich.console import Console

import gradcheck
from gradcheck.report.text import render


def by_hand(network, parameters, batch):
    """The manual build, with one entry of one gradient off by 1e-9."""
    loss, gradients = gradcheck.backend("manual").build(network).loss_and_gradients(parameters, batch)
    gradients["0.weight"][3, 1] *= 1 + 1e-9
    return loss, gradients


console = Console(record=True, width=118, file=io.StringIO())
console.print(render(gradcheck.verify(gradcheck.load("examples/two_moons.toml"), ["manual", "autograd", "torch", by_hand])))
console.save_svg(sys.argv[1], title="gradcheck verify")
