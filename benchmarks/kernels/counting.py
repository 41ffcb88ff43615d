"""Rows counted: tables, and the names behind what should not be there."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from statistics import median
from typing import Any, TypeAlias

from rich.table import Table

from benchmarks.kernels.catalogue import SAID

Row: TypeAlias = dict[str, Any]
VERDICTS = ("correct", "inexact", "unresolved", "nonsmooth", "wrong", "non-finite", "nondeterministic", "raised")
WORST = ("raised", "nondeterministic", "non-finite", "wrong", "unresolved", "nonsmooth", "inexact", "correct")
ACCUSED = ("wrong", "non-finite", "nondeterministic")


def tables(rows: list[Row]) -> Iterator[Table | str]:
    """All that there is to print."""
    rows = sorted(rows, key=lambda row: (row["precision"], row["data"], -row["size"], row["name"]))
    honest = [row for row in rows if row["kind"] == "honest"]
    yield counted("honest blocks", honest, _arithmetic)
    yield from named("honest and accused", (row for row in honest if row["verdict"] in ACCUSED))
    yield from named("honest, float32, and not correct", (r for r in honest if _plain(r) and r["verdict"] != "correct"))
    yield from named("raised", (row for row in rows if row["verdict"] == "raised"))
    faults = [worst(blocks) for blocks in candidates(rows, "faults")]
    yield counted("faults", faults, _arithmetic)
    yield from named("faults that are not found", (row for row in faults if not found(row) and row["verdict"] != "raised"))
    planted = sorted(map(worst, candidates(rows, "planted")), key=lambda row: (row["precision"], -row["size"]))
    yield causes([row for row in (*faults, *planted) if found(row) and SAID[row["label"]]])
    yield counted("one entry off", planted, lambda row: f"{row['precision']}, {row['size']:.0e}")
    yield from resolutions(honest)
    yield from cost(rows)


def _plain(row: Row) -> bool:
    return row["precision"] == "float32" and row["verdict"] not in (*ACCUSED, "raised")


def candidates(rows: list[Row], kind: str) -> list[list[Row]]:
    """The blocks of each."""
    blocks: defaultdict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        if row["kind"] == kind:
            blocks[row["name"], row["seed"], row["size"]].append(row)
    return list(blocks.values())


def worst(blocks: list[Row]) -> Row:
    """The block that decides, and the largest effect of any."""
    decides = min(blocks, key=lambda row: (WORST.index(row["verdict"]), -row.get("scales", 0.0)))
    return {**decides, "scales": max(row.get("scales", 0.0) for row in blocks)}


def _arithmetic(row: Row) -> str:
    return f"{row['precision']}, {row['data']}{', of rounding' if row.get('rounding') else ''}"


def found(row: Row) -> bool:
    """Whether a fault is; one of rounding alone is where it is called inexact."""
    return row["verdict"] in ACCUSED or bool(row.get("rounding") and row["verdict"] == "inexact")


def counted(title: str, rows: list[Row], group: Callable[[Row], str]) -> Table:
    """Verdicts by group, and the share that is called faulty."""
    table = Table(title=f"{title}: {len(rows)}")
    for column in ("", *VERDICTS, "faulty"):
        table.add_column(column, justify="right" if column else "left")
    groups: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[group(row)].append(row)
    for name, members in groups.items():
        verdicts = Counter(row["verdict"] for row in members)
        share = sum(map(found, members)) / len(members)
        table.add_row(name, *(str(verdicts[each] or "") for each in VERDICTS), f"{share:.1%}")
    return table


def named(title: str, rows: Iterable[Row]) -> Iterator[str]:
    """Each by name, the largest effect first."""
    listed = sorted(rows, key=lambda row: -row.get("scales", 0.0))
    yield f"{title}: {len(listed)}"
    for row in listed:
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
    return row.get("first") in SAID[row["label"]]


def resolutions(rows: list[Row]) -> Iterator[str]:
    """The smallest error of an entry that would have been seen, as reports state it for honest blocks."""
    groups: defaultdict[str, list[float]] = defaultdict(list)
    for row in rows:
        if row["verdict"] == "correct":
            groups[row["precision"]].append(row["resolution"])
    for name, stated in groups.items():
        ninth = sorted(stated)[9 * len(stated) // 10]
        yield f"resolution, {name}: median {median(stated):.2g}, nine in ten below {ninth:.2g}"


def cost(rows: list[Row]) -> Iterator[str]:
    """Seconds and evaluations of candidates."""
    spent = {(row["name"], row["seed"], row["size"]): row for row in rows if "evaluations" in row}.values()
    seconds, runs = ([row[key] for row in spent] or [0] for key in ("seconds", "evaluations"))
    yield f"seconds: median {median(seconds):.2f}, most {max(seconds):.1f}, in all {sum(seconds):.0f}"
    yield f"runs: median {median(runs):.0f}, most {max(runs)}"
    slow = sorted(spent, key=lambda row: -row["seconds"])[:5]
    yield "slowest: " + "; ".join(f"{row['name']} {row['seconds']:.1f} s" for row in slow)
