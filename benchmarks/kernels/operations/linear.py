# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false
# (PyTorch's annotations are partial.)
"""Products: linear, bilinear, of low rank, in batches, with a loss at the end, and depthwise convolution."""

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.kernels import operation as op
from benchmarks.kernels.operation import Fault, Operation, again, cotangent, gradient
from benchmarks.kernels.operations.softmax import entropies, entropies_back

ALPHA = 0.5
WIDTH = 4  # of the convolution


def linear(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    return x @ w.mT + b


def linear_back(g: Tensor, x: Tensor, w: Tensor, b: Tensor) -> tuple[Tensor, ...]:
    return g @ w, g.mT @ x, g.sum(0)


def split_product(x: Tensor, w: Tensor, parts: int = 3) -> Tensor:
    """Over slices of what is summed over."""
    pairs = zip(x.chunk(parts, -1), w.chunk(parts, -1), strict=True)
    return torch.stack([a @ b.mT for a, b in pairs]).sum(0)


def bilinear(x: Tensor, w: Tensor, y: Tensor) -> Tensor:
    return torch.stack([(x @ each * y).sum(-1) for each in w], -1)


def bilinear_back(g: Tensor, x: Tensor, w: Tensor, y: Tensor) -> tuple[Tensor, ...]:
    return (
        torch.einsum("ro,oij,rj->ri", g, w, y),
        torch.einsum("ro,ri,rj->oij", g, x, y),
        torch.einsum("ro,oij,ri->rj", g, w, x),
    )


def low_rank(x: Tensor, w: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return x @ w.mT + ALPHA * (x @ a.mT) @ b.mT


def low_rank_back(g: Tensor, x: Tensor, w: Tensor, a: Tensor, b: Tensor, scale: float = ALPHA) -> tuple[Tensor, ...]:
    inner = scale * g @ b
    return g @ w + inner @ a, g.mT @ x, inner.mT @ x, scale * g.mT @ (x @ a.mT)


def batched(x: Tensor, y: Tensor) -> Tensor:
    return x @ y


def batched_back(g: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    return g @ y.mT, x.mT @ g


def head(x: Tensor, w: Tensor, target: Tensor) -> Tensor:
    return entropies(x @ w.mT, target)


def head_back(g: Tensor, x: Tensor, w: Tensor, target: Tensor) -> tuple[Tensor, Tensor, None]:
    d = entropies_back(g, x @ w.mT, target)[0]
    return d @ w, d.mT @ x, None


def head_chunks(x: Tensor, w: Tensor, target: Tensor) -> Tensor:
    """Without all logits at once: over parts of the vocabulary."""
    lse = torch.stack([torch.logsumexp(x @ part.mT, -1) for part in w.chunk(4)]).logsumexp(0)
    return lse - (x * w[target]).sum(-1)


def head_rows(g: Tensor, x: Tensor, w: Tensor, target: Tensor) -> tuple[Tensor, Tensor, None]:
    """Chunk by chunk of the rows, the gradient of the weight of the last one alone."""
    dx, dw, _ = head_back(g, x, w, target)
    half = len(x) // 2
    return dx, dw - head_back(g[:half], x[:half], w, target[:half])[1], None


def convolution(x: Tensor, w: Tensor) -> Tensor:
    padded = F.pad(x, (WIDTH - 1, 0))
    return sum((w[:, t : t + 1] * padded[..., t : t + x.shape[-1]] for t in range(WIDTH)), torch.zeros_like(x))


def convolution_back(g: Tensor, x: Tensor, w: Tensor, late: int = 0) -> tuple[Tensor, Tensor]:
    n, after = x.shape[-1], F.pad(g, (0, WIDTH))
    dx = sum((w[:, t : t + 1] * after[..., WIDTH - 1 - t + late :][..., :n] for t in range(WIDTH)), torch.zeros_like(x))
    padded = F.pad(x, (WIDTH - 1, 0))
    return dx, torch.stack([(g * padded[..., t : t + n]).sum((0, -1)) for t in range(WIDTH)], -1)


def outputs(draw: op.Draw) -> int:
    return max(3, draw.columns // 2)


def weights(draw: op.Draw, *shape: int) -> Tensor:
    return draw.normal(*shape, scale=shape[-1] ** -0.5)


OPERATIONS = (
    Operation(
        "linear",
        linear,
        lambda draw: (draw.data(), weights(draw, outputs(draw), draw.columns), draw.normal(outputs(draw))),
        {
            "by hand": again(linear, linear_back),
            "torch": F.linear,
            "split": lambda x, w, b: split_product(x, w) + b,
        },
        {
            "a sample left out of the weight": Fault(
                "left-out", again(linear, lambda g, x, w, b: (g @ w, g[:-1].mT @ x[:-1], g.sum(0)))
            ),
            "a part of the sum left out": Fault("left-out", lambda x, w, b: linear(x[:, 1:], w[:, 1:], b)),
            "mean over the samples": Fault("scale-twice", gradient(linear, 1, op.times(0.2))),
            "wrong stride": Fault("wrong-stride", gradient(linear, 1, op.misread)),
            "products in bfloat16": Fault(
                "low-precision", lambda x, w, b: linear(op.bfloat16(x), op.bfloat16(w), b), rounding=True
            ),
            "bias in bfloat16": Fault(
                "low-precision", again(linear, lambda g, x, w, b: (g @ w, g.mT @ x, op.coarse_sum(g, 0))), rounding=True
            ),
        },
    ),
    Operation(
        "bilinear",
        bilinear,
        lambda draw: (
            draw.data(draw.rows, min(draw.columns, 24)),
            draw.normal(3, min(draw.columns, 24), min(draw.columns, 24), scale=0.2),
            draw.data(draw.rows, min(draw.columns, 24)),
        ),
        {
            "by hand": again(bilinear, bilinear_back),
            "torch": lambda x, w, y: F.bilinear(x, y, w),
            "einsum": lambda x, w, y: torch.einsum("ri,oij,rj->ro", x, w, y),
        },
        {
            "weight transposed": Fault("transposed", lambda x, w, y: bilinear(x, w.mT, y)),
            "gradient transposed": Fault("transposed", gradient(bilinear, 1, lambda g: g.mT)),
            "an output left out": Fault("left-out", gradient(bilinear, 1, op.without(0, -1))),
        },
    ),
    Operation(
        "linear of low rank",
        low_rank,
        lambda draw: (
            draw.data(),
            weights(draw, outputs(draw), draw.columns),
            weights(draw, 4, draw.columns),
            weights(draw, outputs(draw), 4),
        ),
        {
            "by hand": again(low_rank, low_rank_back),
            "merged": lambda x, w, a, b: x @ (w + ALPHA * b @ a).mT,
            "split": lambda x, w, a, b: split_product(x, w) + split_product(ALPHA * split_product(x, a), b, 2),
        },
        {
            "scale missing": Fault(
                "missing-scale", again(low_rank, lambda g, x, w, a, b: low_rank_back(g, x, w, a, b, 1.0))
            ),
            "scale twice": Fault("scale-twice", again(low_rank, lambda g, x, w, a, b: low_rank_back(g, x, w, a, b, 0.25))),
            "path through the small one": Fault(
                "missing-path", lambda x, w, a, b: linear(x, w, 0 * b[:, 0]) + low_rank(x.detach(), 0 * w, a, b)
            ),
        },
    ),
    Operation(
        "product in batches",
        batched,
        lambda draw: (draw.data(3, draw.rows, draw.columns), draw.normal(3, draw.columns, draw.rows, scale=0.2)),
        {
            "by hand": again(batched, batched_back),
            "split": lambda x, y: split_product(x, y.mT),
            "one by one": lambda x, y: torch.stack([a @ b for a, b in zip(x, y, strict=True)]),
        },
        {
            "one of the batch left out": Fault("left-out", gradient(batched, 1, op.without(0, -1))),
            "first one's for all": Fault("formula", again(batched, lambda g, x, y: (g @ y[:1].mT, x.mT @ g))),
            "tail": Fault("tail", op.output(batched, op.without_tail(-1))),
        },
    ),
    Operation(
        "cross entropy of a linear layer",
        head,
        lambda draw: (
            draw.data(),
            weights(draw, 2 * draw.columns, draw.columns),
            draw.integers(2 * draw.columns, draw.rows),
        ),
        {
            "by hand": again(head, head_back),
            "chunks": head_chunks,
            "torch": lambda x, w, t: F.cross_entropy(F.linear(x, w), t, reduction="none"),
        },
        {
            "weight of the last chunk alone": Fault("left-out", again(head, head_rows)),
            "cotangent ignored": Fault("cotangent-ignored", cotangent(head, op.ones)),
            "first cotangent for all": Fault("cotangent-scalar", cotangent(head, op.first_entry)),
            "tail of the vocabulary": Fault("tail", gradient(head, 1, op.without_tail(0))),
        },
    ),
    Operation(
        "convolution by channels",
        convolution,
        lambda draw: (draw.data(2, draw.columns, draw.rows), draw.normal(draw.columns, WIDTH, scale=0.5)),
        {
            "by hand": again(convolution, convolution_back),
            "torch": lambda x, w: F.conv1d(F.pad(x, (WIDTH - 1, 0)), w.unsqueeze(1), groups=len(w)),
        },
        {
            "late by one": Fault("mask", again(convolution, lambda g, x, w: convolution_back(g, x, w, 1))),
            "weight turned": Fault("transposed", gradient(convolution, 1, lambda g: g.flip(-1))),
            "not causal": Fault("mask", lambda x, w: F.conv1d(F.pad(x, (2, 1)), w.unsqueeze(1), groups=len(w))),
            "one of the batch left out": Fault("left-out", gradient(convolution, 0, op.without(0, -1))),
        },
    ),
)
