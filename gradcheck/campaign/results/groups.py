"""What is wrong in many cases, grouped so that one mistake is one line."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from gradcheck.campaign.results.record import Mistake, Record
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
        yield Suspect(record.name, record.causes, had, size)
        return
    findings = record.report["findings"]
    wrong = {(finding["name"], finding["backend"]) for finding in findings if finding["verdict"] == Verdict.WRONG}
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
    left: list[Suspect] = list(found)
    groups: list[Group] = []
    while left:
        counts = Counter(cause for suspect in left for cause in dict.fromkeys(suspect.causes))
        cause = min(counts, key=lambda each: (-counts[each], rank(each.cause)))
        mine = sorted((suspect for suspect in left if cause in suspect.causes), key=lambda suspect: suspect.size)
        left = [suspect for suspect in left if cause not in suspect.causes]
        common = mine[0].features.intersection(*(suspect.features for suspect in mine))
        groups.append(Group(cause, tuple(dict.fromkeys(suspect.name for suspect in mine)), common))
    return groups


def merged(groups: Iterable[Group], smallest: Mapping[Mistake, Record]) -> list[Group]:
    """Groups whose smallest case has an earlier group's cause belong to that one: in small, they are the same mistake."""
    kept: dict[Mistake, Group] = {}
    for group in groups:
        causes = smallest[group.cause].causes if group.cause in smallest else ()
        same = next((kept[cause] for cause in kept if cause in causes), group)
        names = tuple(dict.fromkeys((*same.names, *group.names)))
        kept[same.cause] = Group(same.cause, names, same.features & group.features)
    return list(kept.values())


def features(table: dict[str, Any]) -> frozenset[str]:
    """What a mistake may be conditional on, in words: kinds of layers, loss, dtype, sizes of 1, decay, missing biases."""
    layers: Sequence[dict[str, Any]] = table["layers"]
    dense = [layer for layer in layers if layer["type"] == "dense"]
    samples = samples_of(table["case"])
    said = {
        "weight decay": bool(table.get("weight_decay")),
        "a dense layer without bias": not all(layer["bias"] for layer in dense),
        "a batch of one": samples == 1,
        "several samples": samples > 1,
        "several dense layers": len(dense) > 1,
    }
    kinds = {table["case"]["dtype"], table["loss"]["type"], *(layer["type"] for layer in layers)}
    return frozenset(kinds | {name for name, holds in said.items() if holds})


def samples_of(recipe: Mapping[str, Any]) -> int:
    """The size of a batch, from a case's own table; 0 where a set is used as it is."""
    data: str | dict[str, Any] = recipe["data"]
    return recipe.get("samples") or (0 if isinstance(data, str) else len(data["inputs"]))


def telling(group: Group, shares: Mapping[str, int], cases: int) -> list[str]:
    """Features that all cases of a group have and at most half of all cases, the rarest first."""
    return sorted((name for name in group.features if shares[name] <= TELLING * cases), key=lambda name: shares[name])
