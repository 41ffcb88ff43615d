"""The commands for many cases: ``fuzz`` and ``report``."""

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gradcheck.cli.app import Exit, FailOn, app, positive
from gradcheck.cli.destinations import check_outputs
from gradcheck.cli.options import Backends, Failing, Oversubscribe, Reproducers, SummaryHtml, SummaryJson, within_cores
from gradcheck.cli.output import for_people, show, write_out
from gradcheck.cli.typed import absolute, typed
from gradcheck.foundation.wording import argument
from gradcheck.foundation.writing import json_text
from gradcheck.verdict.findings import Verdict

if TYPE_CHECKING:
    from gradcheck.campaign.results.store import Store

EXAMPLES = 1000


@app.command("fuzz")
def fuzz_command(
    examples: Annotated[
        int | None, typer.Option(min=1, help=f"How many examples to draw; {EXAMPLES} unless --minutes is given.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(callback=positive, help="Or for how long.")] = None,
    backend: Backends = None,
    seed: Annotated[int | None, typer.Option(min=0, help="The same seed gives the same cases; by default 0.")] = None,
    layers: Annotated[
        str | None, typer.Option(help="Only these beside dense layers: tanh,relu,conv2d. By default all that there are.")
    ] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Worker processes; by default one for each processor.")] = None,
    oversubscribe: Oversubscribe = False,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Work on this Dask cluster instead: tcp://host:port.")
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(
            callback=absolute,
            help="Where every case is kept. By default a new file here, which stays only where it is needed.",
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the campaign in --store.")] = False,
    replay: Annotated[
        Path | None,
        typer.Option(
            callback=absolute, metavar="FILE", help="Judge again what was wrong in this store, and say what is fixed."
        ),
    ] = None,
    limit: Annotated[
        float | None, typer.Option(callback=positive, help="Seconds after which a case is given up; by default 60.")
    ] = None,
    fail_on: Failing = [],  # noqa: B006 typer reads the default and never changes it
    json: SummaryJson = None,
    html: SummaryHtml = None,
    reproduce: Reproducers = None,
) -> int:
    """Verify builds on networks and data that Hypothesis draws, group what is wrong by its cause, and make it small.

    Exit codes: 0 nothing wrong, 1 something wrong, 2 bad usage or input. Cases without an answer (unresolved, nonsmooth)
    are counted and no failure: kinks are drawn on purpose.
    """
    from gradcheck.campaign.report.words import repeated  # campaigns are imported where one is asked for
    from gradcheck.cli import fuzzing

    if examples and minutes:
        raise typer.BadParameter("expected one of --examples and --minutes")
    if resume and store is None:
        raise typer.BadParameter("--resume needs --store")
    within_cores("--jobs", jobs or 1, "processes", oversubscribe=oversubscribe)
    path = store or absolute(Path(time.strftime("fuzz-%Y%m%d-%H%M%S.db")))
    files, folders = {"--json": json, "--html": html}, {"--reproduce": reproduce}
    check_outputs([*(backend or []), replay], files, folders=folders, stores={} if replay else {"--store": path})
    wanted = fuzzing.fields(backend, seed, layers, limit)
    plan = fuzzing.planned(wanted, replay or (store if resume else None), replay=replay is not None)
    with fuzzing.pool(plan, jobs or os.cpu_count() or 1, scheduler) as workers:
        if replay is not None:
            found = fuzzing.replay(replay, plan, workers)
            show(fuzzing.as_table(found), for_people(json))
            write_out(json, lambda: fuzzing.as_json(found))
            return Exit.WRONG if any(each.now == Verdict.WRONG for each in found) else Exit.GOOD
        with fuzzing.opened(path, plan, resume=resume) as campaign:
            interrupted = fuzzing.run(campaign, workers, examples or (0 if minutes else EXAMPLES), 60 * (minutes or 0))
            code = _deliver(campaign, path, json, html, reproduce, fail_on)
            campaign.check_kept()
    if interrupted:
        again = f"gradcheck fuzz --resume --store {argument(str(path))}{repeated(plan)}"
        show(f"interrupted: {again} goes on", sys.stderr)
    elif store is None and code is Exit.GOOD:
        path.unlink()
    else:
        show(f"every case is kept in {path}", for_people(json, html))
    return Exit.INTERRUPTED if interrupted else code


@app.command("report")
def report_command(
    store: Annotated[Path, typer.Argument(callback=absolute, metavar="CAMPAIGN", help="What fuzz --store has written.")],
    json: SummaryJson = None,
    html: SummaryHtml = None,
    reproduce: Reproducers = None,
    backend: Annotated[
        list[str] | None, typer.Option(help="Repeat the campaign's, where they are code, so that reproducers may load them.")
    ] = None,
) -> int:
    """Say what a campaign has found, also while it runs: coverage, errors, causes of what is wrong, cost.

    Exit codes as for fuzz.
    """
    from gradcheck.campaign.results.store import Store
    from gradcheck.cli.fuzzing import check_code

    check_outputs([store], {"--json": json, "--html": html}, folders={"--reproduce": reproduce})
    with Store.read(store) as campaign:
        if reproduce is not None or backend is not None:
            check_code(campaign.plan, store, backend)
        return _deliver(campaign, store, json, html, reproduce, [], code=backend is not None)


def _deliver(
    campaign: "Store",
    store: Path,
    json: Path | None,
    html: Path | None,
    reproduce: Path | None,
    fail_on: list[FailOn],
    *,
    code: bool = True,
) -> Exit:
    """Show a summary, write it where it is wanted, and return the exit code that it deserves."""
    from gradcheck.campaign.report.text import render
    from gradcheck.campaign.reproducers import write_reproducers
    from gradcheck.campaign.results.summary import summarize
    from gradcheck.cases.files import naming

    summary = summarize(campaign)
    show(render(summary, typed.text(str(store))), for_people(json, html))
    write_out(json, lambda: json_text(summary.to_table()) + "\n")
    if html is not None:
        from gradcheck.campaign.report.html import to_html

        write_out(html, lambda: to_html(summary, code=code))
    if reproduce is not None:
        with naming(store):
            write_reproducers(summary, reproduce)
    met = {*summary.verdicts, *([Verdict.UNSUPPORTED] if summary.unsupported else [])}
    return Exit.WRONG if {Verdict.WRONG, *fail_on} & met else Exit.GOOD
