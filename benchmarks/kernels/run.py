"""How well does `gradcheck.check_torch(kernel, ..., reference=plain)` tell honest kernels from faulty ones?

``python -m benchmarks.kernels.run`` asks about every operation of the corpus: its honest forms, its faults, and honest
forms with one entry off (``--kinds``), in several arithmetics, kinds of data and shapes; writes a row for each block to
``--out`` and prints what was accused, left undecided or overlooked. ``--read`` prints the tables of rows that were written.
"""

import argparse
import json
import multiprocessing
import random
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.kernels.asking import GROUPS, Case, Chosen, ask, cases
from benchmarks.kernels.counting import tables
from benchmarks.kernels.data import KINDS, SIZES
from benchmarks.kernels.ways import WAYS

WIDTH = 150  # of what is printed, also where the output is a file
EVERY = 20.0  # seconds between two lines of progress


def answers(asked: list[Case], jobs: int) -> Iterator[list[dict[str, Any]]]:
    """As they come; a process that dies is a row."""
    start = last = time.perf_counter()
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        futures = {pool.submit(ask, case): case for case in asked}
        for done, future in enumerate(as_completed(futures), 1):
            case, died = futures[future], future.exception()
            row = {**case._asdict(), "name": case.name, "block": "", "verdict": "raised", "reason": f"raised: {died!r}"}
            yield [row] if died else future.result()
            if time.perf_counter() - last > EVERY or done == len(futures):
                last = time.perf_counter()
                print(f"{done} of {len(futures)}, {last - start:.0f} s", file=sys.stderr, flush=True)


def collected(chosen: argparse.Namespace) -> list[dict[str, Any]]:
    """All rows, written as they come."""
    what = Chosen(chosen.kinds, chosen.precision, chosen.data, chosen.shapes, chosen.operations, chosen.seed)
    asked = list(cases(what))
    random.Random(chosen.seed).shuffle(asked)
    rows: list[dict[str, Any]] = []
    with chosen.out.open("w") as file:
        for found in answers(asked[: chosen.limit], chosen.jobs):
            rows += found
            file.writelines(json.dumps(row) + "\n" for row in found)
            file.flush()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--precision", nargs="+", default=["float32"], choices=WAYS)
    parser.add_argument("--data", nargs="+", default=["standard"], choices=[*GROUPS, *KINDS])
    parser.add_argument("--operations", nargs="+", default=[""], metavar="PATTERN", help="regular expressions")
    parser.add_argument(
        "--kinds", nargs="+", default=["honest", "faults", "planted"], choices=["honest", "faults", "planted"]
    )
    parser.add_argument("--shapes", nargs="+", default=["small", "odd"], choices=SIZES)
    parser.add_argument("--limit", type=int, metavar="N", help="so many cases, drawn by the seed")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("rows.jsonl"))
    parser.add_argument("--read", action="store_true", help="print the tables of what stands in --out")
    chosen = parser.parse_args()
    rows = [json.loads(line) for line in chosen.out.read_text().splitlines()] if chosen.read else collected(chosen)
    console = Console(width=max(Console().width, WIDTH), highlight=False, markup=False)
    for part in tables(rows):
        console.print(part)


if __name__ == "__main__":
    main()
