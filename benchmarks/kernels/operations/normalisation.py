# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false
# (PyTorch's annotations are partial.)
"""Normalisations: by root mean square, layer, group, batch, length; standard deviation and variance."""

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.kernels import operation as op
from benchmarks.kernels.operation import Fault, Operation, again, cotangent, gradient, in_chunks

EPS = 1e-5


def root(x: Tensor, dim: int = -1) -> Tensor:
    return torch.rsqrt((x * x).mean(dim, keepdim=True) + EPS)


def rmsnorm(x: Tensor, w: Tensor) -> Tensor:
    return x * root(x) * w


def rms_back(g: Tensor, x: Tensor, w: Tensor, sign: float = 1.0) -> tuple[Tensor, Tensor]:
    r = root(x)
    a = g * w
    return r * (a - sign * x * r * r * (a * x).mean(-1, keepdim=True)), (g * x * r).sum(0)


def rms_chunks(x: Tensor, w: Tensor) -> Tensor:
    return x * torch.rsqrt(in_chunks(x * x).unsqueeze(-1) / x.shape[-1] + EPS) * w


def standardised(x: Tensor, dim: int = -1) -> Tensor:
    centred = x - x.mean(dim, keepdim=True)
    return centred * torch.rsqrt((centred * centred).mean(dim, keepdim=True) + EPS)


def standardised_back(a: Tensor, x: Tensor, dim: int = -1, mean: float = 1.0, variance: float = 1.0) -> Tensor:
    """The gradient through standardising; the paths through both statistics can be cut."""
    centred = x - x.mean(dim, keepdim=True)
    r = torch.rsqrt((centred * centred).mean(dim, keepdim=True) + EPS)
    y = centred * r
    return r * (a - mean * a.mean(dim, keepdim=True) - variance * y * (a * y).mean(dim, keepdim=True))


def layernorm(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    return standardised(x) * w + b


def layer_back(g: Tensor, x: Tensor, w: Tensor, mean: float = 1.0, variance: float = 1.0) -> tuple[Tensor, ...]:
    return standardised_back(g * w, x, mean=mean, variance=variance), (g * standardised(x)).sum(0), g.sum(0)


def layer_backwards(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    centred = x - op.backwards(x).unsqueeze(-1) / x.shape[-1]
    return centred / torch.sqrt(op.backwards(centred**2).unsqueeze(-1) / x.shape[-1] + EPS) * w + b


def groups(x: Tensor) -> Tensor:
    return x.reshape(x.shape[0], 4, -1)


def groupnorm(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    return standardised(groups(x)).reshape(x.shape) * w + b


def group_back(g: Tensor, x: Tensor, w: Tensor, b: Tensor) -> tuple[Tensor, ...]:
    inner = standardised_back(groups(g * w), groups(x)).reshape(x.shape)
    return inner, (g * standardised(groups(x)).reshape(x.shape)).sum(0), g.sum(0)


def batchnorm(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    return standardised(x, 0) * w + b


def batch_back(g: Tensor, x: Tensor, w: Tensor, b: Tensor) -> tuple[Tensor, ...]:
    return standardised_back(g * w, x, 0), (g * standardised(x, 0)).sum(0), g.sum(0)


def batch_frozen(g: Tensor, x: Tensor, w: Tensor, b: Tensor) -> tuple[Tensor, ...]:
    return standardised_back(g * w, x, 0, 0.0, 0.0), (g * standardised(x, 0)).sum(0), g.sum(0)


def running(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """With the running statistics after one step in the place of the batch's."""
    mean, variance = 0.1 * x.mean(0), 0.9 + 0.1 * x.var(0)
    return (x - mean) * torch.rsqrt(variance + EPS) * w + b


def normalised(x: Tensor) -> Tensor:
    return x / torch.sqrt((x * x).sum(-1, keepdim=True)).clamp_min(1e-12)


def normalised_back(g: Tensor, x: Tensor) -> Tensor:
    n = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    y = x / n
    return (g - y * (y * g).sum(-1, keepdim=True)) / n


def centred(x: Tensor) -> Tensor:
    return x - x.mean(-1, keepdim=True)


def deviation(x: Tensor) -> Tensor:
    return torch.sqrt(variance(x))


def deviation_back(g: Tensor, x: Tensor, n: int = 0) -> Tensor:
    return (g / deviation(x)).unsqueeze(-1) * centred(x) / (n or x.shape[-1])


def variance(x: Tensor) -> Tensor:
    return (centred(x) ** 2).mean(-1)


def one_pass(x: Tensor) -> Tensor:
    return (x * x).mean(-1) - x.mean(-1) ** 2


def of_halves(x: Tensor) -> Tensor:
    """By Chan's formula from those of two halves."""
    a, b = x.chunk(2, -1)
    n, m = a.shape[-1], b.shape[-1]
    apart = b.mean(-1) - a.mean(-1)
    return (n * variance(a) + m * variance(b) + apart * apart * (n * m / (n + m))) / (n + m)


def statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    return x.mean(0), variance(x.mT)


def statistics_back(g: Tensor, h: Tensor, x: Tensor) -> Tensor:
    n = x.shape[0]
    return g / n + 2 * h * (x - x.mean(0)) / n


def affine(draw: op.Draw, n: int) -> tuple[Tensor, ...]:
    return draw.normal(n), draw.normal(n)


OPERATIONS = (
    Operation(
        "rmsnorm",
        rmsnorm,
        lambda draw: (draw.data(), draw.normal(draw.columns)),
        {
            "by hand": again(rmsnorm, rms_back),
            "torch": lambda x, w: F.rms_norm(x, w.shape, w, EPS),
            "chunks": rms_chunks,
        },
        {
            "path through the mean square": Fault("missing-path", again(rmsnorm, lambda g, x, w: rms_back(g, x, w, 0.0))),
            "sign of the correction": Fault("formula", again(rmsnorm, lambda g, x, w: rms_back(g, x, w, -1.0))),
            "eps missing": Fault("eps", lambda x, w: x * torch.rsqrt((x * x).mean(-1, keepdim=True)) * w),
            "eps outside the root": Fault("eps", lambda x, w: x / ((x * x).mean(-1, keepdim=True).sqrt() + EPS) * w),
            "a row left out of the weight": Fault(
                "left-out", again(rmsnorm, lambda g, x, w: (rms_back(g, x, w)[0], rms_back(g[:-1], x[:-1], w)[1]))
            ),
            "mean square in bfloat16": Fault(
                "low-precision",
                lambda x, w: x * torch.rsqrt(op.bfloat16((x * x).mean(-1, keepdim=True)) + EPS) * w,
                rounding=True,
            ),
        },
    ),
    Operation(
        "layernorm",
        layernorm,
        lambda draw: (draw.data(), *affine(draw, draw.columns)),
        {
            "by hand": again(layernorm, lambda g, x, w, b: layer_back(g, x, w)),
            "torch": lambda x, w, b: F.layer_norm(x, w.shape, w, b, EPS),
            "sums backwards": layer_backwards,
        },
        {
            "path through the mean": Fault("missing-path", again(layernorm, lambda g, x, w, b: layer_back(g, x, w, 0.0))),
            "path through the variance": Fault(
                "missing-path", again(layernorm, lambda g, x, w, b: layer_back(g, x, w, 1.0, 0.0))
            ),
            "weight forgotten": Fault(
                "missing-scale", again(layernorm, lambda g, x, w, b: (standardised_back(g, x), *layer_back(g, x, w)[1:]))
            ),
            "tail": Fault("tail", gradient(layernorm, 0, op.without_tail(-1))),
            "cotangent of the first row": Fault("cotangent-first-row", cotangent(layernorm, op.first_row)),
            "sample variance": Fault("wrong-count", lambda x, w, b: centred(x) / x.std(-1, keepdim=True) * w + b),
        },
    ),
    Operation(
        "groupnorm",
        groupnorm,
        lambda draw: (draw.data(draw.rows, draw.columns // 4 * 4), *affine(draw, draw.columns // 4 * 4)),
        {"by hand": again(groupnorm, group_back), "torch": lambda x, w, b: F.group_norm(x, 4, w, b, EPS)},
        {
            "one group": Fault("formula", layernorm),
            "a group left out": Fault(
                "left-out",
                lambda x, w, b: groupnorm(
                    torch.cat([x[:, : -(x.shape[1] // 4)], x[:, -(x.shape[1] // 4) :].detach()], 1), w, b
                ),
            ),
            "weight and bias swapped": Fault("swapped", lambda x, w, b: groupnorm(x, b, w)),
        },
    ),
    Operation(
        "batchnorm",
        batchnorm,
        lambda draw: (draw.data(), *affine(draw, draw.columns)),
        {
            "by hand": again(batchnorm, batch_back),
            "torch": lambda x, w, b: F.batch_norm(x, None, None, w, b, True, 0.1, EPS),
        },
        {
            "running statistics": Fault("stale-statistics", running),
            "statistics as constants": Fault("missing-path", again(batchnorm, batch_frozen)),
            "a sample left out of the bias": Fault(
                "left-out", again(batchnorm, lambda g, x, w, b: (*batch_back(g, x, w, b)[:2], g[:-1].sum(0)))
            ),
        },
    ),
    Operation(
        "normalised to length one",
        normalised,
        lambda draw: (draw.data(),),
        {
            "by hand": again(normalised, normalised_back),
            "torch": lambda x: F.normalize(x, dim=-1),
            "chunks": lambda x: x * torch.rsqrt(in_chunks(x * x)).unsqueeze(-1),
        },
        {
            "length as a constant": Fault("missing-path", lambda x: x / x.detach().norm(dim=-1, keepdim=True)),
            "cotangent a number": Fault("cotangent-scalar", cotangent(normalised, op.first_entry)),
        },
    ),
    Operation(
        "standard deviation",
        deviation,
        lambda draw: (draw.data(),),
        {
            "by hand": again(deviation, deviation_back),
            "torch": lambda x: x.std(-1, correction=0),
            "norm": lambda x: torch.linalg.vector_norm(centred(x), dim=-1) / x.shape[-1] ** 0.5,
        },
        {
            "one less": Fault("wrong-count", again(deviation, lambda g, x: deviation_back(g, x, x.shape[-1] - 1))),
            "cotangent ignored": Fault("cotangent-ignored", cotangent(deviation, op.ones)),
        },
    ),
    Operation(
        "variance",
        variance,
        lambda draw: (draw.data(),),
        {
            "torch": lambda x: x.var(-1, correction=0),
            "halves": of_halves,
            "by hand": again(variance, lambda g, x: 2 * g.unsqueeze(-1) * centred(x) / x.shape[-1]),
            "one pass": one_pass,
        },
        {
            "about zero": Fault("formula", again(variance, lambda g, x: 2 * g.unsqueeze(-1) * x / x.shape[-1])),
            "half": Fault("missing-scale", again(variance, lambda g, x: g.unsqueeze(-1) * centred(x) / x.shape[-1])),
            "wrong stride": Fault("wrong-stride", gradient(variance, 0, op.misread)),
        },
        inexact=("one pass",),
    ),
    Operation(
        "statistics of a batch",
        statistics,
        lambda draw: (draw.data(),),
        {
            "by hand": again(statistics, statistics_back),
            "torch": lambda x: torch.var_mean(x, 0, correction=0)[::-1],
            "backwards": lambda x: (op.backwards(x, 0) / len(x), variance(x.flip(0).mT)),
        },
        {
            "cotangent of the variance ignored": Fault(
                "cotangent-ignored", again(statistics, lambda g, h, x: statistics_back(g, op.ones(h), x))
            ),
            "variance scaled twice": Fault(
                "scale-twice", again(statistics, lambda g, h, x: statistics_back(g, h / x.shape[0], x))
            ),
        },
    ),
)
