"""Kernels of Liger, and what each of them computes in plain PyTorch, as subjects for `check_torch`."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from liger_kernel.transformers import functional as liger
from torch.nn import functional

BATCH, CLASSES, WIDTH = 5, 19, 11
IGNORED = -100


class Subject(NamedTuple):
    """A kernel and its reference, both called with tensors of these shapes."""

    kernel: Callable
    reference: Callable
    shapes: tuple[tuple[int, ...], ...]


def targets(x):
    return torch.tensor([3, 18, IGNORED, 0, 7], device=x.device)


def constant(like, values):
    """Of what no gradient is asked: the same numbers in every dtype."""
    return values.to(torch.float16).to(like.device, like.dtype)


def draw(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def probabilities(x):
    """A distribution for each row."""
    return constant(x, draw(*x.shape).softmax(-1))


def logarithms(x):
    """Of such distributions."""
    return constant(x, draw(*x.shape).log_softmax(-1))


def rms_norm(x, weight, offset=0.0, eps=1e-6):
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * (weight + offset)


def added(x, residual, weight):
    return rms_norm(x + residual, weight), x + residual


def poly_norm(x, weight, bias, eps=1e-6):
    powers = [x**power for power in (3, 2, 1)]
    normal = [each * torch.rsqrt(each.square().mean(-1, keepdim=True) + eps) for each in powers]
    return sum(w * each for w, each in zip(weight, normal, strict=True)) + bias


def rotated(x):
    first, second = x.chunk(2, -1)
    return torch.cat((-second, first), -1)


def rotations(q):
    """Cosines and sines of an angle for each place and pair of channels."""
    turns = draw(1, q.shape[2], q.shape[3] // 2)
    turns = torch.cat((turns, turns), -1)
    return constant(q, turns.cos()), constant(q, turns.sin())


def rope(q, k):
    cos, sin = (each[:, None] for each in rotations(q))
    return q * cos + rotated(q) * sin, k * cos + rotated(k) * sin


def liger_rope(q, k):
    return liger.liger_rope(q, k, *rotations(q))


def sparsemax(x):
    ordered = x.sort(-1, descending=True).values
    count = torch.arange(1, x.shape[-1] + 1, device=x.device)
    kept = (1 + count * ordered > ordered.cumsum(-1)).sum(-1, keepdim=True)
    return (x - (ordered.cumsum(-1).gather(-1, kept - 1) - 1) / kept).clamp(min=0)


def cross_entropy(x, reduction, smoothing=0.0, squares=0.0, softcap=None, weighted=False):
    """With Liger's extras: scores pulled to within a cap, and the square of the logarithm of their sum beside."""
    scores = softcap * torch.tanh(x / softcap) if softcap else x
    options = {"reduction": reduction, "label_smoothing": smoothing, "weight": weights(x) if weighted else None}
    loss = functional.cross_entropy(scores, targets(x), **options)
    beside = squares * scores.logsumexp(-1).square() * (targets(x) != IGNORED)
    return loss + {"none": beside, "sum": beside.sum(), "mean": beside.sum() / (targets(x) != IGNORED).sum()}[reduction]


def weights(x):
    return constant(x, draw(CLASSES).abs() + 0.5)


def liger_cross_entropy(x, reduction, smoothing=0.0, squares=0.0, softcap=None, weighted=False):
    options = {"label_smoothing": smoothing, "lse_square_scale": squares, "softcap": softcap}
    weight = weights(x) if weighted else None
    overwritten = x.clone()  # by its gradient
    return liger.liger_cross_entropy(overwritten, targets(x), weight=weight, reduction=reduction, **options)


def linear_cross_entropy(x, weight, bias, reduction):
    return functional.cross_entropy(functional.linear(x, weight, bias), targets(x), reduction=reduction)


def liger_linear_cross_entropy(x, weight, bias, reduction):
    return liger.liger_fused_linear_cross_entropy(x, weight, targets(x), bias, reduction=reduction)


def divergence(mine, theirs, beta):
    """Jensen and Shannon's, of logarithms; at its ends Kullback and Leibler's."""
    p, q = mine.exp(), theirs.exp()
    if beta in (0, 1):
        return (q * (theirs - mine) if beta == 0 else p * (mine - theirs)).sum() / mine.shape[0]
    mixed = (beta * q + (1 - beta) * p).log()
    return (beta * q * (theirs - mixed) + (1 - beta) * p * (mine - mixed)).sum() / mine.shape[0]


def of_logarithms(function, **options):
    return lambda x: function(x.log_softmax(-1), logarithms(x), **options)


def of_distributions(function, **options):
    return lambda x: function(x.softmax(-1), probabilities(x), **options)


def kl_div(function, known, reduction):
    return lambda x: function(x.log_softmax(-1), known(x), reduction=reduction, log_target=known is logarithms)


def variation(p, q, reduction):
    entries = (p - q).abs() / 2
    return entries if reduction == "none" else entries.sum() / p.shape[0]


def teacher(x):
    return constant(x, draw(BATCH, WIDTH + 1)), constant(x, draw(CLASSES, WIDTH + 1))


def linear_divergence(x, weight):
    known, of_teacher = teacher(x)
    return divergence((x @ weight.T).log_softmax(-1), (known @ of_teacher.T).log_softmax(-1), 0.5)


MATRIX, TWO, NORM = ((BATCH, CLASSES),), ((BATCH, CLASSES),) * 2, ((BATCH, CLASSES), (CLASSES,))
LINEAR = ((BATCH, WIDTH), (CLASSES, WIDTH), (CLASSES,))
EXTRAS = {
    "": {},
    ", smoothed": {"smoothing": 0.1},
    ", squares": {"squares": 0.01},
    ", capped": {"softcap": 5.0},
    ", weighted": {"weighted": True},
    ", weighted and smoothed": {"weighted": True, "smoothing": 0.1},
}
REDUCTIONS = ("none", "sum", "mean")


def subjects():
    """By name; those that the installed version has."""
    return {name: each for name, each in _all().items() if each.kernel is not None}


def _all():
    has = partial(getattr, liger)
    relu_squared, modulated = has("liger_relu_squared", None), has("liger_modulated_rms_norm", None)
    return {
        **{
            f"rms norm, {mode}": Subject(
                lambda x, w, mode=mode, offset=offset: liger.liger_rms_norm(x, w, 1e-6, offset, mode, in_place=False),
                partial(rms_norm, offset=offset),
                NORM,
            )
            for mode, offset in (("llama", 0.0), ("gemma", 1.0), ("none", 0.0))
        },
        "rms norm with an addition": Subject(
            lambda x, r, w: liger.liger_fused_add_rms_norm(x, r, w, 1e-6, in_place=False), added, (*TWO, (CLASSES,))
        ),
        "rms norm, modulated": Subject(
            modulated and (lambda x, w, scale, shift: modulated(x, w, scale, shift, in_place=False)),
            lambda x, w, scale, shift: rms_norm(x, w) * (1 + scale) + shift,
            (*NORM, *TWO),
        ),
        "layer norm": Subject(
            lambda x, w, b: liger.liger_layer_norm(x, w, b, 1e-5),
            lambda x, w, b: functional.layer_norm(x, (CLASSES,), w, b),
            (*NORM, (CLASSES,)),
        ),
        "group norm": Subject(
            lambda x, w, b: liger.liger_group_norm(x, w, b, 6, 2, 1e-5),
            lambda x, w, b: functional.group_norm(x, 2, w, b),
            ((2, 6, 7), (6,), (6,)),
        ),
        "poly norm": Subject(
            lambda x, w, b: liger.liger_poly_norm(x, w, b, in_place=False), poly_norm, ((BATCH, CLASSES), (3,), ())
        ),
        "swiglu": Subject(lambda a, b: liger.liger_swiglu(a, b), lambda a, b: functional.silu(a) * b, TWO),
        "geglu": Subject(lambda a, b: liger.liger_geglu(a, b), lambda a, b: functional.gelu(a, approximate="tanh") * b, TWO),
        "relu squared": Subject(relu_squared, lambda x: functional.relu(x).square(), MATRIX),
        "rope": Subject(liger_rope, rope, ((1, 2, 5, 8), (1, 1, 5, 8))),
        "softmax": Subject(lambda x: liger.liger_softmax(x), lambda x: x.softmax(-1), MATRIX),
        "sparsemax": Subject(lambda x: liger.liger_sparsemax(x), sparsemax, MATRIX),
        **{
            f"KL divergence {reduction}, {known.__name__}": Subject(
                kl_div(liger.liger_kl_div, known, reduction), kl_div(functional.kl_div, known, reduction), MATRIX
            )
            for reduction in ("none", "batchmean")
            for known in (probabilities, logarithms)
        },
        **{
            f"JS divergence, beta {beta}": Subject(
                of_logarithms(liger.liger_jsd, beta=beta), of_logarithms(divergence, beta=beta), MATRIX
            )
            for beta in (0.0, 0.1, 0.5, 1.0)
        },
        **{
            f"variation {reduction}": Subject(
                of_distributions(liger.liger_tvd, reduction=reduction),
                of_distributions(variation, reduction=reduction),
                MATRIX,
            )
            for reduction in ("none", "batchmean")
        },
        **{
            f"cross entropy {reduction}{extra}": Subject(
                partial(liger_cross_entropy, reduction=reduction, **options),
                partial(cross_entropy, reduction=reduction, **options),
                MATRIX,
            )
            for reduction in REDUCTIONS
            for extra, options in EXTRAS.items()
        },
        **{
            f"linear cross entropy {reduction}": Subject(
                partial(liger_linear_cross_entropy, reduction=reduction),
                partial(linear_cross_entropy, reduction=reduction),
                LINEAR,
            )
            for reduction in REDUCTIONS
        },
        "linear JS divergence": Subject(
            lambda x, w: liger.liger_fused_linear_jsd(x, w, *teacher(x)), linear_divergence, LINEAR[:2]
        ),
    }
