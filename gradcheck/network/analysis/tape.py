"""A tape: the operations of a forward pass, recorded with what rounding does to each, and played back for gradients.

A `Node` takes an array's place in the meaning of a layer. Beside its value stands the variance of its rounding error in
units of u^2, None where there is none. The reverse sweep makes its operations on the same tape, by the same rules: the
variance of a gradient entry is the running error of its node, and no analysis of gradients is written down.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from gradcheck.foundation.arithmetic import Precision
from gradcheck.foundation.arrays import Array
from gradcheck.network.analysis.choices import Choice

TERMS = 64  # a sum of n terms is at most sqrt(n) times the root of the sum of their squares, which the variance holds
SHAKEN = 2.0**-26  # of a relative change: far above float64's rounding, and far below what bends

Variance: TypeAlias = Array | None


class Rule:
    """What is known of one operation. By default it only moves numbers, and nobody goes back through it."""

    def value(self, *x: Array, **options: Any) -> Array:
        """The result."""
        raise NotImplementedError

    def spread(self, node: "Record") -> Variance:
        """The variance that its arguments hand on: sum of |dy/dx|^2 times theirs."""
        raise NotImplementedError

    def own(self, node: "Record") -> Variance:
        """The square of its own rounding error in units of u; None where it only moves numbers."""
        return None

    def roots(self, node: "Record") -> float | None:
        """Where many others use the result, as they use a mean: by how many roots of its variance it may be off at once."""
        return None

    def recomputed(self, node: "Record") -> Variance:
        """The same of a result that builds compute anew on the way back, if that is worse."""
        return None

    def back(self, node: "Record", g: Any) -> Sequence[Any]:
        """The gradients at its arguments, given the one at its result."""
        raise NotImplementedError

    def kinks(self, node: "Record") -> Array | None:
        """On the way back: what kinks may change in its result (`gradcheck.network.analysis.kinks`)."""
        return None


class Record:
    """A result with what is known of it, or a leaf.

    Attributes
    ----------
    value : array
    variance : array, optional
        Of its rounding error in units of u^2; None where it is exact.
    rows : array, optional
        What kinks may change in it, of shape (3, *shape).
    rule, arguments, options
        How it was computed.
    needs : bool
        Whether a gradient is asked for that depends on it.
    own : array, optional
        The part of the variance that came in by its own rounding.
    known : array, optional
        What a rule keeps for the way back; on the way back of how many terms each entry is gathered.
    """

    __slots__ = ("arguments", "known", "needs", "options", "own", "rows", "rule", "tape", "value", "variance")

    def __init__(self, tape: "Tape", value: Array, variance: Variance = None, *, needs: bool = False) -> None:
        self.tape, self.value, self.variance, self.needs = tape, value, variance, needs
        self.rule: Rule | None = None
        self.arguments: tuple[Any, ...] = ()
        self.options: Mapping[str, Any] = {}
        self.rows: Array | None = None
        self.known: Array | None = None
        self.own: Array | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def spread(self) -> Array | float:
        """The variance, 0 where it is exact."""
        return 0.0 if self.variance is None else self.variance


class Tape:
    """Where operations are recorded.

    Parameters
    ----------
    kind : type
        Of its records: `gradcheck.network.analysis.nodes.Node`.
    arithmetic : Precision, optional
        Of the builds whose rounding is predicted; without it there are values alone.
    dtype : dtype
        In which values are computed here.
    in_a_loop : bool
        Whether sums go one after the other, in values (`Sum`) and in what is charged for them.
    replayed : sequence of Choice, optional
        Of another tape: kinks are taken as they were there.
    shaken : sequence of array, optional
        Of another tape, `shared`: squares by the root of which results that many use are moved, times `SHAKEN`, up or down.
    """

    def __init__(
        self,
        kind: Any,
        arithmetic: Precision | None = None,
        *,
        dtype: Any = np.float64,
        in_a_loop: bool = True,
        replayed: Sequence[Choice] | None = None,
        shaken: Sequence[Variance] | None = None,
    ) -> None:
        self.kind, self.arithmetic, self.dtype, self.in_a_loop = kind, arithmetic, np.dtype(dtype), in_a_loop
        self.replayed: Iterator[Choice] | None = None if replayed is None else iter(replayed)
        self.shaken: Iterator[Variance] | None = None if shaken is None else iter(shaken)
        self.shared: list[Variance] = []  # squares of how far rounding may move what many use
        self.choices: list[Choice] = []
        self.path: list[str] = []
        self._records: list[Record] = []
        self._forward = True
        self._rng = np.random.default_rng(0)
        self._largest = arithmetic.largest**0.5 if arithmetic else np.inf  # builds square what they compute (1 + z*z, d*d)

    @property
    def u(self) -> float:
        """The unit roundoff; 0 where nothing is predicted."""
        return self.arithmetic.u if self.arithmetic else 0.0

    def leaf(self, value: Array, *, needs: bool = True) -> Any:
        """What the network is given, without error; ``needs`` where its gradient is asked for."""
        return self.kind(self, value.astype(self.dtype, copy=False), needs=needs)

    def constant(self, value: Any) -> Any:
        """A number of the description, rounded once unless float32 has it."""
        given = np.asarray(value)
        held = given.astype(self.dtype)
        with np.errstate(over="ignore"):
            inexact = self.arithmetic and given.dtype.kind == "f" and not np.array_equal(given.astype(np.float32), given)
        return self.kind(self, held, np.square(held) if inexact else None)

    def do(self, rule: Rule, arguments: Sequence[Any], options: Mapping[str, Any]) -> Any:
        """Compute a result and, where rounding is predicted, what it does to that."""
        x = tuple([each if isinstance(each, Record) else self.constant(each) for each in arguments])
        node = self.kind(self, rule.value(*[each.value for each in x], **options), needs=any(each.needs for each in x))
        node.rule, node.arguments, node.options = rule, x, options
        if self.shaken is not None and rule.roots(node) is not None:
            own = next(self.shaken)
            node.value = node.value if own is None else node.value + self._shake(own)
        if self.arithmetic:
            self._predict(node, rule, x, self.arithmetic)
        if not self._forward:
            node.arguments = ()  # nobody goes back through these
        elif node.needs:
            self._records.append(node)
        return node

    def _predict(self, node: Record, rule: Rule, x: Sequence[Record], arithmetic: Precision) -> None:
        node.variance = rule.spread(node) if any(each.variance is not None for each in x) else None
        own = node.own = rule.own(node)
        roots = rule.roots(node)
        if roots is not None:
            self.shared.append(None if own is None else roots**2 * own)
        if own is not None:
            total = own if node.variance is None else own + node.variance
            node.variance = guarded(node.value, total, arithmetic, self._largest)
        # A function is continuous at a kink, its slope is not.
        choice = None if self._forward else node.options.get("choice")
        if any(each.rows is not None for each in x) or (choice is not None and choice.near.any()):
            rows = rule.kinks(node)
            node.rows = rows if rows is not None and rows.any() else None

    def _shake(self, own: Array) -> Array:
        return SHAKEN * np.sqrt(own) * self._rng.choice([-1.0, 1.0], own.shape)

    def choose(self, choice: Choice) -> Choice:
        """Record a choice; where choices are replayed, the one that was made then."""
        self.choices.append(choice if self.replayed is None else next(self.replayed))
        return self.choices[-1]

    def gradients(self, outputs: Any, g: Any, leaves: Mapping[str, Any]) -> dict[str, Any]:
        """From the gradient at the outputs down to these leaves; None at one on which nothing depends."""
        self._forward, self._largest = False, self.arithmetic.largest if self.arithmetic else np.inf
        for node in self._records if self.arithmetic else ():
            again = node.rule.recomputed(node) if node.rule else None
            node.variance = node.variance if again is None else node.spread + again
        found: dict[int, Any] = {id(outputs): g}
        while self._records:
            node = self._records.pop()
            above = found.pop(id(node), None)
            if above is None or node.rule is None:
                continue
            for argument, own in zip(node.arguments, node.rule.back(node, above), strict=True):
                if argument.needs and own is not None:
                    known = found.get(id(argument))
                    found[id(argument)] = own if known is None else added(known, own)
        return {name: found.get(id(leaf)) for name, leaf in leaves.items()}


def added(first: Any, second: Any) -> Any:
    """Two gradients of one array. One that gathers its terms may add each of them to the other, and rounds so many times."""
    total = first + second
    steps = [each.known for each in (first, second) if each.known is not None]
    if steps and total.variance is not None:
        total.known = sum(steps)
        total.variance = total.variance + total.known * (first.value**2 + second.value**2)
    return total


def guarded(value: Array, variance: Array, arithmetic: Precision, largest: float) -> Array:
    """The variance with underflow; ``inf`` where a value, or a sum of the terms that it is made of, may pass ``largest``.

    Whatever rounds has at least the square of its value as its variance.
    """
    widened = variance + arithmetic.underflow**2
    if (TERMS + 1) * float(variance.max(initial=0.0)) ** 0.5 < largest:
        return widened
    return np.where(np.abs(value) + TERMS * np.sqrt(variance) < largest, widened, np.inf)


def fitted(x: Any, shape: tuple[int, ...]) -> Array:
    """Broadcast, where it must be."""
    return x if getattr(x, "shape", None) == shape else np.broadcast_to(x, shape)
