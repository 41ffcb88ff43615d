"""The commands that check one thing: ``verify``, ``check``; and ``backends``, which says what there is."""

import math
import re
import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table

from gradcheck.builds import registry
from gradcheck.cases.case import Case
from gradcheck.cases.files import data_file, load, naming
from gradcheck.cases.numpy_files import DIMENSIONS, MOST, read_point
from gradcheck.checking.checker import check
from gradcheck.cli.app import Exit, app, not_negative
from gradcheck.cli.destinations import check_outputs
from gradcheck.cli.options import NAMED, Accuracy, Device, Failing, InArithmetic, ReportHtml, ReportJson, Reproducer
from gradcheck.cli.output import aside, deliver, show
from gradcheck.cli.typed import absolute, targets
from gradcheck.errors import DataError
from gradcheck.foundation.loading import locate
from gradcheck.foundation.validation import Asked
from gradcheck.foundation.wording import printable, shown
from gradcheck.network.layers import Arctan, Dense
from gradcheck.network.losses import Logistic
from gradcheck.network.network import Network
from gradcheck.verification.verifier import DEFAULT, verify

DIGITS = 1000  # of all sizes together: more are no sizes
TOUR = Case(Network((2,), (Dense(15), Arctan(), Dense(1), Arctan()), Logistic()), data="two-moons", samples=400)


@app.command("verify")
def verify_command(
    file: Annotated[
        Path | None,
        typer.Argument(callback=absolute, help="A .toml or .json description; without one, the two-moons network."),
    ] = None,
    backend: Annotated[list[str], NAMED] = list(DEFAULT),  # noqa: B006
    accuracy: Accuracy = 0.0,
    every_entry: Annotated[
        bool, typer.Option("--every-entry", help="Hold every entry against the oracle's, whatever that costs.")
    ] = False,
    device: Device = None,
    arithmetic: InArithmetic = None,
    fail_on: Failing = [],  # noqa: B006 typer reads the default and never changes it
    json: ReportJson = None,
    html: ReportHtml = None,
    reproduce: Reproducer = None,
    seed: Annotated[
        int, typer.Option(callback=not_negative, help="Of the random directions in which derivatives are compared.")
    ] = 0,
) -> int:
    """Compare losses and gradients of several builds of one network with each other and with backpropagation-free oracles.

    Exit codes: 0 nothing worse than inexact, 1 something wrong, 2 bad usage or input, 3 something unresolved or
    nonsmooth.
    """
    case = load(file) if file else TOUR
    check_outputs([file, data_file(case), *backend], {"--json": json, "--html": html, "--reproduce": reproduce})
    with aside(), naming(file or "two-moons"):
        report = verify(
            case, backend, accuracy=accuracy, seed=seed, every_entry=every_entry, device=device, arithmetic=arithmetic
        )
    return deliver(report, json, html, reproduce, fail_on)


@app.command("check")
def check_command(
    functions: Annotated[
        list[str],
        typer.Argument(
            callback=targets,
            metavar="LOSS GRADIENT",
            help="Each module:attribute or file.py:attribute; one that returns both may stand for the two.",
        ),
    ],
    at: Annotated[
        Path | None,
        typer.Option(callback=absolute, help="Where: an .npy file, or an .npz file whose arrays become a dict by name."),
    ] = None,
    shape: Annotated[str | None, typer.Option(help="Or a random point of this shape, such as 30,40.")] = None,
    accuracy: Accuracy = 1e-6,
    resolve: Annotated[
        float, typer.Option(help="An error of this size in any entry must have been seen to say correct.")
    ] = 1e-3,
    max_evaluations: Annotated[
        int, typer.Option(help="Of the loss, that a right gradient may take to be resolved so far.")
    ] = 400,
    diagnose: Annotated[bool, typer.Option(help="Look for causes of what is wrong.")] = True,
    complex_step: Annotated[
        bool, typer.Option("--complex-step", help="Use the complex step where it can be trusted.")
    ] = False,
    dtype: Annotated[
        str | None, typer.Option(help="Judge in this dtype, or 'as given'; else in float64 where the functions follow.")
    ] = None,
    fail_on: Failing = [],  # noqa: B006 typer reads the default and never changes it
    json: ReportJson = None,
    html: ReportHtml = None,
    reproduce: Reproducer = None,
    seed: Annotated[int, typer.Option(callback=not_negative, help="Of the random directions and point.")] = 0,
) -> int:
    """Check the gradient of any function, without a network.

    Exit codes as for verify.
    """
    if len(functions) > 2:
        raise typer.BadParameter(f"expected a loss and a gradient, got {len(functions)} functions")
    if (at is None) == (shape is None):
        raise typer.BadParameter("expected one of --at and --shape")
    point = read_point(at) if at is not None else _random_point(str(shape), seed)
    check_outputs([at, *functions], {"--json": json, "--html": html, "--reproduce": reproduce})
    names = ("loss", "gradient") if len(functions) == 2 else ("value_and_gradient",)
    with aside():
        found: dict[str, Any] = {n: locate(target, f"{n} {target!r}") for n, target in zip(names, functions, strict=True)}
        asked = Asked(accuracy, resolve, max_evaluations, diagnose, seed, dtype)
        report = check(**found, at=point, complex_step=complex_step, **asked.options)
    return deliver(report, json, html, reproduce, fail_on)


@app.command("backends")
def backends_command() -> int:
    """List the registered backends and the versions of what they need. Imports none of them."""
    table = Table("backend", "needs", "version")
    for status in registry.installed():
        table.add_row(*map(printable, (status.name, status.requires, status.version or "not installed")))
    show(table, sys.stdout)
    return Exit.GOOD


def _random_point(shape: str, seed: int) -> Any:
    """Standard normal numbers in the shape that a string such as ``30,40`` says."""
    sizes = [size.strip() for size in shape.split(",")]
    if not all(re.fullmatch(r"0*[1-9]\d*", size, re.ASCII) for size in sizes):
        raise DataError(f"--shape: expected sizes >= 1 separated by commas, got {shown(shape)}")
    if len(sizes) > DIMENSIONS:
        raise DataError(f"--shape: {len(sizes)} sizes, an array has {DIMENSIONS} at most")
    if sum(map(len, sizes)) > DIGITS or math.prod(map(int, sizes)) > MOST:
        raise DataError(f"--shape: more than {MOST} numbers, got {shown(shape)}")
    return np.random.default_rng(seed).standard_normal(tuple(map(int, sizes)))
