"""The JAX build that others are measured against is a correct one."""

import pytest

import gradcheck
from gradcheck import Case, Dense, Network
from gradcheck.strategies import ACTIVATIONS, LOSSES

pytest.importorskip("jax")

EVERY_LAYER = tuple(layer for activation in ACTIVATIONS for layer in (Dense(3), activation))
NETWORKS = [(EVERY_LAYER, LOSSES[0]), *(((Dense(3),), loss) for loss in LOSSES[1:])]


@pytest.mark.parametrize(("layers", "loss"), NETWORKS, ids=lambda part: "" if isinstance(part, tuple) else repr(part))
def test_every_layer_and_loss_is_correct(layers, loss):
    report = gradcheck.verify(Case(Network((2,), layers, loss, weight_decay=0.1), samples=4, init="glorot"), ["jax"])
    assert not report.wrong, report
    assert report.verdict is gradcheck.Verdict.CORRECT, report
