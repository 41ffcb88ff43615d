"""Activations and gates, entry by entry."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.kernels import operation as op
from benchmarks.kernels.operation import Fault, Operation, again, by_dtype, cotangent, gradient, slope

ROOT = math.sqrt(2 / math.pi)


def silu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(x)


def silu_slope(x: Tensor) -> Tensor:
    s = torch.sigmoid(x)
    return s * (1 + x * (1 - s))


def swiglu_back(g: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    return g * y * silu_slope(x), g * silu(x)


def inner(x: Tensor) -> Tensor:
    return ROOT * (x + 0.044715 * x * x * x)


def gelu_tanh(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.tanh(inner(x)))


def gelu_tanh_slope(x: Tensor) -> Tensor:
    s = torch.sigmoid(2 * inner(x))
    return s * (1 + 2 * x * (1 - s) * ROOT * (1 + 3 * 0.044715 * x * x))


def gelu(x: Tensor) -> Tensor:
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def gelu_slope(x: Tensor) -> Tensor:
    return 0.5 * torch.erfc(-x / math.sqrt(2)) + x * torch.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def geglu(x: Tensor) -> Tensor:
    gate, up = x.chunk(2, -1)
    return gelu_tanh(gate) * up


def geglu_back(g: Tensor, x: Tensor) -> Tensor:
    gate, up = x.chunk(2, -1)
    return torch.cat([g * up * gelu_tanh_slope(gate), g * gelu_tanh(gate)], -1)


def softplus(x: Tensor) -> Tensor:
    return x.clamp_min(0) + torch.log1p(torch.exp(-x.abs()))


def mish(x: Tensor) -> Tensor:
    return x * torch.tanh(softplus(x))


def mish_slope(x: Tensor) -> Tensor:
    t = torch.tanh(softplus(x))
    return t + x * (1 - t * t) * torch.sigmoid(x)


def mish_rational(x: Tensor) -> Tensor:
    e = torch.exp(x.clamp_max(20))
    n = e * (e + 2)
    return x * (n / (n + 2))


OPERATIONS = (
    Operation(
        "silu",
        silu,
        lambda draw: (draw.data(),),
        {"by hand": slope(silu, silu_slope), "torch": F.silu},
        {
            "cotangent ignored": Fault("cotangent-ignored", cotangent(F.silu, op.ones)),
            "slope of sigmoid": Fault("formula", slope(silu, torch.sigmoid)),
            "bfloat16 wrong": Fault(
                "given-dtype", by_dtype(F.silu, slope(silu, torch.sigmoid), torch.bfloat16), dtype=torch.bfloat16
            ),
        },
    ),
    Operation(
        "gelu by tanh",
        gelu_tanh,
        lambda draw: (draw.data(),),
        {
            "by hand": slope(gelu_tanh, gelu_tanh_slope),
            "torch": lambda x: F.gelu(x, approximate="tanh"),
            "sigmoid": lambda x: x * torch.sigmoid(2 * inner(x)),
        },
        {
            "tail": Fault("tail", gradient(gelu_tanh, 0, op.without_tail(-1))),
            "cubic forgotten": Fault("formula", slope(gelu_tanh, lambda x: torch.sigmoid(2 * inner(x)))),
            "slope of erf": Fault("formula", slope(gelu_tanh, gelu_slope)),
        },
    ),
    Operation(
        "gelu by erf",
        gelu,
        lambda draw: (draw.data(),),
        {"by hand": slope(gelu, gelu_slope), "torch": F.gelu, "erfc": lambda x: x * 0.5 * torch.erfc(-x / math.sqrt(2))},
        {
            "cotangent of the first row": Fault("cotangent-first-row", cotangent(gelu, op.first_row)),
            "density not halved": Fault("formula", slope(gelu, lambda x: gelu_slope(x) + x * torch.exp(-x * x) / 9)),
        },
    ),
    Operation(
        "swiglu",
        lambda x, y: silu(x) * y,
        lambda draw: (draw.data(), draw.data()),
        {"by hand": again(lambda x, y: silu(x) * y, swiglu_back), "torch": lambda x, y: F.silu(x) * y},
        {
            "gradients swapped": Fault(
                "swapped", again(lambda x, y: silu(x) * y, lambda g, x, y: swiglu_back(g, x, y)[::-1])
            ),
            "cotangent a number": Fault("cotangent-scalar", cotangent(lambda x, y: F.silu(x) * y, op.first_entry)),
            "wrong stride": Fault("wrong-stride", gradient(lambda x, y: F.silu(x) * y, 1, op.misread)),
            "tail of the output": Fault("tail", op.output(lambda x, y: F.silu(x) * y, op.without_tail(-1))),
        },
    ),
    Operation(
        "geglu",
        geglu,
        lambda draw: (draw.data(draw.rows, 2 * draw.columns),),
        {
            "by hand": again(geglu, geglu_back),
            "torch": lambda x: F.gelu(x.chunk(2, -1)[0], approximate="tanh") * x.chunk(2, -1)[1],
        },
        {
            "halves swapped": Fault("swapped", lambda x: geglu(torch.cat(x.chunk(2, -1)[::-1], -1))),
            "halves of the gradient swapped": Fault(
                "swapped", again(geglu, lambda g, x: torch.cat(geglu_back(g, x).chunk(2, -1)[::-1], -1))
            ),
        },
    ),
    Operation(
        "softplus",
        softplus,
        lambda draw: (draw.data(),),
        {
            "by hand": slope(softplus, torch.sigmoid),
            "torch": lambda x: F.softplus(x, threshold=40),
            "logaddexp": lambda x: torch.logaddexp(x, torch.zeros_like(x)),
        },
        {
            "sign": Fault("sign", gradient(softplus, 0, torch.neg)),
            "slope of the output": Fault("formula", slope(softplus, lambda x: torch.sigmoid(softplus(x)))),
        },
    ),
    Operation(
        "mish",
        mish,
        lambda draw: (draw.data(),),
        {"by hand": slope(mish, mish_slope), "torch": F.mish, "rational": mish_rational},
        {
            "product rule forgotten": Fault("formula", slope(mish, lambda x: torch.tanh(softplus(x)))),
            "rounded": Fault("low-precision", gradient(mish, 0, op.bfloat16), rounding=True),
        },
    ),
)
