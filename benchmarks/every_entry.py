"""Every entry of a known network's gradient verified, beside ``torch.autograd.gradcheck`` in its slow mode, in one run.

``python benchmarks/every_entry.py [--samples 256]`` takes the PyTorch build of 64-128-128-1 (arctan, logistic loss: 24,961
parameters). Ours is ``gradcheck.verify(case, ["torch"], every_entry=True)``: the verdict, the oracles and the bounds. The
slow mode evaluates the loss twice a parameter, so it runs once (half a minute).
"""

import argparse
import time
from statistics import median
from typing import Any

import numpy as np
import torch

import gradcheck
from gradcheck import Arctan, Case, Dense, Given, Logistic, Network

WIDTHS = (64, 128, 128, 1)
ROUNDS = 5


def case_of(samples: int) -> Case:
    """Standard normal inputs, labels at random, He's weights."""
    rng = np.random.default_rng(0)
    layers = tuple(layer for units in WIDTHS[1:] for layer in (Dense(units), Arctan()))
    inputs, targets = rng.standard_normal((samples, WIDTHS[0])), rng.choice([-1.0, 1.0], (samples, 1))
    return Case(Network((WIDTHS[0],), layers, Logistic()), data=Given.of({"inputs": inputs, "targets": targets}), init="he")


def tensor(array: Any) -> torch.Tensor:
    """A tensor that shares the array's memory."""
    return torch.from_numpy(array)  # pyright: ignore[reportUnknownMemberType] NumPy's generics are unknown to torch


def torchs(case: Case) -> tuple[Any, list[torch.Tensor]]:
    """The same loss of tensors, and the point."""
    tensors = [tensor(value).requires_grad_() for value in case.parameters.values()]
    x, y = map(tensor, case.batch)

    def loss(*parameters: torch.Tensor) -> torch.Tensor:
        h = x
        for weight, bias in zip(parameters[::2], parameters[1::2], strict=True):
            h = torch.arctan(torch.nn.functional.linear(h, weight, bias))
        return -torch.nn.functional.logsigmoid(y * h).mean()

    return loss, tensors


def timed(call: Any) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main() -> None:
    """Ours several times, the slow mode once, the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=256)
    case = case_of(parser.parse_args().samples)
    loss, tensors = torchs(case)
    report = gradcheck.verify(case, ["torch"], every_entry=True)
    report.require()
    ours = median(timed(lambda: gradcheck.verify(case, ["torch"], every_entry=True)) for _ in range(ROUNDS))
    slow = timed(lambda: torch.autograd.gradcheck(loss, tensors))
    count = sum(value.size for value in case.parameters.values())
    resolution = max(finding.resolution for finding in report.findings)
    print(f"{count} parameters, {len(case.batch.inputs)} samples, resolution of one entry at worst {resolution:.1e}")
    print(f"ours {ours * 1e3:.0f} ms, torch slow {slow:.1f} s, {slow / ours:.0f} times ours")


if __name__ == "__main__":
    main()
