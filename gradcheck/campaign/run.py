"""The course of a campaign: shards are drawn ahead, each new case is judged once, each record is kept before it counts."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from itertools import count
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from gradcheck.campaign.plan import Table, name_of
from gradcheck.campaign.pools.protocol import Pool
from gradcheck.campaign.results.record import Record
from gradcheck.campaign.results.store import Store
from gradcheck.campaign.shards import draw

AHEAD = 2  # shards for each worker whose cases may wait: on a cluster a shard is one task
MOMENT = 0.25  # seconds between two commits


class Progress(NamedTuple):
    """How far a campaign is: records just kept, examples drawn so far, and those of them that are still to be judged."""

    records: list[Record]
    drawn: int
    waiting: int


def run_campaign(
    store: Store, pool: Pool, *, examples: int = 0, seconds: float = 0.0, watch: Callable[[Progress], None]
) -> None:
    """Go on with a store's plan until ``examples`` are drawn, or for so many seconds; ``watch`` is called after each commit.

    Raises
    ------
    GradcheckError
        Where a backend cannot be had, or nothing can be written. What was kept stays.
    """
    _Run(store, pool, examples, time.monotonic() + seconds if seconds else float("inf"), watch).run()


class _Run:
    """The state of a run: which cases were met, which tasks are under way."""

    def __init__(self, store: Store, pool: Pool, examples: int, end: float, watch: Callable[[Progress], None]) -> None:
        self.store, self.pool, self.examples, self.end, self.watch = store, pool, examples, end, watch
        self.size = store.plan.size
        self.before, self.judged = store.shards(), store.names()
        self.met = set(self.judged)
        self.drawn = 0
        self.shards = iter(range(-(-examples // self.size)) if examples else count())
        self.drawing: dict[Future[Any], int] = {}
        self.judging: dict[Future[Any], int] = {}  # and how many cases each judges, or will
        self.done = SimpleQueue[Future[Any]]()
        self.fresh: list[Record] = []

    def run(self) -> None:
        """Until nothing is under way, or something ends it; what was judged by then is kept."""
        try:
            self._draw_ahead()
            kept = time.monotonic()
            while self.drawing or self.judging:
                with suppress(Empty):
                    self._take(self.done.get(timeout=MOMENT))
                if time.monotonic() - kept > MOMENT:
                    self._keep()
                    kept = time.monotonic()
                    self._draw_ahead()
        finally:
            answered = [task for task in self.judging if task.done() and not task.cancelled() and not task.exception()]
            self.fresh += [record for task in answered for record in task.result()]
            self._keep()

    def _draw_ahead(self) -> None:
        """Ask for shards while workers could run dry; those of which every case was judged are over."""
        room = AHEAD * self.pool.jobs * self.size
        while len(self.drawing) < self.pool.jobs and sum(self.judging.values()) < room and time.monotonic() < self.end:
            shard = next(self.shards, None)
            if shard is None:
                return
            names = self._wanted(shard, self.before.get(shard, ()))
            if len(names) == len(self._wanted(shard, range(self.size))) and self.judged.issuperset(names):
                self.drawn += len(names)
            else:
                self._begin(self.pool.run(draw, self.store.plan, shard), self.drawing, shard)

    def _wanted(self, shard: int, cases: Any) -> Any:
        """Those of a shard that are asked for: all, but of the last."""
        return cases[: self.examples - shard * self.size] if self.examples else cases

    def _begin(self, future: Future[Any], tasks: dict[Future[Any], int], number: int) -> None:
        tasks[future] = number
        future.add_done_callback(self.done.put)

    def _take(self, future: Future[Any]) -> None:
        shard = self.drawing.pop(future, None)
        self.judging.pop(future, None)
        if future.cancelled():
            return
        if shard is None:
            self.fresh += future.result()
        else:
            self._send(shard, future.result())
            self._draw_ahead()

    def _send(self, shard: int, tables: list[Table]) -> None:
        """Have the cases judged that nobody has met."""
        wanted = [(name_of(table), table) for table in self._wanted(shard, tables)]
        self.store.drawn(shard, [name for name, _ in wanted])
        self.drawn += len(wanted)
        new = {name: table for name, table in wanted if name not in self.met}
        self.met |= new.keys()
        futures = list(self.pool.judge(self.store.plan, list(new.values()))) if new else []
        for future in futures:
            self._begin(future, self.judging, len(new) // len(futures))

    def _keep(self) -> None:
        if time.monotonic() > self.end:
            for future in [*self.drawing, *self.judging]:
                future.cancel()
        self.store.keep(self.fresh)
        kept, self.fresh = self.fresh, []
        self.judged |= {record.name for record in kept}
        self.watch(Progress(kept, self.drawn, sum(self.judging.values())))
