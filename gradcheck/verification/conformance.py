"""The proof of a layer or a backend: each property that the rest of the package takes for granted, looked at by itself."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

from gradcheck.builds import registry
from gradcheck.builds.protocol import Backend
from gradcheck.errors import GradcheckError, GradientMismatch, Unsupported
from gradcheck.foundation.calling import one_line, passes, raised
from gradcheck.foundation.describe import at
from gradcheck.foundation.validation import seed_of
from gradcheck.network.layers import LAYERS, Dense, Layer, Residual, Sequential, Shape, Tanh, Tied
from gradcheck.verdict.findings import Verdict
from gradcheck.verification.properties import PROPERTIES, Subject, Violated
from gradcheck.verification.verifier import DEFAULT, verify

CASES = (("normal", "float64"), ("normal", "float32"), ("he", "float64"))
# What a sample may be: a vector, a sequence, an image, and as many tokens.
SHAPES: tuple[Shape, ...] = ((4,), (3, 4), (2, 4, 5))
# Of what is made of other layers: it offers none to be drawn by itself.
GLUE: Mapping[type[Layer], tuple[Layer, ...]] = {
    Sequential: (Sequential((Dense(3), Tanh())),),
    Residual: (Residual((Tanh(),)),),
    Tied: (Tied(Dense(2), (("bias", "after.bias"),)),),
}


class Row(NamedTuple):
    """One property: whether it holds, and one sentence of what was seen; what is not supported violates nothing."""

    name: str
    ok: bool
    sentence: str
    supported: bool = True


class Conformance(NamedTuple):
    """What was found, a row for each property; it is true where all hold.

    Attributes
    ----------
    title : str
        What was looked at.
    rows : tuple of Row
    """

    title: str
    rows: tuple[Row, ...]

    @property
    def violated(self) -> tuple[str, ...]:
        """Names of the properties that do not hold."""
        return tuple(row.name for row in self.rows if not row.ok)

    @property
    def unsupported(self) -> tuple[str, ...]:
        """Names of the rows of builds that do not know the layer, or of layers that the backend does not know."""
        return tuple(row.name for row in self.rows if not row.supported)

    def __bool__(self) -> bool:
        return not self.violated

    def require(self, *, supported: bool = False) -> None:
        """Raise `GradientMismatch`, an `AssertionError`, with all rows unless every property holds.

        Parameters
        ----------
        supported : bool
            Raise it also where something is unsupported.
        """
        if not self:
            raise GradientMismatch(f"violated: {', '.join(self.violated)}\n{self}")
        if supported and self.unsupported:
            raise GradientMismatch(f"unsupported: {', '.join(self.unsupported)}\n{self}")

    def __str__(self) -> str:
        width = max((len(row.name) for row in self.rows), default=0)
        rows = (f"  {'ok' if row.ok else 'VIOLATED':8}  {row.name:{width}}  {row.sentence}" for row in self.rows)
        return "\n".join([f"{self.title}: {'conforms' if self else 'does not conform'}", *rows])


def check_layer(
    layer: Layer,
    inputs: Iterable[int],
    backends: Iterable[str | Backend | Callable[..., Any]] = DEFAULT,
    *,
    seed: int = 0,
) -> Conformance:
    """Whether a layer is what it says, in a small network around it, and every build's gradients of that are right.

    Parameters
    ----------
    layer : Layer
        Of the package or of a third party.
    inputs : iterable of int
        Shape of one sample. Work grows with the square of the numbers of parameters and inputs: a few dozen each will do.
    backends : iterable of str, backend or function
        As to `gradcheck.verify`. One that does not know the layer is ``unsupported``.
    seed : int
        Of parameters and data.

    Raises
    ------
    DescriptionError, BackendError
        Where the layer does not fit the inputs, or a backend cannot be had. What a layer does wrong is a row.

    Examples
    --------
    >>> import gradcheck
    >>> print(gradcheck.check_layer(gradcheck.LayerNorm(), (3, 4), ["manual"]))  # doctest: +ELLIPSIS
    LayerNorm(eps=1e-05, affine=True) for (3, 4): conforms
      ok        shapes        (3, 4) to (3, 4), in every dtype
      ...
    """
    inputs, asked = tuple(inputs), tuple(backends)
    with at("inputs"):
        layer.output_shape(inputs)
    named = registry.resolve(asked)
    subject = Subject(layer, inputs, named, seed_of(seed))
    rows = [_row(name, holds, subject) for name, holds in PROPERTIES.items()]
    builds = [_row(name, _built_with(each), subject) for name, each in zip(named, asked, strict=True)]
    return Conformance(f"{layer!r} for {inputs}", (*rows, *builds))


def check_backend(backend: str | Backend | Callable[..., Any], *, seed: int = 0) -> Conformance:
    """Whether a backend's gradients are right for each layer of the table, in small networks; a row is a layer.

    Parameters
    ----------
    backend : str, backend or function
        As to `gradcheck.verify`. Layers that it does not know are ``unsupported``.
    seed : int
        Of parameters and data.

    Raises
    ------
    BackendError
        Where the backend cannot be had.
    """
    (name,), seed = registry.resolve([backend]), seed_of(seed)
    holds = _built_with(backend)
    each = (
        (kind, Subject(layer, shape, {}, seed))
        for kind, row in LAYERS.items()
        for shape in SHAPES
        for layer in (*row.examples(shape), *GLUE.get(row, ()))
    )
    worst: dict[str, Row] = {}
    for kind, subject in each:
        row = _row(kind, holds, subject)
        if kind not in worst or row[1::2] < worst[kind][1::2]:
            worst[kind] = row
    return Conformance(f"backend {name}", tuple(worst.values()))


def _row(name: str, holds: Callable[[Subject], str], subject: Subject) -> Row:
    try:
        return Row(name, True, holds(subject))
    except Unsupported as error:
        return Row(name, True, f"unsupported: {one_line(error)}", supported=False)
    except (Violated, GradcheckError) as error:
        return Row(name, False, one_line(error))
    except Exception as error:
        if passes(error):
            raise
        return Row(name, False, raised(error))


def _built_with(backend: Any) -> Callable[[Subject], str]:
    """Whether a backend's gradients are right in a few cases of a subject."""

    def holds(subject: Subject) -> str:
        first, *others = (partial(verify, subject.case(*case), [backend], seed=subject.seed) for case in CASES)
        for reason in (report := first()).unsupported.values():
            raise Unsupported(reason)
        reports = [report, *(each() for each in others)]
        for finding in (finding for report in reports for finding in report.findings):
            if finding.verdict is Verdict.WRONG:
                reason = finding.reason or f"off by {finding.error:.3g}, rounding by {finding.bound:.3g}"
                raise Violated(f"{finding.name} is wrong: {reason}")
        resolved = sum(map(bool, reports))
        if not resolved:
            raise Violated(f"no gradient could be judged: {reports[0].words}")
        return f"gradients correct in {resolved} of {len(CASES)} cases"

    return holds
