"""Double backward functions, checked by ``check_torch(order=2)`` and by both modes of ``torch.autograd.gradgradcheck``.

``python benchmarks/second_order.py [--every N]`` takes two small samples of every Nth operator of PyTorch's database, as the
tests take them, and functions with a mistake planted in their second derivative; the three checks are timed sample by
sample, in turn. It needs ``expecttest``.
"""

import argparse
import time
import warnings
from collections import Counter
from collections.abc import Callable
from statistics import median
from typing import Any, cast

import torch
from tests_of_ours import module_of_tests
from torch.autograd import Function, gradgradcheck

import gradcheck

Context = Any
Rule = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], tuple[torch.Tensor | None, torch.Tensor]]


def cube(rule: Rule) -> Callable[[torch.Tensor], torch.Tensor]:
    """``x ** 3``, whose double backward is ``rule(g, x, c)``: the gradients by x and by the cotangent c."""

    class Double(Function):
        @staticmethod
        def forward(ctx: Context, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
            ctx.save_for_backward(x, c)
            return 3 * x * x * c

        @staticmethod
        def backward(ctx: Context, *g: torch.Tensor) -> Any:
            return rule(*g, *ctx.saved_tensors)

    return _with_backward(lambda ctx, c: cast("Any", Double).apply(*ctx.saved_tensors, c))


def _with_backward(backward: Callable[[Context, torch.Tensor], Any]) -> Callable[[torch.Tensor], torch.Tensor]:
    class Cube(Function):
        @staticmethod
        def forward(ctx: Context, x: torch.Tensor) -> torch.Tensor:
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx: Context, *c: torch.Tensor) -> Any:
            return backward(ctx, *c)

    return cast("Any", Cube).apply


PLANTED: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "right": cube(lambda g, x, c: (6 * x * c * g, 3 * x * x * g)),
    "missing term": cube(lambda g, x, c: (None, 3 * x * x * g)),
    "factor 1.0001": cube(lambda g, x, c: (6.0006 * x * c * g, 3 * x * x * g)),
    "by the cotangent": cube(lambda g, x, c: (6 * x * c * g, 2 * x * x * g)),
    "cotangent 1.0001": cube(lambda g, x, c: (6 * x * c * g, 3.0003 * x * x * g)),
    "float32 inside": cube(lambda g, x, c: ((6 * x * c * g).to(torch.float32).to(torch.float64), 3 * x * x * g)),
    "detached": _with_backward(lambda ctx, c: 3 * c * ctx.saved_tensors[0].detach() ** 2),
    "half detached": _with_backward(lambda ctx, c: 3 * c * ctx.saved_tensors[0].detach() * ctx.saved_tensors[0]),
}


def ours(f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], required: list[torch.Tensor]) -> str:
    """The verdict, or that it was refused."""
    try:
        return str(gradcheck.check_torch(f, *args, **kwargs, order=2, contract=False).verdict)
    except gradcheck.GradcheckError:
        return "refused"


def theirs(fast: bool) -> Callable[..., str]:
    """PyTorch's own, of the very tensors that the function is called with."""

    def check(f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], required: list[torch.Tensor]) -> str:
        def function(*_: torch.Tensor) -> Any:
            torch.default_generator.manual_seed(0)
            return f(*args, **kwargs)

        try:
            found = gradgradcheck(function, tuple(required), fast_mode=fast, raise_exception=False)
        except RuntimeError:  # where the backward pass has no derivative
            return "refused"
        return "correct" if found else "wrong"

    return check


CHECKS: dict[str, Callable[..., str]] = {"ours": ours, "fast": theirs(fast=True), "slow": theirs(fast=False)}


def timed(subject: tuple[Any, ...]) -> dict[str, tuple[str, float]]:
    """What each check says, and in how many seconds."""
    found: dict[str, tuple[str, float]] = {}
    for name, check in CHECKS.items():
        start = time.perf_counter()
        said = check(*subject)
        found[name] = said, time.perf_counter() - start
    return found


def main() -> None:
    """Ask, and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=20)
    every = parser.parse_args().every
    warnings.simplefilter("ignore")
    databases = module_of_tests("torch_databases")
    x = torch.linspace(-2, 2, 12, dtype=torch.float64).requires_grad_()
    print(f"{'planted':<18}" + "".join(f"{name:>12}" for name in CHECKS))
    for name, f in PLANTED.items():
        found = timed((f, (x,), {}, [x]))
        print(f"{name:<18}" + "".join(f"{said:>12}" for said, _ in found.values()))
    rows: list[dict[str, tuple[str, float]]] = []
    for name in [each for each, op in databases.operators().items() if op.supports_gradgrad][::every]:
        for subject in databases.operator_subjects(name, 2):
            rows.append(timed((subject.f, subject.args, subject.kwargs, databases.required(subject))))
    for name in CHECKS:
        seconds = [row[name][1] for row in rows]
        counts = ", ".join(f"{count} {said}" for said, count in Counter(row[name][0] for row in rows).most_common())
        print(f"{name:<6} median {1e3 * median(seconds):7.1f} ms, all {sum(seconds):7.1f} s: {counts}")


if __name__ == "__main__":
    main()
