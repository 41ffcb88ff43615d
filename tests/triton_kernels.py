"""Three kernels in Triton with backward passes as people write them, and the mistakes that people make in them.

A mistake is a word that is handed on to the kernel, or to the function that launches it. A program takes a few whole rows;
rows and columns beyond the last are masked. Every kernel reads what it is given in whatever dtype, computes in float32 and
stores in the dtype of its argument. Strides along a row are 1.
"""

import torch
import triton
import triton.language as tl

ROWS = 4  # that one program takes: each operation of a program costs the interpreter a tenth of a millisecond, a sum two
VECTOR = 16  # entries that a kernel would take at once which forgets the rest
LOWEST = tl.constexpr(-1e30)  # in the place of what is masked: minus infinity from itself is none in a row that is masked
IGNORED = -100


@triton.jit
def softmax_forward(x, y, rows, columns, stride, ROWS: tl.constexpr, BLOCK: tl.constexpr):
    row, column = (tl.program_id(0) * ROWS + tl.arange(0, ROWS))[:, None], tl.arange(0, BLOCK)[None, :]
    inside = (row < rows) & (column < columns)
    values = tl.load(x + row * stride + column, mask=inside, other=0.0).to(tl.float32)
    values = tl.where(column < columns, values, LOWEST)
    exponentials = tl.exp(values - tl.max(values, 1)[:, None])
    tl.store(y + row * columns + column, exponentials / tl.sum(exponentials, 1)[:, None], mask=inside)


@triton.jit
def softmax_backward(
    y, c, dx, rows, columns, ROWS: tl.constexpr, BLOCK: tl.constexpr, VECTOR: tl.constexpr, mistake: tl.constexpr
):
    row, column = (tl.program_id(0) * ROWS + tl.arange(0, ROWS))[:, None], tl.arange(0, BLOCK)[None, :]
    inside = (row < rows) & (column < columns)
    probabilities = tl.load(y + row * columns + column, mask=inside, other=0.0).to(tl.float32)
    cotangents = tl.load(c + row * columns + column, mask=inside, other=0.0).to(tl.float32)
    if mistake != "no mean":
        cotangents -= tl.sum(probabilities * cotangents, 1)[:, None]
    if mistake == "no tail":
        inside = (row < rows) & (column < columns // VECTOR * VECTOR)
    tl.store(dx + row * columns + column, probabilities * cotangents, mask=inside)


class Softmax(torch.autograd.Function):
    """Along rows."""

    @staticmethod
    def forward(ctx, x, mistake):
        x = in_rows(x)
        y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        softmax_forward[programs(x)](x, y, *x.shape, x.stride(0), **blocks(x))
        ctx.save_for_backward(y)
        ctx.mistake = mistake
        return y

    @staticmethod
    def backward(ctx, c):
        (y,) = ctx.saved_tensors
        dx = torch.zeros_like(y)
        softmax_backward[programs(y)](y, c.contiguous(), dx, *y.shape, **blocks(y), VECTOR=VECTOR, mistake=ctx.mistake)
        return dx, None


@triton.jit
def layer_norm_forward(
    x, weight, bias, y, means, rates, rows, columns, stride, eps, ROWS: tl.constexpr, BLOCK: tl.constexpr
):
    row, column = (tl.program_id(0) * ROWS + tl.arange(0, ROWS))[:, None], tl.arange(0, BLOCK)[None, :]
    inside = (row < rows) & (column < columns)
    values = tl.load(x + row * stride + column, mask=inside, other=0.0).to(tl.float32)
    mean = (tl.sum(values, 1) / columns)[:, None]
    centred = tl.where(inside, values - mean, 0.0)
    rate = 1 / tl.sqrt(tl.sum(centred * centred, 1) / columns + eps)[:, None]
    tl.store(means + row, mean, mask=row < rows)
    tl.store(rates + row, rate, mask=row < rows)
    w = tl.load(weight + column, mask=column < columns, other=0.0).to(tl.float32)
    b = tl.load(bias + column, mask=column < columns, other=0.0).to(tl.float32)
    tl.store(y + row * columns + column, centred * rate * w + b, mask=inside)


@triton.jit
def layer_norm_backward(
    x,
    weight,
    c,
    dx,
    dw,
    db,
    means,
    rates,
    rows,
    columns,
    stride,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
    mistake: tl.constexpr,
):
    """Of weight and bias each program stores its own rows' share."""
    row, column = (tl.program_id(0) * ROWS + tl.arange(0, ROWS))[:, None], tl.arange(0, BLOCK)[None, :]
    inside = (row < rows) & (column < columns)
    mean = tl.load(means + row, mask=row < rows, other=0.0)
    rate = tl.load(rates + row, mask=row < rows, other=0.0)
    normal = (tl.load(x + row * stride + column, mask=inside, other=0.0).to(tl.float32) - mean) * rate
    cotangents = tl.load(c + row * columns + column, mask=inside, other=0.0).to(tl.float32)
    scaled = cotangents * tl.load(weight + column, mask=column < columns, other=0.0).to(tl.float32)
    through = (tl.sum(scaled, 1) / columns)[:, None]
    if mistake != "no variance":
        through += normal * (tl.sum(scaled * normal, 1) / columns)[:, None]
    tl.store(dx + row * columns + column, rate * (scaled - through), mask=inside)
    share = tl.program_id(0) * columns + tl.arange(0, BLOCK)
    tl.store(dw + share, tl.sum(cotangents * normal, 0), mask=tl.arange(0, BLOCK) < columns)
    tl.store(db + share, tl.sum(cotangents, 0), mask=tl.arange(0, BLOCK) < columns)


class LayerNorm(torch.autograd.Function):
    """Of rows, with weight and bias."""

    @staticmethod
    def forward(ctx, x, weight, bias, eps, mistake):
        x, weight, bias = in_rows(x), weight.contiguous(), bias.contiguous()
        y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        means, rates = torch.empty((2, x.shape[0]), dtype=torch.float32, device=x.device)
        layer_norm_forward[programs(x)](x, weight, bias, y, means, rates, *x.shape, x.stride(0), eps, **blocks(x))
        ctx.save_for_backward(x, weight, means, rates)
        ctx.mistake = mistake
        return y

    @staticmethod
    def backward(ctx, c):
        x, weight, means, rates = ctx.saved_tensors
        stride = x.shape[1] if ctx.mistake == "stride" else x.stride(0)
        dx = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        dw, db = torch.empty((2, *programs(x), x.shape[1]), dtype=torch.float32, device=x.device)
        layer_norm_backward[programs(x)](
            x, weight, c.contiguous(), dx, dw, db, means, rates, *x.shape, stride, **blocks(x), mistake=ctx.mistake
        )
        shares = slice(-1) if ctx.mistake == "no last rows" else slice(None)
        return dx, dw[shares].sum(0).to(weight.dtype), db[shares].sum(0).to(weight.dtype), None, None


@triton.jit
def cross_entropy_forward(
    x, targets, losses, normalizers, rows, columns, stride, ignored, ROWS: tl.constexpr, BLOCK: tl.constexpr
):
    row, column = (tl.program_id(0) * ROWS + tl.arange(0, ROWS))[:, None], tl.arange(0, BLOCK)[None, :]
    inside = (row < rows) & (column < columns)
    values = tl.load(x + row * stride + column, mask=inside, other=0.0).to(tl.float32)
    values = tl.where(column < columns, values, LOWEST)
    largest = tl.max(values, 1)[:, None]
    sums = tl.log(tl.sum(tl.exp(values - largest), 1))[:, None]
    target = tl.load(targets + row, mask=row < rows, other=ignored)
    counted = target != ignored
    chosen = tl.load(x + row * stride + target, mask=counted, other=0.0).to(tl.float32)
    tl.store(normalizers + row, largest + sums, mask=row < rows)
    tl.store(losses + row, tl.where(counted, sums - (chosen - largest), 0.0), mask=row < rows)


@triton.jit
def cross_entropy_backward(
    x,
    targets,
    normalizers,
    c,
    dx,
    rows,
    columns,
    stride,
    ignored,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
    mistake: tl.constexpr,
):
    row, column = (tl.program_id(0) * ROWS + tl.arange(0, ROWS))[:, None], tl.arange(0, BLOCK)[None, :]
    inside = (row < rows) & (column < columns)
    target = tl.load(targets + row, mask=row < rows, other=ignored)
    place = row
    if mistake == "one cotangent":
        place = row * 0
    cotangents = tl.load(c + place, mask=target != ignored, other=0.0).to(tl.float32)
    values = tl.load(x + row * stride + column, mask=inside, other=0.0).to(tl.float32)
    values = tl.where(column < columns, values, LOWEST)
    probabilities = tl.exp(values - tl.load(normalizers + row, mask=row < rows, other=0.0))
    tl.store(dx + row * columns + column, cotangents * (probabilities - tl.where(column == target, 1.0, 0.0)), mask=inside)


class CrossEntropy(torch.autograd.Function):
    """Of rows of logits; a mean is over the targets that are not ignored."""

    @staticmethod
    def forward(ctx, x, targets, reduction, ignored, mistake):
        x, targets = in_rows(x), targets.contiguous()
        losses, normalizers = torch.empty((2, x.shape[0]), dtype=torch.float32, device=x.device)
        cross_entropy_forward[programs(x)](x, targets, losses, normalizers, *x.shape, x.stride(0), ignored, **blocks(x))
        counted = targets == targets if mistake == "ignored are counted" else targets != ignored
        ctx.count = counted.sum() if reduction == "mean" else 1
        ctx.save_for_backward(x, targets, normalizers)
        ctx.ignored, ctx.mistake = ignored, mistake
        return (losses.sum() / ctx.count if reduction == "mean" else losses).to(x.dtype)

    @staticmethod
    def backward(ctx, c):
        x, targets, normalizers = ctx.saved_tensors
        each = (c.to(torch.float32) / ctx.count).expand(x.shape[:1]).contiguous()
        dx = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        sizes = *x.shape, x.stride(0), ctx.ignored
        cross_entropy_backward[programs(x)](x, targets, normalizers, each, dx, *sizes, **blocks(x), mistake=ctx.mistake)
        return dx, None, None, None, None


def programs(x: torch.Tensor) -> tuple[int]:
    """How many take its rows."""
    return (triton.cdiv(x.shape[0], ROWS),)


def blocks(x: torch.Tensor) -> dict[str, int]:
    """What one program takes."""
    return {"ROWS": ROWS, "BLOCK": triton.next_power_of_2(x.shape[1])}


def in_rows(x: torch.Tensor) -> torch.Tensor:
    """With a stride of 1 along its rows."""
    return x if x.stride(1) == 1 else x.contiguous()


def softmax(x: torch.Tensor, mistake: str = "") -> torch.Tensor:
    """Of each row."""
    return Softmax.apply(x, mistake)


def layer_norm(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float = 1e-5, mistake: str = ""
) -> torch.Tensor:
    """Of each row."""
    return LayerNorm.apply(x, weight, bias, eps, mistake)


def cross_entropy(
    logits: torch.Tensor, targets: torch.Tensor, reduction: str = "none", ignored: int = IGNORED, mistake: str = ""
) -> torch.Tensor:
    """Of each row, or their mean."""
    return CrossEntropy.apply(logits, targets, reduction, ignored, mistake)
