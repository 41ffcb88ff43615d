"""Who watches the checker: small changes of its own code, each of which some test must notice.

``python benchmarks/mutation.py --mutants 200 --seed 0 --reach reach.json`` draws so many of all changes of the rooms that
decide (`mutation_sites.py` says which there are), puts each into a copy of the tree by itself, and runs the tests that call
the changed function, the three files first that call it most, until one fails. ``reach.json`` says which tests call what; it
is made where it does not exist, from one run of the suite (`mutation_reach.py`); ``--record tests/test_new.py`` brings files
in it up to date.

A mutant is known by seed and number: ``--only 0-17`` asks about one again and shows its difference. ``--rooms
verdict,adapters`` takes the drawn ones of these rooms, with the same numbers. A mutant that no test
kills is explained in `mutation_survivors.py` or is a hole.
"""

import argparse
import difflib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from bisect import bisect
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from mutation_reach import RECORD, TESTS
from mutation_report import Outcome, room_of, summary, told
from mutation_sites import Site, sites
from mutation_survivors import reason
from rich.console import Console
from rich.progress import track

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("oracles", "verdict", "checking", "verification", "network/analysis", "adapters", "candidates")
LEFT = shutil.ignore_patterns(".git", ".venv", ".hypothesis", ".*_cache", "*.egg-info", "build", "dist")
FIRST = 3  # files that are asked before all others: most mutants die there, and collecting all files takes seconds
PATIENCE = 5  # times what the tests took when they were recorded, and a minute: beyond that a mutant hangs

Reach = dict[str, dict[str, Any]]
"""Seconds and called functions of each test."""


class Mutant(NamedTuple):
    """One change, by its number among all that the seed has shuffled."""

    name: str
    site: Site


def drawn(seed: int, rooms: Sequence[str] = ROOMS) -> list[Mutant]:
    """All mutants in the order of the seed; those of some rooms keep their numbers."""
    found: list[Site] = []
    for room in ROOMS:
        for path in sorted((ROOT / "gradcheck" / room).glob("*.py")):
            found += sites(str(path.relative_to(ROOT)), path.read_bytes())
    random.Random(seed).shuffle(found)
    chosen = [Mutant(f"{seed}-{number}", site) for number, site in enumerate(found)]
    return [mutant for mutant in chosen if room_of(mutant.site.path) in rooms]


def named(names: Sequence[str]) -> list[Mutant]:
    """Mutants by seed and number."""
    return [drawn(int(seed))[int(number)] for seed, number in (name.split("-") for name in names)]


def reaching(reach: Reach, site: Site, seconds: float) -> list[str]:
    """The tests that call the function, fastest first; of what runs at import those that call its module, or name it.

    As many as take so long together: what only slower ones would notice is counted as a survivor.
    """
    own = f"{site.path}:{site.function}"
    called = [name for name, test in reach.items() if site.function and own in test["functions"]]
    if not called:
        called = [
            name for name, test in reach.items() if any(each.startswith(f"{site.path}:") for each in test["functions"])
        ]
    ordered = sorted(called, key=lambda name: reach[name]["seconds"])
    first = [] if site.function else naming(reach, site)
    ordered = [*first, *(name for name in ordered if name not in first)]
    spent = [*accumulate(reach[name]["seconds"] for name in ordered)]
    return ordered[: 1 + bisect(spent, seconds)]


def naming(reach: Reach, site: Site) -> list[str]:
    """The tests of files that name the constants of a changed line: they may look at them and call nothing."""
    lines = (ROOT / site.path).read_text().splitlines()
    left = lines[site.line - 1].partition(":")[0].partition("=")[0] if site.line <= len(lines) else ""
    names = [name.strip() for name in left.split(",")]
    files = {test.partition("::")[0] for test in reach} if all(map(str.isidentifier, names)) else set[str]()
    texts = {file: (ROOT / file).read_text() for file in files if (ROOT / file).exists()}
    found = {file for file, text in texts.items() if any(name in text for name in names)}
    return [test for test in reach if test.partition("::")[0] in found]


def stages(tests: Sequence[str]) -> list[list[str]]:
    """Those of the files with most of the tests, and the rest."""
    counts: dict[str, int] = {}
    for test in tests:
        file = test.partition("::")[0]
        counts[file] = counts.get(file, 0) + 1
    first = sorted(counts, key=lambda file: -counts[file])[:FIRST]
    near = [test for test in tests if test.partition("::")[0] in first]
    return [near, [test for test in tests if test not in set(near)]]


def run(tree: Path, tests: Sequence[str], limit: float | None, *options: str, **settings: str) -> tuple[int | None, str]:
    """The suite's answer in a tree, None where it took too long."""
    plugin = tree / "plugin"  # by itself: tests and benchmarks have modules of one name
    plugin.mkdir(exist_ok=True)
    shutil.copy(ROOT / "benchmarks" / "mutation_reach.py", plugin)
    path = os.pathsep.join(map(str, (tree, tree / "backends", plugin)))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **settings}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "mutation_reach", *options, *tests]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, cwd=tree, env=environment, start_new_session=True, **pipes) as process:
        try:
            output, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # with the processes that the tests have started
            return None, ""
        return process.returncode, output


def judged(mutant: Mutant, reach: Reach, seconds: float) -> Outcome:
    """A mutant in a copy of its own."""
    tests = reaching(reach, mutant.site, seconds)
    if not tests:
        return outcome(mutant, "unreached")
    with tempfile.TemporaryDirectory() as folder:
        tree = planted(mutant, Path(folder) / "tree")
        for stage in filter(None, stages(tests)):
            listed = tree / "tests.json"
            listed.write_text(json.dumps(stage))
            limit = 60 + PATIENCE * sum(reach[name]["seconds"] for name in stage)
            files = sorted({test.partition("::")[0] for test in stage})
            code, output = run(tree, files, limit, "-x", "-n", "0", **{TESTS: str(listed)})
            if code is None:
                return outcome(mutant, "timed out")
            if code:
                failed = [line for line in output.splitlines() if line.startswith(("FAILED", "ERROR"))]
                return outcome(mutant, "killed", (failed or output.splitlines())[-1].split(" - ")[0])
    return outcome(mutant, "survived")


def planted(mutant: Mutant, tree: Path) -> Path:
    """A copy of the tree with the one change, compiled afresh."""
    shutil.copytree(ROOT, tree, ignore=LEFT)
    file = tree / mutant.site.path
    file.write_bytes(mutant.site.changed(file.read_bytes()))
    for stale in (file.parent / "__pycache__").glob(f"{file.stem}.*"):
        stale.unlink()
    return tree


def outcome(mutant: Mutant, fate: str, test: str = "") -> Outcome:
    """With the changed line as it was and as it is."""
    site, changed = mutant.site, difference(mutant.site)
    before, after = ("".join(line[1:] for line in changed[2:] if line[0] == sign).strip() for sign in "-+")
    known = reason(site.path, before, after) if fate in ("survived", "unreached") else ""
    return Outcome(mutant.name, site.path, site.function, site.line, site.kind, before, after, fate, test, known)


def difference(site: Site) -> list[str]:
    """As ``diff -u`` has it, of the changed lines alone."""
    source = (ROOT / site.path).read_bytes()
    old, new = (text.decode().splitlines(keepends=True) for text in (source, site.changed(source)))
    return [*difflib.unified_diff(old, new, site.path, site.path, n=0)]


def recorded(file: Path, again: Sequence[str]) -> Reach:
    """Which tests call what, from a run of a copy of the tree: of all where there is no record, else of some files again."""
    reach: Reach = json.loads(file.read_text()) if file.exists() else {}
    if reach and not again:
        return reach
    with tempfile.TemporaryDirectory() as folder:
        tree, parts = Path(folder) / "tree", Path(folder) / "parts"
        shutil.copytree(ROOT, tree, ignore=LEFT)
        parts.mkdir()
        run(tree, again if reach else (), None, **{RECORD: str(parts)})
        reach = {name: test for name, test in reach.items() if name.partition("::")[0] not in again}
        for part in parts.glob("*.json"):
            reach |= json.loads(part.read_text())
    file.write_text(json.dumps(reach))
    return reach


def main(arguments: Iterable[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--mutants", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rooms", default=",".join(ROOMS))
    parser.add_argument("--reach", type=Path, required=True, help="JSON file: which tests call what")
    parser.add_argument("--record", nargs="*", default=[], metavar="FILE", help="test files that are new, or others now")
    parser.add_argument("--seconds", type=float, default=60, help="of tests for a mutant")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=[], help="mutants by name")
    parser.add_argument("--json", type=Path, help="where the outcomes are written")
    asked = parser.parse_args([*arguments] if arguments is not None else None)
    console, reach = Console(), recorded(asked.reach, asked.record)
    mutants = named(asked.only) if asked.only else drawn(asked.seed, asked.rooms.split(","))[: asked.mutants]
    for mutant in mutants if asked.only else ():
        console.print("".join(difference(mutant.site)), markup=False)
    with ThreadPoolExecutor(asked.jobs) as pool:
        each = pool.map(partial(judged, reach=reach, seconds=asked.seconds), mutants)
        outcomes = [told(outcome, console) for outcome in track(each, "mutants", total=len(mutants), console=console)]
    summary(outcomes, console)
    if asked.json:
        asked.json.write_bytes(msgspec.json.format(msgspec.json.encode(outcomes)))


if __name__ == "__main__":
    main()
