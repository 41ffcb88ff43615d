# pyright: reportUnknownMemberType=false
# (PyTorch's annotations are partial.)
"""The generators of random numbers that a function may draw from: one set for all threads.

A function that draws is evaluated from the same seed every time, in turn with others that do, and the generators go on as if
nobody had drawn. One that draws from none needs neither.
"""

import pickle
import random
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import numpy as np
import torch

from gradcheck.adapters.pytorch.state import TURNS
from gradcheck.foundation.state.interrupts import Kept

ALL = (object(),)  # whose turn it is has all generators


class Generator(NamedTuple):
    """One of them: its state, which may be compared, and how it is set."""

    state: Callable[[], Any]
    put: Callable[[Any], None]
    seed: Callable[[int], None]


def generators() -> dict[str, Generator]:
    """Those that there are."""
    found = {"torch": TORCH, "numpy": NUMPY, "python": PYTHON}
    if torch.cuda.is_initialized():
        found["cuda"] = CUDA
    if torch.backends.mps.is_available():
        found["mps"] = MPS
    return found


def _bytes(state: torch.Tensor) -> bytes:
    return state.numpy().tobytes()


def _tensor(state: bytes) -> torch.Tensor:
    return torch.frombuffer(bytearray(state), dtype=torch.uint8)


def _put_cuda(states: list[bytes]) -> None:
    torch.cuda.set_rng_state_all(list(map(_tensor, states)))


def _seed_torch(seed: int) -> None:
    """Not by ``torch.manual_seed``: for each kind of device that is not there it formats the stack and keeps it for ever."""
    torch.default_generator.manual_seed(seed)


def _put_torch(state: bytes) -> None:
    torch.set_rng_state(_tensor(state))


def _put_mps(state: bytes) -> None:
    torch.mps.set_rng_state(_tensor(state))


def _seed_numpy(seed: int) -> None:
    np.random.seed(seed % 2**32)


TORCH = Generator(lambda: _bytes(torch.get_rng_state()), _put_torch, _seed_torch)
NUMPY = Generator(np.random.get_state, np.random.set_state, _seed_numpy)
PYTHON = Generator(random.getstate, random.setstate, random.seed)
CUDA = Generator(lambda: list(map(_bytes, torch.cuda.get_rng_state_all())), _put_cuda, torch.cuda.manual_seed_all)
MPS = Generator(lambda: _bytes(torch.mps.get_rng_state()), _put_mps, torch.mps.manual_seed)


def states(of: Mapping[str, Generator]) -> dict[str, Any]:
    """Of each."""
    return {name: each.state() for name, each in of.items()}


def same(one: Any, other: Any) -> bool:
    """Whether two states are."""
    return pickle.dumps(one) == pickle.dumps(other)


class Draws(Kept["Draws"]):
    """What one function draws, from the beginning to the end of a check, which leaves the generators as they were.

    Attributes
    ----------
    drawn : frozenset of str, optional
        From which it is known to draw; None before that was looked at.
    """

    def __init__(self, seed: int) -> None:
        self.seed, self.seen = seed, frozenset[str]()
        self.drawn: frozenset[str] | None = None
        self.before: dict[str, Any] = {}
        self.at_work = False

    def take(self) -> "Draws":
        """While no other function draws."""
        with TURNS.of(ALL):
            self.before = states(generators())
        return self

    def put_back(self) -> None:
        """What has drawn later than it was looked at, if anything."""
        self.restore(generators())

    def restore(self, looked_at: Mapping[str, Generator]) -> None:
        """Some generators; which one a function is found to have moved it draws from."""
        with TURNS.of(ALL):
            for name, each in looked_at.items():
                if name in self.before and not same(each.state(), self.before[name]):
                    each.put(self.before[name])
                    self.drawn = (self.drawn or frozenset()) | {name}

    def settle(self) -> None:
        """It has been seen forward and backward."""
        self.drawn = self.seen

    @property
    def any(self) -> bool:
        """Whether it draws."""
        return bool(self.seen if self.drawn is None else self.drawn)

    def again(self) -> AbstractContextManager[None]:
        """The same numbers as ever, for one evaluation in a ``with`` block; what is evaluated within it goes on drawing."""
        if self.at_work:
            return nullcontext()
        return _Watched(self) if self.drawn == frozenset() else _Seeded(self)


class _Seeded(Kept[None]):
    """An evaluation that draws, or may."""

    def __init__(self, draws: Draws) -> None:
        drawn = draws.drawn
        self.draws, self.turn = draws, TURNS.of(ALL)
        self.generators = {name: each for name, each in generators().items() if drawn is None or name in drawn}
        self.found: dict[str, Any] = {}
        self.begun: dict[str, Any] = {}

    def take(self) -> None:
        self.turn.__enter__()
        self.found = states(self.generators)
        for each in self.generators.values():
            each.seed(self.draws.seed)
        self.begun = states(self.generators) if self.draws.drawn is None else {}
        self.draws.at_work = True

    def put_back(self) -> None:
        self.draws.at_work = False
        for name, begun in self.begun.items():
            if not same(self.generators[name].state(), begun):
                self.draws.seen |= {name}
        for name, state in self.found.items():
            self.generators[name].put(state)
        self.turn.__exit__(None, None, None)


class _Watched(Kept[None]):
    """An evaluation that has never drawn: PyTorch's generator is looked at, which takes a microsecond."""

    def __init__(self, draws: Draws) -> None:
        self.draws = draws

    def take(self) -> None:
        pass

    def put_back(self) -> None:
        if TORCH.state() != self.draws.before["torch"]:
            self.draws.restore({"torch": TORCH})
