"""The command that shows it all: ``tour``."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from gradcheck.cli.app import Exit, app
from gradcheck.cli.output import show
from gradcheck.errors import LibraryNotInstalled
from gradcheck.foundation.plotting import pyplot
from gradcheck.foundation.wording import printable
from gradcheck.foundation.writing import write
from gradcheck.tour.page import INDEX, prepare, to_html
from gradcheck.tour.step import Outcome, Step, run
from gradcheck.tour.table import select
from gradcheck.tour.tour import Tour


@app.command("tour")
def tour_command(
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Where pictures and index.html go: a new folder, or one of an earlier tour.")
    ] = Path("tour"),
    only: Annotated[
        str | None, typer.Option(metavar="STEP", help="One step, by name or number, on a page of its own.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer iterations: seconds, not a minute.")] = False,
    data: Annotated[
        Path | None, typer.Option(metavar="FILE.libsvm", help="Data of your own with two classes, for the last step.")
    ] = None,
) -> int:
    """Walk through a neural network step by step: data, gradients and their checks, descent, pictures on one page.

    Exit codes: 0 every step held or was skipped, 1 one did not hold, 2 bad usage or input.
    """
    steps, tour = select(only), Tour(quick, data)
    _ = tour.user_data  # what is wrong with a file is said at once
    prepare(out)
    plot, notes = _plot()
    for note in notes:
        show(note, sys.stdout)
    outcomes: list[Outcome] = []
    with _progress(steps) as begin:
        for outcome in run(steps, tour, out, plot):
            outcomes.append(outcome)
            show(_line(outcome), sys.stdout)
            begin(outcome.number)
    write(out / INDEX, to_html(outcomes, notes))
    show(f"{out / INDEX}: {sum(outcome.seconds for outcome in outcomes):.1f} s", sys.stdout)
    return Exit.GOOD if all(outcome.held for outcome in outcomes) else Exit.WRONG


def _plot() -> tuple[Any, list[str]]:
    """What draws; or nothing, and why."""
    try:
        return pyplot(), []
    except LibraryNotInstalled as reason:
        return None, [f"no pictures: {reason}"]


def _line(outcome: Outcome) -> Text:
    style = "dim" if outcome.result is None else "" if outcome.held else "bold red"
    return Text(printable(f"{outcome.number:>2} {outcome.step.name:<12}{outcome.said}"), style)


@contextmanager
def _progress(steps: dict[int, Step]) -> Generator[Any]:
    """A bar on the terminal; nothing where standard error is none. Lines go past it where they share a terminal."""
    columns = [BarColumn(20), MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn()]
    console = Console(stderr=True)
    past = sys.stdout.isatty()
    quiet = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=quiet, redirect_stdout=past) as progress:
        waiting = iter([*steps.values()][1:])
        task = progress.add_task(next(iter(steps.values())).title, total=len(steps))

        def done(_number: int) -> None:
            step = next(waiting, None)
            progress.update(task, advance=1, description=step.title if step else "")

        yield done
