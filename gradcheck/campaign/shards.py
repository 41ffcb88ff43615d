"""Shards of cases and how failures in them shrink: what Hypothesis draws, in processes that know nothing of any backend."""

import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from gradcheck.campaign.plan import Plan, Table
from gradcheck.errors import CallFailed, LibraryNotInstalled
from gradcheck.foundation.processes import Process

SHRINKING = 120.0  # seconds after which a failure is small enough: what a reader waits for one; not measured


def draw(plan: Plan, shard: int) -> list[Table]:
    """The cases of a shard as tables, in the order drawn; the same for the same versions of the libraries.

    Raises
    ------
    LibraryNotInstalled, CallFailed
        Where Hypothesis is absent or fails.
    """
    with _drawing(plan, shard, ask=False) as (process, errors):
        tables = [json.loads(line) for line in process.lines()]
        code, said = process.close(), errors.read_text(errors="replace")
    if "No module named 'hypothesis'" in said:
        raise LibraryNotInstalled("campaigns need hypothesis: pip install 'gradcheck[fuzz]'")
    if code:
        last = said.strip().splitlines()[-1:] or [f"exit code {code}"]
        raise CallFailed(f"drawing a shard failed: {last[0]}")
    return tables


def shrink(plan: Plan, shard: int, fails: Callable[[Table], bool]) -> Table | None:
    """The smallest case made of the first of a shard that fails, the last that ``fails`` was true of; None without one."""
    smallest, end = None, time.monotonic() + SHRINKING
    with _drawing(plan, shard, ask=True) as (process, _):
        for line in process.lines():
            table = json.loads(line)
            failed = time.monotonic() < end and fails(table)
            smallest = table if failed else smallest
            process.send(b"1" if failed else b"0")
    return smallest


@contextmanager
def _drawing(plan: Plan, shard: int, *, ask: bool) -> Generator[tuple[Process, Path]]:
    """A process, and the file of its errors; in an empty folder, since Hypothesis leaves files where it works."""
    digest = hashlib.blake2b(f"{plan.seed} {shard}".encode(), digest_size=8).digest()
    table = {"seed": int.from_bytes(digest), "size": plan.size, "layers": plan.layers, "ask": ask}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (folder / "errors").open("wb") as errors:
            process = Process("gradcheck.strategies.drawing", json.dumps(table), folder=folder, errors=errors)
            try:
                yield process, folder / "errors"
            finally:
                process.close(grace=0)
