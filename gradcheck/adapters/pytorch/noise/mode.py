"""Two ways to evaluate a PyTorch program: as it is, keeping what it decided; and with noise on every operation."""

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode

from gradcheck.adapters.pytorch.noise import pool
from gradcheck.adapters.pytorch.noise.apart import ONE_OF_CONVOLUTION, OURS, theirs
from gradcheck.adapters.pytorch.noise.choices import Decisions, Replay, picked
from gradcheck.adapters.pytorch.noise.lengths import ACCUMULATE, REDUCTIONS, TERMS, length
from gradcheck.adapters.pytorch.noise.table import PICKS, PRODUCTS, Kind, Rule, rule
from gradcheck.adapters.pytorch.noise.wide import Width, made, tensors, widened
from gradcheck.comparison.levels import Level

aten = torch.ops.aten
SHAKEN = (torch.float64, torch.float32, torch.complex128, torch.complex64)
LOW = (torch.bfloat16, torch.float16)


class _Arithmetic(TorchDispatchMode):
    """Every operation by its rule; what is done with operands, results and decisions is the mode's own."""

    def __init__(self) -> None:
        super().__init__()
        self._width = Width()
        self._outer: Any = None

    @abstractmethod
    def _term(self, x: torch.Tensor, n: int, product: bool) -> torch.Tensor:
        """An operand of a sum of n terms."""

    @abstractmethod
    def _settle(self, x: torch.Tensor, n: int) -> None:
        """A result, in place; of a sum of n terms where n is not 0."""

    @abstractmethod
    def _choose(self, by: Any, about: torch.Size, own: torch.Tensor) -> torch.Tensor:
        """A decision."""

    def __enter__(self) -> Any:
        # Fused attention has no operations to put anything on.
        self._outer = sdpa_kernel(SDPBackend.MATH)
        self._outer.__enter__()
        return super().__enter__()

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)
        self._outer.__exit__(*raised)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return self._perform(func, args, kwargs or {})

    def _do(self, func: Any, *args: Any) -> Any:
        return self._perform(func, args, {})

    def _perform(self, func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        if func is ONE_OF_CONVOLUTION:
            return self._one_of_convolution(args)
        known = rule(func)
        if self._width.meets(args):
            args, kwargs = widened(known, args, kwargs)
            if known.makes and not any(map(_floating, tensors(args))):
                return made(known, func, args, kwargs, func(*args, **kwargs))
        return _PERFORM[known.kind](self, known, func, args, kwargs)

    def _copy(self, known: Rule, func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        result = func(*args, **kwargs)
        if known.name == "copy" and not _floating(args[0]) and _floating(args[1]):
            return self._decided(known, func, args, kwargs, result)
        return result

    def _cast(self, known: Rule, func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        result = func(*args, **kwargs)
        decides = _floating(args[0]) and not _floating(result)
        return self._choose(func, args[0].shape, result) if decides else result

    def _decide(self, known: Rule, func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        floats = any(map(_floating, tensors(args)))
        about = next(tensors(args)).shape if floats else torch.Size()
        result = func(*args, **kwargs)
        if not floats or any(each.is_complex() for each in tensors((result,))):
            return result
        return self._decided(known, func, args, kwargs, result, about)

    def _decided(
        self,
        known: Rule,
        func: Any,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        result: Any,
        about: torch.Size | None = None,
    ) -> Any:
        about = args[0].shape if about is None else about
        if known.writes:
            for target in _written(known, args, kwargs):
                chosen = self._choose(func, about, target)
                if chosen is not target:
                    target.copy_(chosen)
            return result
        if isinstance(result, (list, tuple)):
            return type(result)(self._choose(func, about, each) for each in result)
        return self._choose(func, about, result) if isinstance(result, torch.Tensor) else result

    def _pick(self, known: Rule, func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        result = func(*args, **kwargs)
        if known.writes or not _floating(args[0]):
            return result
        numbers, own = result
        places = self._choose(func, args[0].shape, own)
        if places is own:
            return result
        return picked(args[0], places, _argument(func, args, kwargs, "dim"), PICKS[known.name]), places

    def _remain(self, known: Rule, func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """What is left of a number; how often another went into it is the decision."""
        if known.writes or not isinstance(args[0], torch.Tensor):
            return func(*args, **kwargs)
        by = args[1] if len(args) > 1 else 1
        left = func(*args, **kwargs)
        if not _floating(left):
            return left
        own = ((args[0] - left) / by).round_()
        times = self._choose(func, left.shape, own)
        left = left if times is own else args[0] - times * by
        self._settle(left, 0)
        return left

    def _round(self, known: Rule, func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        result = func(*args, **kwargs)
        self._settled(known, args, kwargs, result, 0)
        return result

    def _sum(self, known: Rule, func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        if known.name in ACCUMULATE and _only_moves(known.name, args, kwargs):
            return func(*args, **kwargs)
        return self._summed(known, func, args, kwargs, TERMS.get(known.name), product=False)

    def _product(self, known: Rule, func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        return self._summed(known, func, args, kwargs, PRODUCTS[known.name], product=True)

    def _summed(
        self,
        known: Rule,
        func: Any,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        terms: tuple[int, ...] | None,
        product: bool,
    ) -> Any:
        n = length(known.name, args, kwargs)
        if n == 1 and known.name in REDUCTIONS:
            return func(*args, **kwargs)
        at = range(len(args)) if terms is None else terms
        shaken = [
            self._terms(each, n, product) if place in at and place not in known.writes else each
            for place, each in enumerate(args)
        ]
        result = func(*shaken, **kwargs)
        self._settled(known, args, kwargs, result, n)
        return result

    def _logsum(self, known: Rule, func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Terms are the operand's exponentials, so that what is off relative to them is added to it."""
        n = length(known.name, args, kwargs)
        off = self._term(torch.ones_like(args[0]), n, False).sub_(1).add_(args[0])
        result = func(off, *args[1:], **kwargs)
        self._settled(known, args, kwargs, result, 0)
        return result

    def _one_of_convolution(self, args: Sequence[Any]) -> torch.Tensor:
        g, x, weight, *rest = args
        wide = g.numel() // max(1, g.shape[1])
        groups = rest[-2]
        n = max(1, wide if rest[-1] else weight[0, :1].numel() * weight.shape[0] // max(1, groups))
        result = ONE_OF_CONVOLUTION(
            self._term(g, n, True),
            x if rest[-1] == 0 else self._term(x, n, True),
            weight if rest[-1] else self._term(weight, n, True),
            *rest,
        )
        self._settle(result, n)
        return result

    def _apart(self, known: Rule, func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        operands = list(tensors(args))
        whole = any(each.dtype in LOW or each.is_complex() or not each.numel() for each in operands)
        if whole or not operands or "out" in kwargs:
            return self._round(known, func, args, kwargs)
        result = (
            OURS[known.name](self._do, *args, **kwargs) if known.name in OURS else self._theirs(known, func, args, kwargs)
        )
        return args[0].copy_(result) if known.writes == (0,) else result

    def _theirs(self, known: Rule, func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """PyTorch's own decomposition calls operations by way of the dispatcher: they come back here."""
        TorchDispatchMode.__enter__(self)
        try:
            return theirs(func, known.name)(*args, **kwargs)
        finally:
            TorchDispatchMode.__exit__(self, None, None, None)

    def _terms(self, each: Any, n: int, product: bool) -> Any:
        if isinstance(each, torch.Tensor):
            return self._term(each, n, product) if _shakable(each) else each
        if isinstance(each, (list, tuple)):
            return [self._terms(part, n, product) for part in each]
        return each

    def _settled(self, known: Rule, args: Sequence[Any], kwargs: dict[str, Any], result: Any, n: int) -> None:
        if known.writes:
            result = tuple(_written(known, args, kwargs))
        for each in (
            (result,) if isinstance(result, torch.Tensor) else tensors(result if isinstance(result, (list, tuple)) else ())
        ):
            if _shakable(each):
                self._settle(torch.view_as_real(each) if each.is_complex() else each, n)


_PERFORM: dict[Kind, Any] = {
    Kind.COPY: _Arithmetic._copy,
    Kind.MADE: _Arithmetic._copy,
    Kind.CAST: _Arithmetic._cast,
    Kind.DECIDE: _Arithmetic._decide,
    Kind.PICK: _Arithmetic._pick,
    Kind.REMAIN: _Arithmetic._remain,
    Kind.ROUND: _Arithmetic._round,
    Kind.SUM: _Arithmetic._sum,
    Kind.LOGSUM: _Arithmetic._logsum,
    Kind.PRODUCT: _Arithmetic._product,
    Kind.APART: _Arithmetic._apart,
}


def _shakable(each: torch.Tensor) -> bool:
    return each.dtype in SHAKEN and each.numel() > 0 and each.layout is torch.strided


def _floating(each: Any) -> bool:
    return isinstance(each, torch.Tensor) and (each.is_floating_point() or each.is_complex())


def _written(known: Rule, args: Sequence[Any], kwargs: dict[str, Any]) -> Iterator[torch.Tensor]:
    return tensors(
        [args[at] if isinstance(at, int) else kwargs[at] for at in known.writes if isinstance(at, int) or at in kwargs]
    )


def _argument(func: Any, args: Sequence[Any], kwargs: dict[str, Any], name: str) -> Any:
    for place, each in enumerate(func._schema.arguments):
        if each.name == name:
            return args[place] if place < len(args) else kwargs.get(name, each.default_value)
    return 0


def _only_moves(name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> bool:
    """Whether numbers are put somewhere and nothing is added up."""
    if name.startswith("scatter_reduce"):
        reduce = args[4] if len(args) > 4 else kwargs.get("reduce", "sum")
        return reduce in ("amax", "amin")
    return not (args[3] if len(args) > 3 else kwargs.get("accumulate", False))


class Exact(_Arithmetic):
    """Evaluates without noise and keeps what was decided.

    Attributes
    ----------
    decisions : Decisions
    """

    def __init__(self) -> None:
        super().__init__()
        self.decisions = Decisions()

    def _term(self, x: torch.Tensor, n: int, product: bool) -> torch.Tensor:
        return x.clone() if n < 0 else x

    def _settle(self, x: torch.Tensor, n: int) -> None:
        size = x.abs()
        least, most = (bound.item() for bound in size.aminmax())
        if not math.isfinite(most):
            most = size.masked_fill_(~size.isfinite(), 0).amax().item()
            least = 0.0
        if not least:
            least = size.masked_fill_(size == 0, math.inf).amin().item()
        self.decisions.ranges.append((least, most))

    def _choose(self, by: Any, about: torch.Size, own: torch.Tensor) -> torch.Tensor:
        self.decisions.record(by, about, own)
        return own


class Noise(_Arithmetic):
    """Evaluates with every operation off as a level has it, and takes the decisions that were taken without.

    Parameters
    ----------
    level : Level
    seed : int
        One seed is one noise, whatever becomes of decisions.
    decisions : Decisions or None
        Of the same evaluation under `Exact`.
    free : bool
        Takes its own decisions, and counts how many are others.

    Attributes
    ----------
    flips : int
        Entries of decisions that came out otherwise, whether or not they were then taken as before. An evaluation that goes
        another way from somewhere on (`if` in Python) is one, and all decisions after it are its own.
    """

    def __init__(self, level: Level, seed: int, decisions: Decisions | None, *, free: bool = False) -> None:
        super().__init__()
        self._level = level
        self._places = pool.Places(seed)
        self._replay = Replay(decisions, free)
        self._ranges = decisions.ranges if decisions is not None else []
        self._results = 0
        self._found: dict[Any, torch.Tensor] = {}

    @property
    def flips(self) -> int:
        """How many entries of decisions came out otherwise."""
        return self._replay.flips

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)
        if raised[0] is None:
            self._replay.finish()

    def _choose(self, by: Any, about: torch.Size, own: torch.Tensor) -> torch.Tensor:
        return self._replay.choose(by, about, own)

    def _factors(self, x: torch.Tensor, n: int, product: bool | None) -> torch.Tensor:
        """What x is multiplied with: as a factor of a product, as another term, or (None) as a result."""
        key = n, product, x.dtype, x.device
        found = self._found.get(key)
        if found is None:
            # Less than half a unit is lost where float32 rounds to the nearest.
            size = self._size(n, product) + (2.0**-24 if x.dtype == torch.float32 else 0.0)
            found = self._found[key] = pool.factors(size, x.device)
        return found

    def _size(self, n: int, product: bool | None) -> float:
        level = self._level
        if product is None:
            return max(level.unit, level.total(n)) if n else level.unit
        return math.hypot(level.term(n), level.factors) if product else level.term(n)

    def _term(self, x: torch.Tensor, n: int, product: bool) -> torch.Tensor:
        if x.is_complex():
            shaken = x.resolve_conj().clone(memory_format=torch.contiguous_format)
            self._multiply(torch.view_as_real(shaken), self._factors(torch.view_as_real(shaken), n, product))
            return shaken
        if x.numel() <= pool.PIECE and x.dtype == torch.float64 and x.is_contiguous():
            return x * self._factors(x, n, product).as_strided(x.shape, x.stride(), self._places.next())
        shaken = x.clone()
        self._multiply(shaken, self._factors(x, n, product))
        return shaken

    def _settle(self, x: torch.Tensor, n: int) -> None:
        before = self._ranges[self._results] if self._results < len(self._ranges) else (0.0, math.inf)
        self._results += 1
        self._multiply(x, self._factors(x, n, None))
        level = self._level
        if before[0] < 2 * level.tiny:
            off = self._places.whole(pool.factors(1.0, x.device), x.numel()).sub(1).view(x.shape)
            x.add_(off.mul_(x != 0), alpha=level.unit * level.tiny)
        if before[1] > level.largest / 2:
            x.copy_(torch.where(x.abs() > level.largest, x.sign() * math.inf, x))

    def _multiply(self, x: torch.Tensor, by: torch.Tensor) -> None:
        n = x.numel()
        if x.dtype != torch.float64:
            x.copy_(x.double().mul_(self._places.whole(by, n).view(x.shape)))
        elif n <= pool.PIECE and x.is_contiguous():
            x.mul_(by.as_strided(x.shape, x.stride(), self._places.next()))
        elif (row := pool.flat(x)) is None:
            x.mul_(self._places.whole(by, n).view(x.shape))
        else:
            for first, last, piece in self._places.pieces(by, n):
                row[first:last].mul_(piece)
