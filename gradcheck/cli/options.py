"""Options that several commands have."""

import os
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from gradcheck.cli.app import FailOn, not_negative
from gradcheck.cli.typed import absolute, targets


def _written(option: str, what: str) -> Any:
    return typer.Option(option, callback=absolute, help=f"Write the {what}; - for standard output.")


MANY = 4  # processes or threads for each core, beyond which every one waits for the others
NAMED = typer.Option(callback=targets, help="Name, module:attribute or file.py:attribute; repeat for several.")
Backends: TypeAlias = Annotated[list[str] | None, NAMED]
Device: TypeAlias = Annotated[
    str | None, typer.Option(help="Where backends compute that take a device (torch): cpu, cuda, cuda:1.")
]
InArithmetic: TypeAlias = Annotated[
    str | None, typer.Option("--arithmetic", help="In which they compute and are judged: float64, float32, tf32, bfloat16.")
]
Oversubscribe: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--oversubscribe", help=f"Start more than {MANY} processes or threads for each core, if so many are asked for."
    ),
]
Accuracy: TypeAlias = Annotated[
    float, typer.Option(callback=not_negative, help="Relative error up to which an excess is inexact, not wrong.")
]
Failing: TypeAlias = Annotated[
    list[FailOn], typer.Option("--fail-on", help="Exit with 1 on this verdict too; repeat for several.")
]
ReportJson: TypeAlias = Annotated[Path | None, _written("--json", "report as JSON")]
ReportHtml: TypeAlias = Annotated[Path | None, _written("--html", "report as a page for a browser")]
SummaryJson: TypeAlias = Annotated[Path | None, _written("--json", "summary as JSON")]
SummaryHtml: TypeAlias = Annotated[Path | None, _written("--html", "summary as a page for a browser")]
Reproducer: TypeAlias = Annotated[
    Path | None,
    typer.Option("--reproduce", callback=absolute, help="Write a Python file that asks again and expects the same."),
]
Reproducers: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--reproduce", callback=absolute, metavar="DIR", help="Write a Python file for each cause of what is wrong."
    ),
]


def within_cores(option: str, asked: int, what: str, *, oversubscribe: bool) -> None:
    """Refuse so many processes or threads that the machine would do nothing else, unless that is asked for as well."""
    cores = os.cpu_count() or 1
    if asked > MANY * cores and not oversubscribe:
        raise typer.BadParameter(f"{option} {asked}: {asked} {what} on {cores} cores; with --oversubscribe they are started")
