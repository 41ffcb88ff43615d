"""From what is handed in to what is judged: the point, in which coordinates, and inside of which bounds."""

from typing import Any, cast

from gradcheck.candidates.bounds import bounded, held_fast
from gradcheck.candidates.complex_points import complex_charts, convention_of
from gradcheck.candidates.functions import Subject
from gradcheck.candidates.point import point_of
from gradcheck.candidates.precision import cast as in_dtype
from gradcheck.candidates.written import Written


def subject_of(written: Written, dtype: str | None = None, bounds: Any = None, convention: str | None = None) -> Subject:
    """The functions with their point, and the charts that its convention and its bounds demand."""
    named = None if convention is None else convention_of(convention)
    tree = in_dtype(point_of(written.at, complex_too=named is not None), dtype)
    charts = complex_charts(tree.arrays, named)
    subject = Subject(
        written.loss,
        written.gradient,
        tree,
        dtype=dtype,
        charts=charts,
        complex_blocks=dict.fromkeys(charts, named or ""),
        notes=written.notes,
        unchecked=written.unchecked,
    )
    if bounds is None:
        return subject
    if written.names and isinstance(bounds, list | tuple):
        bounds = tuple(map(written.by_name, cast("tuple[Any, ...]", bounds)))
    tree, box, holding, fast = bounded(tree, bounds)
    return subject._replace(
        tree=tree,
        box=box,
        charts={**charts, **holding},
        notes=(*subject.notes, *held_fast(fast)),
        unchecked=(*subject.unchecked, *fast),
    )
