"""The command that shows it all: ``tour``."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from gradcheck.cli.app import Exit, app
from gradcheck.cli.destinations import check_outputs
from gradcheck.cli.live import line
from gradcheck.cli.output import show
from gradcheck.cli.typed import absolute
from gradcheck.errors import LibraryNotInstalled
from gradcheck.foundation.plotting import pyplot
from gradcheck.foundation.wording import printable
from gradcheck.foundation.writing import write
from gradcheck.tour.page import INDEX, prepare, to_html
from gradcheck.tour.step import Outcome, run
from gradcheck.tour.table import select
from gradcheck.tour.tour import Tour


@app.command("tour")
def tour_command(
    out: Annotated[
        Path,
        typer.Option(
            callback=absolute,
            metavar="DIR",
            help="Where pictures and index.html go: a new folder, or one of an earlier tour.",
        ),
    ] = Path("tour"),
    only: Annotated[
        str | None, typer.Option(metavar="STEP", help="One step, by name or number, on a page of its own.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer iterations: seconds, not a minute.")] = False,
    data: Annotated[
        Path | None,
        typer.Option(callback=absolute, metavar="FILE.libsvm", help="Data of your own with two classes, for the last step."),
    ] = None,
) -> int:
    """Walk through a neural network step by step: data, gradients and their checks, descent, pictures on one page.

    Exit codes: 0 every step held or was skipped, 1 one did not hold, 2 bad usage or input.
    """
    steps, tour = select(only), Tour(quick, data)
    _ = tour.user_data  # what is wrong with a file is said at once
    prepare(out)
    check_outputs([data], {}, folders={"--out": out}, drawn="*")
    plot, notes = _plot()
    for note in notes:
        show(note, sys.stdout)
    outcomes: list[Outcome] = []
    titles = [*(step.title for step in steps.values()), ""]
    columns = [BarColumn(20), MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn()]
    with line(*columns, past=sys.stdout.isatty()) as bar:
        task = bar.add_task(titles[0], total=len(steps))
        for outcome, following in zip(run(steps, tour, out, plot), titles[1:], strict=True):
            outcomes.append(outcome)
            show(_said(outcome), sys.stdout)
            bar.update(task, advance=1, description=following)
    write(out / INDEX, to_html(outcomes, notes))
    show(f"{out / INDEX}: {sum(outcome.seconds for outcome in outcomes):.1f} s", sys.stdout)
    return Exit.GOOD if all(outcome.held for outcome in outcomes) else Exit.WRONG


def _plot() -> tuple[Any, list[str]]:
    """What draws; or nothing, and why."""
    try:
        return pyplot(), []
    except LibraryNotInstalled as reason:
        return None, [f"no pictures: {reason}"]


def _said(outcome: Outcome) -> Text:
    style = "dim" if outcome.result is None else "" if outcome.held else "bold red"
    return Text(printable(f"{outcome.number:>2} {outcome.step.name:<12}{outcome.said}"), style)
