"""Failures made small: for each group, the smallest network that Hypothesis finds with the same verdict and cause."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import closing
from typing import Any

import msgspec

from gradcheck.campaign.child import Child
from gradcheck.campaign.plan import Plan, Table, name_of
from gradcheck.campaign.pools.protocol import Pool
from gradcheck.campaign.results.groups import UNNAMED, grouped, suspects
from gradcheck.campaign.results.record import Mistake, Record
from gradcheck.campaign.results.store import Store
from gradcheck.campaign.shards import SHRINKING, shrink
from gradcheck.campaign.shrinking.reduce import is_small, reduced
from gradcheck.campaign.tables import to_case, to_table
from gradcheck.cases.case import Case
from gradcheck.verdict.findings import Verdict

GROUPS = 12  # that are made small; what is rarer is shown as it was met


def make_small(store: Store, pool: Pool) -> None:
    """Shrink what is wrong, group by group, and keep the smallest case of each."""
    groups = grouped(suspect for record in store.records(Verdict.WRONG) for suspect in suspects(record))
    known = store.smallest()
    first = {name: shard for shard, names in reversed(store.shards().items()) for name in names}  # shards that hold a case
    tasks: dict[Future[Any], Mistake] = {}
    for mistake, names, _ in groups[:GROUPS]:
        shards = [first[name] for name in names if name in first]
        if shards and mistake not in known and mistake.backend != "-":
            tasks[pool.run(smallest, store.plan, min(shards), mistake)] = mistake
    for future, mistake in tasks.items():
        if (record := future.result()) is not None:
            store.keep_smallest(mistake, record)


def smallest(plan: Plan, shard: int, mistake: Mistake) -> Record | None:
    """The smallest case made of the first in a shard in which a backend is wrong for this cause; None where none is."""
    judged: dict[str, Record] = {}
    backends = tuple(name for name in plan.backends if name.rpartition(":")[2] == mistake.backend)  # as reports call it
    asked = msgspec.structs.replace(plan, backends=backends or plan.backends)
    with closing(Child()) as child:

        def is_wrong(table: Table) -> bool:
            record = judged[name_of(table)] = judged.get(name_of(table)) or child.judge(asked, table)
            return record.verdict == Verdict.WRONG

        def fails(table: Table) -> bool:
            if not is_wrong(table):
                return False
            causes = judged[name_of(table)].causes
            return mistake in causes or (mistake.cause == UNNAMED and not causes)

        case = made_smallest(plan, shard, fails, is_wrong)
    return None if case is None else judged[name_of(to_table(case))]


def made_smallest(plan: Plan, shard: int, fails: Callable[[Table], bool], is_wrong: Callable[[Table], bool]) -> Case | None:
    """The first failing case of a shard, shrunk by Hypothesis and then taken apart; None where none fails.

    Where it is still large, taken apart further as long as it is wrong: in small the same mistake may go by another name.
    """
    table = shrink(plan, shard, fails)
    if table is None:
        return None
    case = _reduced(to_case(table), fails)
    return case if is_small(case) else _reduced(case, is_wrong)


def _reduced(case: Case, fails: Callable[[Table], bool]) -> Case:
    end = time.monotonic() + SHRINKING
    return reduced(case, lambda smaller: time.monotonic() < end and fails(to_table(smaller)))
