"""A measurement for people, in a terminal: a table a case, what to beware of, and how things grow."""

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from gradcheck.bench.measuring.environment import Environment
from gradcheck.bench.results.changes import Comparison
from gradcheck.bench.results.growth import informative
from gradcheck.bench.results.schema import Growth, Measured, Result, Row

NOTHING = "-"
SECONDS, BYTES = ((1, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")), ((1e9, "GB"), (1e6, "MB"))
COLUMNS = ("loss", "gradient", "spread", "/ loss", "/ floor", "/ products", "peak", "error", "samples/s", "GFLOP/s")
LEGEND = (
    "Medians of interleaved rounds. floor: bare products and activations in NumPy; / loss, / floor, / products: the "
    "gradient over each, products with the backend's own library; peak: memory that the first call took, its compilation "
    "included; error: of the worst entry, against extended precision; GFLOP/s: of the products alone."
)


def render(result: Result) -> RenderableType:
    """The whole measurement."""
    parts: list[RenderableType] = [Text(_machine(result.environment), style="dim")]
    for case in result.cases:
        parts += ["", Text(title(case), style="bold"), _table(case), *_remarks(case)]
    parts += ["", Text(LEGEND, style="dim")]
    if result.growth:
        parts += ["", _growth(informative(result.growth))]
    return Group(*parts)


def comparison(compared: Comparison) -> RenderableType:
    """New over old."""
    table = Table("case", "", "gradient", "loss", "peak", "/ floor before", "now", title="new over recorded", box=None)
    for row in compared.rows:
        ratios = map(_times, (row.gradient, row.loss, row.peak_memory))
        table.add_row(row.case, row.backend, *ratios, *map(_times, row.of_floor))
    lines = [Text(f"another version: {line}") for line in compared.libraries]
    if compared.alone:
        lines.append(Text(f"{compared.alone} cases are in one of the two only"))
    return Group(table, *lines)


def title(case: Measured) -> str:
    """``784-512-512-1, 669,185 parameters, batch 256, float64, 1 thread``"""
    return f"{case.name}, {case.parameters:,} parameters, batch {case.batch}, {case.run}"


def seconds(value: float | None) -> str:
    """Three digits and a unit."""
    return NOTHING if value is None else _with_unit(value, SECONDS)


def size(value: float | None) -> str:
    """Bytes with three digits and a unit."""
    if value is None:
        return NOTHING
    return _with_unit(value, BYTES) if value >= 1e6 else f"{value / 1e3:.0f} kB"


def _machine(environment: Environment) -> str:
    libraries = ", ".join(f"{name} {version}" for name, version in environment.libraries.items())
    load = "" if environment.load is None else f", load {environment.load:.1f} before"
    return f"{environment.processor}, {environment.cores} cores{load}; python {environment.python}, {libraries}"


def _table(case: Measured) -> Table:
    numbers = (Column(name, justify="right", no_wrap=True) for name in COLUMNS)
    table = Table("", *numbers, box=None, padding=(0, 1, 0, 0))
    for cells in _rows(case):
        table.add_row(*cells)
    return table


def _rows(case: Measured) -> Iterator[list[str]]:
    floor = case.floor
    if floor.seconds is not None:
        yield ["floor", "", seconds(floor.seconds), _cell(floor.spread, ".0%")]
        yield ["  products", "", seconds(floor.products)]
        yield ["  activations", "", seconds(floor.activations)]
    for row in case.rows:
        yield _row(row)
    if case.verification:
        own = case.verification
        yield ["verification", "", seconds(own.seconds), _cell(own.spread, ".0%"), *[""] * 3, size(own.peak_memory)]


def _row(row: Row) -> list[str]:
    return [
        row.backend,
        seconds(row.loss and row.loss.seconds),
        seconds(row.gradient and row.gradient.seconds),
        _cell(row.gradient and row.gradient.spread, ".0%"),
        *map(_times, (row.ratio, row.of_floor, row.of_products)),
        size(row.peak_memory),
        _cell(row.accuracy, ".1e"),
        _cell(row.samples_per_second, ",.0f"),
        NOTHING if row.gflops is None else _digits(row.gflops),
    ]


def _remarks(case: Measured) -> Iterator[Text]:
    """Errors, and what to beware of."""
    if case.floor.error:
        yield Text(f"no floor: {case.floor.error}")
    for row in case.rows:
        if row.error:
            yield Text(f"{row.backend}: {row.error}", style="bold red")
    if case.verification and case.verification.error:
        yield Text(f"verification: {case.verification.error}", style="bold red")
    notes = {row.accuracy_note: None for row in case.rows if row.accuracy_note}
    yield from (Text(f"no error against extended precision: {note}") for note in notes)
    yield from (Text(f"warning: {warning}", style="yellow") for warning in case.warnings)


def _growth(found: Iterable[Growth]) -> Table:
    numbers = (Column(name, justify="right") for name in ("points", "measured", "counted", "asymptotic"))
    words = ("", "of", "with", "at")
    table = Table(*words, *numbers, title="growth: slopes of logarithms", box=None, padding=(0, 1, 0, 0))
    for each in found:
        slopes = (f"{slope:.2f}" for slope in (each.measured, each.expected, each.asymptotic))
        table.add_row(each.backend, each.of, each.against, each.at, str(len(each.points)), *slopes)
    return table


def _cell(value: float | None, form: str) -> str:
    return NOTHING if value is None else format(value, form)


def _times(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2f}" if value < 100 else f"{value:.0f}"


def _with_unit(value: float, units: Sequence[tuple[float, str]]) -> str:
    """The largest unit that is not too large."""
    unit, name = next((each for each in units if value >= each[0]), units[-1])
    return f"{_digits(value / unit)} {name}"


def _digits(value: float) -> str:
    """Three of them, without an exponent."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"
