"""How many terms an operation sums, and which of its arguments are the terms.

Where that depends on the numbers (how often an index occurs) or is nowhere to be read off, it is taken as 8: the error of a
sum grows by the root of its length, so that 1 or 64 terms are misjudged by a factor of 3.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch

UNKNOWN = 8

Arguments: TypeAlias = Sequence[Any]


def _last(at: int) -> Callable[[Arguments], int]:
    return lambda args: int(args[at].shape[-1]) if args[at].ndim else 1


def _kernel(at: int) -> Callable[[Arguments], int]:
    return lambda args: math.prod(args[at])


def _weights(at: int) -> Callable[[Arguments], int]:
    return lambda args: args[at].numel() // max(1, args[at].shape[0])


def _pieces(args: Arguments) -> int:
    return math.ceil(args[0].numel() / max(1, math.prod(args[1])))


def _spread(at: int) -> Callable[[Arguments], int]:
    """As often as an entry is added to on the average, at least 8."""
    return lambda args: max(UNKNOWN, math.ceil(args[at].numel() / max(1, args[0].numel()))) if _tensor(args, at) else UNKNOWN


def _tensor(args: Arguments, at: int) -> bool:
    return len(args) > at and isinstance(args[at], torch.Tensor)


def _transform(args: Arguments) -> int:
    """A fast transform adds twice for each halving."""
    return 2 * max(1, args[0].numel().bit_length())


def _along(args: Arguments) -> int:
    return int(args[0].shape[args[1]]) if args[0].ndim else 1


_POOLS = dict.fromkeys(("avg_pool1d", "avg_pool2d", "avg_pool3d"), _kernel(1)) | dict.fromkeys(
    ("avg_pool2d_backward", "avg_pool3d_backward", "col2im"), _kernel(2)
)
_ADAPTIVE = dict.fromkeys(("adaptive_avg_pool1d", "_adaptive_avg_pool2d", "_adaptive_avg_pool3d"), _pieces)
_MATRICES = dict.fromkeys(("mm", "bmm", "mv", "dot", "vdot", "linear", "mkldnn_linear", "_cdist_forward"), _last(0))
_ADDED = dict.fromkeys(("addmm", "baddbmm", "addmv", "addbmm", "_addmm_activation"), _last(1))
_TRANSFORMS = dict.fromkeys(("_fft_r2c", "_fft_c2r", "_fft_c2c"), _transform)
_RUNNING = dict.fromkeys(("cumsum", "cumprod", "logcumsumexp"), _along)
_SPREAD = dict.fromkeys(("index_add", "scatter_add", "scatter_reduce", "index_reduce"), _spread(3)) | dict.fromkeys(
    ("index_put", "_index_put_impl", "_unsafe_index_put"), _spread(2)
)
LENGTHS: dict[str, Callable[[Arguments], int]] = {
    **_POOLS,
    **_ADAPTIVE,
    **_MATRICES,
    **_ADDED,
    **_TRANSFORMS,
    **_RUNNING,
    **_SPREAD,
    "convolution": _weights(1),
    "_convolution": _weights(1),
    "nll_loss_forward": lambda args: args[1].numel() if args[3] else 1,
    "nll_loss2d_forward": lambda args: args[1].numel() if args[3] else 1,
    "nll_loss_backward": lambda args: 1,
    "nll_loss2d_backward": lambda args: 1,
    "trace": lambda args: min(args[0].shape),
}
REDUCTIONS = frozenset(("sum", "mean", "nansum", "prod", "norm", "linalg_vector_norm"))
ACCUMULATE = frozenset(("index_put", "_index_put_impl", "_unsafe_index_put", "put", "scatter_reduce", "index_reduce"))
"""What sums only where it is told to."""
_SPREADING = {"index_put": 2, "_index_put_impl": 2, "_unsafe_index_put": 2, "put": 2, "index_add": 3, "scatter_add": 3}
TERMS = {name: (at,) for name, at in _SPREADING.items()} | {
    "scatter_reduce": (3,),
    "index_reduce": (3,),
    "_cdist_backward": (0,),
    "multilabel_margin_loss_backward": (0, 1),
}
"""Which arguments are the terms, where not all are."""


def length(name: str, args: Arguments, kwargs: dict[str, Any]) -> int:
    """Of the sums within an operation, as it is called."""
    if name in REDUCTIONS:
        return _reduced(name, args, kwargs)
    known = LENGTHS.get(name)
    try:
        return max(1, known(args)) if known is not None else _unknown(name, args)
    except (IndexError, AttributeError, TypeError):  # arguments by name
        return UNKNOWN


def largest(name: str, args: Arguments, kwargs: dict[str, Any]) -> bool:
    """Whether a norm is the largest or the smallest entry, or how many there are, and no sum."""
    if "norm" not in name:
        return False
    order = args[1] if len(args) > 1 else kwargs.get("ord", kwargs.get("p", 2))
    return order in (0, math.inf, -math.inf)


def _reduced(name: str, args: Arguments, kwargs: dict[str, Any]) -> int:
    operand = args[0]
    if not isinstance(operand, torch.Tensor):
        return UNKNOWN
    at = 2 if name in ("norm", "linalg_vector_norm") else 1
    dims = args[at] if len(args) > at else kwargs.get("dim")
    if dims is None or isinstance(dims, bool) or dims == []:
        return max(1, operand.numel())
    each = [dims] if isinstance(dims, int) else dims
    return max(1, math.prod(operand.shape[dim] for dim in each)) if operand.ndim else 1


def _unknown(name: str, args: Arguments) -> int:
    """Of linear algebra the last axis of its operand, of all else 8."""
    if name.startswith(("linalg_", "_linalg_", "cholesky", "triangular_solve", "lu_", "ormqr", "geqrf")):
        return max(UNKNOWN, _last(0)(args)) if _tensor(args, 0) else UNKNOWN
    return UNKNOWN
