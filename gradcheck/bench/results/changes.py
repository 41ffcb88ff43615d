"""Two measurements beside each other, if they can be: the same processor, networks, batch sizes, dtypes and threads."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from gradcheck.bench.cases import Point
from gradcheck.bench.measuring.environment import Environment
from gradcheck.bench.results.schema import Measured, Result, Row
from gradcheck.errors import GradcheckError
from gradcheck.network.network import to_table


class NotComparable(GradcheckError):
    """Two measurements that have nothing to say about each other, and why."""


class Key(NamedTuple):
    """What two cases must share."""

    network: str
    batch: int
    dtype: str
    threads: int


class Compared(NamedTuple):
    """One backend on one case: new over old, and each of both."""

    case: str
    backend: str
    gradient: float | None
    loss: float | None = None
    of_floor: tuple[float | None, float | None] = (None, None)
    peak_memory: float | None = None


class Comparison(NamedTuple):
    """What changed, library versions included, and how many cases are in one of the two only."""

    rows: list[Compared]
    libraries: list[str]
    alone: int


def of_points(points: Iterable[Point]) -> list[Key]:
    """Of what is to be measured."""
    return [Key(_text(to_table(case.network)), batch, case.dtype, threads) for _, case, batch, threads in points]


def of_cases(cases: Iterable[Measured]) -> list[Key]:
    """Of what was measured."""
    return [Key(_text(case.network), case.batch, case.dtype, case.threads) for case in cases]


def refuse(old: Result, here: Environment, keys: Sequence[Key]) -> None:
    """Raise `NotComparable`, before anything is measured, where nothing could be compared afterwards."""
    if old.environment.processor != here.processor:
        raise NotComparable(f"measured on another processor: {old.environment.processor}, here {here.processor}")
    recorded = of_cases(old.cases)
    if set(keys) & set(recorded):
        return
    for field in ("threads", "dtype", "batch"):  # in which alone some two differ
        for new, other in ((new, other) for new in keys for other in recorded):
            if new._replace(**{field: getattr(other, field)}) == other:
                raise NotComparable(f"measured with {field} {getattr(other, field)}, here {getattr(new, field)}")
    raise NotComparable(f"no case in common; recorded: {', '.join(dict.fromkeys(case.name for case in old.cases))}")


def compare(old: Result, new: Result) -> Comparison:
    """New over old, for every backend of every case that both have; raises `NotComparable` where nothing can be said."""
    refuse(old, new.environment, of_cases(new.cases))
    for field in ("device", "arithmetic"):
        there, here = (getattr(result.settings, field) or "none asked for" for result in (old, new))
        if there != here:
            raise NotComparable(f"measured with {field} {there}, here {here}")
    before = dict(zip(of_cases(old.cases), old.cases, strict=True))
    now = dict(zip(of_cases(new.cases), new.cases, strict=True))
    rows = [row for common, case in now.items() if common in before for row in _rows(before[common], case)]
    return Comparison(rows, _libraries(old.environment, new.environment), len(before.keys() ^ now.keys()))


def _text(network: dict[str, Any]) -> str:
    return msgspec.json.encode(network, order="sorted").decode()


def _rows(old: Measured, new: Measured) -> list[Compared]:
    before = {row.backend: row for row in old.rows}
    title = f"{new.name}, batch {new.batch}, {new.run}"
    floor = Compared(title, "floor", _over(new.floor.seconds, old.floor.seconds))
    return [floor] + [_compared(title, before[row.backend], row) for row in new.rows if row.backend in before]


def _compared(title: str, old: Row, new: Row) -> Compared:
    return Compared(
        title,
        new.backend,
        _over(new.gradient and new.gradient.seconds, old.gradient and old.gradient.seconds),
        _over(new.loss and new.loss.seconds, old.loss and old.loss.seconds),
        (old.of_floor, new.of_floor),
        _over(new.peak_memory, old.peak_memory),
    )


def _over(new: float | None, old: float | None) -> float | None:
    return new / old if new is not None and old else None


def _libraries(old: Environment, new: Environment) -> list[str]:
    """Those that changed."""
    before, now = ({"python": each.python, **each.libraries} for each in (old, new))
    versions = ((name, before.get(name, "none"), now.get(name, "none")) for name in before | now)
    return [f"{name} {version}, now {other}" for name, version, other in versions if version != other]
