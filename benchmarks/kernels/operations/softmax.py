# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false
# (PyTorch's annotations are partial.)
"""Softmax and what is made of it: logarithms, cross entropies, divergences."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.kernels import operation as op
from benchmarks.kernels.operation import Fault, Operation, again, cotangent, gradient

IGNORED = -100


def shifted(x: Tensor) -> Tensor:
    return x - x.detach().amax(-1, keepdim=True)


def softmax(x: Tensor) -> Tensor:
    e = torch.exp(shifted(x))
    return e / e.sum(-1, keepdim=True)


def softmax_back(g: Tensor, p: Tensor) -> Tensor:
    return p * (g - (p * g).sum(-1, keepdim=True))


def online(x: Tensor, rescaled: bool = True) -> tuple[Tensor, Tensor]:
    """Largest entry and sum of exponentials, chunk by chunk; the sum is put on the new maximum, or is not."""
    top = torch.full_like(x[..., :1], torch.finfo(x.dtype).min)
    total = torch.zeros_like(top)
    for chunk in x.split(op.block_below(x.shape[-1]) // 2 or 1, -1):
        above = torch.maximum(top, chunk.detach().amax(-1, keepdim=True))
        total = (total * torch.exp(top - above) if rescaled else total) + torch.exp(chunk - above).sum(-1, keepdim=True)
        top = above
    return top, total


def softmax_online(x: Tensor, rescaled: bool = True) -> Tensor:
    top, total = online(x, rescaled)
    return torch.exp(x - top) / total


def log_softmax(x: Tensor) -> Tensor:
    return shifted(x) - torch.log(torch.exp(shifted(x)).sum(-1, keepdim=True))


def lse(x: Tensor) -> Tensor:
    top = x.detach().amax(-1)
    return top + torch.log(torch.exp(x - top.unsqueeze(-1)).sum(-1))


def lse_online(x: Tensor, rescaled: bool = True) -> Tensor:
    top, total = online(x, rescaled)
    return (top + torch.log(total)).squeeze(-1)


def picked(x: Tensor, target: Tensor) -> Tensor:
    return x.gather(-1, target.clamp_min(0).unsqueeze(-1)).squeeze(-1)


def entropies(x: Tensor, target: Tensor) -> Tensor:
    return -picked(log_softmax(x), target)


def one_hot(x: Tensor, target: Tensor) -> Tensor:
    return torch.zeros_like(x).scatter(-1, target.clamp_min(0).unsqueeze(-1), 1.0)


def entropies_back(g: Tensor, x: Tensor, target: Tensor) -> tuple[Tensor, None]:
    return g.unsqueeze(-1) * (softmax(x) - one_hot(x, target)), None


def mean_entropy(x: Tensor, target: Tensor) -> Tensor:
    kept = target != IGNORED
    return torch.where(kept, entropies(x, target), 0.0).sum() / kept.sum()


def mean_back(g: Tensor, x: Tensor, target: Tensor) -> tuple[Tensor, None]:
    kept = target != IGNORED
    return g * kept.unsqueeze(-1) / kept.sum() * (softmax(x) - one_hot(x, target)), None


def smoothed(x: Tensor, target: Tensor, much: float = 0.1) -> Tensor:
    logs = log_softmax(x)
    return -(1 - much) * picked(logs, target) - much * logs.mean(-1)


def smoothed_back(g: Tensor, x: Tensor, target: Tensor, much: float = 0.1) -> tuple[Tensor, None]:
    wanted = (1 - much) * one_hot(x, target) + much / x.shape[-1]
    return g.unsqueeze(-1) * (softmax(x) - wanted), None


def with_ignored(draw: op.Draw) -> tuple[Tensor, Tensor]:
    target = draw.integers(draw.columns, draw.rows)
    return draw.data(), target.where(torch.arange(draw.rows) % 4 != 1, IGNORED)


def divergence(x: Tensor, y: Tensor) -> Tensor:
    """Kullback and Leibler's, of the distribution of y from that of x, row by row."""
    return (softmax(y) * (log_softmax(y) - log_softmax(x))).sum(-1)


def divergence_back(g: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    apart = log_softmax(y) - log_softmax(x)
    g = g.unsqueeze(-1)
    return g * (softmax(x) - softmax(y)), softmax_back(g * apart, softmax(y))


def jensen(x: Tensor, y: Tensor) -> Tensor:
    p, q = softmax(x), softmax(y)
    middle = torch.log((p + q) / 2)
    return 0.5 * (p * (log_softmax(x) - middle) + q * (log_softmax(y) - middle)).sum(-1)


def middle_of(x: Tensor, y: Tensor) -> Tensor:
    return torch.logaddexp(log_softmax(x), log_softmax(y)) - math.log(2)


def jensen_back(g: Tensor, x: Tensor, y: Tensor, half: float = 0.5) -> tuple[Tensor, Tensor]:
    g, middle = half * g.unsqueeze(-1), middle_of(x, y)
    return softmax_back(g * (log_softmax(x) - middle), softmax(x)), softmax_back(g * (log_softmax(y) - middle), softmax(y))


def jensen_kl(x: Tensor, y: Tensor) -> Tensor:
    logs, middle = (log_softmax(x), log_softmax(y)), middle_of(x, y)
    return torch.stack([F.kl_div(middle, each, reduction="none", log_target=True).sum(-1) for each in logs]).mean(0)


def focal(x: Tensor, target: Tensor) -> Tensor:
    log = picked(log_softmax(x), target)
    return -((1 - torch.exp(log)) ** 2) * log


def others(x: Tensor, target: Tensor) -> Tensor:
    """The probability of all that is not the target, added up without cancellation."""
    return (softmax(x) * (1 - one_hot(x, target))).sum(-1)


def focal_back(g: Tensor, x: Tensor, target: Tensor, weight: bool = True) -> tuple[Tensor, None]:
    log, q = picked(log_softmax(x), target), others(x, target)
    factor = q * q - (2 * q * (1 - q) * log if weight else 0.0)
    return (g * factor).unsqueeze(-1) * (softmax(x) - one_hot(x, target)), None


OPERATIONS = (
    Operation(
        "softmax",
        softmax,
        lambda draw: (draw.data(),),
        {
            "by hand": op.by_hand(lambda x: (softmax(x), (softmax(x),)), softmax_back),
            "torch": lambda x: torch.softmax(x, -1),
            "online": softmax_online,
        },
        {
            "mean term dropped": Fault("missing-path", again(softmax, lambda g, x: softmax(x) * g)),
            "diagonal alone": Fault("formula", again(softmax, lambda g, x: softmax(x) * (1 - softmax(x)) * g)),
            "sum not rescaled": Fault("stale-statistics", lambda x: softmax_online(x, rescaled=False)),
            "cotangent of the first row": Fault("cotangent-first-row", cotangent(softmax, op.first_row)),
            "along the other axis": Fault("transposed", lambda x: softmax(x.mT).mT),
            "sum in bfloat16": Fault(
                "low-precision",
                lambda x: torch.exp(shifted(x)) / op.coarse_sum(torch.exp(shifted(x))).unsqueeze(-1),
                rounding=True,
            ),
        },
    ),
    Operation(
        "log-softmax",
        log_softmax,
        lambda draw: (draw.data(),),
        {
            "by hand": again(log_softmax, lambda g, x: g - softmax(x) * g.sum(-1, keepdim=True)),
            "torch": lambda x: torch.log_softmax(x, -1),
            "online": lambda x: x - online(x)[0] - torch.log(online(x)[1]),
        },
        {
            "sum of cotangents dropped": Fault("formula", again(log_softmax, lambda g, x: g - softmax(x))),
            "a column left out": Fault("left-out", gradient(log_softmax, 0, op.without(-1, -1))),
        },
    ),
    Operation(
        "logsumexp",
        lse,
        lambda draw: (draw.data(),),
        {
            "by hand": again(lse, lambda g, x: g.unsqueeze(-1) * softmax(x)),
            "torch": lambda x: torch.logsumexp(x, -1),
            "online": lse_online,
        },
        {
            "cotangent ignored": Fault("cotangent-ignored", cotangent(lse, op.ones)),
            "maximum stale": Fault("stale-statistics", lambda x: lse_online(x, rescaled=False)),
        },
    ),
    Operation(
        "cross entropy",
        entropies,
        lambda draw: (draw.data(), draw.integers(draw.columns, draw.rows)),
        {
            "by hand": again(entropies, entropies_back),
            "torch": lambda x, target: F.cross_entropy(x, target, reduction="none"),
            "online": lambda x, target: lse_online(x) - picked(x, target),
        },
        {
            "cotangent ignored": Fault("cotangent-ignored", cotangent(entropies, op.ones)),
            "first cotangent for all": Fault("cotangent-scalar", cotangent(entropies, op.first_entry)),
            "target not subtracted": Fault(
                "formula", again(entropies, lambda g, x, target: (g.unsqueeze(-1) * softmax(x), None))
            ),
            "tail": Fault("tail", gradient(entropies, 0, op.without_tail(-1))),
            "sign": Fault("sign", gradient(entropies, 0, torch.neg)),
        },
    ),
    Operation(
        "cross entropy, mean",
        mean_entropy,
        with_ignored,
        {
            "by hand": again(mean_entropy, mean_back),
            "torch": F.cross_entropy,
            "online": lambda x, target: (lse_online(x) - picked(x, target))[target != IGNORED].mean(),
        },
        {
            "ignored counted": Fault(
                "wrong-count", lambda x, target: mean_entropy(x, target) * (target >= 0).sum() / len(x)
            ),
            "ignored not ignored": Fault("mask", lambda x, target: entropies(x, target).sum() / (target != IGNORED).sum()),
            "mean forgotten": Fault("missing-scale", gradient(mean_entropy, 0, op.times(7.0))),
            "mean twice": Fault(
                "scale-twice",
                again(mean_entropy, lambda g, x, t: (mean_back(g, x, t)[0] / (t != IGNORED).sum(), None)),
            ),
            "cotangent ignored": Fault("cotangent-ignored", cotangent(mean_entropy, op.ones)),
        },
    ),
    Operation(
        "cross entropy, smoothed",
        smoothed,
        lambda draw: (draw.data(), draw.integers(draw.columns, draw.rows)),
        {
            "by hand": again(smoothed, smoothed_back),
            "torch": lambda x, target: F.cross_entropy(x, target, reduction="none", label_smoothing=0.1),
        },
        {
            "forgotten on the way back": Fault("formula", again(smoothed, entropies_back)),
            "over the others": Fault("wrong-count", lambda x, t: smoothed(x, t, 0.1 * x.shape[-1] / (x.shape[-1] - 1))),
        },
    ),
    Operation(
        "divergence",
        divergence,
        lambda draw: (draw.data(), draw.data()),
        {
            "by hand": again(divergence, divergence_back),
            "torch": lambda x, y: F.kl_div(
                torch.log_softmax(x, -1), torch.log_softmax(y, -1), reduction="none", log_target=True
            ).sum(-1),
        },
        {
            "second gradient left out": Fault("zero", gradient(divergence, 1, torch.zeros_like)),
            "arguments swapped": Fault("swapped", lambda x, y: divergence(y, x)),
            "cotangent of the first row": Fault("cotangent-scalar", cotangent(divergence, op.first_row)),
        },
    ),
    Operation(
        "divergence by halves",
        jensen,
        lambda draw: (draw.data(), draw.data()),
        {"by hand": again(jensen, jensen_back), "torch": jensen_kl},
        {
            "half forgotten": Fault("missing-scale", again(jensen, lambda g, x, y: jensen_back(g, x, y, 1.0))),
            "half twice": Fault("scale-twice", again(jensen, lambda g, x, y: jensen_back(g, x, y, 0.25))),
        },
    ),
    Operation(
        "focal loss",
        focal,
        lambda draw: (draw.data(), draw.integers(draw.columns, draw.rows)),
        {
            "by hand": again(focal, focal_back),
            "torch": lambda x, t: others(x, t) ** 2 * F.cross_entropy(x, t, reduction="none"),
        },
        {
            "weight as a constant": Fault("missing-path", again(focal, lambda g, x, t: focal_back(g, x, t, weight=False))),
            "bfloat16 wrong": Fault(
                "given-dtype", op.by_dtype(focal, gradient(focal, 0, op.without(0, 0)), torch.bfloat16), dtype=torch.bfloat16
            ),
        },
    ),
)
