"""Noise on every operation of a PyTorch program: how large it is, what it leaves alone, which decisions are taken again."""

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402

from gradcheck.adapters.pytorch.noise import pool  # noqa: E402
from gradcheck.adapters.pytorch.noise.choices import Decisions  # noqa: E402
from gradcheck.adapters.pytorch.noise.mode import Exact, Noise  # noqa: E402
from gradcheck.comparison.levels import Level  # noqa: E402

U = 2.0**-24
FLOAT32 = Level("float32", unit=U, sums=U, factors=0.0, moved=U, tiny=2.0**-126, largest=3.4e38)
WIDE = torch.float64


def normal(*shape: int, seed: int = 0, dtype: Any = WIDE) -> Any:
    """Numbers that float32 has, so that both arithmetics start from the same."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float32).to(dtype)


def evaluated(f: Callable[..., Any], *leaves: Any) -> list[Any]:
    """Values and gradients of leaves."""
    own = [leaf.clone().requires_grad_() for leaf in leaves]
    out = f(*own)
    outs = [each for each in (out if isinstance(out, tuple) else (out,)) if each.is_floating_point() or each.is_complex()]
    wanted = [each for each in outs if each.requires_grad]
    cotangents = [normal(*each.shape, seed=9).to(each.dtype) for each in wanted]
    gradients = torch.autograd.grad(wanted, own, cotangents, allow_unused=True) if wanted else []
    return [each.detach() for each in outs] + [each for each in gradients if each is not None]


def exact(f: Callable[..., Any], *leaves: Any) -> tuple[list[Any], Decisions]:
    with Exact() as mode:
        values = evaluated(f, *leaves)
    return values, mode.decisions


def noisy(
    f: Callable[..., Any], *leaves: Any, decisions: Decisions | None, seed: int = 0, free: bool = False, level: Any = FLOAT32
) -> Any:
    with Noise(level, seed, decisions, free=free) as mode:
        values = evaluated(f, *leaves)
    return values, mode.flips


def scales(f: Callable[..., Any], *leaves: Any, runs: int = 8) -> tuple[list[Any], list[Any]]:
    """The centre, and the RMS of noise runs around it."""
    centre, decisions = exact(f, *leaves)
    off = [
        [a - b for a, b in zip(noisy(f, *leaves, decisions=decisions, seed=seed)[0], centre, strict=True)]
        for seed in range(runs)
    ]
    return centre, [torch.stack(each).square().mean(0).sqrt() for each in zip(*off, strict=True)]


def without_gradient(f: Callable[..., Any], x: Any, seed: int = 0, level: Any = FLOAT32) -> Any:
    with torch.no_grad(), Noise(level, seed, None):
        return f(x)


def rms(x: Any) -> float:
    return float(x.square().mean().sqrt())


# How large it is.


@pytest.mark.parametrize(
    "f", [torch.exp, torch.sigmoid, lambda x: x * 3.0, lambda x: x + 1.0, lambda x: x.clone().mul_(3.0)]
)
def test_a_result_is_off_by_a_uniform_relative_error_of_the_unit(f: Any) -> None:
    x = normal(2**16).abs() + 0.5
    off = without_gradient(f, x) / f(x) - 1
    assert rms(off) == pytest.approx(U / math.sqrt(3), rel=0.02)
    assert off.abs().max() <= U * 1.0001
    assert abs(float(off.mean())) < 0.02 * U


@pytest.mark.parametrize("n", [16, 256, 4096])
@pytest.mark.parametrize("signs", ["equal", "random"])
def test_a_sum_is_off_as_one_in_order_is(n: int, signs: str) -> None:
    x = normal(256, n)
    x = x.abs() if signs == "equal" else x
    true = x.sum(-1)
    in_order = torch.from_numpy(np.add.accumulate(x.numpy().astype(np.float32), axis=1)[:, -1].astype(np.float64))
    ratio = rms(without_gradient(lambda x: x.sum(-1), x) - true) / rms(in_order - true)
    assert 1 / 3 < ratio < 3


@pytest.mark.parametrize("n", [64, 1024])
def test_a_product_is_off_like_sums_of_its_length_and_its_rounded_factors(n: int) -> None:
    a, b = normal(64, n), normal(n, 64, seed=1)
    true = a @ b
    in_order = np.add.accumulate((a.numpy()[:, :, None] * b.numpy()[None]).astype(np.float32), axis=1)[:, -1]
    fine = rms(without_gradient(lambda a: a @ b, a) - true)
    assert 1 / 3 < fine / rms(torch.from_numpy(in_order.astype(np.float64)) - true) < 3
    tf32 = FLOAT32._replace(factors=2.0**-11)
    rounded = rms(without_gradient(lambda a: a @ b, a, level=tf32) - true)
    assert rounded == pytest.approx(math.sqrt(2 * n / 3) * 2.0**-11, rel=0.1)


def test_numbers_beyond_the_largest_are_infinite_and_those_below_half_the_smallest_are_zero() -> None:
    x = torch.tensor([1e30, -1e30, 1.0, 0.0, -math.inf], dtype=WIDE)
    y = without_gradient(lambda x: x * 1e9, x)
    assert y[:2].tolist() == [math.inf, -math.inf]
    assert 0.9e9 < y[2] < 1.1e9
    assert y[3] == 0
    assert y[4] == -math.inf
    least = U * 2.0**-126
    for size, low, high in ((0.01, 0.0, 0.0), (3.0, 0.3 * least, 0.8 * least)):
        small = torch.full((64,), size * least, dtype=WIDE)
        found = without_gradient(lambda x: x * 1.0, small)
        assert low <= rms(found - small * (size > 1)) <= high


def test_all_that_an_evaluation_never_reaches_costs_no_look_and_changes_nothing() -> None:
    x = normal(64)
    _, decisions = exact(torch.exp, x)
    with_ranges = noisy(torch.exp, x, decisions=decisions)[0]
    assert all(torch.equal(a, b) for a, b in zip(with_ranges, noisy(torch.exp, x, decisions=None)[0], strict=True))


def test_the_noise_of_long_sums_is_that_of_independent_numbers() -> None:
    """More terms than the pool has numbers: the error of their plain mean over seeds is as for drawing anew."""
    x = torch.ones(pool.POOL + pool.POOL // 2, dtype=WIDE)
    off = torch.stack([(without_gradient(lambda x: x * 3.0, x, seed=seed) / 3 - 1).sum() for seed in range(16)])
    assert rms(off) == pytest.approx(U / math.sqrt(3) * math.sqrt(x.numel()), rel=0.5)


COPIES: dict[str, Callable[[Any], Any]] = {
    "view": lambda x: x.view(-1).view(8, 8).t().contiguous(),
    "index": lambda x: x[torch.tensor([1, 3, 1])][:, 2:],
    "gather": lambda x: x.gather(1, torch.zeros(8, 3, dtype=torch.int64)),
    "cat": lambda x: torch.cat([x, x.flip(0)]).roll(1, 0),
    "where": lambda x: torch.where(torch.eye(8).bool(), x, -x),
    "relu": lambda x: F.relu(x).clamp(max=1.0),
    "largest": lambda x: torch.maximum(x, x.t()).amax(0),
    "sort": lambda x: x.sort(-1).values,
    "pad": lambda x: F.pad(x, (1, 2)),
    "embedding": lambda x: F.embedding(torch.tensor([0, 2]), x),
    "pool": lambda x: F.max_pool2d(x[None], 2),
    "assigned": lambda x: (
        torch.zeros(8, 8, dtype=WIDE).index_copy(0, torch.arange(8), x).masked_fill(torch.eye(8).bool(), 2)
    ),
}


@pytest.mark.parametrize("name", COPIES)
def test_copies_are_exact(name: str) -> None:
    x = normal(8, 8)
    assert torch.equal(without_gradient(COPIES[name], x), COPIES[name](x))


# What it is for.


def attention(q: Any, k: Any, v: Any) -> Any:
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def network(x: Any, w: Any, b: Any) -> Any:
    return F.relu(F.conv2d(x, w, b, padding=1)).mean((2, 3))


TARGET = torch.randint(0, 64, (32,), generator=torch.Generator().manual_seed(3))
KERNELS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "layer norm": (lambda x, w, b: F.layer_norm(x, (64,), w, b), (normal(32, 64), normal(64, seed=1), normal(64, seed=2))),
    "attention": (attention, tuple(normal(1, 2, 32, 16, seed=seed) for seed in range(3))),
    "cross entropy": (lambda x: F.cross_entropy(x, TARGET, reduction="none"), (normal(32, 64),)),
    "conv net": (network, (normal(2, 3, 9, 9), normal(4, 3, 3, 3, seed=1), normal(4, seed=2))),
    "swiglu": (lambda x, a, b: F.silu(x @ a) * (x @ b), (normal(32, 64), normal(64, 32, seed=1), normal(64, 32, seed=2))),
}


@pytest.mark.parametrize("name", KERNELS)
def test_honest_float32_is_within_eight_scales_and_a_scale_is_not_thirty_times_too_wide(name: str) -> None:
    f, leaves = KERNELS[name]
    centre, scale = scales(f, *leaves)
    for own, true, s in zip(evaluated(f, *(leaf.float() for leaf in leaves)), centre, scale, strict=True):
        ratio = (own.double() - true).abs() / (s + 1e-12 * true.abs().mean())
        assert float((ratio > 8).double().mean()) < 0.002
        assert float(ratio.square().mean().sqrt()) > 1 / 30


@pytest.mark.parametrize("name", KERNELS)
def test_a_fault_of_a_ten_thousandth_is_not(name: str) -> None:
    f, leaves = KERNELS[name]
    centre, scale = scales(f, *leaves)
    for true, s in zip(centre, scale, strict=True):
        assert float((1e-4 * true.abs() > 8 * s).double().mean()) > 0.5


# Decisions.


def near(gap: float) -> Any:
    return torch.tensor([[1.0, 1.0 + gap, 0.5], [2.0, 1.0, 2.0 + gap]], dtype=WIDE)


CHOOSING: dict[str, Callable[[Any], Any]] = {
    "max": lambda x: (x * 1.1).max(1).values,
    "amax": lambda x: (x * 1.1).amax(1),
    "sort": lambda x: (x * 1.1).sort(1).values,
    "topk": lambda x: (x * 1.1).topk(2, 1).values[:, 0],
    "maximum": lambda x: torch.maximum(x[0, 0] * 1.1, x[0, 1] * 1.1),
    "relu": lambda x: F.relu((x[:, 0] * 1.1 - 1.1) * 8.0),
    "abs": lambda x: (x[:, 0] * 1.1 - 1.1).abs(),
    "clamp": lambda x: (x * 1.1).clamp(max=1.1),
    "where": lambda x: torch.where(x * 1.1 > 1.1, x, x * x),
    "floor": lambda x: x * (x * 3.0).floor(),
    "remainder": lambda x: torch.remainder(x * 3.0, 1.5),
    "kthvalue": lambda x: (x * 1.1).kthvalue(3, 1).values,
    "cummax": lambda x: (x * 1.1).cummax(1).values,
    "pool": lambda x: F.max_pool1d((x * 1.1)[None], 3),
    "to integers": lambda x: x * (x * 3.0).to(torch.int64),
    "argmax": lambda x: x.gather(1, (x * 1.1).argmax(1, keepdim=True)),
}


@pytest.mark.parametrize("name", CHOOSING)
def test_decisions_are_taken_again_and_counted(name: str) -> None:
    f, x = CHOOSING[name], near(1e-12)
    centre, decisions = exact(f, x)
    flips = 0
    for seed in range(12):
        values, count = noisy(f, x, decisions=decisions, seed=seed)
        flips += count
        for value, true in zip(values, centre, strict=True):
            assert torch.allclose(value, true, rtol=1e-5, atol=1e3 * U)
    assert flips


@pytest.mark.parametrize("name", sorted(CHOOSING.keys() - {"relu", "clamp"}))
def test_free_runs_count_the_same_flips_and_take_them(name: str) -> None:
    f, x = CHOOSING[name], near(1e-12)
    centre, decisions = exact(f, x)
    moved = False
    for seed in range(12):
        (again, count), (own, freely) = (noisy(f, x, decisions=decisions, seed=seed, free=free) for free in (False, True))
        assert bool(count) == bool(freely)
        if not freely:
            assert all(torch.equal(a, b) for a, b in zip(again, own, strict=True))
        moved |= any(not torch.allclose(a, b, rtol=1e-4, atol=1e-4) for a, b in zip(own, centre, strict=True))
    assert moved


def test_one_seed_is_one_noise_beside_what_was_decided() -> None:
    def f(x: Any) -> Any:
        return torch.sigmoid((x * 1.1).amax(1, keepdim=True) * x.exp())

    x = torch.cat([near(1e-12), normal(6, 3)])
    _, decisions = exact(f, x)
    (again, count), (own, _) = (noisy(f, x, decisions=decisions, seed=1, free=free) for free in (False, True))
    assert count
    assert torch.equal(again[0], own[0])
    assert torch.equal(again[1][2:], own[1][2:])
    assert not torch.equal(noisy(f, x, decisions=decisions, seed=2)[0][0], own[0])


def test_far_from_ties_nothing_flips() -> None:
    for name in sorted(CHOOSING.keys() - {"relu", "abs", "floor", "clamp", "where", "remainder", "to integers"}):
        _, decisions = exact(CHOOSING[name], near(0.1))
        assert noisy(CHOOSING[name], near(0.1), decisions=decisions)[1] == 0


def test_whole_numbers_are_exact_as_long_as_a_format_has_them() -> None:
    f = lambda x: x[(torch.arange(16, dtype=WIDE).reshape(2, 8) + 1.0).sum(0).mul(0.5).floor().long() % 8] * x  # noqa: E731
    x = normal(8)
    centre, decisions = exact(f, x)
    values, flips = noisy(f, x, decisions=decisions, free=True)
    assert not flips
    assert torch.allclose(values[0], centre[0])
    large = lambda x: x.round() * 2.0**25  # noqa: E731
    assert not torch.equal(noisy(large, x, decisions=exact(large, x)[1])[0][0], large(x))


def test_structural_zeros_stay_zeros() -> None:
    f = lambda x: F.max_pool1d(F.relu(x * 1.1)[None] * 2.0, 4)  # noqa: E731
    x = normal(4, 32)
    centre, decisions = exact(f, x)
    values, flips = noisy(f, x, decisions=decisions)
    assert not flips
    assert torch.equal(values[-1] == 0, centre[-1] == 0)


def test_another_way_in_python_is_a_flip_and_no_crash() -> None:
    def f(x: Any) -> Any:
        y = x * 1.1
        return (y.sort(1).values * 2.0).relu() if y[0, 0].item() <= 1.1 * (1 + 1e-14) else y.amax(0)

    x = near(1e-12)
    _, decisions = exact(f, x)
    runs = [noisy(f, x, decisions=decisions, seed=seed, free=free) for seed in range(6) for free in (False, True)]
    others = [flips for values, flips in runs if values[0].shape == (3,)]
    assert others
    assert all(others)


# Casts.

LIFTED: dict[str, Callable[..., Any]] = {
    "float": lambda x, w: (x.float().exp().sum(-1, keepdim=True) * x).to(x.dtype) * w,
    "softmax": lambda x, w: F.softmax(x @ w, -1, dtype=torch.float32).to(x.dtype) @ w,
    "sum": lambda x, w: x.sum(0, dtype=torch.float32) * w,
    "zeros": lambda x, w: torch.zeros(8, 8, dtype=torch.float32).add_(x.float()) @ w.float(),
    "positions": lambda x, w: x * torch.sin(1.0 / (1e4 ** (torch.arange(0, 16, 2).float() / 16))) * w,
    "whole": lambda x, w: x * (torch.arange(8) / 7) * w,
    "from bfloat16": lambda x, w: x * w.to(torch.bfloat16).float().exp() + w,
}
IN_FLOAT64: dict[str, Callable[..., Any]] = {
    "float": lambda x, w: x.exp().sum(-1, keepdim=True) * x * w,
    "softmax": lambda x, w: F.softmax(x @ w, -1) @ w,
    "sum": lambda x, w: x.sum(0) * w,
    "zeros": lambda x, w: x @ w,
    "positions": lambda x, w: x * torch.sin(1.0 / (1e4 ** (torch.arange(0, 16, 2, dtype=WIDE) / 16))) * w,
    "whole": lambda x, w: x * (torch.arange(8, dtype=WIDE) / 7) * w,
    "from bfloat16": lambda x, w: x * w.to(torch.bfloat16).double().exp() + w,
}


def apart(a: list[Any], b: list[Any]) -> float:
    return max(float((p.double() - q).abs().max() / q.abs().max()) for p, q in zip(a, b, strict=True))


@pytest.mark.parametrize("name", LIFTED)
def test_casts_to_float32_are_lifted(name: str) -> None:
    x, w = normal(8, 8) + 1e-9, normal(8, 8, seed=1) + 1e-9
    centre, decisions = exact(LIFTED[name], x, w)
    rounded_gradient = 1e-2 if name == "from bfloat16" else 1e-12  # autograd's own cast to bfloat16 is kept
    assert apart(centre[:1], evaluated(IN_FLOAT64[name], x, w)[:1]) < 1e-12
    assert apart(centre, evaluated(IN_FLOAT64[name], x, w)) < rounded_gradient
    assert apart(evaluated(LIFTED[name], x, w)[:1], centre[:1]) > 1e-9
    assert noisy(LIFTED[name], x, w, decisions=decisions)[1] == 0


def test_casts_to_narrower_formats_stay() -> None:
    f = lambda x: x.to(torch.bfloat16).to(x.dtype) * 3.0 + x.half().double()  # noqa: E731
    x = normal(16)
    assert apart(exact(f, x)[0], evaluated(f, x)) < 1e-12


def test_a_program_in_float32_stays_in_float32_and_is_off_by_about_its_unit() -> None:
    x = normal(4096, dtype=torch.float32)
    with Exact(wide=False) as mode:
        centre = evaluated(lambda x: (torch.zeros(4096) + x).float() * 1.1, x)
    decisions = mode.decisions
    assert {each.dtype for each in centre} == {torch.float32}
    off = torch.stack(
        [
            noisy(lambda x: (torch.zeros(4096) + x).float() * 1.1, x, decisions=decisions, seed=seed)[0][0].double()
            / centre[0].double()
            - 1
            for seed in range(8)
        ]
    )
    assert 0.5 * U < rms(off) < 2 * U
    assert abs(float(off.mean())) < 0.05 * U


def test_what_requires_a_gradient_in_float32_beside_float64_gets_one_in_float32() -> None:
    w = normal(8, 8, dtype=torch.float32).requires_grad_()
    with Exact():
        (g,) = torch.autograd.grad((normal(8, 8).float() @ w).sum(), w)
    assert g.dtype == torch.float32


# All of PyTorch.

PLAIN = """
abs acos acosh asin asinh atan atanh ceil cos cosh deg2rad digamma erf erfc erfinv exp exp2 expm1 floor frac lgamma log
log10 log1p log2 logit neg positive rad2deg reciprocal round rsqrt sgn sigmoid sign sin sinc sinh sqrt square tan tanh
trunc i0 std var std_mean var_mean mean sum prod nansum median logsumexp:0 softmax:0 log_softmax:0 cumsum:0 cumprod:0
logcumsumexp:0 cummax:0 cummin:0 sort:0 argsort:0 max min amax amin aminmax max:0 median:0 mode:0 kthvalue:2 topk:2 norm
nan_to_num trace diag tril triu fliplr roll:1 diff matrix_exp pinverse det logdet slogdet inverse svd corrcoef cov t
clone isnan isfinite argmax nonzero count_nonzero bernoulli
"""
FUNCTIONAL = """
relu relu6 elu selu celu gelu silu mish softplus softsign softmin:0 hardtanh hardswish hardsigmoid hardshrink softshrink
tanhshrink leaky_relu logsigmoid threshold:0.3:0.2 normalize glu rrelu dropout alpha_dropout
"""
BINARY = """
add sub mul div pow atan2 fmod remainder floor_divide_ maximum minimum fmax fmin hypot logaddexp logaddexp2 copysign
xlogy matmul mm dist eq lt ge where_ lerp_ kron inner outer_ cross_ true_divide heaviside_ qr_ nextafter cdist_ mse_loss
l1_loss smooth_l1_loss huber_loss soft_margin_loss_ binary_cross_entropy kl_div gaussian_nll_loss_ cosine_similarity
pairwise_distance addmm_ baddbmm_ index_add_ scatter_add_ index_put_ scatter_reduce_ einsum_ solve_ lstsq_ foreach_ out_
inplace_ complex_ fft_ rfft_ stft_ conv1d_ conv2d_ conv3d_ conv_transpose2d_ avg_pool_ adaptive_ max_pool_ lp_pool_
interpolate_ bilinear_ grid_ unfold_ fold_ batch_norm_ group_norm_ instance_norm_ layer_norm_ rms_norm_ local_response_
embedding_bag_ nll_ multi_margin_ ctc_ lstm_ gru_ rnn_cell_ sdpa_ prelu_ pixel_ quantile_ bucketize_ cumulative_ renorm_
bmm_ gumbel_ weight_norm_ triangular_ eigh_ lu_ tensordot_ masked_ put_
"""


def scattered(x: Any, y: Any) -> Any:
    return x.clone().scatter_add_(0, torch.tensor([[0, 0, 1, 3]] * 4), y)


def listed(x: Any, y: Any) -> Any:
    several = torch._foreach_mul([x * 1.0, y * 1.0], 2.0)
    torch._foreach_add_(several, 1.0)
    return torch.stack([torch._foreach_exp(several)[0], several[1]])


def written(x: Any, y: Any) -> Any:
    with torch.no_grad():
        room = torch.empty_like(x)
        torch.mul(x, y, out=room)
        torch.sum(x, 0, out=room[0])
    return room * x


def in_place(x: Any, y: Any) -> Any:
    z = x * 1.0
    z.mul_(y).add_(1.0)
    z[1:3] += y[1:3]
    return F.silu(z, inplace=True)


OWN: dict[str, Callable[[Any, Any], Any]] = {
    "floor_divide_": lambda x, y: x * torch.floor_divide(x.detach(), y.detach()),
    "heaviside_": lambda x, y: x * torch.heaviside(y.detach() - 0.5, y.detach()),
    "qr_": lambda x, y: torch.linalg.qr(x + 3 * torch.eye(4)),
    "where_": lambda x, y: torch.where(x > y, x, y),
    "lerp_": lambda x, y: torch.lerp(x, y, 0.3),
    "outer_": lambda x, y: torch.outer(x[0], y[0]),
    "cross_": lambda x, y: torch.linalg.cross(x[:, :3], y[:, :3]),
    "cdist_": lambda x, y: (torch.cdist(x, y), torch.cdist(x, y, p=1.0), torch.cdist(x, y, p=3.0)),
    "soft_margin_loss_": lambda x, y: F.soft_margin_loss(x, torch.ones_like(x)),
    "gaussian_nll_loss_": lambda x, y: F.gaussian_nll_loss(x, y.detach(), y.exp()),
    "addmm_": lambda x, y: torch.addmm(x, x, y, alpha=0.5) + torch.addmv(x[0], x, y[0]) + torch.addr(x, x[0], y[0]),
    "baddbmm_": lambda x, y: torch.baddbmm(x[None], x[None], y[None]),
    "index_add_": lambda x, y: x.index_add(0, torch.tensor([0, 0, 1, 2]), y),
    "scatter_add_": scattered,
    "index_put_": lambda x, y: x.index_put((torch.tensor([0, 0]),), y[:2], accumulate=True),
    "scatter_reduce_": lambda x, y: x.scatter_reduce(0, torch.zeros(4, 4, dtype=torch.int64), y, "amax"),
    "einsum_": lambda x, y: torch.einsum("ij,kj->ik", x, y),
    "solve_": lambda x, y: torch.linalg.solve(x + 3 * torch.eye(4), y),
    "lstsq_": lambda x, y: torch.linalg.lstsq(x + 3 * torch.eye(4), y).solution,
    "foreach_": listed,
    "out_": written,
    "inplace_": in_place,
    "complex_": lambda x, y: (torch.complex(x, y) * torch.complex(y, x)).exp().abs() + torch.polar(x, y).real,
    "fft_": lambda x, y: torch.fft.fft2(x).abs(),
    "rfft_": lambda x, y: torch.fft.irfft(torch.fft.rfft(x) * torch.fft.rfft(y), n=4),
    "stft_": lambda x, y: torch.view_as_real(
        torch.stft(x.flatten(), 8, return_complex=True, window=torch.hann_window(8, dtype=WIDE))
    ),
    "conv1d_": lambda x, y: F.conv1d(x[None], y[:, :3].reshape(2, 2, 3), y[:2, 3], groups=2, padding=1),
    "conv2d_": lambda x, y: F.conv2d(x[None, None], y[None, None, :3, :3], stride=2, padding=1, dilation=1),
    "conv3d_": lambda x, y: F.conv3d(x[None, None, None], y[None, None, None, :2, :2]),
    "conv_transpose2d_": lambda x, y: F.conv_transpose2d(x[None, None], y[None, None, :3, :3], stride=2),
    "avg_pool_": lambda x, y: F.avg_pool2d(x[None], 2) + F.avg_pool1d(x, 2).mean(),
    "adaptive_": lambda x, y: F.adaptive_avg_pool2d(x[None], 2) + F.adaptive_max_pool2d(y[None], 2),
    "max_pool_": lambda x, y: F.max_pool2d(x[None], 2) + F.max_pool3d(y[None, None], (1, 2, 2))[0],
    "lp_pool_": lambda x, y: F.lp_pool2d(x[None].abs() + 1, 2, 2),
    "interpolate_": lambda x, y: (
        F.interpolate(x[None, None], size=(7, 5), mode="bilinear").sum() + F.interpolate(y[None], scale_factor=2)
    ),
    "bilinear_": lambda x, y: F.bilinear(x, y, y[None] * x[None]),
    "grid_": lambda x, y: F.grid_sample(x[None, None], torch.tanh(y).reshape(1, 2, 4, 2), align_corners=False),
    "unfold_": lambda x, y: F.unfold(x[None, None], 2) * x.unfold(0, 2, 1).sum(),
    "fold_": lambda x, y: F.fold((x @ y)[None], (2, 5), (2, 2)),
    "batch_norm_": lambda x, y: F.batch_norm(x, torch.zeros(4, dtype=WIDE), torch.ones(4, dtype=WIDE), y[0], y[1], True),
    "group_norm_": lambda x, y: F.group_norm(x[None], 2, y[0], y[1]),
    "instance_norm_": lambda x, y: F.instance_norm(x[None]),
    "layer_norm_": lambda x, y: F.layer_norm(x, (4,), y[0], y[1]),
    "rms_norm_": lambda x, y: F.rms_norm(x, (4,), y[0], 1e-6),
    "local_response_": lambda x, y: F.local_response_norm(x[None], 2),
    "embedding_bag_": lambda x, y: F.embedding_bag(torch.tensor([[0, 1], [2, 2]]), x) + F.embedding(torch.tensor([1, 1]), y),
    "nll_": lambda x, y: F.cross_entropy(x, torch.tensor([0, 1, 2, 1]), y[0].detach().abs(), label_smoothing=0.1),
    "multi_margin_": lambda x, y: F.multi_margin_loss(x, torch.tensor([0, 1, 2, 1])) + F.triplet_margin_loss(x, y, y * x),
    "ctc_": lambda x, y: F.ctc_loss(
        x.log_softmax(-1)[:, None], torch.tensor([[1, 2]]), torch.tensor([4]), torch.tensor([2])
    ),
    "lstm_": lambda x, y: torch.lstm_cell(x, (x, y), y.repeat(4, 1), x.repeat(4, 1), y.flatten(), x.flatten()),
    "gelu_tanh_": lambda x, y: F.gelu(x, approximate="tanh"),
    "gru_": lambda x, y: torch.gru_cell(x, y, y.repeat(3, 1), x.repeat(3, 1)),
    "rnn_cell_": lambda x, y: torch.rnn_tanh_cell(x, y, x, y),
    "sdpa_": lambda x, y: F.scaled_dot_product_attention(x[None, None], y[None, None], x[None, None], is_causal=True),
    "prelu_": lambda x, y: F.prelu(x, y[0, :1]),
    "pixel_": lambda x, y: F.pixel_shuffle(x[None, :, :, None], 2),
    "quantile_": lambda x, y: torch.quantile(x, 0.3, dim=0),
    "bucketize_": lambda x, y: x * torch.bucketize(x, torch.tensor([0.4, 0.8], dtype=WIDE)),
    "cumulative_": lambda x, y: torch.cumulative_trapezoid(x, y),
    "renorm_": lambda x, y: torch.renorm(x, 2, 0, 0.5),
    "bmm_": lambda x, y: torch.bmm(x[None], y[None].transpose(1, 2)),
    "gumbel_": lambda x, y: F.gumbel_softmax(x, dim=-1),
    "weight_norm_": lambda x, y: torch._weight_norm(x, y[:, :1], 0),
    "triangular_": lambda x, y: torch.linalg.solve_triangular(x.triu() + torch.eye(4), y, upper=True),
    "eigh_": lambda x, y: torch.linalg.eigh(x + x.t()).eigenvalues,
    "lu_": lambda x, y: torch.linalg.lu_factor(x + 3 * torch.eye(4, dtype=WIDE))[0],
    "tensordot_": lambda x, y: torch.tensordot(x, y, 1),
    "masked_": lambda x, y: x.masked_scatter(x > 0.5, y)[x > 0.4] * 2.0,
    "put_": lambda x, y: torch.put(x, torch.tensor([1, 1]), y[0, :2], accumulate=True) * 1.5,
}


def _entries() -> dict[str, Callable[[Any, Any], Any]]:
    found = dict(OWN)
    for text, room in ((PLAIN, torch), (FUNCTIONAL, F)):
        for entry in set(text.split()):
            name, *given = entry.split(":")
            numbers = [float(each) if "." in each else int(each) for each in given]
            found[entry] = lambda x, y, room=room, name=name, numbers=numbers: getattr(room, name)(x, *numbers)
    for name in set(BINARY.split()) - set(OWN):
        room = torch if hasattr(torch, name) else F
        found[name] = lambda x, y, room=room, name=name: getattr(room, name)(x, y)
    return found


ENTRIES = _entries()
# PyTorch's float64 kernel divides by 6 in float32.
INACCURATE = {"hardsigmoid": 1e-7}


def test_the_list_is_broad() -> None:
    assert len(ENTRIES) > 190


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_every_function_runs_under_both_and_is_itself_without_noise(name: str) -> None:
    def f(x: Any, y: Any) -> Any:
        torch.manual_seed(5)
        out = ENTRIES[name](x, y)
        return tuple(each for each in out if isinstance(each, torch.Tensor)) if isinstance(out, (tuple, list)) else out

    x, y = normal(4, 4).sigmoid() * 0.9 + 0.05, normal(4, 4, seed=1).sigmoid() * 0.9 + 0.05
    if name == "acosh":
        x = x + 1.1
    plain = evaluated(f, x, y)
    centre, decisions = exact(f, x, y)
    assert len(plain) == len(centre)
    tolerance = INACCURATE.get(name, 1e-10)
    assert all(
        torch.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True) for a, b in zip(centre, plain, strict=True)
    )
    values, _ = noisy(f, x, y, decisions=decisions)
    noisy(f, x, y, decisions=decisions, free=True)
    noisy(f, x, y, decisions=None)
    for value, true in zip(values, centre, strict=True):
        assert torch.allclose(value, true, rtol=1e-3, atol=1e-4, equal_nan=True)


STILL = """
abs neg positive amax amin aminmax argmax argsort:0 bernoulli ceil clone copysign count_nonzero cummax:0 cummin:0 diag
dropout eq fliplr floor fmax fmin ge hardtanh isfinite isnan kthvalue:2 lt max max:0 maximum median median:0 min minimum
mode:0 nan_to_num nextafter nonzero pixel_ relu relu6 roll:1 round scatter_reduce_ sgn sign sort:0 t threshold:0.3:0.2
topk:2 tril triu trunc where_ max_pool_ hardshrink alpha_dropout rrelu prelu_
"""


def test_every_function_that_computes_is_shaken() -> None:
    x, y = normal(4, 4).sigmoid() * 0.9 + 0.05, normal(4, 4, seed=1).sigmoid() * 0.9 + 0.05
    still = set()
    for name in ENTRIES.keys() - set(STILL.split()):
        torch.manual_seed(5)
        at = x + 1.1 if name == "acosh" else x
        plain, _ = exact(ENTRIES[name], at, y)
        torch.manual_seed(5)
        if all(torch.equal(a, b) for a, b in zip(noisy(ENTRIES[name], at, y, decisions=None)[0], plain, strict=True)):
            still.add(name)
    assert not still


# What it costs.


def test_a_noise_run_of_a_product_takes_less_than_nine_plain_runs() -> None:
    def seconds(run: Callable[[], Any]) -> float:
        start = time.process_time()
        run()
        return time.process_time() - start

    leaves = normal(256, 256), normal(256, 256, seed=1)
    _, decisions = exact(F.linear, *leaves)
    plain = min(seconds(lambda: evaluated(F.linear, *leaves)) for _ in range(5))
    assert min(seconds(lambda: noisy(F.linear, *leaves, decisions=decisions)) for _ in range(5)) < 9 * plain
