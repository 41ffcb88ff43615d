"""What a wrong matrix may have been meant to be: whole rows or columns, another order, another point, another structure."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from gradcheck.checking.jacobians.judging import Subject
from gradcheck.checking.jacobians.matrix import DENSE, is_sparse
from gradcheck.checking.jacobians.naming import ROWS, Known, Named, Wrong, places
from gradcheck.checking.jacobians.system import Part
from gradcheck.diagnosis.corrections import DIRECTIONS, Correction, corrections
from gradcheck.diagnosis.corrections import Known as Slope
from gradcheck.errors import GradcheckError
from gradcheck.foundation.arrays import Array
from gradcheck.oracles.directions import signs
from gradcheck.verdict.causes import Cause, rank
from gradcheck.verdict.findings import Diagnosis, Finding, Verdict

MOVED = 1e3  # bounds, and 0.01 of itself, that a slope must change by elsewhere
FIRST = 10  # attempts before this one belong to the verdict
SAFE = 4  # estimated errors within which a claim agrees; they are estimates
ALIKE = 1e-3  # relative: so near to each other the factors of several lines are taken for one


class Block(NamedTuple):
    """One wrong pair of leaves: the claim, and the true products with a few directions of its columns.

    Attributes
    ----------
    claimed : array of shape (m, n)
    along : array of shape (n, k)
        The directions.
    true, bound : array of shape (m, k)
        The true products, and how well they are known.
    rows, columns : array
        What is usual in each.
    """

    name: str
    output: Part
    given: Part
    claimed: Array
    along: Array
    true: Array
    bound: Array
    rows: Array
    columns: Array

    @property
    def products(self) -> Array:
        """What is claimed of them."""
        return self.claimed @ self.along

    def off(self, claimed: Array | None = None) -> Array:
        """Rows that do not agree along all directions."""
        products = self.products if claimed is None else claimed @ self.along
        return ~np.all(np.abs(products - self.true) <= self.tolerance, axis=1)

    @property
    def tolerance(self) -> Array:
        """Of the products."""
        usual = np.abs(self.claimed) @ np.abs(self.along)
        return SAFE * self.bound + 64 * np.finfo(float).eps * usual

    def slopes(self, seed: int) -> list[Slope]:
        """As the corrections of a gradient take them: random sums of rows along each direction."""
        found: list[Slope] = []
        for k in range(self.along.shape[1]):
            c = signs("rows", self.rows.shape, seed, FIRST + k) / self.rows
            v = np.multiply.outer(c, self.along[:, k])
            found.append(Slope(v, float(np.sum(c * self.true[:, k])), float(np.sum(np.abs(c) * self.tolerance[:, k]))))
        return found


def causes(subject: Subject, found: Named, findings: tuple[Finding, ...], of: str) -> tuple[Diagnosis, ...]:
    """Of every wrong pair, simplest first."""
    m, n = subject.system.sides.shape
    wrong = {finding.name: finding for finding in findings if finding.verdict is Verdict.WRONG}
    if not wrong or m * n > DENSE:
        return ()
    blocks = _blocks(subject, wrong, of)
    claims = {block.name: block.claimed for block in blocks}
    stale = any(True for _ in _stale(subject)) if blocks else False
    diagnoses: list[Diagnosis] = []
    for block in blocks:
        own = [each for each in found.wrong if _is_of(each, block)]
        known = _part_of(found.known, block)
        if not np.isfinite(block.claimed).all():
            diagnoses.append(Cause.NON_FINITE.of(block.name))
            continue
        said = [*_of_entries(subject, block, own, known, found.complete)]
        said = said or [*_of_order(block, claims, subject.asked.seed)] or [*_of_lines(subject, block, own, known)]
        said += [Cause.STALE_POINT.of(block.name)] if stale and not said else []
        unique = {(each.cause): each for each in sorted(said, key=lambda each: -rank(each.cause))}
        diagnoses += sorted(unique.values(), key=lambda each: rank(each.cause))
    return tuple(diagnoses)


def _is_of(each: Wrong, block: Block) -> bool:
    output, given = block.output, block.given
    return output.start <= each.row < output.stop and given.start <= each.column < given.stop


def _blocks(subject: Subject, wrong: Mapping[str, Finding], of: str) -> list[Block]:
    sides, found = subject.system.sides, list[Block]()
    for given in sides.inputs:
        names = {sides.pair(output, given, of): output for output in sides.outputs}
        if not wrong.keys() & names.keys():
            continue
        along = [subject.direction(FIRST + k, given.span) for k in range(DIRECTIONS)]
        slopes = [subject.slopes(v) for v in along]
        true, bound = np.stack([one.value for one in slopes], axis=1), np.stack([one.bound for one in slopes], axis=1)
        value = subject.matrix.value
        claimed: Array = value.toarray() if is_sparse(value) else value
        for name, output in names.items():
            if name in wrong:
                rows, columns = output.span, given.span
                usual = subject.balance.rows[rows], subject.balance.columns[columns]
                directions = np.stack(along, axis=1)[columns]
                part = claimed[rows, columns]
                found.append(Block(name, output, given, part, directions, true[rows], bound[rows], *usual))
    return found


def _part_of(known: Known, block: Block) -> Known:
    """The columns of one block, counted within it."""
    span, rows = block.given.span, block.output.span
    picked = [i for i, column in enumerate(known.columns) if span.start <= column < span.stop]
    columns = tuple(known.columns[i] - span.start for i in picked)
    return Known(columns, known.value[rows][:, picked], known.bound[rows][:, picked])


def _of_order(block: Block, claims: Mapping[str, Array], seed: int) -> Iterator[Diagnosis]:
    """What explains all of a block: its sign, a factor, another order."""
    usual = np.multiply.outer(block.rows, block.columns)
    if not np.isfinite(block.true).all():
        return
    yield from corrections(block.name, claims, np.zeros_like(usual), block.slopes(seed))
    for correction in _corrected(block):
        if not block.off(correction.corrected).any():
            yield correction.cause.of(block.name, **correction.evidence)


def _corrected(block: Block) -> Iterator[Correction]:
    """Corrections that a matrix has besides those of a gradient."""
    claimed = block.claimed
    order = _order(block)
    if order is not None:
        moved = np.flatnonzero(order != np.arange(order.size))
        how = ", ".join(f"row {order[i]} is where row {i} belongs" for i in moved[:ROWS])
        yield Correction(Cause.PERMUTED, claimed[order], {"how": how + (", ..." if moved.size > ROWS else "")})
    if claimed.shape[0] == claimed.shape[1] and claimed.shape[0] > 1:
        for part, other, name in ((np.tril, np.triu, "upper"), (np.triu, np.tril, "lower")):
            if not other(claimed, 1 if name == "upper" else -1).any() and part(claimed, -1 if name == "upper" else 1).any():
                strict = part(claimed, -1 if name == "upper" else 1)
                why = f"the {name} triangle is zero, and the rest right"
                yield Correction(Cause.LEFT_OUT, claimed + strict.T, {"why": why})
        half = np.diag(np.diag(claimed))
        yield Correction(Cause.FACTOR, claimed + half, {"factor": 0.5, "why": "the diagonal is half of what it should be"})
        yield Correction(Cause.FACTOR, claimed - half / 2, {"factor": 2, "why": "the diagonal is twice what it should be"})
        why = "only one of a matrix and its transposed one was taken: it is A where A + A^T belongs"
        yield Correction(Cause.LEFT_OUT, claimed + claimed.T, {"why": why})


def _order(block: Block) -> Array | None:
    """Which claimed row stands for each true one, where that is one to one and not as they are."""
    products, true = block.products, block.true
    if products.shape[0] > 2000 or products.shape[0] < 2:
        return None
    order = np.empty(products.shape[0], int)
    for i, row in enumerate(true):
        fits = np.flatnonzero(np.all(np.abs(products - row) <= block.tolerance[i] + block.tolerance, axis=1))
        if not fits.size:
            return None
        order[i] = i if i in fits else fits[0]
    return order if np.unique(order).size == order.size and np.any(order != np.arange(order.size)) else None


def _of_entries(subject: Subject, block: Block, wrong: list[Wrong], known: Known, complete: bool) -> Iterator[Diagnosis]:
    """What the entries that are wrong have in common: where they are, or that they have no digits."""
    outside = [each for each in wrong if not subject.matrix.is_stored(each.row, each.column)]
    if outside and len(outside) == len(wrong):
        stored = subject.matrix.stored[block.output.span, block.given.span]
        idle = int(np.count_nonzero(stored) - np.count_nonzero(block.claimed))
        yield Cause.OUTSIDE_PATTERN.of(
            block.name, missing=len(outside), of="returned", idle=idle, size=int(np.count_nonzero(stored))
        )
    if complete and len(wrong) == 1:
        (one,) = wrong
        index = [*block.output.indices(one.row), *block.given.indices(one.column)]
        yield Cause.SINGLE_ENTRY.of(block.name, index=index, reference=one.reference)
        return
    whole = np.array_equal(block.claimed, np.rint(block.claimed)) and block.claimed.any()
    truncated = whole and len(known.columns) == block.claimed.shape[1]
    fraction = np.abs(known.value - np.rint(known.value)) > SAFE * known.bound + MOVED * np.finfo(float).eps
    if truncated and fraction.any() and np.all(np.abs(known.value - block.claimed) < 1):
        yield Cause.LOW_PRECISION.of(block.name, format="whole numbers")


def _of_lines(subject: Subject, block: Block, wrong: list[Wrong], known: Known) -> Iterator[Diagnosis]:
    """What explains whole rows, or whole columns."""
    rows = np.flatnonzero(block.off())
    said = _in_words(block.claimed[rows], _factors(block.products[rows], block.true[rows], block.tolerance[rows]))
    if block.claimed.shape[1] == 1 and said.startswith("each"):  # as any numbers are
        said = ""
    if rows.size and block.claimed.shape[0] > 1 and (said or _are_whole(block, rows, wrong)):
        yield from _named(Cause.ROWS, block.name, block.output, rows, block.claimed.shape[0], said, "row")
    yield from _of_columns(subject, block, wrong, known)


def _of_columns(subject: Subject, block: Block, wrong: list[Wrong], known: Known) -> Iterator[Diagnosis]:
    columns = sorted({each.column - block.given.start for each in wrong} & set(known.columns))
    size = block.claimed.shape[1]
    if not columns or size < 2 or not _right_without(subject, block, columns):
        return
    picked = [known.columns.index(column) for column in columns]
    usual = SAFE * 10 * known.bound.T[picked]
    said = _in_words(block.claimed.T[columns], _factors(block.claimed.T[columns], known.value.T[picked], usual))
    few = [
        column
        for column in columns
        if _fills(block.claimed[:, column], known.value[:, known.columns.index(column)], wrong, column + block.given.start)
    ]
    if said or len(few) == len(columns) < size:
        yield from _named(Cause.COLUMNS, block.name, block.given, np.array(columns), size, said, "column")


def _fills(claimed: Array, true: Array, wrong: list[Wrong], column: int) -> bool:
    """Whether more than half of the entries of a column that are not zero are wrong, and more than one."""
    count = sum(each.column == column for each in wrong)
    return count > max(1, int(np.count_nonzero(np.abs(claimed) + np.abs(true) > 0)) / 2)


def _right_without(subject: Subject, block: Block, columns: list[int]) -> bool:
    """Whether all rows agree along a direction that leaves these columns where they are."""
    if len(columns) == block.claimed.shape[1]:
        return True
    v = subject.direction(FIRST + DIRECTIONS, block.given.span)
    v[[block.given.start + column for column in columns]] = 0.0
    found = subject.slopes(v)
    claimed, rows = block.claimed @ v[block.given.span], block.output.span
    rounded = 64 * np.finfo(float).eps * (np.abs(block.claimed) @ np.abs(v[block.given.span]))
    return bool(np.all(np.abs(found.value[rows] - claimed) <= SAFE * found.bound[rows] + rounded))


def _are_whole(block: Block, rows: Array, wrong: list[Wrong]) -> bool:
    """Whether few rows are wrong in more than half of their entries that are not zero."""
    if rows.size > max(1, block.claimed.shape[0] // 2):
        return False
    counts = {int(i): sum(each.row - block.output.start == i for each in wrong) for i in rows}
    return all(count > max(1, np.count_nonzero(block.claimed[i]) / 2) for i, count in counts.items())


def _factors(claimed: Array, true: Array, bound: Array) -> Array | None:
    """By which each line is to be multiplied, where one number each explains all of it; 0 is no factor."""
    if not claimed.size:
        return None
    with np.errstate(all="ignore"):
        weight = 1 / np.maximum(bound, np.finfo(float).tiny) ** 2
        largest = np.argmax(np.abs(claimed) * np.sqrt(weight), axis=1)
        factor = _picked(true, largest) / _picked(claimed, largest)
        doubt = _picked(bound, largest) / np.abs(_picked(claimed, largest))
        left = np.abs(true - factor[:, None] * claimed) <= bound + (
            doubt[:, None] + 1e-9 * np.abs(factor[:, None])
        ) * np.abs(claimed)
    sure = np.isfinite(factor) & (np.count_nonzero(np.abs(claimed) > 0, axis=1) > 1) & left.all(axis=1)
    return factor if sure.all() else None


def _picked(lines: Array, places: Array) -> Array:
    """One number of each line."""
    return np.take_along_axis(lines, places[:, None], axis=1)[:, 0]


def _in_words(claimed: Array, factors: Array | None) -> str:
    """What is to be done to some lines."""
    if claimed.size and not claimed.any():
        return f"{'they are' if len(claimed) > 1 else 'it is'} zero"
    if factors is None:
        return ""
    if np.allclose(factors, -1, rtol=ALIKE):
        return "the sign"
    if np.allclose(factors, factors[0], rtol=ALIKE):
        return f"off by the constant factor {1 / factors[0]:.10g}" if factors[0] else "they should be zero"
    inverse = 1 / factors
    return f"each by a factor of its own, {np.min(inverse):.3g} to {np.max(inverse):.3g}"


def _named(cause: Cause, name: str, part: Part, flat: Array, size: int, how: str, word: str) -> Iterator[Diagnosis]:
    """Of some lines; of most of them where something is said of them, of all where each has a factor of its own."""
    if (2 * flat.size > size and not how) or (flat.size == size and not how.startswith("each")):
        return
    which = places(part, {part.start + int(i) for i in flat}, word) or f"{flat.size} of {size} {word}s"
    which = f"all {word}s" if flat.size == size else which
    evidence: dict[str, Any] = {
        word + "s": [int(i) for i in flat[:64]],
        "which": f"{which} {'is' if flat.size == 1 else 'are'}",
    }
    yield cause.of(name, **evidence, **({"how": how} if how else {}))


def _stale(subject: Subject) -> Iterator[None]:
    """Whether the matrix is the very same at another point, where the function's slopes are others."""
    system, drawn = subject.system, signs("elsewhere", subject.moves.shape, subject.asked.seed)
    x = system.x + drawn * subject.moves / 4
    if system.box is not None:  # there may be no room to go elsewhere
        return
    try:
        elsewhere = subject.claim(system.point(x))
    except GradcheckError:
        return
    mine, other = subject.matrix.entries(), elsewhere.entries()
    if not all(np.array_equal(a, b) for a, b in zip(mine, other, strict=True)):
        return
    v = subject.direction(FIRST)
    shifted = system.at(x)
    ahead, back = (system.at(x + side * v / 64) for side in (1, -1))
    here = subject.slopes(v)
    with np.errstate(all="ignore"):
        changed = np.abs((ahead - back) * 32 - here.value) > 0.01 * np.abs(here.value) + MOVED * here.bound
        changed &= ~here.bent
    if changed.any() and np.isfinite(shifted).any():
        yield
