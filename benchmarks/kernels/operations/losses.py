# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false
# (PyTorch's annotations are partial.)
"""Losses: of differences, of angles, of preferences."""

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.kernels import operation as op
from benchmarks.kernels.operation import Fault, Operation, again, cotangent, gradient

BETA = 0.3
MARGIN = 5.0


def squared(x: Tensor, y: Tensor) -> Tensor:
    return ((x - y) ** 2).mean()


def squared_back(g: Tensor, x: Tensor, y: Tensor, count: int = 0) -> tuple[Tensor, Tensor]:
    d = 2 * g * (x - y) / (count or x.numel())
    return d, -d


def huber(x: Tensor, y: Tensor) -> Tensor:
    d = x - y
    return torch.where(d.abs() <= 1, 0.5 * d * d, d.abs() - 0.5)


def huber_back(g: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    d = g * (x - y).clamp(-1, 1)
    return d, -d


def huber_clamped(x: Tensor, y: Tensor) -> Tensor:
    near = (x - y).abs().clamp_max(1)
    return near * ((x - y).abs() - 0.5 * near)


def length(x: Tensor) -> Tensor:
    return torch.sqrt((x * x).sum(-1))


def cosine(x: Tensor, y: Tensor) -> Tensor:
    return (x * y).sum(-1) / (length(x) * length(y))


def cosine_back(g: Tensor, x: Tensor, y: Tensor, through: float = 1.0) -> tuple[Tensor, Tensor]:
    a, b = (z / length(z).unsqueeze(-1) for z in (x, y))
    along, g = through * (a * b).sum(-1, keepdim=True), g.unsqueeze(-1)
    return g * (b - along * a) / length(x).unsqueeze(-1), g * (a - along * b) / length(y).unsqueeze(-1)


def distance(x: Tensor, y: Tensor) -> Tensor:
    return ((x - y) ** 2).sum(-1)


def triplet(x: Tensor, near: Tensor, far: Tensor) -> Tensor:
    return (distance(x, near) - distance(x, far) + MARGIN).clamp_min(0)


def triplet_back(g: Tensor, x: Tensor, near: Tensor, far: Tensor, hinge: bool = True) -> tuple[Tensor, ...]:
    g = torch.where(triplet(x, near, far) > 0, g, 0.0) if hinge else g
    return tuple(2 * g.unsqueeze(-1) * each for each in (far - near, near - x, x - far))


def preference(a: Tensor, b: Tensor, a0: Tensor, b0: Tensor) -> Tensor:
    """Of one answer to another, by the sums of their logarithms beside those of a frozen model."""
    return -F.logsigmoid(BETA * margin(a, b, a0, b0))


def margin(a: Tensor, b: Tensor, a0: Tensor, b0: Tensor) -> Tensor:
    return (a.sum(-1) - b.sum(-1)) - (a0 - b0)


def preference_back(
    g: Tensor, a: Tensor, b: Tensor, a0: Tensor, b0: Tensor, beta: float = BETA
) -> tuple[Tensor | None, ...]:
    d = (-beta * g * torch.sigmoid(-BETA * margin(a, b, a0, b0))).unsqueeze(-1).expand_as(a)
    return d, -d, None, None


def two(draw: op.Draw) -> tuple[Tensor, ...]:
    return draw.data(), draw.data()


def for_preference(draw: op.Draw) -> tuple[Tensor, ...]:
    a, b = draw.data(), draw.data()
    return a, b, *(x.detach().sum(-1) + draw.normal(draw.rows).detach() for x in (a, b))


OPERATIONS = (
    Operation(
        "squared error",
        squared,
        two,
        {
            "by hand": again(squared, squared_back),
            "torch": F.mse_loss,
            "chunks": lambda x, y: op.in_chunks(op.in_chunks((x - y) ** 2), 0) / x.numel(),
        },
        {
            "half": Fault("missing-scale", again(squared, lambda g, x, y: squared_back(g / 2, x, y))),
            "mean of rows": Fault("wrong-count", again(squared, lambda g, x, y: squared_back(g, x, y, x.shape[0]))),
            "cotangent ignored": Fault("cotangent-ignored", cotangent(squared, op.ones)),
            "sign of the target's": Fault("sign", gradient(squared, 1, torch.neg)),
            "sum in bfloat16": Fault("low-precision", op.output(squared, op.bfloat16), rounding=True),
        },
    ),
    Operation(
        "huber loss",
        huber,
        two,
        {
            "by hand": again(huber, huber_back),
            "torch": lambda x, y: F.huber_loss(x, y, reduction="none"),
            "clamped": huber_clamped,
        },
        {
            "not clamped": Fault("formula", again(huber, lambda g, x, y: (g * (x - y), g * (y - x)))),
            "wrong stride": Fault("wrong-stride", gradient(huber, 0, op.misread)),
            "cotangent a number": Fault("cotangent-scalar", cotangent(huber, op.first_entry)),
        },
    ),
    Operation(
        "cosine similarity",
        cosine,
        two,
        {
            "by hand": again(cosine, cosine_back),
            "torch": lambda x, y: F.cosine_similarity(x, y, dim=-1, eps=1e-12),
            "normalised": lambda x, y: (F.normalize(x, dim=-1) * F.normalize(y, dim=-1)).sum(-1),
        },
        {
            "lengths as constants": Fault("missing-path", again(cosine, lambda g, x, y: cosine_back(g, x, y, through=0.0))),
            "eps beside": Fault("eps", lambda x, y: (x * y).sum(-1) / (length(x) * length(y) + 1e-3)),
            "gradients swapped": Fault("swapped", again(cosine, lambda g, x, y: cosine_back(g, x, y)[::-1])),
        },
    ),
    Operation(
        "triplets",
        triplet,
        lambda draw: (draw.data(), draw.data(), draw.data()),
        {
            "by hand": again(triplet, triplet_back),
            "relu": lambda x, near, far: F.relu(distance(x, near) - distance(x, far) + MARGIN),
        },
        {
            "hinge forgotten": Fault(
                "mask", again(triplet, lambda g, x, near, far: triplet_back(g, x, near, far, hinge=False))
            ),
            "near and far swapped": Fault("swapped", lambda x, near, far: triplet(x, far, near)),
            "squared distance not doubled": Fault("missing-scale", gradient(triplet, 0, op.times(0.5))),
        },
    ),
    Operation(
        "preferences",
        preference,
        for_preference,
        {
            "by hand": again(preference, preference_back),
            "softplus": lambda a, b, a0, b0: F.softplus(-BETA * margin(a, b, a0, b0), threshold=40),
            "backwards": lambda a, b, a0, b0: -F.logsigmoid(BETA * (op.backwards(a) - op.backwards(b) - a0 + b0)),
        },
        {
            "beta missing": Fault("missing-scale", again(preference, lambda g, *args: preference_back(g, *args, beta=1.0))),
            "beta twice": Fault("scale-twice", again(preference, lambda g, *args: preference_back(g, *args, beta=BETA**2))),
            "frozen model forgotten": Fault("formula", lambda a, b, a0, b0: preference(a, b, 0 * a0, 0 * b0)),
            "tail": Fault("tail", gradient(preference, 0, op.without_tail(-1))),
        },
    ),
)
