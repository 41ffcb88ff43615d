"""Shards of cases and how failures in them shrink: what Hypothesis draws, in processes that know nothing of any backend."""

import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path

from gradcheck.campaign.plan import Plan, Table
from gradcheck.errors import CallFailed, LibraryNotInstalled
from gradcheck.foundation.processes import Ended, Process

PATIENCE = 600.0  # seconds for a case to be drawn
KILLS = 20  # by whoever it was, until nothing can be drawn: no backend has a part in it
SHRINKING = 120.0  # seconds after which a failure is small enough: what a reader waits for one; not measured


def draw(plan: Plan, shard: int) -> list[Table]:
    """The cases of a shard as tables, in the order drawn; the same for the same versions of the libraries.

    Raises
    ------
    LibraryNotInstalled, CallFailed
        Where Hypothesis is absent or fails.
    """
    tables, ended = _drawn(plan, shard)
    for kills in range(KILLS):
        if ended.code >= 0:
            break
        _wait(kills)
        tables, ended = _drawn(plan, shard)
    if "No module named 'hypothesis'" in ended.said:
        raise LibraryNotInstalled("campaigns need hypothesis: pip install 'gradcheck[fuzz]'")
    if ended.code or ended.timed_out:
        raise CallFailed(f"drawing a shard failed: {ended}")
    return tables


def _drawn(plan: Plan, shard: int) -> tuple[list[Table], Ended]:
    """The cases of a shard, as far as they came, and how that ended."""
    tables = list[Table]()
    with _drawing(plan, shard, ask=False) as process:
        try:
            while True:
                tables.append(json.loads(process.receive(PATIENCE)))
        except Ended as ended:
            return tables, ended


def shrink(plan: Plan, shard: int, fails: Callable[[Table], bool]) -> Table | None:
    """The smallest case made of the first of a shard that fails, the last that ``fails`` was true of; None without one."""
    smallest, end = None, time.monotonic() + SHRINKING
    for kills in range(KILLS):
        with _drawing(plan, shard, ask=True) as process:
            try:
                while True:
                    table = json.loads(process.receive(PATIENCE))
                    failed = time.monotonic() < end and fails(table)
                    smallest = table if failed else smallest
                    process.send(b"1" if failed else b"0")
            except Ended as ended:
                if ended.code >= 0:
                    break
        _wait(kills)
    return smallest


def _wait(kills: int) -> None:
    """Longer each time, up to a second: who kills without a pause would hit the next process, too, before it has begun."""
    time.sleep(min(0.05 * 2**kills, 1.0))


@contextmanager
def _drawing(plan: Plan, shard: int, *, ask: bool) -> Generator[Process]:
    """A process in an empty folder, since Hypothesis leaves files where it works."""
    digest = hashlib.blake2b(f"{plan.seed} {shard}".encode(), digest_size=8).digest()
    table = {"seed": int.from_bytes(digest), "size": plan.size, "layers": plan.layers, "ask": ask}
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(Process("gradcheck.strategies.drawing", json.dumps(table), folder=Path(folder))) as process,
    ):
        yield process
