# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# (PyTorch's annotations are partial.)
"""Every operation of a PyTorch program by its rule; what is done with numbers and decisions is left to the modes."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode

from gradcheck.adapters.pytorch.noise.apart import ONE_OF_CONVOLUTION, OURS, theirs
from gradcheck.adapters.pytorch.noise.choices import picked
from gradcheck.adapters.pytorch.noise.lengths import ACCUMULATE, REDUCTIONS, TERMS, largest, length
from gradcheck.adapters.pytorch.noise.table import PICKS, PRODUCTS, Rule, rule
from gradcheck.adapters.pytorch.noise.wide import Width, made, tensors, widened

aten = torch.ops.aten
SHAKEN = (torch.float64, torch.float32, torch.complex128, torch.complex64)
# Of whole numbers these make whole numbers, which are exact as long as a format has them: in whatever order.
CLOSED = frozenset(("add", "sub", "rsub", "mul", "sum", "cumsum", *PRODUCTS))
LOW = (torch.bfloat16, torch.float16)


class Arithmetic(TorchDispatchMode):
    """Every operation by its rule; what is done with operands, results and decisions is the mode's own."""

    def __init__(self, wide: bool | None) -> None:
        super().__init__()
        self._width = Width(wide)
        self._outer: Any = None

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Not: that would load PyTorch's compiler, in seconds, and be asked before every operation."""
        return False

    @abstractmethod
    def _term(self, x: torch.Tensor, n: int, product: bool) -> torch.Tensor:
        """An operand of a sum of n terms."""

    @abstractmethod
    def _settle(self, x: torch.Tensor, n: int, closed: bool = False) -> None:
        """A result, in place; of a sum of n terms where n is not 0; whole where all operands are, where it is closed."""

    @abstractmethod
    def _whole(self) -> bool:
        """Whether the next result is of whole numbers, and exact; asked where the operation is closed."""

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
            if known.makes and not (args and _floating(args[0])) and not any(map(_floating, tensors(args))):
                return made(known, func, args, kwargs, func(*args, **kwargs))
        perform: Any = getattr(self, known.kind.value)
        return perform(known, func, args, kwargs)

    def _copy(self, known: Rule, func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        result = func(*args, **kwargs)
        if known.name == "copy" and not _floating(args[0]) and _floating(args[1]):
            return self._decided(known, func, args, kwargs, result, args[0].shape)
        return result

    def _make(self, known: Rule, func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        return func(*args, **kwargs)

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
        about: torch.Size,
    ) -> Any:
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
        own = result[1]
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
        if known.name in REDUCTIONS and (n == 1 or largest(known.name, args, kwargs)):
            return func(*args, **kwargs)
        if known.name in CLOSED and self._whole():
            result = func(*args, **kwargs)
            self._settled(known, args, kwargs, result, n)
            return result
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
            several: Any = theirs(func, known.name)
            return several(*args, **kwargs)
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
        closed = known.name in CLOSED
        for each in (
            (result,) if isinstance(result, torch.Tensor) else tensors(result if isinstance(result, (list, tuple)) else ())
        ):
            if _shakable(each):
                self._settle(torch.view_as_real(each) if each.is_complex() else each, n, closed)


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
    if name.endswith("_reduce"):
        return (args[4] if len(args) > 4 else kwargs.get("reduce", "sum")) in ("amax", "amin")
    return not (args[3] if len(args) > 3 else kwargs.get("accumulate", False))
