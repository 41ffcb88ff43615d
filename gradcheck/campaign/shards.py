"""Shards of cases and how failures in them shrink: what Hypothesis draws, in processes that know nothing of any backend."""

import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from gradcheck.campaign.plan import Plan, Table
from gradcheck.errors import CallFailed, LibraryNotInstalled

SHRINKING = 120.0  # seconds after which a failure is small enough; chosen, not derived


def draw(plan: Plan, shard: int) -> list[Table]:
    """The cases of a shard as tables, in the order drawn; the same for the same versions of the libraries.

    Raises
    ------
    LibraryNotInstalled, CallFailed
        Where Hypothesis is absent or fails.
    """
    with _drawing(plan, shard, ask=False) as process:
        lines, errors = process.communicate()
    _check(process.returncode, errors)
    return [json.loads(line) for line in lines.splitlines()]


def shrink(plan: Plan, shard: int, fails: Callable[[Table], bool]) -> Table | None:
    """The smallest case that Hypothesis makes of the first in this shard that fails; None where none does.

    The last case that ``fails`` was true of is that one.
    """
    smallest, end = None, time.monotonic() + SHRINKING
    with _drawing(plan, shard, ask=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for line in process.stdout:
            table = json.loads(line)
            failed = time.monotonic() < end and fails(table)
            smallest = table if failed else smallest
            process.stdin.write(f"{int(failed)}\n")
            process.stdin.flush()
    return smallest


@contextmanager
def _drawing(plan: Plan, shard: int, *, ask: bool) -> Generator[subprocess.Popen[str]]:
    """In an empty folder: Hypothesis leaves files where it works."""
    digest = hashlib.blake2b(f"{plan.seed} {shard}".encode(), digest_size=8).digest()
    table = {"seed": int.from_bytes(digest), "size": plan.size, "layers": plan.layers, "ask": ask}
    command = [sys.executable, "-P", "-m", "gradcheck.strategies.drawing", json.dumps(table)]
    pipe = subprocess.PIPE
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(command, cwd=folder, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def _check(code: int, errors: str) -> None:
    if "No module named 'hypothesis'" in errors:
        raise LibraryNotInstalled("campaigns need hypothesis: pip install 'gradcheck[fuzz]'")
    if code:
        last = errors.strip().splitlines()[-1:] or [f"exit code {code}"]
        raise CallFailed(f"drawing a shard failed: {last[0]}")
