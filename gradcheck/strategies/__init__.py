"""Hypothesis strategies for networks, parameters, batches, cases and tensors; the only room that imports Hypothesis.

Arguments are keyword-only and validated at once. Small arrays are drawn entry by entry, so that a failure shrinks to zeros
and ones; larger ones by seed.
"""

from gradcheck.strategies.architectures import ACTIVATIONS, LOSSES, networks
from gradcheck.strategies.composition import ROWS, composed_networks
from gradcheck.strategies.concrete import batches, cases, parameters, targeted
from gradcheck.strategies.drawn.boundaries import sizes
from gradcheck.strategies.drawn.named import tensors
from gradcheck.strategies.pairs import Fault, Pair, loss_gradient_pairs

__all__ = [
    "ACTIVATIONS",
    "LOSSES",
    "ROWS",
    "Fault",
    "Pair",
    "batches",
    "cases",
    "composed_networks",
    "loss_gradient_pairs",
    "networks",
    "parameters",
    "sizes",
    "targeted",
    "tensors",
]
