"""Layers that multiply by a matrix, or look up its rows."""

from gradcheck.foundation.arrays import Array
from gradcheck.network import layers as ly
from gradcheck.network.batch import Parameters
from gradcheck.network.reference.meaning import apply


@apply.register
def _(layer: ly.Dense, parameters: Parameters, x: Array) -> Array:
    return affine(parameters, x)


def affine(parameters: Parameters, x: Array) -> Array:
    """``x W^T + b`` along the last axis, b where there is one; also of stacks: `gradcheck.network.reference.copies`."""
    weight = parameters["weight"]
    rows = x.reshape(-1, x.shape[-1]) if x.ndim > 2 == weight.ndim else x  # one product, not one for each sample
    z = rows @ weight.mT
    z = z + parameters["bias"] if "bias" in parameters else z
    return z if rows is x else z.reshape(*x.shape[:-1], -1)


@apply.register
def _(layer: ly.Embedding, parameters: Parameters, x: Array) -> Array:
    return parameters["weight"][x]
