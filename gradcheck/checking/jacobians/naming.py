"""From judgements of rows to findings: the wrong entries by row and column, and what is said of each pair of leaves."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from gradcheck.checking.accusation import BACKEND
from gradcheck.checking.jacobians.differences import CLEAR, COST
from gradcheck.checking.jacobians.judging import Judged, Subject, columns_of
from gradcheck.checking.jacobians.system import Part
from gradcheck.foundation.arithmetic import rounding
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.wording import enumerated
from gradcheck.verdict import reasons
from gradcheck.verdict.findings import LISTED, Entry, Finding, Verdict, overall
from gradcheck.verdict.heat import heat

OFF = (Verdict.WRONG, Verdict.INEXACT)
COLUMNS = 12  # that are compared as a whole where there are too many for all
ROWS = 4  # that a sentence names
FAR = 100  # bounds beyond which an entry is off without a second look
OTHERWISE = 0.77  # times the steps of the first look
CONFIRMED = 8  # pairs of leaves whose worst row is judged by itself, where that was not done before


class Wrong(NamedTuple):
    """One entry that is off: its row and column among all, and what it is relative to."""

    row: int
    column: int
    claimed: float
    reference: float
    bound: float
    scale: float

    @property
    def error(self) -> float:
        """Relative."""
        error = abs(self.claimed - self.reference) / self.scale
        return error if np.isfinite(error) else np.inf


class Known(NamedTuple):
    """What is known of the true matrix, column by column: those that were looked at, their entries and the bounds."""

    columns: tuple[int, ...]
    value: Array
    bound: Array


class Named(NamedTuple):
    """The judgements with all wrong entries named, worst first; whether there may be others; what the columns are."""

    judged: list[Judged]
    wrong: list[Wrong]
    complete: bool
    known: Known


def named(subject: Subject, judged: list[Judged]) -> Named:
    """Look for the wrong entries of what is not right."""
    bad = [one for one in judged if one.verdict in OFF]
    known = _columns(subject, bad)
    right = {int(row) for one in judged if one.verdict is Verdict.CORRECT for row in one.rows}
    wrong = {(each.row, each.column): each for each in _twice(subject, known) if each.row not in right}
    for one in bad:
        if one.rows.size == 1:
            wrong |= {(each.row, each.column): each for each in _of_row(subject, one)}
    wrong |= {(each.row, each.column): each for each in _infinite(subject)}
    entries = sorted(wrong.values(), key=lambda each: -each.error)
    judged = [part for one in judged for part in _without(subject, one, {each.row for each in entries})]
    judged += _confirmed(subject, judged, entries)
    cleared = {int(one.rows[0]) for one in judged if one.rows.size == 1 and one.verdict is Verdict.CORRECT}
    entries = [each for each in entries if each.row not in cleared]
    whole = len(known.columns) == subject.moves.size
    return Named(judged, entries, whole or not bad or _is_complete(bad), known)


def columns_known(subject: Subject, columns: Sequence[int], length: float = 1.0) -> Known:
    """Every row of these columns, by moving each of them."""
    m, found = subject.system.here.size, list[tuple[Array, Array]]()
    for column in columns:
        v = length * subject.along(column)
        one = subject.slopes(v)
        with np.errstate(all="ignore"):  # what bounds hold is not known
            bound = np.where(one.bent, np.inf, one.bound)  # at a kink no number is the true one
            found.append((one.value / v[column], bound / abs(v[column])))
    stacked = [np.stack(each, axis=1) if found else np.zeros((m, 0)) for each in zip(*found, strict=True)]
    return Known(tuple(columns), *(stacked or [np.zeros((m, 0))] * 2))


def findings(subject: Subject, found: Named, of: str) -> tuple[Finding, ...]:
    """One for each leaf of the outputs by each of the inputs."""
    sides = subject.system.sides
    moved = [part for part in sides.inputs if subject.system.box is None or part.name in subject.system.box.lower]
    pairs = [(output, given) for output in sides.outputs for given in moved]
    return tuple(_finding(subject, found, pair, sides.pair(*pair, of)) for pair in pairs)


def _columns(subject: Subject, bad: Sequence[Judged]) -> Known:
    """All of them if that costs no more than a wrong gradient does, else those that the judgements accuse."""
    n = subject.moves.size
    if not bad:
        return columns_known(subject, ())
    if n * COST <= 2 * subject.asked.max_evaluations:
        return columns_known(subject, range(n))
    accused = [column for one in bad for finding in one.report.findings for column in columns_of(subject, finding)]
    return columns_known(subject, sorted(list(dict.fromkeys(accused))[:COLUMNS]))


def _compared(subject: Subject, known: Known) -> Iterator[Wrong]:
    """Entries of whole columns that are off by more than the accuracy asked for, far beyond their bounds."""
    balance, unit = subject.balance, rounding(subject.matrix.unit)
    for place, column in enumerate(known.columns):
        claimed, value, bound = subject.matrix.column(column), known.value[:, place], known.bound[:, place]
        scale = np.maximum(np.abs(claimed), balance.rows * balance.columns[column])
        with np.errstate(all="ignore"):
            least = np.maximum(CLEAR * bound + unit * np.abs(claimed), subject.asked.accuracy * scale)
            rows = np.flatnonzero(np.abs(claimed - value) > least)
        for i in np.intersect1d(rows, subject.judgeable):
            yield Wrong(int(i), column, *(float(each[i]) for each in (claimed, value, bound, scale)))


def _twice(subject: Subject, known: Known) -> Iterator[Wrong]:
    """Those of them that are far off, or off along other steps, too: in noise a bound may be too small by chance."""
    found = list(_compared(subject, known))
    near = [each for each in found if abs(each.claimed - each.reference) <= FAR * each.bound]
    again = columns_known(subject, sorted({each.column for each in near}), OTHERWISE)
    sure = {(each.row, each.column) for each in _compared(subject, again)} if near else set[tuple[int, int]]()
    yield from (each for each in found if each not in near or (each.row, each.column) in sure)


def _infinite(subject: Subject) -> Iterator[Wrong]:
    """Entries that are no numbers, and what should be there."""
    rows, columns, values = subject.matrix.entries()
    off = ~np.isfinite(values)
    known = columns_known(subject, sorted({int(j) for j in columns[off]})[:COLUMNS])
    for i, j, value in zip(rows[off], columns[off], values[off], strict=True):
        place = known.columns.index(j) if j in known.columns else None
        true, bound = (float(each[i, place]) if place is not None else np.nan for each in (known.value, known.bound))
        yield Wrong(int(i), int(j), float(value), true, bound, float(subject.balance.rows[i] * subject.balance.columns[j]))


def _of_row(subject: Subject, one: Judged) -> Iterator[Wrong]:
    """What the scalar procedure names in a row that was judged alone."""
    i = int(one.rows[0])
    scale = subject.balance.scale(i, subject.matrix.row(i))
    for finding in one.report.findings:
        for column, entry in zip(columns_of(subject, finding), finding.entries, strict=True):
            if finding.verdict in OFF:
                yield Wrong(i, column, entry.claimed, entry.reference, entry.bound, float(scale[column]))


def _without(subject: Subject, one: Judged, off: set[int]) -> list[Judged]:
    """Of rows that are not right together those that are off, leaf by leaf, and the others judged anew."""
    found = np.array([int(row) in off for row in one.rows])
    if one.verdict not in OFF or one.rows.size == 1 or not found.any():
        return [one]
    wrong, rest = one.rows[found], one.rows[~found]
    leaves = [wrong[(part.start <= wrong) & (wrong < part.stop)] for part in subject.system.sides.outputs]
    leaves = [rows for rows in leaves if rows.size]
    if len(leaves) == 1 and not rest.size:
        return [one]
    several = [one._replace(rows=wrong)] if len(leaves) == 1 else [subject.judge(rows, 1) for rows in leaves]
    return [*several, *([subject.judge(rest, 1)] if rest.size else [])]


def _confirmed(subject: Subject, judged: Sequence[Judged], wrong: Sequence[Wrong]) -> list[Judged]:
    """The worst row of each pair that has wrong entries and no judgement of one row that says so."""
    sides, found = subject.system.sides, list[Judged]()
    pairs = ((output, given) for output in sides.outputs for given in sides.inputs)
    for output, given in pairs:
        worst = next((each for each in wrong if _is_of(each, output, given)), None)
        if worst is None or len(found) >= CONFIRMED:
            continue
        sure = any(
            one.rows.size == 1
            and output.start <= one.rows[0] < output.stop
            and (own := one.of(given))
            and own.verdict in OFF
            for one in (*judged, *found)
        )
        if not sure:
            found.append(subject.judge(np.array([worst.row])))
    return found


def _is_complete(bad: Sequence[Judged]) -> bool:
    return all(one.rows.size == 1 for one in bad) and not any(
        finding.reason.startswith("at least") for one in bad for finding in one.report.findings
    )


def _is_of(each: Wrong, output: Part, given: Part) -> bool:
    return output.start <= each.row < output.stop and given.start <= each.column < given.stop


def _finding(subject: Subject, found: Named, pair: tuple[Part, Part], name: str) -> Finding:
    """Of one pair, from all judgements that have rows of it."""
    output, given = pair
    shape = (*output.shape, *given.shape)
    own = [one for one in found.judged if np.any((output.start <= one.rows) & (one.rows < output.stop))]
    said = [(one, finding) for one in own if (finding := one.of(given)) is not None]
    wrong = [each for each in found.wrong if _is_of(each, output, given)]
    lost = _not_judged(subject, output)
    if (lost or not said) and not wrong:
        reason = lost or reasons.EMPTY
        verdict = Verdict.UNRESOLVED if lost else Verdict.CORRECT
        size = 0.0 if not lost else np.inf
        return Finding(name=name, backend=BACKEND, verdict=verdict, resolution=size, block_resolution=size, reason=reason)
    infinite = [Verdict.WRONG for each in wrong if not np.isfinite(each.claimed)]
    verdict = overall([*infinite, *(finding.verdict for _, finding in said)])
    worst = max((finding for _, finding in said if finding.verdict is verdict), key=lambda f: f.ratio, default=None)
    off = verdict in OFF and bool(wrong)
    return Finding(
        name=name,
        backend=BACKEND,
        verdict=verdict,
        error=wrong[0].error if off else worst.error if worst else 0.0,
        bound=wrong[0].bound / wrong[0].scale if off else worst.bound if worst else 0.0,
        resolution=max((finding.resolution for _, finding in said), default=np.inf),
        block_resolution=max((finding.block_resolution for _, finding in said), default=np.inf),
        worst_index=_place(output, given, wrong[0].row, wrong[0].column) if off else None,
        entries=tuple(_entry(output, given, each) for each in wrong[:LISTED]) if off else (),
        reason=_reason(output, given, verdict, said, wrong, found),
        slopes=next((f.slopes for _, f in said if f.slopes and verdict is Verdict.NONSMOOTH), None),
        shape=shape,
        heat=_heat(subject, found.known, output, given, shape) if off else (),
    )


def _not_judged(subject: Subject, output: Part) -> str:
    rows = np.arange(output.start, output.stop)
    left = rows[~np.isin(rows, subject.judgeable)]
    values = subject.system.here[left]
    if not left.size or np.isfinite(values).all():
        return ""
    first = int(left[~np.isfinite(values)][0])
    return f"{row_named(output, first)} of f is {subject.system.here[first]} here"


def _heat(
    subject: Subject, known: Known, output: Part, given: Part, shape: tuple[int, ...]
) -> tuple[tuple[float, ...], ...]:
    """Errors in units of their bounds, where every column is known."""
    if len(known.columns) != subject.moves.size:
        return ()
    claimed = np.stack([subject.matrix.column(j)[output.span] for j in range(given.start, given.stop)], axis=1)
    block = output.span, given.span
    with np.errstate(all="ignore"):
        bound = CLEAR * known.bound[block] + rounding(subject.matrix.unit) * np.abs(claimed)
        ratio = np.abs(claimed - known.value[block]) / bound
    return heat(np.nan_to_num(ratio).reshape(shape))


def _place(output: Part, given: Part, row: int, column: int) -> tuple[int, ...]:
    return (*output.indices(row), *given.indices(column))


def _entry(output: Part, given: Part, each: Wrong) -> Entry:
    return Entry(_place(output, given, each.row, each.column), each.claimed, each.reference, each.bound)


def _reason(
    output: Part,
    given: Part,
    verdict: Verdict,
    said: Sequence[tuple[Judged, Finding]],
    wrong: Sequence[Wrong],
    found: Named,
) -> str:
    """Why a pair is not correct, with its rows and columns."""
    if verdict in OFF and wrong:
        rows, columns = {each.row for each in wrong}, {each.column for each in wrong}
        size = (output.stop - output.start) * (given.stop - given.start)
        where = [places(output, rows, "row"), places(given, columns, "column")]
        infinite = sum(not np.isfinite(each.claimed) for each in wrong)
        if infinite:
            count = reasons.infinite(infinite, size)
        elif verdict is Verdict.WRONG:
            count = reasons.found_wrong(len(wrong), size, complete=found.complete)
        else:
            count = next(finding.reason for _, finding in said if finding.verdict is verdict)
        return ": ".join(filter(None, [count, ", ".join(filter(None, where))]))
    same = [(one, finding) for one, finding in said if finding.verdict is verdict and finding.reason]
    if not same:
        return ""
    first = same[0][1].reason
    rows = {int(row) for one, finding in same if finding.reason == first for row in one.rows}
    rows = {row for row in rows if output.start <= row < output.stop}
    where = "" if verdict is Verdict.CORRECT else places(output, rows, "row")
    return f"{where}: {first}" if where else first


def places(part: Part, flat: set[int], word: str) -> str:
    """Few rows or columns by their indices; nothing where there is but one, or very many."""
    if not part.shape or len(flat) > ROWS:
        return ""
    names = [_index(part, each) for each in sorted(flat)]
    return f"{word}{'s' if len(names) > 1 else ''} {enumerated(names)}"


def row_named(part: Part, flat: int) -> str:
    """One row by its index."""
    return f"row {_index(part, flat)}" if part.shape else "the value"


def _index(part: Part, flat: int) -> str:
    index = part.indices(flat)
    return str(index[0]) if len(index) == 1 else str(list(index))
