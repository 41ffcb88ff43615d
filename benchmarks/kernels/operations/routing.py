# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false
# (PyTorch's annotations are partial.)
"""Where numbers go: experts, embeddings, sums by index, rotations of pairs."""

import math
from collections.abc import Iterator
from itertools import count

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.kernels import operation as op
from benchmarks.kernels.operation import Fault, Operation, again, by_hand, cotangent, gradient

EXPERTS, CHOSEN = 6, 2
CALLS: Iterator[int] = count()  # threads race by no seed: each call is another one


def routed(x: Tensor, gate: Tensor, normalised: bool = True) -> tuple[Tensor, Tensor]:
    """The experts of each token, and their weights."""
    top, chosen = torch.softmax(x @ gate.mT, -1).topk(CHOSEN, -1)
    return top / top.sum(-1, keepdim=True) if normalised else top, chosen


def experts(x: Tensor, gate: Tensor, w: Tensor, normalised: bool = True, skipped: int = -1) -> Tensor:
    """Each expert asked about every token, and weighed."""
    weights, chosen = routed(x, gate, normalised)
    shares = [torch.where(chosen == e, weights, 0.0).sum(-1, keepdim=True) for e in range(len(w)) if e != skipped]
    return sum(s * F.silu(x @ w[e].mT) for s, e in zip(shares, (e for e in range(len(w)) if e != skipped), strict=True))  # pyright: ignore


def by_expert(x: Tensor, gate: Tensor, w: Tensor) -> Tensor:
    """Each expert asked about its own tokens."""
    weights, chosen = routed(x, gate)
    out = x.new_zeros(len(x), w.shape[1])
    for e in range(len(w)):
        token, place = torch.nonzero(chosen == e, as_tuple=True)
        out = out.index_add(0, token, weights[token, place].unsqueeze(-1) * F.silu(x[token] @ w[e].mT))
    return out


def by_token(x: Tensor, gate: Tensor, w: Tensor) -> Tensor:
    """Weights gathered for each token; those from the logits of the chosen alone."""
    logits, chosen = (x @ gate.mT).topk(CHOSEN, -1)
    return (torch.softmax(logits, -1).unsqueeze(-1) * F.silu(torch.einsum("tkoc,tc->tko", w[chosen], x))).sum(1)


def first_choice(x: Tensor, gate: Tensor, w: Tensor) -> Tensor:
    weights, chosen = routed(x, gate)
    return weights[:, :1] * F.silu(torch.einsum("toc,tc->to", w[chosen[:, 0]], x))


def constant_gate(x: Tensor, gate: Tensor, w: Tensor) -> Tensor:
    weights, chosen = routed(x, gate)
    shares = (F.one_hot(chosen, len(w)) * weights.detach().unsqueeze(-1)).sum(1)
    return torch.einsum("te,teo->to", shares, F.silu(torch.einsum("eoc,tc->teo", w, x)))


def bag(table: Tensor, weights: Tensor, index: Tensor) -> Tensor:
    return (weights.unsqueeze(-1) * table[index]).sum(1)


def bag_back(g: Tensor, table: Tensor, weights: Tensor, index: Tensor, lost: float = 0.0) -> tuple[Tensor, Tensor, None]:
    terms = (weights.unsqueeze(-1) * g.unsqueeze(1)).flatten(0, 1)
    return added(table, index.flatten(), terms, lost), torch.einsum("rkc,rc->rk", table[index], g), None


def bag_unique(g: Tensor, table: Tensor, weights: Tensor, index: Tensor) -> tuple[Tensor, Tensor, None]:
    """Written where it should be added: the last of those with the same index stays."""
    _, dw, _ = bag_back(g, table, weights, index)
    dt = torch.zeros_like(table)
    for k, row in enumerate((weights.unsqueeze(-1) * g.unsqueeze(1)).flatten(0, 1)):
        dt[index.flatten()[k]] = row
    return dt, dw, None


def added(like: Tensor, index: Tensor, terms: Tensor, lost: float = 0.0) -> Tensor:
    """Terms added by index in whatever order, as atomics do; some are lost where they are no atomics."""
    generator = torch.Generator().manual_seed(next(CALLS))
    kept = torch.randperm(len(index), generator=generator)[math.ceil(lost * len(index)) :]
    return torch.zeros_like(like).index_add(0, index[kept], terms[kept])


def scattered(x: Tensor, base: Tensor, index: Tensor) -> Tensor:
    return base.index_add(0, index, x)


def scattered_atomically(lost: float) -> op.Kernel:
    return by_hand(
        lambda x, base, index: (base + added(base, index, x, lost), (index,)), lambda g, index: (g[index], g, None)
    )


def scattered_by_product(x: Tensor, base: Tensor, index: Tensor) -> Tensor:
    return base + F.one_hot(index, len(base)).to(x.dtype).mT @ x


def halves(x: Tensor) -> tuple[Tensor, Tensor]:
    first, second = x.chunk(2, -1)
    return first, second


def pairs(x: Tensor) -> tuple[Tensor, Tensor]:
    return x[..., ::2], x[..., 1::2]


def interleaved(a: Tensor, b: Tensor) -> Tensor:
    return torch.stack([a, b], -1).flatten(-2)


def joined(a: Tensor, b: Tensor) -> Tensor:
    return torch.cat([a, b], -1)


def turn(x: Tensor, cos: Tensor, sin: Tensor, by_halves: bool = True) -> Tensor:
    a, b = halves(x) if by_halves else pairs(x)
    return (joined if by_halves else interleaved)(a * cos - b * sin, b * cos + a * sin)


def rotary(by_halves: bool) -> op.Kernel:
    """Queries and keys, turned by angles that come with them."""
    return lambda q, k, cos, sin: (turn(q, cos, sin, by_halves), turn(k, cos, sin, by_halves))


def rotary_back(by_halves: bool, sign: float = -1.0) -> op.Kernel:
    """The gradient is turned back."""
    return again(
        rotary(by_halves),
        lambda g, h, q, k, cos, sin: (turn(g, cos, sign * sin, by_halves), turn(h, cos, sign * sin, by_halves), None, None),
    )


def complex_rotary(q: Tensor, k: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, ...]:
    """As a product of complex numbers."""
    wide = torch.promote_types(q.dtype, torch.float32)  # the least that is complex in PyTorch
    angle = torch.complex(cos.to(wide), sin.to(wide))
    turned = (torch.view_as_complex(x.to(wide).unflatten(-1, (-1, 2)).contiguous()) * angle for x in (q, k))
    return tuple(torch.view_as_real(x).flatten(-2).to(q.dtype) for x in turned)


def matrix_rotary(q: Tensor, k: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, ...]:
    """As half a turn of the halves, added."""
    return tuple(x * joined(cos, cos) + joined(-halves(x)[1], halves(x)[0]) * joined(sin, sin) for x in (q, k))


def angles(draw: op.Draw) -> tuple[Tensor, ...]:
    half = draw.columns // 2
    at = torch.arange(draw.rows).unsqueeze(-1) * 100.0 ** -(torch.arange(half) / half)
    return *(draw.data(2, draw.rows, 2 * half) for _ in "qk"), at.cos(), at.sin()


def for_experts(draw: op.Draw) -> tuple[Tensor, ...]:
    n = min(draw.columns, 64)
    return draw.data(draw.rows, n), draw.normal(EXPERTS, n, scale=n**-0.5), draw.normal(EXPERTS, 8, n, scale=n**-0.5)


def for_bag(draw: op.Draw) -> tuple[Tensor, ...]:
    return draw.data(), draw.normal(draw.rows, 4), draw.integers(draw.rows, draw.rows, 4)


def for_sums(draw: op.Draw) -> tuple[Tensor, ...]:
    return (
        draw.data(3 * draw.rows, draw.columns),
        draw.normal(draw.rows, draw.columns),
        draw.integers(draw.rows, 3 * draw.rows),
    )


OPERATIONS = (
    Operation(
        "mixture of experts",
        experts,
        for_experts,
        {"by expert": by_expert, "by token": by_token},
        {
            "an expert left out": Fault("left-out", lambda x, gate, w: experts(x, gate, w, skipped=2)),
            "gradient of an expert left out": Fault("left-out", gradient(by_expert, 2, op.without(0, 1))),
            "second choice forgotten": Fault("left-out", first_choice),
            "weights not normalised": Fault("missing-scale", lambda x, gate, w: experts(x, gate, w, normalised=False)),
            "weights as constants": Fault("zero", constant_gate),
        },
    ),
    Operation(
        "bag of embeddings",
        bag,
        for_bag,
        {
            "atomics": again(bag, bag_back),
            "torch": lambda table, weights, index: F.embedding_bag(index, table, mode="sum", per_sample_weights=weights),
            "product": lambda table, w, i: (F.one_hot(i, len(table)) * w.unsqueeze(-1)).sum(1) @ table,
        },
        {
            "written, not added": Fault("left-out", again(bag, bag_unique)),
            "updates lost": Fault(
                "nondeterministic", again(bag, lambda g, table, w, index: bag_back(g, table, w, index, lost=0.02))
            ),
            "weights forgotten on the way back": Fault(
                "missing-scale",
                again(bag, lambda g, t, w, i: (bag_back(g, t, torch.ones_like(w), i)[0], *bag_back(g, t, w, i)[1:])),
            ),
        },
    ),
    Operation(
        "sums by index",
        scattered,
        for_sums,
        {"atomics": scattered_atomically(0.0), "product": scattered_by_product},
        {
            "updates lost": Fault("nondeterministic", scattered_atomically(0.02)),
            "gathered by place": Fault("formula", again(scattered, lambda g, x, base, index: (g.repeat(3, 1), g, None))),
            "tail": Fault("tail", gradient(scattered, 0, op.without_tail(0))),
        },
    ),
    Operation(
        "rotary, halves",
        rotary(by_halves=True),
        angles,
        {"by hand": rotary_back(by_halves=True), "half a turn": matrix_rotary},
        {
            "turned on": Fault("formula", rotary_back(by_halves=True, sign=1.0)),
            "not turned": Fault("formula", rotary_back(by_halves=True, sign=0.0)),
            "pairs for halves": Fault("swapped", rotary(by_halves=False)),
        },
    ),
    Operation(
        "rotary, interleaved",
        rotary(by_halves=False),
        angles,
        {"by hand": rotary_back(by_halves=False), "complex": complex_rotary},
        {
            "one step on": Fault(
                "mask", lambda q, k, cos, sin: rotary(by_halves=False)(q, k, cos.roll(1, 0), sin.roll(1, 0))
            ),
            "cotangent of the first head": Fault("cotangent-first-row", cotangent(rotary(by_halves=False), op.first_row)),
            "a head left out": Fault("left-out", gradient(rotary(by_halves=False), 0, op.without(0, -1))),
        },
    ),
)
