# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false
# (PyTorch's annotations are partial.)
"""Sums and scans along time."""

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.kernels import operation as op
from benchmarks.kernels.operation import Fault, Operation, again, by_hand, gradient

STEPS = 48  # most that a loop is asked for


def scan(a: Tensor, b: Tensor) -> Tensor:
    """Of h = a h + b, along the first axis."""
    h, out = torch.zeros_like(b[0]), list[Tensor]()
    for decay, entry in zip(a, b, strict=True):
        h = decay * h + entry
        out.append(h)
    return torch.stack(out)


def doubled(a: Tensor, b: Tensor) -> Tensor:
    """The same in the logarithm of so many steps, each pair of neighbours composed."""
    step = 1
    while step < len(b):
        before = torch.cat([torch.zeros_like(b[:step]), b[:-step]])
        b = b + a * before
        a = a * torch.cat([torch.ones_like(a[:step]), a[:-step]])
        step *= 2
    return b


def scan_back(g: Tensor, h: Tensor, a: Tensor, late: bool = False) -> tuple[Tensor, Tensor]:
    after = torch.cat([a[1:], torch.zeros_like(a[:1])])
    d = scan((a if late else after).flip(0), g.flip(0)).flip(0)
    return d * torch.cat([torch.zeros_like(h[:1]), h[:-1]]), d


def scan_forward(a: Tensor, b: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    h = scan(a, b)
    return h, (h, a)


def scan_reset(a: Tensor, b: Tensor) -> Tensor:
    """In two blocks, the second starting from nothing."""
    half = op.block_below(len(b))
    return torch.cat([scan(a[:half], b[:half]), scan(a[half:], b[half:])])


def triangle(x: Tensor) -> Tensor:
    return torch.ones(len(x), len(x), dtype=x.dtype).tril()


def blocked(x: Tensor, carried: bool = True) -> Tensor:
    """Sums in blocks, what is carried added afterwards."""
    out, carry = list[Tensor](), torch.zeros_like(x[:1])
    for block in x.split(2):
        out.append(block.cumsum(0) + carry)
        carry = out[-1][-1:] if carried else block.sum(0, keepdim=True)
    return torch.cat(out)


def coarse(x: Tensor) -> Tensor:
    """Carried in bfloat16."""
    return torch.stack([op.coarse_sum(x[: t + 1], 0) for t in range(len(x))])


def delta(q: Tensor, k: Tensor, v: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Gated delta rule: what a key's value is off by is written to a decaying state."""
    k = k / torch.linalg.vector_norm(k, dim=-1, keepdim=True)
    state, out = torch.zeros(v.shape[-1], k.shape[-1], dtype=v.dtype), list[Tensor]()
    for t in range(len(q)):
        state = a[t] * state
        state = state + b[t] * torch.outer(v[t] - state @ k[t], k[t])
        out.append(state @ q[t])
    return torch.stack(out)


def delta_products(q: Tensor, k: Tensor, v: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """The state times a matrix, and something added."""
    k = k * torch.rsqrt((k * k).sum(-1, keepdim=True))
    state, out = torch.zeros(v.shape[-1], k.shape[-1], dtype=v.dtype), list[Tensor]()
    for t in range(len(q)):
        state = a[t] * (state - b[t] * (state @ k[t]).unsqueeze(-1) * k[t]) + b[t] * v[t].unsqueeze(-1) * k[t]
        out.append((state * q[t]).sum(-1))
    return torch.stack(out)


def delta_attention(q: Tensor, k: Tensor, v: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """All at once: what each step writes, by substitution in a triangular system, then attention to that."""
    k = k / torch.linalg.vector_norm(k, dim=-1, keepdim=True)
    n = len(q)
    rows = [torch.ones_like(a[:1])]
    for i in range(1, n):
        rows.append(torch.cat([rows[-1] * a[i], torch.ones_like(a[:1])]))
    decay = torch.stack([F.pad(row, (0, n - len(row))) for row in rows])
    pull = (b.unsqueeze(-1) * (k @ k.mT) * decay).tril(-1)
    wide = torch.promote_types(q.dtype, torch.float32)  # the least that PyTorch solves in
    system = torch.eye(n, dtype=wide) + pull.to(wide)
    written = torch.linalg.solve_triangular(system, (b.unsqueeze(-1) * v).to(wide), upper=False)
    return (q @ k.mT * decay) @ written.to(q.dtype)


def delta_back(
    g: Tensor, q: Tensor, k: Tensor, v: Tensor, a: Tensor, b: Tensor, *, erased: bool = True, gate: bool = True
) -> tuple[Tensor, ...]:
    """From the last step to the first, states kept."""
    length = torch.linalg.vector_norm(k, dim=-1, keepdim=True)
    unit, states = k / length, [torch.zeros(v.shape[-1], k.shape[-1], dtype=v.dtype)]
    for t in range(len(q)):
        s = a[t] * states[-1]
        states.append(s + b[t] * torch.outer(v[t] - s @ unit[t], unit[t]))
    dq, dk, dv, da, db = (torch.zeros_like(each) for each in (q, k, v, a, b))
    ds = torch.zeros_like(states[0])
    for t in reversed(range(len(q))):
        dq[t] = states[t + 1].mT @ g[t]
        ds = ds + torch.outer(g[t], q[t])
        s = a[t] * states[t]
        off, du = v[t] - s @ unit[t], ds @ unit[t]
        db[t], dv[t] = off @ du, b[t] * du
        dk[t] = b[t] * (ds.mT @ off - (s.mT @ du if erased else 0.0))
        ds = ds - b[t] * torch.outer(du, unit[t])
        da[t] = (ds * states[t]).sum()
        ds = a[t] * ds if gate else ds
    return dq, (dk - unit * (unit * dk).sum(-1, keepdim=True)) / length, dv, da, db


def selective(x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """A state space: states of n numbers a channel, which decay with a step of the input's choice."""
    decay = torch.exp(dt.unsqueeze(-1) * a)
    return (scan(decay, (dt * x).unsqueeze(-1) * b.unsqueeze(1)) * c.unsqueeze(1)).sum(-1)


def selective_doubled(x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    states = doubled(torch.exp(dt.unsqueeze(-1) * a), torch.einsum("td,tn->tdn", dt * x, b))
    return torch.einsum("tdn,tn->td", states, c)


def selective_back(
    g: Tensor, x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, through: float = 1.0, steps: int | None = None
) -> tuple[Tensor, ...]:
    decay = torch.exp(dt.unsqueeze(-1) * a)
    states = scan(decay, (dt * x).unsqueeze(-1) * b.unsqueeze(1))
    dd, du = scan_back(g.unsqueeze(-1) * c.unsqueeze(1), states, decay)
    dd, dux = dd * decay, (du * b.unsqueeze(1)).sum(-1)
    return (
        dux * dt,
        dux * x + through * (dd * a).sum(-1),
        (dd * dt.unsqueeze(-1))[:steps].sum(0),
        (du * (dt * x).unsqueeze(-1)).sum(1),
        (g.unsqueeze(-1) * states).sum(1),
    )


def for_delta(draw: op.Draw) -> tuple[Tensor, ...]:
    n, d = min(draw.rows, STEPS), min(draw.columns, 16)
    return *(draw.data(n, d) for _ in "qkv"), draw.unit(n), draw.unit(n)


def for_selective(draw: op.Draw) -> tuple[Tensor, ...]:
    n, d = min(draw.rows, STEPS), min(draw.columns, 16)
    rates = (-draw.unit(d, 4).detach() * 4).requires_grad_()
    return draw.data(n, d), draw.unit(n, d), rates, draw.normal(n, 4), draw.normal(n, 4)


OPERATIONS = (
    Operation(
        "linear scan",
        scan,
        lambda draw: (draw.unit(min(draw.rows, STEPS), draw.columns), draw.data(min(draw.rows, STEPS), draw.columns)),
        {"by hand": by_hand(scan_forward, scan_back), "doubled": doubled},
        {
            "decay of the wrong step": Fault("mask", by_hand(scan_forward, lambda g, h, a: scan_back(g, h, a, late=True))),
            "state lost between blocks": Fault("stale-statistics", scan_reset),
            "state not shifted": Fault(
                "mask", by_hand(scan_forward, lambda g, h, a: (scan_back(g, h, a)[1] * h, scan_back(g, h, a)[1]))
            ),
        },
    ),
    Operation(
        "cumulative sum",
        lambda x: torch.cumsum(x, 0),
        lambda draw: (draw.data(),),
        {
            "by hand": again(lambda x: x.cumsum(0), lambda g, x: g.flip(0).cumsum(0).flip(0)),
            "triangle": lambda x: triangle(x) @ x,
            "blocks": blocked,
        },
        {
            "forward on the way back": Fault("transposed", again(lambda x: x.cumsum(0), lambda g, x: g.cumsum(0))),
            "carry of the last block alone": Fault("stale-statistics", lambda x: blocked(x, carried=False)),
            "without itself": Fault("mask", again(lambda x: x.cumsum(0), lambda g, x: g.flip(0).cumsum(0).flip(0) - g)),
            "in bfloat16": Fault("low-precision", coarse, rounding=True),
        },
    ),
    Operation(
        "gated delta rule",
        delta,
        for_delta,
        {"by hand": again(delta, delta_back), "products": delta_products, "all at once": delta_attention},
        {
            "erasure a constant": Fault("missing-path", again(delta, lambda g, *args: delta_back(g, *args, erased=False))),
            "gate forgotten": Fault("missing-scale", again(delta, lambda g, *args: delta_back(g, *args, gate=False))),
            "sign of the gate": Fault("sign", gradient(delta, 3, torch.neg)),
        },
    ),
    Operation(
        "selective scan",
        selective,
        for_selective,
        {"by hand": again(selective, selective_back), "doubled": selective_doubled},
        {
            "step's path through the decay": Fault(
                "missing-path", again(selective, lambda g, *args: selective_back(g, *args, through=0.0))
            ),
            "last step left out": Fault("left-out", again(selective, lambda g, *args: selective_back(g, *args, steps=-1))),
            "cotangent of the first row": Fault("cotangent-first-row", op.cotangent(selective, op.first_row)),
        },
    ),
)
