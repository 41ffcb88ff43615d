"""Mistakes in the gradients of losses at the network's output."""

from collections.abc import Iterator

import numpy as np

from gradcheck.network import losses as ls
from gradcheck_backends.manual.mistakes.trace import Mistake, Step, Table

AGAIN = "applied once more: the loss has it already"


def softmax(_: ls.CrossEntropy, step: Step) -> Iterator[Mistake]:
    """(p - onehot(y)) / n with p the softmax over classes."""
    i, z, y, top = step.index, step.x, step.trace.batch.targets, step.trace.top
    n, hot = y.size, np.eye(z.shape[-1], dtype=z.dtype)[y]
    e = np.exp(z - z.max())
    p, over_samples = top * n + hot, (e / e.sum(axis=0) - hot) / n
    right = "(softmax(z) - onehot(y)) / n"
    yield Mistake("wrong-axis", i, "the softmax runs over samples", f"over classes, axis {z.ndim - 1}", below=over_samples)
    yield Mistake("path-lost", i, "the target's own term, -onehot(y), is missing", right, {"lost": "-onehot(y)"}, p / n)
    yield Mistake("path-lost", i, "the softmax's term is missing", right, {"lost": "softmax(z)"}, -hot / n)
    for derivative in (p * (1 - p), p * (1 - (p * hot).sum(axis=-1, keepdims=True))):
        why, below = f"that of the softmax is {AGAIN}", top * derivative
        yield Mistake("activation-derivative", i, why, right, {"how": AGAIN}, below)


def sigmoid_again(_: ls.Loss, step: Step) -> Iterator[Mistake]:
    """From logits: the sigmoid's derivative has cancelled."""
    s = 1 / (1 + np.exp(-step.x))
    why, below = f"that of the sigmoid is {AGAIN}", step.trace.top * s * (1 - s)
    yield Mistake("activation-derivative", step.index, why, "leave it out", {"how": AGAIN}, below)


MISTAKES: Table = {
    ls.CrossEntropy: (softmax,),
    ls.Logistic: (sigmoid_again,),
    ls.BinaryCrossEntropy: (sigmoid_again,),
}
