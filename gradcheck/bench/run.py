"""All cases, one after the other: from the seconds of their rounds to a `Result`."""

from collections.abc import Sequence

from gradcheck.bench.cases import Point
from gradcheck.bench.measuring.environment import here
from gradcheck.bench.measuring.job import Settings
from gradcheck.bench.measuring.measure import FLOOR, VERIFICATION, Lane, Rounds, Watch, labels, measure
from gradcheck.bench.results.growth import growth
from gradcheck.bench.results.schema import Floor, Measured, Result, Row, Verification
from gradcheck.bench.results.spread import NOISY, Timing, ratio, timing
from gradcheck.bench.work import counts
from gradcheck.errors import DescriptionError
from gradcheck.foundation.versions import version
from gradcheck.network.network import to_table

SOURCE = "pip install 'gradcheck[bench]'"


def conduct(points: Sequence[Point], settings: Settings, watch: Watch) -> Result:
    """Measure every case.

    Parameters
    ----------
    points : sequence of Point
    settings : Settings
    watch : callable
        Told what is going on, and how many steps further it is, `rounds_of` each case.

    Raises
    ------
    BackendError
        Where a backend's name is unknown. Whatever else a backend does is its row.
    """
    names = list(labels(settings.backends))
    environment = here()  # before there is a load of our own
    cases = [measured(point, names, measure(point, settings, watch)) for point in points]
    return Result(
        gradcheck=version("gradcheck") or "unknown",
        environment=environment,
        settings=settings,
        cases=cases,
        growth=growth(cases),
    )


def measured(point: Point, names: Sequence[str], rounds: Rounds) -> Measured:
    """What the rounds on one case say."""
    network, batch, dtype = point.case.network, point.batch, point.case.dtype
    try:
        widths, least = counts.widths(network), counts.multiply_adds(network, batch)
        operations = counts.operations(network, batch)
    except DescriptionError:
        widths = least = operations = None
    floor = _floor(rounds)
    rows = [_row(name, rounds, batch, least) for name in names]
    return Measured(
        name=point.name,
        network=to_table(network),
        widths=widths,
        parameters=counts.parameters(network),
        batch=batch,
        dtype=dtype,
        threads=point.threads,
        multiply_adds=least,
        operations=operations,
        memory=counts.memory(network, batch, dtype),
        floor=floor,
        rows=rows,
        verification=_verification(rounds),
        warnings=[*_noise(floor, rows), *_alike(names, rounds), *_threads(point, rounds)],
    )


def _floor(rounds: Rounds) -> Floor:
    if FLOOR in rounds.lost:
        return Floor(error=rounds.lost[FLOOR])
    together = _timing(rounds, FLOOR, "floor")
    products, activations = _timing(rounds, FLOOR, "products"), _timing(rounds, FLOOR, "activations")
    assert together
    assert products
    assert activations
    return Floor(
        seconds=together.seconds,
        spread=together.spread,
        products=products.seconds,
        activations=activations.seconds,
        steps=rounds.steps,
    )


def _row(name: str, rounds: Rounds, batch: int, multiply_adds: int | None) -> Row:
    if name in rounds.lost:
        return Row(backend=name, error=rounds.lost[name])
    facts, gradient = rounds.facts[name], _timing(rounds, name, "gradient")
    assert gradient
    own = name if Lane(name, "products") in rounds.seconds else FLOOR  # NumPy's products are the floor's
    products = _timing(rounds, own, "products")
    return Row(
        backend=name,
        loss=_timing(rounds, name, "loss"),
        gradient=gradient,
        ratio=_ratio(rounds, name, Lane(name, "loss")),
        of_floor=_ratio(rounds, name, Lane(FLOOR, "floor")),
        peak_memory=facts.peak_memory,
        accuracy=facts.accuracy,
        accuracy_note=rounds.no_reference or facts.accuracy_note,
        samples_per_second=batch / gradient.seconds,
        gflops=None if multiply_adds is None else 2 * multiply_adds / gradient.seconds / 1e9,
        products=products.seconds if products else None,
        of_products=_ratio(rounds, name, Lane(own, "products")),
        threadpools=facts.threadpools,
    )


def _verification(rounds: Rounds) -> Verification | None:
    if VERIFICATION in rounds.lost:
        return Verification(error=rounds.lost[VERIFICATION])
    time = _timing(rounds, VERIFICATION, VERIFICATION)
    if time is None:
        return None
    peak = rounds.facts[VERIFICATION].peak_memory
    return Verification(seconds=time.seconds, spread=time.spread, peak_memory=peak)


def _timing(rounds: Rounds, who: str, call: str) -> Timing | None:
    seconds = rounds.seconds.get(Lane(who, call))
    return timing(seconds) if seconds else None


def _ratio(rounds: Rounds, who: str, other: Lane) -> float | None:
    """Of a gradient over another call, round by round."""
    if other not in rounds.seconds:
        return None
    return ratio(rounds.seconds[Lane(who, "gradient")], rounds.seconds[other]).median


def _noise(floor: Floor, rows: Sequence[Row]) -> list[str]:
    """Whose times spread too far."""
    spreads = {row.backend: row.gradient.spread for row in rows if row.gradient}
    if floor.spread is not None:
        spreads[FLOOR] = floor.spread
    noisy = [f"{name} {spread:.0%}" for name, spread in spreads.items() if spread > NOISY]
    if not noisy:
        return []
    return [f"times spread by more than {NOISY:.0%} ({', '.join(noisy)}): differences below that say nothing here"]


def _alike(names: Sequence[str], rounds: Rounds) -> list[str]:
    """Which two are not told apart."""
    there = [name for name in names if Lane(name, "gradient") in rounds.seconds]
    found: list[str] = []
    for index, one in enumerate(there):
        for other in there[index + 1 :]:
            both = ratio(rounds.seconds[Lane(one, "gradient")], rounds.seconds[Lane(other, "gradient")])
            if not both.told_apart:
                span = f"{both.median:.3g} times, half of the rounds between {both.low:.3g} and {both.high:.3g}"
                found.append(f"{one} and {other} are not told apart: {span}")
    return found


def _threads(point: Point, rounds: Rounds) -> list[str]:
    """Libraries that take more threads than they were given; what cannot be known without threadpoolctl."""
    if any(facts.threadpools is None for facts in rounds.facts.values()):
        return [f"the threads of libraries were set and not looked at: {SOURCE}"]
    return [
        f"{who}: {pool.library} has {pool.threads} threads, {point.threads} were asked for"
        for who, facts in rounds.facts.items()
        for pool in facts.threadpools or []
        if pool.threads > point.threads
    ]
