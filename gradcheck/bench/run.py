"""All cases, one after the other: from the seconds of their rounds to a `Result`."""

from collections.abc import Iterator, Sequence
from itertools import combinations

from gradcheck.bench.cases import Point
from gradcheck.bench.measuring.environment import here
from gradcheck.bench.measuring.job import Settings
from gradcheck.bench.measuring.measure import FLOOR, VERIFICATION, Rounds, Series, Watch, labels, measure
from gradcheck.bench.results.growth import growth
from gradcheck.bench.results.schema import Floor, Measured, Result, Row, Verification
from gradcheck.bench.results.spread import NOISY, Timing, ratio, timing
from gradcheck.bench.work import counts
from gradcheck.errors import DescriptionError
from gradcheck.foundation.versions import version
from gradcheck.network.network import to_table


def run_benchmark(points: Sequence[Point], settings: Settings, watch: Watch) -> Result:
    """Measure every case, and call the watch `rounds_of` times for each.

    Raises
    ------
    BackendError
        Where a backend's name is unknown. Whatever else a backend does is its row.
    """
    names = list(labels(settings.backends))
    environment = here()  # before there is a load of our own
    cases = [measured(point, names, measure(point, settings, watch)) for point in points]
    own, slopes = version("gradcheck") or "unknown", growth(cases)
    return Result(gradcheck=own, environment=environment, settings=settings, cases=cases, growth=slopes)


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
        warnings=[*_noise(floor, rows), *_alike(names, rounds), *_threads(point, rounds), *_ended(rounds)],
    )


def _floor(rounds: Rounds) -> Floor:
    if FLOOR in rounds.lost:
        return Floor(error=rounds.lost[FLOOR])
    calls = ("floor", "products", "activations")
    whole, products, activations = (timing(rounds.seconds[Series(FLOOR, call)]) for call in calls)
    return Floor(
        seconds=whole.seconds,
        spread=whole.spread,
        products=products.seconds,
        activations=activations.seconds,
        steps=rounds.steps,
    )


def _row(name: str, rounds: Rounds, batch: int, multiply_adds: int | None) -> Row:
    if name in rounds.lost:
        return Row(backend=name, error=rounds.lost[name])
    facts, gradient = rounds.facts[name], timing(rounds.seconds[Series(name, "gradient")])
    own = name if Series(name, "products") in rounds.seconds else FLOOR  # NumPy's products are the floor's
    products = _timing(rounds, Series(own, "products"))
    return Row(
        backend=name,
        loss=_timing(rounds, Series(name, "loss")),
        gradient=gradient,
        ratio=_ratio(rounds, name, Series(name, "loss")),
        of_floor=_ratio(rounds, name, Series(FLOOR, "floor")),
        peak_memory=facts.peak_memory,
        accuracy=facts.accuracy,
        accuracy_note=rounds.no_reference or facts.accuracy_note,
        samples_per_second=batch / gradient.seconds,
        gflops=None if multiply_adds is None else 2 * multiply_adds / gradient.seconds / 1e9,
        products=products.seconds if products else None,
        of_products=_ratio(rounds, name, Series(own, "products")),
        threadpools=facts.threadpools,
    )


def _verification(rounds: Rounds) -> Verification | None:
    if VERIFICATION in rounds.lost:
        return Verification(error=rounds.lost[VERIFICATION])
    facts, time = rounds.facts.get(VERIFICATION), _timing(rounds, Series(VERIFICATION, VERIFICATION))
    return facts and time and Verification(seconds=time.seconds, spread=time.spread, peak_memory=facts.peak_memory)


def _timing(rounds: Rounds, series: Series) -> Timing | None:
    return timing(rounds.seconds[series]) if series in rounds.seconds else None


def _ratio(rounds: Rounds, name: str, other: Series) -> float | None:
    """Of a gradient over another call, round by round."""
    gradients, others = rounds.seconds[Series(name, "gradient")], rounds.seconds.get(other)
    return ratio(gradients, others).median if others else None


def _noise(floor: Floor, rows: Sequence[Row]) -> Iterator[str]:
    """Whose times spread too far."""
    spreads = {row.backend: row.gradient.spread for row in rows if row.gradient}
    if floor.spread is not None:
        spreads[FLOOR] = floor.spread
    noisy = [f"{name} {spread:.0%}" for name, spread in spreads.items() if spread > NOISY]
    if noisy:
        yield f"times spread by more than {NOISY:.0%} ({', '.join(noisy)}): differences below that say nothing here"


def _alike(names: Sequence[str], rounds: Rounds) -> Iterator[str]:
    """Which two do not differ."""
    gradients = {name: rounds.seconds[Series(name, "gradient")] for name in names if name not in rounds.lost}
    for one, other in combinations(gradients, 2):
        both = ratio(gradients[one], gradients[other])
        if not both.distinct:
            span = f"{both.median:.3g} times, half of the rounds between {both.low:.3g} and {both.high:.3g}"
            yield f"{one} and {other} are not told apart: {span}"


def _threads(point: Point, rounds: Rounds) -> list[str]:
    """Libraries that take more threads than they were given; what cannot be known without threadpoolctl."""
    if any(facts.threadpools is None for facts in rounds.facts.values()):
        return ["the threads of libraries were set and not looked at: pip install 'gradcheck[bench]'"]
    return [
        f"{name}: {pool.library} has {pool.threads} threads, {point.threads} were asked for"
        for name, facts in rounds.facts.items()
        for pool in facts.threadpools or []
        if pool.threads > point.threads
    ]


def _ended(rounds: Rounds) -> list[str]:
    """Whose process did, and answered to the end when it was started again: somebody else may have killed it."""
    return [f"{name}: its process ended ({how}) and was started again" for name, how in rounds.ended.items()]
