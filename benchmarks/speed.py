"""What a check costs: `gradcheck.check` beside ``torch.autograd.gradcheck``, on one network, in one run.

``python benchmarks/speed.py [--slow]`` takes a tanh network of some 25,000 parameters, its loss and its gradient by PyTorch,
and times the checks in turn; the slow mode evaluates the loss twice a parameter, so it runs once, and only if asked for.
"""

import argparse
import time
from collections.abc import Callable
from itertools import pairwise
from statistics import median
from typing import Any

import numpy as np
import torch

import gradcheck

SIZES = (100, 128, 96, 10)
SAMPLES = 256
ROUNDS = 15


def tensor(array: Any) -> torch.Tensor:
    """A tensor that shares the array's memory."""
    return torch.from_numpy(array)  # pyright: ignore[reportUnknownMemberType] NumPy's generics are unknown to torch


def problem() -> tuple[Callable[..., torch.Tensor], dict[str, np.ndarray[Any, Any]]]:
    """A loss of tensors in a fixed order, and the point."""
    rng = np.random.default_rng(0)
    x = tensor(rng.standard_normal((SAMPLES, SIZES[0])))
    y = tensor(rng.integers(0, SIZES[-1], SAMPLES))
    point = {
        f"{i}.{name}": rng.standard_normal(shape) / np.sqrt(fan)
        for i, (fan, units) in enumerate(pairwise(SIZES))
        for name, shape in (("weight", (units, fan)), ("bias", (units,)))
    }

    def loss(*tensors: torch.Tensor) -> torch.Tensor:
        h = x
        for i in range(0, len(tensors), 2):
            h = torch.nn.functional.linear(torch.tanh(h) if i else h, tensors[i], tensors[i + 1])
        return torch.nn.functional.cross_entropy(h, y)

    return loss, point


def as_arrays(loss: Callable[..., torch.Tensor]) -> tuple[Callable[[Any], float], Callable[[Any], Any]]:
    """The same loss and its gradient for `gradcheck.check`."""

    def value(p: Any) -> float:
        with torch.no_grad():
            return loss(*map(tensor, p.values())).item()

    def gradient(p: Any) -> Any:
        tensors = [tensor(array).requires_grad_() for array in p.values()]
        return dict(zip(p, (g.numpy() for g in torch.autograd.grad(loss(*tensors), tensors)), strict=True))

    return value, gradient


def timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slow", action="store_true", help="time torch's slow mode too (minutes)")
    slow = parser.parse_args().slow
    loss, point = problem()
    value, gradient = as_arrays(loss)
    tensors = [tensor(array).requires_grad_() for array in point.values()]
    ways: dict[str, Callable[[], object]] = {
        "ours": lambda: gradcheck.check(value, gradient, point).require(),
        "torch fast": lambda: torch.autograd.gradcheck(loss, tensors, fast_mode=True),
    }
    for call in ways.values():
        call()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, call in ways.items():
            seconds[name].append(timed(call))
    ours = median(seconds["ours"])
    if slow:
        seconds["torch slow"] = [timed(lambda: torch.autograd.gradcheck(loss, tensors))]
    count = sum(array.size for array in point.values())
    print(f"{count} parameters, {SAMPLES} samples, medians of {ROUNDS} interleaved rounds")
    for name, times in seconds.items():
        print(f"{name:12s} {median(times) * 1e3:10.1f} ms   {median(times) / ours:8.2f} x ours")


if __name__ == "__main__":
    main()
