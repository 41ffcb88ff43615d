"""What a network means: one plain forward, and what is derived from it alone. The oracles differentiate this; no backend may
import it."""

from gradcheck.network.reference.meaning import (
    apply,
    forward,
    log1p,
    loss,
    losses,
    of_outputs,
    positive_part,
    sigmoid,
    softplus,
)

__all__ = ["apply", "forward", "log1p", "loss", "losses", "of_outputs", "positive_part", "sigmoid", "softplus"]
