"""The gallery: twelve classic mistakes of hand-written backpropagation, planted in `numpy_course.py`, and their reports.

``python examples/gallery.py docs/gallery.md`` runs them and writes the page.
"""

import io
import sys
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

import gradcheck
from gradcheck import Arctan, Case, Dense, Logistic, Network, Tanh
from gradcheck.report import Report
from gradcheck.report.text import render

COURSE = Path(__file__).with_name("numpy_course.py")
SQUARE = Case(Network((4,), (Dense(4), Arctan(), Dense(4), Arctan(), Dense(1), Tanh()), Logistic()), samples=20, seed=5)


class Mistake(NamedTuple):
    """A line of the course, what somebody wrote in its place, and what it does."""

    title: str
    right: str
    wrong: str
    story: str


MISTAKES = (
    Mistake(
        "The mean forgotten",
        "dA = -y / (1 + np.exp(margin)) / n",
        "dA = -y / (1 + np.exp(margin))",
        "The loss is a mean over the samples, its gradient a sum. With a learning rate tuned by hand nobody notices.",
    ),
    Mistake(
        "A sign lost",
        "dA = -y / (1 + np.exp(margin)) / n",
        "dA = y / (1 + np.exp(margin)) / n",
        "Gradient ascent. It shows in the loss at once, unless somewhere else a second sign is lost.",
    ),
    Mistake(
        "The derivative of the activation left out",
        "dZ = dA * PHI_PRIME[phi[l]](Z[l])",
        "dZ = dA",
        "Training still goes downhill, in a direction that is not the gradient's.",
    ),
    Mistake(
        "The derivative at the output",
        "dZ = dA * PHI_PRIME[phi[l]](Z[l])",
        "dZ = dA * PHI_PRIME[phi[l]](A[l + 1])",
        "Near zero input and output of an activation are alike, and so is the training curve.",
    ),
    Mistake(
        "The derivative of another activation",
        "dZ = dA * PHI_PRIME[phi[l]](Z[l])",
        'dZ = dA * PHI_PRIME["Tanh"](Z[l])',
        "The network was changed from tanh to arctan, and its backward pass was not.",
    ),
    Mistake(
        "The pre-activation in place of the activation",
        'gradients[f"{index_of(network)[l]}.weight"] = dZ @ A[l].T',
        'gradients[f"{index_of(network)[l]}.weight"] = dZ @ (Z[l - 1] if l else A[0]).T',
        "What goes into a layer is what came out of the activation below, not what went in there.",
    ),
    Mistake(
        "W where its transpose belongs",
        "dA = W[l].T @ dZ",
        "dA = (W[l].T if len(W[l]) == 1 else W[l]) @ dZ",
        "Between layers of equal width no shape complains.",
    ),
    Mistake(
        "A mean for a sum in the bias",
        'gradients[f"{index_of(network)[l]}.bias"] = dZ.sum(axis=1)',
        'gradients[f"{index_of(network)[l]}.bias"] = dZ.mean(axis=1)',
        "The mean over samples is in the loss's gradient already; biases then learn n times too slowly.",
    ),
    Mistake(
        "A column where a row is expected",
        'gradients[f"{index_of(network)[l]}.bias"] = dZ.sum(axis=1)',
        'gradients[f"{index_of(network)[l]}.bias"] = dZ.sum(axis=1, keepdims=True)',
        "Broadcasting accepts it: the bias becomes a matrix at the first step.",
    ),
    Mistake(
        "The rest of the batch dropped",
        "dA = -y / (1 + np.exp(margin)) / n",
        "dA = -y / (1 + np.exp(margin)) / n * (np.arange(n) < n - n % 8)",
        "Whole groups of eight samples, and what remains is ignored.",
    ),
    Mistake(
        "The step taken on the way back",
        "dA = W[l].T @ dZ",
        'W[l] -= 0.1 * gradients[f"{index_of(network)[l]}.weight"]; dA = W[l].T @ dZ',
        "The weights change in place before the gradient has passed through them.",
    ),
    Mistake(
        "A penalty that the loss does not have",
        'gradients[f"{index_of(network)[l]}.weight"] = dZ @ A[l].T',
        'gradients[f"{index_of(network)[l]}.weight"] = dZ @ A[l].T + 0.01 * W[l]',
        "Weight decay was added to the gradient and forgotten in the loss.",
    ),
)


def report(mistake: Mistake) -> Report:
    """Of the course with one line changed."""
    source = COURSE.read_text()
    assert source.count(mistake.right) == 1, mistake.title
    module: dict[str, Any] = {"__name__": "course"}
    exec(source.replace(mistake.right, mistake.wrong), module)
    mine = module["loss_and_gradients"]
    mine.__name__ = "mine"
    return gradcheck.verify(SQUARE, [mine])


def as_text(found: Report) -> str:
    """As a terminal of 80 columns shows it."""
    console = Console(file=io.StringIO(), width=80, color_system=None, force_terminal=False)
    console.print(render(found))
    stream = console.file
    assert isinstance(stream, io.StringIO)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())


def section(number: int, mistake: Mistake) -> str:
    """Story, the line and its fix, and the report."""
    fix = f"```diff\n-{mistake.wrong}\n+{mistake.right}\n```"
    return f"## {number}. {mistake.title}\n\n{mistake.story}\n\n{fix}\n\n```text\n{as_text(report(mistake))}\n```\n"


def page() -> str:
    """All of them."""
    head = (
        "# Twelve classic mistakes of hand-written backpropagation\n\n"
        "Each is planted in [`numpy_course.py`](../examples/numpy_course.py): the minus marks the mistake, the plus the\n"
        "fix. The network is the same for all:\n\n"
        f"```text\n{SQUARE!r}\n```\n\n"
        "Written by `python examples/gallery.py docs/gallery.md`.\n"
    )
    return "\n".join([head, *(section(i, mistake) for i, mistake in enumerate(MISTAKES, 1))])


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
