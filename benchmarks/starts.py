"""How often training arrives, by where it starts from: the tour's two moons, 2-15-1 (arctan, logistic loss), steps of 0.5.

``python benchmarks/starts.py [--seeds 60] [--iterations 10000]`` prints for each start how many seeds end with at least 99%
of the training samples right, and the median of the losses at the end. A seed draws parameters and samples. It takes three
minutes on one core.
"""

import argparse
from statistics import median

from gradcheck import Arctan, Case, Dense, Logistic, Network
from gradcheck.training.starts import STARTS, trials

CASE = Case(Network((2,), (Dense(15), Arctan(), Dense(1), Arctan()), Logistic()), data="two-moons", samples=400)
GOAL = 0.99


def main() -> None:
    """A row for each start."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=60)
    parser.add_argument("--iterations", type=int, default=10_000)
    options = parser.parse_args()
    print("| start | seeds that reach 99% | worst accuracy | median loss |")
    print("|---|---|---|---|")
    for start in STARTS:
        found = trials(CASE, start, range(options.seeds), iterations=options.iterations)
        reached = f"{found.reaching(GOAL)}/{options.seeds}"
        print(f"| {start} | {reached} | {min(found.accuracies):.1%} | {median(found.losses):.4f} |", flush=True)


if __name__ == "__main__":
    main()
