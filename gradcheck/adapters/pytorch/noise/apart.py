# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# (PyTorch's annotations are partial.)
"""Composite operations as several, each of which rounds: what an honest kernel computes on the way.

The commonest stand here, as few operations as they are made of; for the others PyTorch has a decomposition of its own. A
function gets `do`, which performs one operation and puts on it what a mode puts on operations.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch._decomp import decomposition_table

aten = torch.ops.aten
_TABLE: dict[Any, Callable[..., Any]] = decomposition_table
Do: TypeAlias = Callable[..., Any]
Tensor: TypeAlias = torch.Tensor


def _softmax(do: Do, x: Tensor, dim: int, _half: bool = False) -> Tensor:
    e = do(aten.exp.default, do(aten.sub.Tensor, x, aten.amax.default(x, [dim], True)))
    return do(aten.div.Tensor, e, do(aten.sum.dim_IntList, e, [dim], True))


def _safe_softmax(do: Do, x: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """That of a row without a finite entry is 0."""
    nothing = (x == -math.inf).all(dim, keepdim=True)
    return _softmax(do, x if dtype is None else x.to(dtype), dim).masked_fill_(nothing, 0)


def _softmax_backward(do: Do, g: Tensor, y: Tensor, dim: int, _dtype: Any) -> Tensor:
    gy = do(aten.mul.Tensor, g, y)
    return do(aten.sub.Tensor, gy, do(aten.mul.Tensor, y, do(aten.sum.dim_IntList, gy, [dim], True)))


def _log_softmax(do: Do, x: Tensor, dim: int, _half: bool = False) -> Tensor:
    shifted = do(aten.sub.Tensor, x, aten.amax.default(x, [dim], True))
    total = do(aten.sum.dim_IntList, do(aten.exp.default, shifted), [dim], True)
    return do(aten.sub.Tensor, shifted, do(aten.log.default, total))


def _log_softmax_backward(do: Do, g: Tensor, y: Tensor, dim: int, _dtype: Any) -> Tensor:
    total = do(aten.sum.dim_IntList, g, [dim], True)
    return do(aten.sub.Tensor, g, do(aten.mul.Tensor, do(aten.exp.default, y), total))


def _logsumexp(do: Do, x: Tensor, dim: Sequence[int], keepdim: bool = False) -> Tensor:
    top = aten.amax.default(x, dim, True)
    top = top.masked_fill(top.abs() == math.inf, 0)
    e = do(aten.exp.default, do(aten.sub.Tensor, x, top))
    y = do(aten.add.Tensor, do(aten.log.default, do(aten.sum.dim_IntList, e, dim, True)), top)
    return y if keepdim else y.squeeze(tuple(dim) if dim else tuple(range(x.ndim)))


def _layer_norm(
    do: Do, x: Tensor, shape: Sequence[int], weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    axes = list(range(x.ndim - len(shape), x.ndim))
    mean = do(aten.mean.dim, x, axes, True)
    centred = do(aten.sub.Tensor, x, mean)
    spread = do(aten.mean.dim, do(aten.mul.Tensor, centred, centred), axes, True)
    scale = do(aten.rsqrt.default, do(aten.add.Scalar, spread, eps))
    y = do(aten.mul.Tensor, centred, scale)
    y = y if weight is None else do(aten.mul.Tensor, y, weight)
    return (y if bias is None else do(aten.add.Tensor, y, bias)), mean, scale


def _layer_norm_backward(
    do: Do,
    g: Tensor,
    x: Tensor,
    shape: Sequence[int],
    mean: Tensor,
    scale: Tensor,
    weight: Tensor | None,
    _bias: Tensor | None,
    wanted: Sequence[bool],
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    first = x.ndim - len(shape)
    axes, rows = list(range(first, x.ndim)), list(range(first))
    y = do(aten.mul.Tensor, do(aten.sub.Tensor, x, mean), scale)
    of_x = of_weight = of_bias = None
    if wanted[0]:
        gw = g if weight is None else do(aten.mul.Tensor, g, weight)
        along = do(aten.mul.Tensor, y, do(aten.mean.dim, do(aten.mul.Tensor, gw, y), axes, True))
        across = do(aten.sub.Tensor, gw, do(aten.mean.dim, gw, axes, True))
        of_x = do(aten.mul.Tensor, do(aten.sub.Tensor, across, along), scale)
    if wanted[1]:
        gy = do(aten.mul.Tensor, g, y)
        of_weight = do(aten.sum.dim_IntList, gy, rows) if rows else gy
    if wanted[2]:
        of_bias = do(aten.sum.dim_IntList, g, rows) if rows else g.clone()
    return of_x, of_weight, of_bias


def _silu(do: Do, x: Tensor) -> Tensor:
    return do(aten.mul.Tensor, x, do(aten.sigmoid.default, x))


def _silu_backward(do: Do, g: Tensor, x: Tensor) -> Tensor:
    s = do(aten.sigmoid.default, x)
    slope = do(aten.add.Scalar, do(aten.mul.Tensor, x, do(aten.rsub.Scalar, s, 1)), 1)
    return do(aten.mul.Tensor, g, do(aten.mul.Tensor, s, slope))


def _inner(do: Do, x: Tensor) -> Tensor:
    """What the approximate gelu takes the tanh of."""
    cube = do(aten.mul.Tensor, do(aten.mul.Tensor, x, x), x)
    return do(aten.mul.Scalar, do(aten.add.Tensor, x, do(aten.mul.Scalar, cube, 0.044715)), math.sqrt(2 / math.pi))


def _sigmoid_like(do: Do, x: Tensor, approximate: str) -> Tensor:
    """1 + erf or tanh: twice what gelu multiplies with."""
    bent = do(aten.tanh.default, _inner(do, x)) if approximate == "tanh" else None
    bent = do(aten.erf.default, do(aten.mul.Scalar, x, math.sqrt(0.5))) if bent is None else bent
    return do(aten.add.Scalar, bent, 1)


def _gelu(do: Do, x: Tensor, *, approximate: str = "none") -> Tensor:
    return do(aten.mul.Tensor, do(aten.mul.Scalar, x, 0.5), _sigmoid_like(do, x, approximate))


def _gelu_backward(do: Do, g: Tensor, x: Tensor, *, approximate: str = "none") -> Tensor:
    twice = _sigmoid_like(do, x, approximate)
    square = do(aten.mul.Tensor, x, x)
    if approximate == "tanh":
        falls = do(aten.mul.Tensor, twice, do(aten.rsub.Scalar, twice, 2))
        inner = do(aten.add.Scalar, do(aten.mul.Scalar, square, 3 * 0.044715), 1)
        density = do(aten.mul.Scalar, do(aten.mul.Tensor, falls, inner), math.sqrt(0.5 / math.pi))
    else:
        bell = do(aten.exp.default, do(aten.mul.Scalar, square, -0.5))
        density = do(aten.mul.Scalar, bell, 1 / math.sqrt(2 * math.pi))
    slope = do(aten.add.Tensor, do(aten.mul.Scalar, twice, 0.5), do(aten.mul.Tensor, x, density))
    return do(aten.mul.Tensor, g, slope)


def _threshold_backward(do: Do, g: Tensor, x: Tensor, threshold: float) -> Tensor:
    return g.masked_fill(do(aten.le.Scalar, x, threshold), 0)


def _moments(
    do: Do,
    x: Tensor,
    dim: Sequence[int] | bool | None = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Variance and mean, whichever way they were asked for."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    axes = list(dim) if dim else list(range(x.ndim))
    mean = do(aten.mean.dim, x, axes, True)
    off = do(aten.sub.Tensor, x, mean)
    total = do(aten.sum.dim_IntList, do(aten.mul.Tensor, off, off), axes, keepdim)
    left = math.prod(x.shape[axis] for axis in axes) - (float(unbiased) if correction is None else correction)
    spread = do(aten.div.Tensor, total, aten.scalar_tensor.default(max(0.0, left), dtype=x.dtype, device=x.device))
    return spread, mean if keepdim else mean.squeeze(tuple(axes))


def _var(do: Do, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    return _moments(do, x, *args, **kwargs)[0]


def _std(do: Do, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    return do(aten.sqrt.default, _var(do, x, *args, **kwargs))


def _std_mean(do: Do, x: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
    spread, mean = _moments(do, x, *args, **kwargs)
    return do(aten.sqrt.default, spread), mean


def _convolution_backward(do: Do, g: Tensor, x: Tensor, weight: Tensor, bias: Any, *rest: Any) -> Any:
    """One gradient after the other: their sums have other lengths."""
    *how, wanted = rest
    single = [do(ONE_OF_CONVOLUTION, g, x, weight, bias, *how, at) if wanted[at] else None for at in (0, 1)]
    axes = [axis for axis in range(g.ndim) if axis != 1]
    return (*single, do(aten.sum.dim_IntList, g, axes) if wanted[2] else None)


class _OneOfConvolution:
    """One of the gradients of a convolution, as an operation that has its own rule."""

    name = "one_of_convolution"

    def __call__(self, *args: Any) -> Tensor:
        *given, at = args
        return aten.convolution_backward.default(*given, [at == 0, at == 1, False])[at]


ONE_OF_CONVOLUTION: Any = _OneOfConvolution()

OURS: dict[str, Callable[..., Any]] = {
    "_softmax": _softmax,
    "_safe_softmax": _safe_softmax,
    "_softmax_backward_data": _softmax_backward,
    "_log_softmax": _log_softmax,
    "_log_softmax_backward_data": _log_softmax_backward,
    "logsumexp": _logsumexp,
    "native_layer_norm": _layer_norm,
    "native_layer_norm_backward": _layer_norm_backward,
    "silu": _silu,
    "silu_backward": _silu_backward,
    "gelu": _gelu,
    "gelu_backward": _gelu_backward,
    "threshold_backward": _threshold_backward,
    "var": _var,
    "var_mean": _moments,
    "std": _std,
    "std_mean": _std_mean,
    "convolution_backward": _convolution_backward,
}
_THEIRS = """
addcdiv addcmul batch_norm_backward binary_cross_entropy binary_cross_entropy_backward binary_cross_entropy_with_logits
celu cudnn_batch_norm cudnn_batch_norm_backward dist elu elu_backward glu glu_backward grid_sampler_2d hardshrink
hardsigmoid hardsigmoid_backward hardswish hardswish_backward hardtanh_backward huber_loss huber_loss_backward
leaky_relu_backward lerp linalg_cross log_sigmoid_backward log_sigmoid_forward logaddexp logaddexp2 logit logit_backward
mish mish_backward mse_loss mse_loss_backward multi_margin_loss multilabel_margin_loss_forward native_batch_norm
native_batch_norm_backward native_dropout native_dropout_backward native_group_norm native_group_norm_backward renorm
rrelu_with_noise_backward selu smooth_l1_loss smooth_l1_loss_backward soft_margin_loss soft_margin_loss_backward
softplus softplus_backward softshrink threshold _batch_norm_no_update _batch_norm_with_update _euclidean_dist
_fused_rms_norm _fused_rms_norm_backward _native_batch_norm_legit _native_batch_norm_legit_no_training _prelu_kernel
_prelu_kernel_backward _scaled_dot_product_flash_attention_for_cpu _weight_norm_interface
"""
THEIRS = frozenset(_THEIRS.split())


def theirs(func: Any, name: str) -> Callable[..., Any] | None:
    """PyTorch's decomposition; of an operation in place that of the same one which returns its result."""
    overload = func._schema.overload_name or "default"
    packet = getattr(aten, name, None)
    return _TABLE.get(getattr(packet, overload, None))
