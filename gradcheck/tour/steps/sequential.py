"""PyTorch as its users write it: `Sequential`, a loss, `backward`, and a step on every parameter."""

from typing import Any

import numpy as np
import torch
from torch import nn

from gradcheck.foundation.arrays import Array
from gradcheck.tour.pictures import Curve, Panel, curves, maps
from gradcheck.tour.step import Result, Table
from gradcheck.tour.tour import DEPTHS, GRID, ITERATIONS, Tour, grid

NETWORKS = {"2-40-1": (40,), "2-4-5-8-4-1": DEPTHS[-1]}
STEP = 0.4


def sequential(hidden: tuple[int, ...], seed: int = 0) -> nn.Sequential:
    """Linear and Tanh in turn, in double precision, every parameter drawn from a standard normal distribution."""
    layers: list[nn.Module] = []
    inputs = 2
    for units in hidden:
        layers += [nn.Linear(inputs, units, dtype=torch.float64), nn.Tanh()]
        inputs = units
    model = nn.Sequential(*layers, nn.Linear(inputs, 1, dtype=torch.float64))
    generator = torch.Generator().manual_seed(seed)  # PyTorch's own stream of random numbers stays where it is
    for parameter in model.parameters():
        nn.init.normal_(parameter, generator=generator)
    return model


def descend(model: nn.Sequential, inputs: Any, targets: Any, iterations: int) -> Array:
    """Full batches and a fixed step; the losses before each step, and the last one."""
    losses = np.empty(iterations + 1)
    for iteration in range(iterations + 1):
        loss = -nn.functional.logsigmoid(targets * model(inputs)).mean()
        losses[iteration] = loss.item()
        if iteration < iterations:
            model.zero_grad()
            loss.backward()  # pyright: ignore[reportUnknownMemberType]
            with torch.no_grad():
                for parameter in model.parameters():
                    if parameter.grad is not None:
                        parameter -= STEP * parameter.grad
    return losses


def trained(tour: Tour) -> Result:
    """Two networks, their losses and maps."""
    inputs, targets, places = (torch.as_tensor(array) for array in (*tour.batch, grid()))
    losses: dict[str, Array] = {}
    drawn: dict[str, Array] = {}
    rows: list[tuple[str, ...]] = []
    for name, hidden in NETWORKS.items():
        model = sequential(hidden)
        losses[name] = descend(model, inputs, targets, tour.shortened(ITERATIONS))
        with torch.no_grad():
            found = float((model(inputs) * targets > 0).double().mean())
            drawn[name] = torch.sigmoid(model(places)).numpy().reshape(GRID, GRID)
        rows.append((name, f"{losses[name][0]:.4f}", f"{losses[name][-1]:.3g}", f"{found:.1%}"))
    lines = [Curve(name, np.arange(len(each)), each) for name, each in losses.items()]
    panel = Panel("iteration (count)", "loss (nats)", lines, xscale="symlog", yscale="log")
    pictures = (
        curves("Losses of the two networks.", panel),
        maps("A map for each; the black line is the border.", drawn, tour.batch),
    )
    headline = "; ".join(f"{name} loss {start} to {end}, {found} right" for name, start, end, found in rows)
    table = Table(("network", "loss at the start", "at the end", "on the right side"), rows)
    held = all(each[-1] < each[0] for each in losses.values())
    return Result(headline, {f"loss_{name}": float(each[-1]) for name, each in losses.items()}, pictures, table, held)
