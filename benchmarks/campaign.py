"""What a campaign costs: judging a case against computing it once, and what a second worker gains.

    python benchmarks/campaign.py --shards 4 --seed 0

For each drawn case, in turn: the three builds build the network and compute loss and gradients once, and `judge` makes its
record. The ratio is the median over all cases. Then the same cases are judged by one worker and by two, three times in turn;
the gain is the ratio of the medians. Drawing is in neither.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from gradcheck.builds import registry
from gradcheck.campaign import shards
from gradcheck.campaign.judging import judge
from gradcheck.campaign.plan import Plan, Table
from gradcheck.campaign.pools.local import Local
from gradcheck.cases.files import case_from_table

WARM = 20  # cases before the clock counts
ROUNDS = 3


def seconds_of_builds(plan: Plan, table: Table) -> float:
    """Build the network with every backend, and compute loss and gradients once."""
    case, backends = case_from_table(table, Path()), registry.resolve(plan.backends).values()
    parameters, batch = case.parameters, case.batch
    start = time.perf_counter()
    for backend in backends:
        backend.build(case.network).loss_and_gradients(parameters, batch)
    return time.perf_counter() - start


def seconds_of_judging(plan: Plan, table: Table) -> float:
    """Make the record of a case."""
    start = time.perf_counter()
    judge(plan, table)
    return time.perf_counter() - start


def cost(plan: Plan, tables: Sequence[Table]) -> None:
    """Print both, case by case in turn, and their ratio."""
    for table in tables[:WARM]:
        seconds_of_builds(plan, table)
        seconds_of_judging(plan, table)
    pairs = [(seconds_of_builds(plan, table), seconds_of_judging(plan, table)) for table in tables]
    builds, judging = (statistics.median(each) for each in zip(*pairs, strict=True))
    ratio = statistics.median(judged / built for built, judged in pairs)
    print(f"{len(tables)} cases, medians: builds {1e3 * builds:.2f} ms, judging {1e3 * judging:.2f} ms, ratio {ratio:.2f}")


def gain(plan: Plan, tables: list[Table]) -> None:
    """Print what two workers do in place of one."""
    spent: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(ROUNDS):
        for jobs, times in spent.items():
            times.append(_judged_by(jobs, plan, tables))
    one, two = (statistics.median(times) for times in spent.values())
    print(f"one worker {one:.1f} s, two workers {two:.1f} s, gain {one / two:.2f}")


def _judged_by(jobs: int, plan: Plan, tables: list[Table]) -> float:
    """Seconds, once every worker has loaded the backends."""
    pool = Local(jobs, plan.backends)
    try:
        for future in list(pool.judge(plan, tables[: 4 * jobs])):
            future.result()
        start = time.perf_counter()
        for future in list(pool.judge(plan, tables)):
            future.result()
        return time.perf_counter() - start
    finally:
        pool.close()


def main() -> None:
    """Draw shards, then measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    plan = Plan(seed=arguments.seed)
    tables = [table for shard in range(arguments.shards) for table in shards.draw(plan, shard)]
    cost(plan, tables)
    gain(plan, tables)


if __name__ == "__main__":
    main()
