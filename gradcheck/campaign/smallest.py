"""Failures made small: for each group, the smallest network that Hypothesis finds with the same verdict and cause."""

from concurrent.futures import Future
from contextlib import closing
from typing import Any

import msgspec

from gradcheck.campaign.child import Child
from gradcheck.campaign.groups import UNNAMED, grouped, suspects
from gradcheck.campaign.plan import Plan
from gradcheck.campaign.pools import Pool
from gradcheck.campaign.record import Cause, Record
from gradcheck.campaign.shards import shrink
from gradcheck.campaign.store import Store
from gradcheck.verdict.findings import Verdict

GROUPS = 12  # that are made small; what is rarer is shown as it was met


def make_small(store: Store, pool: Pool) -> int:
    """Shrink what is wrong, group by group, and keep the smallest case of each; return how many groups there are."""
    groups = grouped(suspect for record in store.records(Verdict.WRONG) for suspect in suspects(record))
    known = store.smallest()
    shards = _first_shards(store)
    tasks: dict[Future[Any], Cause] = {}
    for group in groups[:GROUPS]:
        if group.cause not in known and group.cause.backend != "-":
            shard = min(shards[name] for name in group.names)
            tasks[pool.run(smallest, store.plan, shard, group.cause)] = group.cause
    for future, cause in tasks.items():
        if (record := future.result()) is not None:
            store.keep_smallest(cause, record)
    return len(groups)


def smallest(plan: Plan, shard: int, cause: Cause) -> Record | None:
    """The smallest case made of the first in a shard in which a backend is wrong for this cause; None where none is."""
    found: list[Record] = []
    with closing(Child(msgspec.structs.replace(plan, backends=_only(plan, cause.backend)))) as child:

        def fails(table: dict[str, Any]) -> bool:
            record = child.judge(table)
            failed = record.verdict == Verdict.WRONG and _has(record, cause)
            found.extend([record] if failed else [])
            return failed

        shrink(plan, shard, fails)
    return found[-1] if found else None


def _has(record: Record, cause: Cause) -> bool:
    return cause in record.causes or (cause.cause == UNNAMED and not record.causes)


def _only(plan: Plan, backend: str) -> tuple[str, ...]:
    """The plan's name for a backend that is called this in reports."""
    return tuple(name for name in plan.backends if name.rpartition(":")[2] == backend) or plan.backends


def _first_shards(store: Store) -> dict[str, int]:
    """The first shard that holds a case, by its name."""
    found: dict[str, int] = {}
    for shard, names in store.shards().items():
        for name in names:
            found.setdefault(name, shard)
    return found
