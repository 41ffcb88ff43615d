"""A campaign from the command line: its plan and store, the workers, a run that can be interrupted, and a replay."""

import platform
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from rich.table import Table
from rich.text import Text

from gradcheck.builds import registry
from gradcheck.campaign.plan import Plan
from gradcheck.campaign.pools.cluster import Cluster
from gradcheck.campaign.pools.local import Local
from gradcheck.campaign.pools.protocol import Pool
from gradcheck.campaign.report.words import repeated
from gradcheck.campaign.results.record import Record
from gradcheck.campaign.results.store import Store
from gradcheck.campaign.run import run_campaign
from gradcheck.campaign.shrinking.smallest import make_small
from gradcheck.campaign.tables import to_case
from gradcheck.cases.files import naming
from gradcheck.cli.live import Live
from gradcheck.errors import DescriptionError
from gradcheck.foundation.versions import versions
from gradcheck.foundation.wording import nearest, printable, shown
from gradcheck.foundation.writing import json_text
from gradcheck.network.layers import LAYERS
from gradcheck.verdict.findings import Verdict

LIBRARIES = ("gradcheck", "numpy", "scipy", "hypothesis")


class Replayed(NamedTuple):
    """A stored failure, judged again: what it was wrong because of, and its verdict now."""

    name: str
    cause: str
    now: str
    reason: str


def fields(backends: list[str] | None, seed: int | None, layers: str | None, limit: float | None) -> dict[str, Any]:
    """Those of a plan that were asked for."""
    given = {
        "seed": seed,
        "layers": None if layers is None else _layers(layers),
        "backends": None if backends is None else tuple(map(registry.absolute, backends)),
        "limit": limit,
    }
    return {name: value for name, value in given.items() if value is not None}


def planned(wanted: Mapping[str, Any], store: Path | None, *, replay: bool) -> Plan:
    """Of a new campaign, of one to go on with as it was begun, or of stored failures, perhaps by other backends."""
    if store is None:
        return Plan(**wanted)
    with Store.read(store) as campaign:
        plan = campaign.plan
    if "backends" not in wanted:
        check_code(plan, store)
    if replay:
        return msgspec.structs.replace(plan, **wanted)
    for name, value in wanted.items():
        if value != getattr(plan, name):
            raise DescriptionError(f"the campaign was begun with {name} {getattr(plan, name)!r}, not {value!r}", str(store))
    _check_layers(plan.layers, str(store))
    return plan


def check_code(plan: Plan, store: Path, backends: list[str] | None = None) -> None:
    """Refuse backends that are code and that a file alone names: who has them loaded repeats all of them."""
    if not plan.code or tuple(map(registry.absolute, backends or ())) == plan.backends:
        return
    name = plan.code[0]
    if registry.absolute(name) != name:
        raise DescriptionError(
            f"it names the backend {shown(name)} by a path that is not absolute, which is never loaded", str(store)
        )
    raise DescriptionError(
        f"it names the backend {shown(name)}, which is code: repeat{repeated(plan)} to have it loaded", str(store)
    )


@contextmanager
def pool(plan: Plan, jobs: int, scheduler: str | None) -> Generator[Pool]:
    """Workers here, or on a cluster, every one of which has the backends."""
    workers: Pool = Local(jobs, plan.backends) if scheduler is None else Cluster(scheduler, plan.backends)
    try:
        yield workers
    finally:
        workers.close()


def opened(path: Path, plan: Plan, *, resume: bool) -> Store:
    """The store to write to."""
    if not resume:
        return Store.create(path, plan, _versions(plan))
    store = Store.resume(path, _versions(plan))
    if store.plan != plan:  # since it was asked for
        store.close()
        raise DescriptionError("another campaign stands there now", str(path))
    return store


def run(store: Store, workers: Pool, examples: int, seconds: float) -> bool:
    """Run the campaign for so many examples or seconds and make small what is wrong; whether it was interrupted."""
    try:
        live = Live(store.counts(), examples, seconds)
        with live.line:
            run_campaign(store, workers, examples=examples, seconds=seconds, watch=live.watch)
            live.say("making failures small")
            make_small(store, workers)
    except KeyboardInterrupt:
        return True
    return False


def replay(path: Path, plan: Plan, workers: Pool) -> list[Replayed]:
    """Judge the wrong cases of a store again, those that failures shrank to included; the store stays as it is."""
    with Store.read(path) as store:
        before = {record.name: record for record in (*store.records(Verdict.WRONG), *store.smallest().values())}
    with naming(path):
        for record in before.values():
            to_case(record.case)
    futures = list(workers.judge(plan, [record.case for record in before.values()]))
    now = (record for future in futures for record in future.result())
    return [_replayed(before[record.name], record) for record in now]


def as_table(found: Sequence[Replayed]) -> Table:
    """One row for each cause and verdict."""
    fixed = sum(each.now != Verdict.WRONG for each in found)
    table = Table(
        "was wrong because of", "is now", "cases", "one of them", title=Text(f"{fixed} of {len(found)} are not wrong now")
    )
    counts = Counter((each.cause, each.now) for each in found)
    first = {(each.cause, each.now): each.name[:12] for each in reversed(found)}
    for key, count in counts.most_common():
        table.add_row(*(Text(printable(said)) for said in (*key, str(count), first[key])))
    return table


def as_json(found: Sequence[Replayed]) -> str:
    """For machines."""
    fixed = [each.name for each in found if each.now != Verdict.WRONG]
    table = {"format": 1, "fixed": fixed, "cases": [each._asdict() for each in found]}
    return json_text(table) + "\n"


def _replayed(before: Record, now: Record) -> Replayed:
    cause = f"{before.causes[0].cause} ({before.causes[0].where})" if before.causes else "-"
    return Replayed(now.name, cause, now.verdict, now.reason)


def _layers(names: str) -> tuple[str, ...]:
    """Rows of the table of layers, dense ones apart, which every network has."""
    chosen = tuple(name.strip() for name in names.split(",") if name.strip())
    _check_layers(chosen, "--layers")
    if not chosen:
        raise DescriptionError(f"expected names of layers with commas between them, got {names!r}", "--layers")
    return chosen


def _check_layers(names: tuple[str, ...], where: str) -> None:
    known = [row for row in LAYERS if row != "dense"]
    for name in names:
        if name not in known:
            raise DescriptionError(f"unknown layer {name!r}, {nearest(name, known)}", where)


def _versions(plan: Plan) -> Mapping[str, str]:
    """Of what decides the cases and the answers."""
    entries = registry.registered()
    needs = (entries[name].requires for name in plan.backends if name in entries)
    return {"python": platform.python_version(), "platform": platform.platform(), **versions((*LIBRARIES, *needs))}
