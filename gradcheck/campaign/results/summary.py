"""What a campaign has found, as data: counts, coverage, errors in units of their bounds, groups of what is wrong, cost."""

from bisect import bisect_left
from collections import Counter
from typing import Any

import msgspec

from gradcheck.campaign.plan import Plan
from gradcheck.campaign.results.groups import Suspect, features, grouped, merged, suspects, telling
from gradcheck.campaign.results.record import UNSUPPORTED, Mistake, Record
from gradcheck.campaign.results.store import Store
from gradcheck.campaign.tables import kind_of, kinds_of
from gradcheck.verdict.findings import Verdict

FORMAT = 2  # 1 had the text of a reproducer in each record
EDGES = tuple(10.0 ** (quarter / 4) for quarter in range(-20, 1))  # 1e-5 to 1, four to a decade


class Errors(msgspec.Struct, kw_only=True):
    """The largest error of each case, in units of its bound, of one backend.

    Attributes
    ----------
    counts : list of int
        How many cases lie below the first of the summary's ``edges``, between two of them, and above the last.
    worst, case : float, str
        The largest, and the name of the case that has it.
    """

    counts: list[int] = msgspec.field(default_factory=lambda: [0] * (len(EDGES) + 1))
    worst: float = 0.0
    case: str = ""

    def add(self, ratio: float, name: str) -> None:
        """Count one case."""
        self.counts[bisect_left(EDGES, ratio)] += 1
        if ratio and (ratio, name) > (self.worst, self.case):
            self.worst, self.case = ratio, name


class Failure(msgspec.Struct, kw_only=True):
    """Cases that one cause explains.

    Attributes
    ----------
    common : list of str
        What all of them have and few others do: layers, loss, sizes.
    first : str
        Name of the smallest case that was met.
    smallest, met : Record, optional
        What it shrank to; the first, where it was not made smaller.
    """

    cause: Mistake
    cases: int
    common: list[str]
    first: str
    smallest: Record | None = None
    met: Record | None = None

    @property
    def shown(self) -> Record | None:
        """The smallest case that there is of it."""
        return self.smallest or self.met


class Summary(msgspec.Struct, kw_only=True):
    """A campaign in figures.

    Attributes
    ----------
    versions : list of dict
        Of every library, for each run.
    examples : int
        Drawn; a case that was drawn again is not judged again.
    reasons : dict of str to dict of str to int
        By verdict, why not correct; numbers are left out.
    unsupported : dict of str to dict of str to int
        By backend and reason: how many cases it does not support, which the others have judged.
    errors : dict of str to Errors
        By backend; ``edges`` are those of their bins.
    coverage : dict of str to dict of str to dict of str to int
        How many cases have a layer, by dtype, loss and layer.
    depths : dict of int to int
        How many cases have so many dense layers.
    failures : list of Failure
        What is wrong, most cases first.
    seconds : float
        Spent on judging, added up over all workers.
    slowest, longest : str, float
        Name of the case that took longest, and its seconds.
    evaluations : int
        Of the loss, by the oracles.
    """

    plan: Plan
    versions: list[dict[str, str]]
    examples: int
    judged: int = 0
    verdicts: dict[str, int] = {}
    reasons: dict[str, dict[str, int]] = {}
    unsupported: dict[str, dict[str, int]] = {}
    errors: dict[str, Errors] = {}
    edges: tuple[float, ...] = EDGES
    coverage: dict[str, dict[str, dict[str, int]]] = {}
    depths: dict[int, int] = {}
    failures: list[Failure] = []
    seconds: float = 0.0
    slowest: str = ""
    longest: float = 0.0
    evaluations: int = 0

    def to_table(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {"format": FORMAT, **msgspec.to_builtins(self, str_keys=True, order="deterministic")}


def summarize(store: Store) -> Summary:
    """Read a store once, from beginning to end."""
    examples = sum(map(len, store.shards().values()))
    summary = Summary(plan=store.plan, versions=store.versions, examples=examples)
    shares, wrong = Counter[str](), list[Suspect]()
    for record in store.records():
        _count(summary, record)
        shares.update(features(record.case))
        if record.verdict == Verdict.WRONG:
            wrong += suspects(record)
    summary.verdicts = store.counts()
    summary.reasons = {verdict: reasons for verdict in summary.verdicts if (reasons := store.reasons(verdict))}
    smallest = store.smallest()
    groups = sorted(merged(grouped(wrong), smallest), key=lambda group: -len(group.names))
    summary.failures = [
        Failure(
            cause=group.cause,
            cases=len(group.names),
            common=telling(group, shares, summary.judged),
            first=group.names[0],
            smallest=smallest.get(group.cause),
            met=None if group.cause in smallest else store.record(group.names[0]),
        )
        for group in groups
    ]
    return summary


def _count(summary: Summary, record: Record) -> None:
    summary.judged += 1
    summary.seconds += record.seconds
    summary.evaluations += record.evaluations
    if record.seconds > summary.longest:
        summary.longest, summary.slowest = record.seconds, record.name
    for backend, ratio in record.ratios.items():
        summary.errors.setdefault(backend, Errors()).add(ratio, record.name)
    for each in (cause for cause in record.causes if cause.cause == UNSUPPORTED):
        reasons = summary.unsupported.setdefault(each.backend, {})
        reasons[each.where] = reasons.get(each.where, 0) + 1
    kinds = Counter(kinds_of(record.case))
    summary.depths[kinds["dense"]] = summary.depths.get(kinds["dense"], 0) + 1
    row = summary.coverage.setdefault(record.case["case"].get("dtype", "float64"), {}).setdefault(
        kind_of(record.case["loss"]), {}
    )
    row |= {kind: row.get(kind, 0) + 1 for kind in kinds}
