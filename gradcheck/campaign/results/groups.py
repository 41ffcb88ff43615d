"""What is wrong in many cases, grouped so that one mistake is one line."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from msgspec.structs import astuple

from gradcheck.campaign.results.record import Mistake, Record
from gradcheck.campaign.tables import Recipe, Table, kind_of, kinds_of, rows_in
from gradcheck.verdict.causes import rank
from gradcheck.verdict.findings import Verdict

UNNAMED = "unnamed"  # of what no cause was found for
# A feature of at most so many of all cases tells something. Of 16 mistakes in activations all list their layer and no more;
# at 0.2 nine do; at 1 a group lists 2.6 features.
TELLING = 0.5


class Suspect(NamedTuple):
    """A block that a backend has wrong, and what may be the cause; name, features and size are those of the case."""

    name: str
    causes: tuple[Mistake, ...]
    features: frozenset[str]
    size: int


class Group(NamedTuple):
    """The cases that one cause explains, the smallest first, and what features these have in common."""

    cause: Mistake
    names: tuple[str, ...]
    features: frozenset[str]


def suspects(record: Record) -> Iterator[Suspect]:
    """One for each block and backend; a cause that backends have in common is named for the first of them alone."""
    size, had = len(str(record.case)), features(record.case)  # the length is what a person has to read, more or less
    if record.report is None:  # nobody lived to report
        yield Suspect(record.name, record.causes or (Mistake("-", UNNAMED, ""),), had, size)
        return
    findings = record.report["findings"]
    wrong = {(finding["name"], finding["backend"]) for finding in findings if finding["verdict"] is Verdict.WRONG}
    named = defaultdict[tuple[str, str], list[Mistake]](list)
    for each in record.diagnoses:
        named[each.name, each.backend].append(Mistake.of(each))
        if (each.name, each.backend) in wrong:
            named[each.name, ""].append(Mistake.of(each))
    for block, backend in sorted(wrong):
        unnamed = Mistake(backend, UNNAMED, block.rpartition(".")[2])
        yield Suspect(record.name, tuple(named[block, backend] or named[block, ""] or [unnamed]), had, size)


def grouped(found: Iterable[Suspect]) -> list[Group]:
    """The cause that explains most suspects first, then the one that explains most of the rest, and so on.

    A mistake shows as something else here and there (a derivative that is left out, in a layer of one unit, as a factor).
    Such a case names several causes: greedy covering gives it to the one that it has in common with the others.
    """
    all_of_them = list(found)
    holders, counts = defaultdict[Mistake, list[int]](list), Counter[Mistake]()
    for index, suspect in enumerate(all_of_them):
        for cause in dict.fromkeys(suspect.causes):
            holders[cause].append(index)
            counts[cause] += 1
    # In the same order whatever the order of the cases, which is that of the workers.
    queue = [(-counts[cause], rank(cause.cause), astuple(cause), cause) for cause in holders]
    heapify(queue)
    left, groups = set(range(len(all_of_them))), list[Group]()
    while left:
        before, order, words, cause = heappop(queue)
        if -before != counts[cause]:  # others have taken some of its cases since
            heappush(queue, (-counts[cause], order, words, cause))
            continue
        mine = [index for index in holders[cause] if index in left]
        left.difference_update(mine)
        counts.subtract(each for index in mine for each in dict.fromkeys(all_of_them[index].causes))
        groups.append(_group(cause, [all_of_them[index] for index in mine]))
    return groups


def _group(cause: Mistake, suspects: list[Suspect]) -> Group:
    mine = sorted(suspects, key=lambda suspect: (suspect.size, suspect.name))
    common = mine[0].features.intersection(*(suspect.features for suspect in mine))
    return Group(cause, tuple(dict.fromkeys(suspect.name for suspect in mine)), common)


def merged(groups: Iterable[Group], smallest: Mapping[Mistake, Record]) -> list[Group]:
    """Groups whose smallest case has an earlier group's cause belong to that one: in small, they are the same mistake."""
    kept: dict[Mistake, Group] = {}
    place: dict[Mistake, int] = {}
    for group in groups:
        causes = smallest[group.cause].causes if group.cause in smallest else ()
        first = min((cause for cause in causes if cause in kept), key=lambda cause: place[cause], default=None)
        same = group if first is None else kept[first]
        place.setdefault(same.cause, len(place))
        names = tuple(dict.fromkeys((*same.names, *group.names)))
        kept[same.cause] = Group(same.cause, names, same.features & group.features)
    return list(kept.values())


def features(table: Table) -> frozenset[str]:
    """What a mistake may be conditional on, in words: kinds of layers, loss, dtype, sizes of 1, decay, missing biases."""
    dense = [layer for layer in rows_in(table["layers"]) if kind_of(layer) == "dense"]
    samples = samples_of(table["case"])
    said = {
        "weight decay": bool(table.get("weight_decay")),
        "a dense layer without bias": not all(layer.get("bias", True) for layer in dense),
        "a batch of one": samples == 1,
        "several samples": samples > 1,
        "several dense layers": len(dense) > 1,
    }
    kinds = {table["case"].get("dtype", "float64"), kind_of(table["loss"]), *kinds_of(table)}
    return frozenset(kinds | {name for name, holds in said.items() if holds})


def samples_of(recipe: Recipe) -> int:
    """The size of a batch, from a case's own table; 0 where a set is used as it is."""
    data = recipe.get("data", "random")
    return recipe.get("samples") or (0 if isinstance(data, str) else len(data["inputs"]))


def telling(group: Group, shares: Mapping[str, int], cases: int) -> list[str]:
    """Features that all cases of a group have and at most half of all cases, the rarest first."""
    return sorted(
        (name for name in group.features if shares[name] <= TELLING * cases), key=lambda name: (shares[name], name)
    )
