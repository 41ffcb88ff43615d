"""What each primitive of JAX does to numbers under noise: copies, chooses, or adds up; all others round once."""

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np

from gradcheck.foundation.arrays import Array

Params = Mapping[str, Any]
Terms = Callable[[Params, list[Array]], int]

BODIES = {
    **dict.fromkeys(("jit", "pjit", "remat", "checkpoint", "remat2", "custom_vjp_call_jaxpr"), "jaxpr"),
    **dict.fromkeys(("closed_call", "core_call", "custom_jvp_call", "custom_vjp_call", "run_state"), "call_jaxpr"),
}
"""Calls, and the parameter that has the trace which is called."""

COPIES = frozenset(
    (
        *("reshape", "broadcast_in_dim", "transpose", "slice", "dynamic_slice", "dynamic_update_slice", "concatenate"),
        *("pad", "rev", "squeeze", "expand_dims", "gather", "scatter", "select_n", "neg", "copy", "copy_p", "split", "tile"),
        *(
            "stop_gradient",
            "device_put",
            "real",
            "imag",
            "conj",
            "complex",
            "iota",
            "reduce_max",
            "reduce_min",
            "max",
            "min",
        ),
        *(
            "min",
            "clamp",
            "abs",
            "cummax",
            "cummin",
            "reduce_window_max",
            "reduce_window_min",
            "sharding_constraint",
            "name",
        ),
        *("optimization_barrier", "reduce_precision", "scatter_max", "scatter_min", "scatter-max", "scatter-min"),
        *("select_and_scatter", "pvary", "bitcast_convert_type", "layout_constraint", "empty", "create_token"),
    )
)
"""Nothing is rounded in them. The larger of two numbers is one of them, and no choice: it moves by no more than they do."""

CHOICES = frozenset(
    (
        *("eq", "ne", "lt", "le", "gt", "ge", "eq_to", "lt_to", "le_to", "is_finite", "argmax", "argmin", "sign", "floor"),
        *("ceil", "round"),
    )
)

NATIVE = frozenset(("bitcast_convert_type", "rng_bit_generator", "random_gamma", "rng_uniform", "nextafter"))
"""Where a format means something else than its digits."""

FACTORS = frozenset(("dot_general", "conv_general_dilated", "ragged_dot", "ragged_dot_general"))
"""Whose operands are factors of products that are added up."""

PASSED = {"scatter-add": (0,), "scatter_add": (0,)}
"""Operands that are no terms of the sums: what is there before others are added to it."""


def _contracted(params: Params, values: list[Array]) -> int:
    (axes, _), _ = params["dimension_numbers"]
    return prod(values[0].shape[axis] for axis in axes)


def _window(params: Params, values: list[Array]) -> int:
    return values[1].size // max(1, values[1].shape[params["dimension_numbers"].rhs_spec[0]])


def _reduced(params: Params, values: list[Array]) -> int:
    return prod(values[0].shape[axis] for axis in params["axes"])


def _along(params: Params, values: list[Array]) -> int:
    return values[0].shape[params["axis"]]


def _within(params: Params, values: list[Array]) -> int:
    return prod(params["window_dimensions"])


def _scattered(params: Params, values: list[Array]) -> int:
    """How often the fullest row is hit, where rows are told apart by their indices."""
    rows = values[1].reshape(-1, values[1].shape[-1])
    counts = np.unique(rows, axis=0, return_counts=True)[1] if rows.size else np.ones(1, int)
    return 1 + int(counts.max())


def _longest(params: Params, values: list[Array]) -> int:
    return max((size for value in values for size in value.shape), default=1)


SUMS: dict[str, Terms] = {
    "dot_general": _contracted,
    "conv_general_dilated": _window,
    "reduce_sum": _reduced,
    "reduce_prod": _reduced,
    "cumsum": _along,
    "cumprod": _along,
    "cumlogsumexp": _along,
    "reduce_window_sum": _within,
    "scatter-add": _scattered,
    "scatter_add": _scattered,
    **dict.fromkeys(("ragged_dot", "ragged_dot_general", "fft", "cholesky", "triangular_solve", "lu", "qr"), _longest),
    **dict.fromkeys(("svd", "eig", "eigh", "schur", "custom_linear_solve", "tridiagonal_solve"), _longest),
}
"""How many terms each entry of a sum has."""
