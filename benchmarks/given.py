# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# (PyTorch's annotations are partial.)
"""The gradient in the dtype that was given: honest modules in float32, float16 and bfloat16, and faults of these alone.

``python benchmarks/given.py [--modules N] [--seed S] [--move NAME=VALUE ...]`` builds random PyTorch modules and asks of
each whether the given dtype agrees with float64: as it is, and with a fault planted in the backward pass of that dtype.
Prints how many honest ones were accused and how many faults were found, by dtype and fault.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, cast

import torch
from torch import nn

import gradcheck
from gradcheck.candidates import given

DTYPES = (torch.float32, torch.float16, torch.bfloat16)
FAULTS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "factor 1.5": lambda g: 1.5 * g,
    "factor 1.2": lambda g: 1.2 * g,
    "sign": lambda g: -g,
    "zero": lambda g: 0 * g,
    "one entry zero": lambda g: _with(g, 0.0),
    "one entry twice": lambda g: _with(g, 2.0),
}


class Module(NamedTuple):
    """A module, its input in float64, and what it is called."""

    name: str
    module: nn.Module
    x: torch.Tensor


class Spoilt(torch.autograd.Function):
    """The identity, whose backward pass has a fault in one dtype."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, fault: str, dtype: torch.dtype) -> torch.Tensor:
        """What comes in."""
        ctx.fault, ctx.dtype = fault, dtype
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *c: torch.Tensor) -> Any:
        """Spoilt where it is of that dtype."""
        return FAULTS[ctx.fault](c[0]) if c[0].dtype == ctx.dtype else c[0], None, None


spoilt: Callable[..., Any] = Spoilt.apply


def _with(g: torch.Tensor, factor: float) -> torch.Tensor:
    """The largest entry, times a factor."""
    spoilt = g.clone()
    spoilt.view(-1)[g.abs().argmax()] *= factor
    return spoilt


def modules(count: int, seed: int) -> Iterator[Module]:
    """Random ones, some of them badly scaled."""
    for index in range(count):
        torch.manual_seed(seed * 10_000 + index)
        kinds = list(MAKERS.items())
        name, make = kinds[index % len(kinds)]
        module, x = make()
        scale = float(torch.tensor([1.0, 0.1, 4.0])[torch.randint(3, ())])
        yield Module(name, module.double(), scale * x.double())


def _dense(activation: Callable[[], nn.Module], width: int = 24) -> Callable[[], tuple[nn.Module, torch.Tensor]]:
    def make() -> tuple[nn.Module, torch.Tensor]:
        layers = [nn.Linear(6, width), activation(), nn.Linear(width, width), activation(), nn.Linear(width, 3)]
        return nn.Sequential(*layers), torch.randn(16, 6)

    return make


MAKERS: dict[str, Callable[[], tuple[nn.Module, torch.Tensor]]] = {
    "tanh": _dense(nn.Tanh),
    "relu": _dense(nn.ReLU),
    "gelu": _dense(nn.GELU),
    "softplus": _dense(nn.Softplus),
    "sigmoid": _dense(nn.Sigmoid, 64),
    "layer norm": lambda: (nn.Sequential(nn.Linear(6, 16), nn.LayerNorm(16), nn.Linear(16, 2)), torch.randn(8, 6)),
    "batch norm": lambda: (nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.Tanh()), torch.randn(32, 6)),
    "softmax": lambda: (nn.Sequential(nn.Linear(6, 40), nn.Softmax(-1)), torch.randn(8, 6)),
    "log softmax": lambda: (nn.Sequential(nn.Linear(6, 40), nn.LogSoftmax(-1)), 5 * torch.randn(8, 6)),
    "convolution": lambda: (nn.Sequential(nn.Conv2d(2, 4, 3), nn.SiLU(), nn.Conv2d(4, 2, 3)), torch.randn(2, 2, 9, 9)),
    "gru": lambda: (nn.GRU(4, 8, batch_first=True), torch.randn(3, 7, 4)),
    "attention": lambda: (nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True), torch.randn(2, 6, 8)),
    "saturated": lambda: (nn.Sequential(nn.Linear(6, 16), nn.Tanh()), 20 * torch.randn(8, 6)),
    "max": lambda: (nn.Sequential(nn.Conv1d(2, 4, 3), nn.MaxPool1d(2), nn.ELU()), torch.randn(2, 2, 20)),
    "norm": lambda: (nn.Sequential(nn.Linear(6, 8), nn.RMSNorm(8), nn.Linear(8, 1)), torch.randn(8, 6)),
}


def accused(one: Module, dtype: torch.dtype, fault: str = "") -> bool:
    """Whether the given dtype is said to be wrong."""
    module, x = one.module.to(dtype), one.x.to(dtype).requires_grad_()

    def f(x: torch.Tensor) -> Any:
        out = cast("tuple[Any, ...]", (module(x),))[0]
        out = cast("Any", out[0] if isinstance(out, tuple) else out)
        return spoilt(out, fault, dtype) if fault else out

    report = gradcheck.check_torch(f, x, diagnose=False, contract=False, module=module)
    return any(diagnosis.cause == "given-dtype" for diagnosis in report.diagnoses)


def main() -> None:
    """Ask, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--modules", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--move", nargs="*", default=[], metavar="NAME=VALUE")
    asked = parser.parse_args()
    for moved in asked.move:
        name, value = moved.split("=")
        setattr(given, name, type(getattr(given, name))(float(value)))
    found, total = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for one in modules(asked.modules, asked.seed):
        for dtype in DTYPES:
            for fault in ("", *FAULTS):
                key = (str(dtype).rpartition(".")[2], fault or "honest")
                total[key] += 1
                hit = accused(one, dtype, fault)
                found[key] += hit
                if hit and not fault:
                    print(f"accused: {one.name} in {dtype}")
    for key, count in total.items():
        print(f"{key[0]:10s} {key[1]:16s} {found[key]:4d} of {count}")


if __name__ == "__main__":
    main()
