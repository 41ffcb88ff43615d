"""What a network means: one plain forward, and what is derived from it alone.

The oracles differentiate this; no backend may import it. What a new layer or loss registers: `gradcheck.network.operations`.
"""

from gradcheck.network.reference import attention as attention  # the families' rules enter themselves
from gradcheck.network.reference import blocks as blocks
from gradcheck.network.reference import dense as dense
from gradcheck.network.reference import images as images
from gradcheck.network.reference import loss_functions as loss_functions
from gradcheck.network.reference import normalization as normalization
from gradcheck.network.reference.activations import log1p, positive_part, sigmoid, softplus
from gradcheck.network.reference.meaning import apply, forward, loss, losses, of_outputs
from gradcheck.network.reference.primitives import largest, softmax, windows

__all__ = [
    "apply",
    "forward",
    "largest",
    "log1p",
    "loss",
    "losses",
    "of_outputs",
    "positive_part",
    "sigmoid",
    "softmax",
    "softplus",
    "windows",
]
