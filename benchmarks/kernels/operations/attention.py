# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false
# (PyTorch's annotations are partial.)
"""Attention: plain, causal, masked, over groups of heads, in a window, with a slope, with a cap; and tiled by hand."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.kernels import operation as op
from benchmarks.kernels.operation import Fault, Kernel, Operation, by_hand

HEADS = 2
Between: TypeAlias = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Scores:
    """How queries i see keys j: who is seen, what is added, at how much scores are capped; and mistakes in it."""

    seen: Between = lambda i, j: i >= i - j * 0
    added: Between = lambda i, j: 0.0 * (i - j)
    cap: float = 0.0
    scaled: float = 1.0
    sloped: bool = True

    def __call__(self, q: Tensor, k: Tensor, start: int = 0) -> Tensor:
        """Scores of all queries and the keys from a start."""
        capped, i, j = self.capped(q, k), *self.places(q, k, start)
        slopes = 2.0 ** -torch.arange(1, len(q) + 1).reshape(-1, 1, 1)
        return (capped + (slopes * self.added(i, j)).to(q.dtype)).masked_fill(~self.seen(i, j), -torch.inf)

    def places(self, q: Tensor, k: Tensor, start: int) -> tuple[Tensor, Tensor]:
        return torch.arange(q.shape[-2]).unsqueeze(-1), torch.arange(start, start + k.shape[-2])

    def scale(self, q: Tensor) -> float:
        return self.scaled * q.shape[-1] ** -0.5

    def capped(self, q: Tensor, k: Tensor) -> Tensor:
        s = q @ k.mT * self.scale(q)
        return self.cap * torch.tanh(s / self.cap) if self.cap else s

    def slope(self, q: Tensor, k: Tensor) -> Tensor | float:
        """Of a score as it is used, to the product of query and key."""
        return self.scale(q) * (1 - (self.capped(q, k) / self.cap) ** 2 if self.cap and self.sloped else 1.0)


def grouped(x: Tensor, q: Tensor) -> Tensor:
    """Keys and values, once for each head that reads them."""
    return x.repeat_interleave(len(q) // len(x), 0)


def gathered(x: Tensor, heads: int) -> Tensor:
    """Their gradients, over the heads that read them."""
    return x.unflatten(0, (heads, -1)).sum(1)


def plain(scores: Scores) -> Kernel:
    """In three lines."""

    def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return torch.softmax(scores(q, grouped(k, q)), -1) @ grouped(v, q)

    return attention


def turned(scores: Scores) -> Kernel:
    """Sums over keys from the last to the first, divided by their weight at the end."""

    def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        s = scores(q, grouped(k, q)).flip(-1)
        e = torch.exp(s - s.detach().amax(-1, keepdim=True))
        return e @ grouped(v, q).flip(-2) / e.sum(-1, keepdim=True)

    return attention


def fused(scores: Scores) -> Kernel:
    """PyTorch's own, with scores that are no products as a mask."""

    def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        mask = scores(torch.zeros_like(q), torch.zeros_like(grouped(k, q)))
        return F.scaled_dot_product_attention(q[None], grouped(k, q)[None], grouped(v, q)[None], mask[None])[0]

    return attention


@dataclass(frozen=True)
class Flash:
    """Tiled over keys, the logarithm of the sum saved; each field is a mistake that can be made."""

    scores: Scores
    rescaled: bool = True
    delta: bool = True
    back: Scores | None = None
    share: bool = True
    skipped: int = 0

    def tiles(self, k: Tensor) -> list[int]:
        size = max(op.block_below(k.shape[-2]) // 2, 1)
        return list(range(0, k.shape[-2], size))

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        size = max(op.block_below(k.shape[-2]) // 2, 1)
        top = torch.full_like(q[..., :1], torch.finfo(q.dtype).min)
        total, out = torch.zeros_like(top), torch.zeros_like(grouped(v, q)[:, :1]).expand(*q.shape[:-1], -1)
        for start in self.tiles(k)[: len(self.tiles(k)) - self.skipped]:
            s = self.scores(q, grouped(k, q)[:, start : start + size], start)
            above = torch.maximum(top, s.amax(-1, keepdim=True))
            shrink = torch.exp(top - above) if self.rescaled else torch.ones_like(top)
            e = torch.exp(s - above)
            total, out = shrink * total + e.sum(-1, keepdim=True), shrink * out + e @ grouped(v, q)[:, start : start + size]
            top = above
        return out / total, (q, k, v, out / total, top + torch.log(total))

    def backward(self, g: Tensor, *kept: Tensor) -> tuple[Tensor, ...]:
        q, k, v, out, lse = kept
        size, scores = max(op.block_below(k.shape[-2]) // 2, 1), self.back or self.scores
        delta = (g * out).sum(-1, keepdim=True) if self.delta else 0.0
        dq, dk, dv = torch.zeros_like(q), torch.zeros_like(grouped(k, q)), torch.zeros_like(grouped(v, q))
        for start in self.tiles(k):
            tile = slice(start, start + size)
            keys, values = grouped(k, q)[:, tile], grouped(v, q)[:, tile]
            p = torch.exp(scores(q, keys, start) - lse)
            ds = p * (g @ values.mT - delta) * scores.slope(q, keys)
            dq, dk[:, tile], dv[:, tile] = dq + ds @ keys, ds.mT @ q, p.mT @ g
        if not self.share:
            return dq, dk[:: len(q) // len(k)], dv[:: len(q) // len(k)]
        return dq, gathered(dk, len(k)), gathered(dv, len(v))


def flash(scores: Scores, **mistakes: bool | int | Scores) -> Kernel:
    made = replace(Flash(scores), **mistakes)  # pyright: ignore[reportArgumentType]
    return by_hand(made.forward, made.backward)


def whole(scores: Scores) -> Kernel:
    """By hand in one tile, the probabilities kept."""

    def forward(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        p = torch.softmax(scores(q, grouped(k, q)), -1)
        return p @ grouped(v, q), (q, k, v, p)

    def backward(g: Tensor, q: Tensor, k: Tensor, v: Tensor, p: Tensor) -> tuple[Tensor, ...]:
        dp = g @ grouped(v, q).mT
        ds = p * (dp - (p * dp).sum(-1, keepdim=True)) * scores.slope(q, grouped(k, q))
        return ds @ grouped(k, q), gathered(ds.mT @ q, len(k)), gathered(p.mT @ g, len(v))

    return by_hand(forward, backward)


def three(heads: int = HEADS, keys: int = HEADS) -> Callable[[op.Draw], tuple[Tensor, ...]]:
    return lambda draw: (
        draw.data(heads, draw.rows, draw.columns),
        *(draw.data(keys, draw.rows, draw.columns) for _ in "kv"),
    )


PLAIN = Scores()
CAUSAL = Scores(lambda i, j: i >= j)
LATE = Scores(lambda i, j: i >= j - 1)  # one key too many
EARLY = Scores(lambda i, j: (i > j) | (i + j == 0))
MASKED = Scores(lambda i, j: ((7 * i + 5 * j) % 3 != 0) | (i == j))
WINDOW = Scores(lambda i, j: (i >= j) & (i - j < 4))
SLOPED = Scores(lambda i, j: i >= j, lambda i, j: j - i)
CAPPED = Scores(lambda i, j: i >= j, cap=2.0)


def honest(scores: Scores) -> dict[str, op.Written]:
    ways: dict[str, op.Written] = {"whole": whole(scores), "flash": flash(scores), "turned": turned(scores)}
    return ways if scores.cap else {**ways, "torch": fused(scores)}


OPERATIONS = (
    Operation(
        "attention",
        plain(PLAIN),
        three(),
        honest(PLAIN),
        {
            "scale missing": Fault("missing-scale", plain(Scores(scaled=3.0))),
            "scale missing on the way back": Fault("missing-scale", flash(PLAIN, back=Scores(scaled=1.5))),
            "sum and output not rescaled": Fault("stale-statistics", flash(PLAIN, rescaled=False)),
            "mean term dropped": Fault("missing-path", flash(PLAIN, delta=False)),
            "last tile skipped": Fault("tail", flash(PLAIN, skipped=1)),
            "tail of the keys": Fault("tail", op.gradient(flash(PLAIN), 1, op.without_tail(1))),
            "a head left out": Fault("left-out", op.gradient(flash(PLAIN), 2, op.without(0, -1))),
            "cotangent of the first row": Fault("cotangent-first-row", op.cotangent(flash(PLAIN), op.first_row)),
            "products in bfloat16": Fault(
                "low-precision", lambda q, k, v: plain(PLAIN)(op.bfloat16(q), op.bfloat16(k), v), rounding=True
            ),
        },
    ),
    Operation(
        "attention, causal",
        plain(CAUSAL),
        three(),
        honest(CAUSAL),
        {
            "sees the next": Fault("mask", plain(LATE)),
            "sees itself not": Fault("mask", plain(EARLY)),
            "bfloat16 wrong": Fault(
                "given-dtype", op.by_dtype(plain(CAUSAL), flash(CAUSAL, delta=False), torch.bfloat16), dtype=torch.bfloat16
            ),
        },
    ),
    Operation(
        "attention, masked",
        plain(MASKED),
        three(),
        honest(MASKED),
        {
            "mask ignored": Fault("mask", plain(PLAIN)),
            "keys and values swapped": Fault("swapped", lambda q, k, v: plain(MASKED)(q, v, k)),
            "tail of the values": Fault("tail", op.gradient(plain(MASKED), 2, op.without_tail(1))),
        },
    ),
    Operation(
        "attention over groups",
        plain(CAUSAL),
        three(4, 2),
        honest(CAUSAL),
        {
            "heads not added up": Fault("left-out", flash(CAUSAL, share=False)),
            "heads interleaved": Fault("swapped", lambda q, k, v: plain(CAUSAL)(q, torch.cat([k, k]), torch.cat([v, v]))),
            "wrong stride": Fault("wrong-stride", op.gradient(flash(CAUSAL), 1, op.misread)),
        },
    ),
    Operation(
        "attention in a window",
        plain(WINDOW),
        three(),
        honest(WINDOW),
        {
            "one too wide": Fault("mask", plain(Scores(lambda i, j: (i >= j) & (i - j <= 4)))),
            "cotangent a number": Fault("cotangent-scalar", op.cotangent(flash(WINDOW), op.first_entry)),
        },
    ),
    Operation(
        "attention, sloped",
        plain(SLOPED),
        three(),
        honest(SLOPED),
        {
            "slope of the other sign": Fault("formula", plain(replace(SLOPED, added=lambda i, j: i - j))),
            "heads in other order": Fault("swapped", lambda q, k, v: plain(SLOPED)(q.flip(0), k.flip(0), v.flip(0)).flip(0)),
        },
    ),
    Operation(
        "attention, capped",
        plain(CAPPED),
        three(),
        honest(CAPPED),
        {
            "slope of the cap forgotten": Fault("missing-path", flash(CAPPED, back=replace(CAPPED, sloped=False))),
            "not capped": Fault("formula", plain(CAUSAL)),
        },
    ),
)
