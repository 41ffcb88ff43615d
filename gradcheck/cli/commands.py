"""The commands by name, in the order of ``--help``.

To add one: ``@app.command(name)`` in a module of this folder, and a row here. The module is imported where its command is
asked for, and only there: what the others need (SciPy, Hypothesis, SQLite) costs more time than a short command takes. Their
lines in ``--help`` stand here for the same reason; a test holds them to be those of the docstrings.
"""

from typing import NamedTuple


class Row(NamedTuple):
    """A module of `gradcheck.cli`, and what the command does."""

    module: str
    help: str


COMMANDS = {
    "fuzz": Row(
        "campaigns",
        "Verify builds on networks and data that Hypothesis draws, group what is wrong by its cause, and make it small.",
    ),
    "report": Row(
        "campaigns", "Say what a campaign has found, also while it runs: coverage, errors, causes of what is wrong, cost."
    ),
    "verify": Row(
        "checks",
        "Compare losses and gradients of several builds of one network with each other and with backpropagation-free "
        "oracles.",
    ),
    "check": Row("checks", "Check the gradient of any function, without a network."),
    "bench": Row(
        "benching",
        "Measure loss and gradient of several builds: time beside its floor, memory, accuracy, and how they grow.",
    ),
    "tour": Row(
        "touring",
        "Walk through a neural network step by step: data, gradients and their checks, descent, pictures on one page.",
    ),
    "backends": Row("checks", "List the registered backends and the versions of what they need. Imports none of them."),
}
