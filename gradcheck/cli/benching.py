"""The command that measures: ``bench``."""

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from gradcheck.bench import cases
from gradcheck.bench.measuring.environment import here
from gradcheck.bench.measuring.job import Settings
from gradcheck.bench.measuring.measure import labels, rounds_of
from gradcheck.bench.rendering import pictures, text
from gradcheck.bench.results import changes
from gradcheck.bench.results.schema import Result, read
from gradcheck.bench.run import run_benchmark
from gradcheck.builds import registry
from gradcheck.cases.files import data_file, load
from gradcheck.cli.app import Exit, app, positive
from gradcheck.cli.destinations import check_outputs
from gradcheck.cli.live import timed
from gradcheck.cli.options import Backends, Device, InArithmetic, Oversubscribe, within_cores
from gradcheck.cli.output import for_people, show, write_out
from gradcheck.cli.typed import absolute
from gradcheck.foundation.wording import printable
from gradcheck.foundation.writing import json_text, legible

BACKENDS = ("manual", "autograd", "torch", "jax")  # those of them that are installed
FIRST = Settings(backends=())


def _numbers(given: str | None) -> tuple[int, ...]:
    """``64,128``, each once."""
    words = [] if given is None else [word.strip() for word in given.split(",")]
    for word in words:
        if not re.fullmatch(r"[1-9]\d*", word, re.ASCII):
            raise typer.BadParameter(f"expected whole numbers >= 1 with commas between them, got {given!r}")
    return tuple(dict.fromkeys(map(int, words)))


def _list(given: str | None) -> str | None:
    _numbers(given)
    return given


def _listed(*names: str, help: str) -> Any:
    """An option whose value is for `_numbers`."""
    return typer.Option(*names, metavar="N,N", callback=_list, help=help)


@app.command("bench")
def bench_command(
    file: Annotated[
        list[Path] | None,
        typer.Argument(callback=absolute, help="Descriptions, .toml or .json; without any, four networks."),
    ] = None,
    network: Annotated[
        list[str] | None,
        typer.Option(metavar="SIZES", help="Inputs, and units of each dense layer: 64-128-1; repeat for several."),
    ] = None,
    activation: Annotated[str, typer.Option(help="After every dense layer.")] = "arctan",
    loss: Annotated[str, typer.Option(help="Of networks that are not descriptions.")] = "logistic",
    widths: Annotated[str | None, _listed("--widths", "--width", help="Units of hidden layers.")] = None,
    depths: Annotated[str | None, _listed("--depths", "--depth", help="How many dense layers.")] = None,
    batches: Annotated[str | None, _listed("--batches", "--batch", help="Samples.")] = None,
    dtypes: Annotated[str | None, typer.Option("--dtypes", "--dtype", metavar="NAME,NAME", help="float64, float32.")] = None,
    threads: Annotated[str | None, _listed(help="Threads that libraries may use; by default 1.")] = None,
    backend: Backends = None,
    device: Device = None,
    arithmetic: InArithmetic = None,
    oversubscribe: Oversubscribe = False,
    verification: Annotated[bool, typer.Option("--verification", help="Time gradcheck.verify itself, too.")] = False,
    rounds: Annotated[int, typer.Option(min=2, help="In each, everybody is asked once.")] = FIRST.rounds,
    seconds: Annotated[float, typer.Option(callback=positive, help="That a block of calls takes.")] = FIRST.seconds,
    limit: Annotated[
        float, typer.Option(callback=positive, help="Seconds after which an answer is given up.")
    ] = FIRST.limit,
    seed: Annotated[int, typer.Option(min=0, help="Of parameters and data.")] = 0,
    json: Annotated[
        Path | None, typer.Option("--json", callback=absolute, help="Write everything as JSON; - for standard output.")
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option("--compare", callback=absolute, metavar="OLD.json", help="Show what changed since this was written."),
    ] = None,
    recorded: Annotated[
        Path | None,
        typer.Option(callback=absolute, metavar="NEW.json", help="Measure nothing: show, compare and draw this instead."),
    ] = None,
    drawn: Annotated[
        Path | None, typer.Option("--pictures", callback=absolute, metavar="DIR", help="Draw pictures, as PNG.")
    ] = None,
) -> int:
    """Measure loss and gradient of several builds: time beside its floor, memory, accuracy, and how they grow.

    Rounds are interleaved, medians stand with their spread; a backend that crashes is a row. Exit codes: 0 measured,
    2 bad usage or input, or nothing that could be compared; 3 no backend could be measured.
    """
    if drawn is not None:
        pictures.require()
    within_cores("--threads", max(_numbers(threads), default=1), "threads", oversubscribe=oversubscribe)
    old = None if against is None else read(against)
    inputs = [*(file or []), *map(data_file, map(load, file or [])), *(backend or []), against, recorded]
    check_outputs(inputs, {"--json": json}, folders={"--pictures": drawn}, drawn="*.png")
    if recorded is not None:
        result = read(recorded)
    else:
        grid = cases.Grid(_numbers(widths), _numbers(depths), _numbers(batches), _dtypes(dtypes), _numbers(threads))
        points = _points(file or [], network or [], cases.kind(activation, loss), grid, seed)
        settings = Settings(
            backends=tuple(backend or (_installed() if not (device or arithmetic) else ["torch"])),
            rounds=rounds,
            seconds=seconds,
            limit=limit,
            seed=seed,
            verification=verification,
            device=device,
            arithmetic=arithmetic,
        )
        result = _measured(points, settings, old)
    people = for_people(json)
    show(text.render(legible(result)), people)
    write_out(json, lambda: json_text(result) + "\n")
    if old is not None:
        show(text.comparison(changes.compare(legible(old), legible(result))), people)
    if drawn is not None:
        for path in pictures.draw(result, drawn):
            show(str(path), people)
    there = any(row.gradient for case in result.cases for row in case.rows)
    return Exit.GOOD if there else Exit.UNDECIDED


def _dtypes(given: str | None) -> tuple[str, ...]:
    names = [] if given is None else given.split(",")
    return tuple(dict.fromkeys(cases.dtype_of(name.strip()) for name in names))


def _points(files: list[Path], networks: list[str], kind: cases.Kind, grid: cases.Grid, seed: int) -> list[cases.Point]:
    """What was named; what was not is four networks, or the base of a sweep where they are to vary."""
    found = [point for path in files for point in cases.described(path, grid)]
    if networks or (not files and (grid.widths or grid.depths or grid.batches)):
        return found + cases.swept(networks or [cases.BASE], kind, grid, seed)
    return found or cases.standard(kind, grid, seed)


def _installed() -> list[str]:
    return [status.name for status in registry.installed() if status.name in BACKENDS and status.version]


def _measured(points: list[cases.Point], settings: Settings, old: Result | None) -> Result:
    """Measure, unless there is something wrong that can be seen before."""
    labels(settings.backends)
    if old is not None:
        changes.refuse(old, here(), changes.of_points(points))
    with timed() as line:
        task = line.add_task("starting", total=len(points) * rounds_of(settings))

        def watch(what: str, further: int) -> None:
            line.update(task, description=printable(what), advance=further)

        return run_benchmark(points, settings, watch)
