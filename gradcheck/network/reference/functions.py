"""Functions that survive the complex step: every branch is chosen by the real part, no tiny imaginary part is lost."""

import numpy as np

from gradcheck.foundation.arrays import Array


def positive_part(z: Array) -> Array:
    """``max(z, 0)``, slope 0 at 0."""
    return np.where(np.real(z) > 0, z, z.dtype.type(0)) if np.iscomplexobj(z) else np.maximum(z, 0)


def sigmoid(z: Array) -> Array:
    """``1 / (1 + exp(-z))``, from ``exp(-|z|)`` alone."""
    decay = np.exp(np.where(np.real(z) > 0, -z, z))
    return np.where(np.real(z) > 0, 1, decay) / (1 + decay)


def softplus(z: Array) -> Array:
    """``log(1 + exp(z))``, from ``exp(-|z|)`` alone."""
    return positive_part(z) + log1p(np.exp(np.where(np.real(z) > 0, -z, z)))


def log1p(x: Array) -> Array:
    """``log(1 + x)`` for x >= 0. NumPy's own rounds the real part of a tiny complex argument to 0."""
    return 2 * np.arctanh(x / (2 + x))
