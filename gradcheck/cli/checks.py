"""The command line: arguments in, a report and an exit code out."""

import math
import os
import sys
import traceback
from collections.abc import Generator
from contextlib import contextmanager, redirect_stdout
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from rich.console import Console, RenderableType
from rich.table import Table
from typer.exceptions import Abort, TyperException

from gradcheck import registry
from gradcheck.case import Case
from gradcheck.checker import check
from gradcheck.errors import GradcheckError, OutputError
from gradcheck.files import load, naming, write
from gradcheck.locate import locate
from gradcheck.network.layers import Arctan, Dense
from gradcheck.network.losses import Logistic
from gradcheck.network.network import Network
from gradcheck.points import random_point, read_point
from gradcheck.report import Report
from gradcheck.report.text import WIDTH, render
from gradcheck.verdict.findings import Verdict
from gradcheck.verifier import DEFAULT, verify


class Exit(IntEnum):
    """Exit codes."""

    GOOD = 0
    WRONG = 1
    USAGE = 2
    UNDECIDED = 3
    INTERNAL = 4
    INTERRUPTED = 130


class FailOn(StrEnum):
    """Verdicts that can be made to count as failure."""

    INEXACT = "inexact"
    UNRESOLVED = "unresolved"
    NONSMOOTH = "nonsmooth"


TOUR = Case(Network((2,), (Dense(15), Arctan(), Dense(1), Arctan()), Logistic()), data="two-moons", samples=400)


def _not_negative(value: float) -> float:
    if not 0 <= value < math.inf:
        raise typer.BadParameter(f"expected a finite number >= 0, got {value}")
    return value


app = typer.Typer(
    help="Verify gradients without a tolerance.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.command("verify")
def verify_command(
    file: Annotated[
        Path | None, typer.Argument(help="A .toml or .json description; without one, the two-moons network.")
    ] = None,
    backend: Annotated[
        list[str], typer.Option(help="Name, module:attribute or file.py:attribute; repeat for several.")
    ] = list(DEFAULT),  # noqa: B006
    accuracy: Annotated[
        float, typer.Option(callback=_not_negative, help="Relative error up to which an excess is inexact, not wrong.")
    ] = 0.0,
    fail_on: Annotated[list[FailOn], typer.Option(help="Exit with 1 on this verdict too; repeat for several.")] = [],  # noqa: B006 typer reads the default and never changes it
    json: Annotated[Path | None, typer.Option(help="Write the report as JSON; - for standard output.")] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write the report as a page for a browser; - for standard output.")
    ] = None,
    reproduce: Annotated[Path | None, typer.Option(help="Write a Python file that asks again and expects the same.")] = None,
    seed: Annotated[
        int, typer.Option(callback=_not_negative, help="Of the random directions in which derivatives are compared.")
    ] = 0,
) -> int:
    """Compare losses and gradients of several builds of one network with each other and with backpropagation-free oracles.

    Exit codes: 0 nothing worse than inexact, 1 something wrong, 2 bad usage or input, 3 something unresolved or
    nonsmooth.
    """
    case = load(file) if file else TOUR
    with redirect_stdout(sys.stderr), naming(file or "two-moons"):  # what a backend prints must not end up in the JSON
        report = verify(case, backend, accuracy=accuracy, seed=seed)
    return deliver(report, json, html, reproduce, frozenset(map(str, fail_on)))


@app.command("check")
def check_command(
    functions: Annotated[
        list[str],
        typer.Argument(
            metavar="LOSS GRADIENT",
            help="Each module:attribute or file.py:attribute; one that returns both may stand for the two.",
        ),
    ],
    at: Annotated[
        Path | None, typer.Option(help="Where: an .npy file, or an .npz file whose arrays become a dict by name.")
    ] = None,
    shape: Annotated[str | None, typer.Option(help="Or a random point of this shape, such as 30,40.")] = None,
    accuracy: Annotated[
        float, typer.Option(callback=_not_negative, help="Relative error up to which an excess is inexact, not wrong.")
    ] = 1e-6,
    complex_step: Annotated[
        bool, typer.Option("--complex-step", help="Use the complex step where it can be trusted.")
    ] = False,
    fail_on: Annotated[list[FailOn], typer.Option(help="Exit with 1 on this verdict too; repeat for several.")] = [],  # noqa: B006 typer reads the default and never changes it
    json: Annotated[Path | None, typer.Option(help="Write the report as JSON; - for standard output.")] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write the report as a page for a browser; - for standard output.")
    ] = None,
    reproduce: Annotated[Path | None, typer.Option(help="Write a Python file that asks again and expects the same.")] = None,
    seed: Annotated[int, typer.Option(callback=_not_negative, help="Of the random directions and point.")] = 0,
) -> int:
    """Check the gradient of any function, without a network.

    Exit codes as for verify.
    """
    if len(functions) > 2:
        raise typer.BadParameter(f"expected a loss and a gradient, got {len(functions)} functions")
    if (at is None) == (shape is None):
        raise typer.BadParameter("expected one of --at and --shape")
    point = read_point(at) if at is not None else random_point(str(shape), seed)
    names = ("loss", "gradient") if len(functions) == 2 else ("value_and_gradient",)
    with redirect_stdout(sys.stderr):
        found: dict[str, Any] = {n: locate(target, f"{n} {target!r}") for n, target in zip(names, functions, strict=True)}
        report = check(**found, at=point, accuracy=accuracy, complex_step=complex_step, seed=seed)
    return deliver(report, json, html, reproduce, frozenset(map(str, fail_on)))


@app.command("backends")
def backends_command() -> int:
    """List the registered backends and the versions of what they need. Imports none of them."""
    table = Table("backend", "needs", "version")
    for status in registry.installed():
        table.add_row(status.name, status.requires, status.version or "not installed")
    show(table, sys.stdout)
    return Exit.GOOD


@app.callback()
def options() -> None:
    """Verify gradients without a tolerance."""


def deliver(report: Report, json: Path | None, html: Path | None, reproduce: Path | None, fail_on: frozenset[str]) -> Exit:
    """Write the report where it is wanted, and return the exit code that it deserves."""
    show(render(report), sys.stderr if "-" in (str(json), str(html)) else sys.stdout)
    for path, text in ((json, lambda: report.to_json() + "\n"), (html, report.to_html)):
        if path is not None:
            _write(path, text())
    if reproduce is not None:
        report.reproducer(reproduce)
    return exit_code({finding.verdict for finding in report.findings} | {report.verdict}, fail_on)


def _write(path: Path, text: str) -> None:
    """To a file, or to standard output where that is asked for."""
    if str(path) != "-":
        write(path, text)
        return
    with _writing(sys.stdout):
        sys.stdout.write(text)


def show(what: RenderableType, stream: TextIO) -> None:
    """Render for the stream: in colour and as wide as it is for a terminal, plain and 110 columns wide elsewhere."""
    console = Console(file=stream)
    if not console.is_terminal:
        console.width = WIDTH
    with _writing(stream):
        with console.capture() as captured:
            console.print(what)
        encoding = console.encoding
        stream.write(captured.get().encode(encoding, "backslashreplace").decode(encoding))


@contextmanager
def _writing(stream: TextIO) -> Generator[None]:
    """Write at once, so that a full disk is an error here; that the reader of a pipe has gone is none."""
    try:
        yield
        stream.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # what is buffered still goes somewhere
        if not isinstance(error, BrokenPipeError):
            raise OutputError(f"{stream.name}: cannot be written: {error.strerror}") from None


def exit_code(verdicts: set[Verdict], fail_on: frozenset[str]) -> Exit:
    """1 for wrong or what is asked to fail, 3 for what could not be decided, else 0."""
    if Verdict.WRONG in verdicts or verdicts & fail_on:
        return Exit.WRONG
    return Exit.UNDECIDED if verdicts & {Verdict.UNRESOLVED, Verdict.NONSMOOTH} else Exit.GOOD


def main() -> None:
    """Run, and turn whatever happens into one line and an exit code."""
    sys.exit(_run())


def _run() -> int:
    try:
        return int(app(standalone_mode=False) or Exit.GOOD)
    except (KeyboardInterrupt, Abort):
        return _fail("interrupted", Exit.INTERRUPTED)
    except GradcheckError as error:
        return _fail(str(error), Exit.USAGE)
    except MemoryError as error:
        return _fail(f"out of memory: {error}", Exit.USAGE)
    except TyperException as error:
        # format_message names the option; not every exception of typer's has it.
        return _fail(getattr(error, "format_message", error.__str__)(), Exit.USAGE)
    except Exception as error:
        traceback.print_exc()
        return _fail(f"internal error, please report it with the lines above: {error!r}", Exit.INTERNAL)


def _fail(sentence: str, code: Exit) -> Exit:
    print(f"gradcheck: {' '.join(sentence.split())}", file=sys.stderr)
    return code
