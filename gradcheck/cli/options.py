"""Options that several commands have."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from gradcheck.cli.app import FailOn

Device: TypeAlias = Annotated[
    str | None, typer.Option(help="Where backends compute that take a device (torch): cpu, cuda, cuda:1.")
]
InArithmetic: TypeAlias = Annotated[
    str | None,
    typer.Option("--arithmetic", help="In which they compute and are judged: float64, float32, tf32, bfloat16."),
]
Failing: TypeAlias = Annotated[
    list[FailOn], typer.Option("--fail-on", help="Exit with 1 on this verdict too; repeat for several.")
]
ReportJson: TypeAlias = Annotated[
    Path | None, typer.Option("--json", help="Write the report as JSON; - for standard output.")
]
ReportHtml: TypeAlias = Annotated[
    Path | None, typer.Option("--html", help="Write the report as a page for a browser; - for standard output.")
]
Reproducer: TypeAlias = Annotated[
    Path | None, typer.Option("--reproduce", help="Write a Python file that asks again and expects the same.")
]
SummaryJson: TypeAlias = Annotated[
    Path | None, typer.Option("--json", help="Write the summary as JSON; - for standard output.")
]
SummaryHtml: TypeAlias = Annotated[
    Path | None, typer.Option("--html", help="Write the summary as a page for a browser; - for standard output.")
]
Reproducers: TypeAlias = Annotated[
    Path | None, typer.Option("--reproduce", metavar="DIR", help="Write a Python file for each cause of what is wrong.")
]
