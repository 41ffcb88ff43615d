"""Rows counted: tables, and the names behind what should not be there."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from statistics import median
from typing import Any, TypeAlias

from rich.table import Table

from benchmarks.kernels.catalogue import SAID

Row: TypeAlias = dict[str, Any]
VERDICTS = ("correct", "inexact", "unresolved", "nonsmooth", "wrong", "nondeterministic", "raised")
WORST = ("raised", "nondeterministic", "wrong", "unresolved", "nonsmooth", "inexact", "correct")
ACCUSED = ("wrong", "nondeterministic")


def tables(rows: list[Row]) -> Iterator[Table | str]:
    """All that there is to print."""
    honest = [row for row in rows if row["kind"] == "honest"]
    yield counted("honest blocks", honest, lambda row: f"{row['precision']}, {row['data']}")
    yield from named("honest and accused", (row for row in honest if row["verdict"] in ACCUSED))
    yield from named("honest, float32, and not correct", (r for r in honest if _plain(r) and r["verdict"] != "correct"))
    yield from named("raised", (row for row in rows if row["verdict"] == "raised"))
    faults = [worst(blocks) for blocks in candidates(rows, "faults")]
    yield counted("faults", faults, lambda row: f"{row['precision']}, {row['data']}")
    overlooked = (row for row in faults if row["verdict"] not in (*ACCUSED, "raised"))
    yield from named("faults that are not called wrong", overlooked)
    yield causes([row for row in faults if row["verdict"] in ACCUSED])
    yield counted("one entry off", planted(rows), lambda row: f"{row['precision']}, {row['size']:.0e}")
    yield from cost(rows)


def _plain(row: Row) -> bool:
    return row["precision"] == "float32" and row["verdict"] not in (*ACCUSED, "raised")


def candidates(rows: list[Row], kind: str) -> list[list[Row]]:
    """The blocks of each."""
    found: defaultdict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        if row["kind"] == kind:
            found[row["name"], row["seed"], row["size"]].append(row)
    return list(found.values())


def worst(blocks: list[Row]) -> Row:
    """The block that decides, and the largest effect of any."""
    decides = min(blocks, key=lambda row: (WORST.index(row["verdict"]), -row.get("scales", 0.0)))
    return {**decides, "scales": max(row.get("scales", 0.0) for row in blocks)}


def planted(rows: list[Row]) -> list[Row]:
    return [worst(blocks) for blocks in candidates(rows, "planted")]


def counted(title: str, rows: list[Row], group: Callable[[Row], str]) -> Table:
    """Verdicts by group, with the share that is accused."""
    table = Table(title=f"{title}: {len(rows)}")
    for column in ("", *VERDICTS, "accused"):
        table.add_column(column, justify="right" if column else "left")
    groups: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        groups[group(row)][row["verdict"]] += 1
    for name, verdicts in groups.items():
        share = sum(verdicts[each] for each in ACCUSED) / verdicts.total()
        table.add_row(name, *(str(verdicts[each] or "") for each in VERDICTS), f"{share:.1%}")
    return table


def named(title: str, rows: Iterable[Row]) -> Iterator[str]:
    """Each by name, the largest effect first."""
    found = sorted(rows, key=lambda row: -row.get("scales", 0.0))
    yield f"{title}: {len(found)}"
    for row in found:
        said = f"{row['verdict']}, {row.get('scales', 0.0):.3g} scales: {row['reason']}"
        yield f"  {row['name']} {row['block']}: {said}"


def causes(rows: list[Row]) -> Table:
    """Of faults that were found: what should be named first, how often it is, and what is named instead."""
    table = Table(title=f"first cause as it is labelled: {sum(map(right, rows))} of {len(rows)}")
    for column in ("label", "faults", "named", "instead"):
        table.add_column(column)
    groups: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row["label"]].append(row)
    for label, members in sorted(groups.items()):
        instead = Counter(row["first"] or "none" for row in members if not right(row))
        others = ", ".join(f"{name} {count}" for name, count in instead.most_common(6))
        table.add_row(label, str(len(members)), str(sum(map(right, members))), others)
    return table


def right(row: Row) -> bool:
    return row["first"] in SAID[row["label"]]


def cost(rows: list[Row]) -> Iterator[str]:
    """Seconds and evaluations of candidates."""
    spent = {(row["name"], row["seed"], row["size"]): row for row in rows if "evaluations" in row}.values()
    seconds, runs = ([row[key] for row in spent] or [0] for key in ("seconds", "evaluations"))
    yield f"seconds: median {median(seconds):.2f}, most {max(seconds):.1f}, in all {sum(seconds):.0f}"
    yield f"runs: median {median(runs):.0f}, most {max(runs)}"
    slow = sorted(spent, key=lambda row: -row["seconds"])[:5]
    yield "slowest: " + "; ".join(f"{row['name']} {row['seconds']:.1f} s" for row in slow)
