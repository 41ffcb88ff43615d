"""A shard of cases, drawn in a process of its own: ``python -m gradcheck.strategies.drawing SHARD``.

Hypothesis takes constants from the source of every local module that is loaded, so one module more would make other cases:
here nothing is loaded but this package. SHARD is a JSON table with ``seed``, ``size`` and ``layers``; it is a fixed sequence
of runs under ``@given``, each seeded. Each case is a line of JSON on standard output. With ``ask`` in the table, each line
is answered on standard input, 1 where the case fails; Hypothesis then shrinks the first failure, and the last case that was
answered with 1 is the smallest.
"""

import itertools
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis.strategies import SearchStrategy

from gradcheck.cases.case import Case
from gradcheck.cases.files import case_to_table
from gradcheck.network.layers import LAYERS, Activation
from gradcheck.network.network import Network
from gradcheck.strategies.architectures import ACTIVATIONS, networks
from gradcheck.strategies.composition import ROWS, composed_networks
from gradcheck.strategies.concrete import cases

# Cases drawn in one run of Hypothesis: from the tenth example on most are variations of those before, and a run of hundreds
# holds half as many networks. Measured, not derived.
PART = 8


class Failed(Exception):
    """The answer was 1."""


def _draw_part(strategy: SearchStrategy[Case], start: int, count: int, each: Callable[[Case], None], *, ask: bool) -> None:
    """One run of Hypothesis; where ``each`` raises `Failed`, it goes on with ever smaller cases.

    Its first example, one more than is asked for, is the simplest of all and the same in each run.
    """
    examples = itertools.count()

    @seed(start)
    @settings(
        max_examples=count + 1,
        phases=[Phase.generate, *([Phase.shrink] if ask else [])],
        database=None,
        deadline=None,
        derandomize=False,
        report_multiple_bugs=False,
        suppress_health_check=[*HealthCheck],  # pyright: ignore[reportArgumentType] its metaclass hides that they are members
        verbosity=Verbosity.quiet,
    )
    @given(strategy)
    def run(case: Case) -> None:
        if next(examples) > 0:
            each(case)

    run()


def networks_with(names: list[str]) -> SearchStrategy[Network]:
    """Of the layers of these names in the table: flat ones, and others where a layer is more than a function of an entry.

    Where there are no names, all layers and both sorts.
    """
    rows = tuple(LAYERS[name] for name in names) or ROWS
    flat = networks(layers=[layer for layer in ACTIVATIONS if isinstance(layer, rows)])
    entrywise = [row for row in rows if issubclass(row, Activation)]
    if len(entrywise) == len(rows):
        return flat
    composed = composed_networks(layers=rows)
    return flat | composed if entrywise else composed


def main() -> None:
    """Print the cases of one shard."""
    shard = json.loads(sys.argv[1])
    size, ask = shard["size"], bool(shard.get("ask"))
    strategy = cases(networks=networks_with(shard["layers"]))

    def report(case: Case) -> None:
        print(json.dumps(case_to_table(case, Path())), flush=ask)
        if ask and sys.stdin.readline().strip() == "1":
            raise Failed

    with suppress(Failed):
        for start in range(0, size, PART):
            _draw_part(strategy, shard["seed"] + start, min(PART, size - start), report, ask=ask)


if __name__ == "__main__":
    main()
