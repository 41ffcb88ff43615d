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


def _numpy_state() -> bytes:
    """Of whichever bit generator."""
    return pickle.dumps(np.random.get_state(legacy=False))


def _put_numpy(state: bytes) -> None:
    np.random.set_state(pickle.loads(state))


TORCH = Generator(lambda: _bytes(torch.get_rng_state()), _put_torch, _seed_torch)
NUMPY = Generator(_numpy_state, _put_numpy, _seed_numpy)
PYTHON = Generator(random.getstate, random.setstate, random.seed)
CUDA = Generator(lambda: list(map(_bytes, torch.cuda.get_rng_state_all())), _put_cuda, torch.cuda.manual_seed_all)
MPS = Generator(lambda: _bytes(torch.mps.get_rng_state()), _put_mps, torch.mps.manual_seed)


def states(of: Mapping[str, Generator]) -> dict[str, Any]:
    """Of each."""
    return {name: each.state() for name, each in of.items()}


class Draws(Kept["Draws"]):
    """What one function draws, from the beginning to the end of a check, which leaves the generators as they were.

    Attributes
    ----------
    drawn : frozenset of str
        From which it is known to draw.
    """

    def __init__(self, seed: int) -> None:
        self.seed, self.drawn, self.at_work = seed, frozenset[str](), False
        self._before: dict[str, Any] = {}

    def take(self) -> "Draws":
        """While no other function draws."""
        with TURNS.of(ALL):
            self._before = states(generators())
        return self

    def put_back(self) -> None:
        """What was drawn where nobody looked, if anything."""
        self.restore(generators())

    def restore(self, looked_at: Mapping[str, Generator]) -> None:
        """Some generators; from one that the function is found to have moved it draws."""
        with TURNS.of(ALL):
            for name, each in looked_at.items():
                if name in self._before and each.state() != self._before[name]:
                    each.put(self._before[name])
                    self.drawn |= {name}

    def again(self, first: bool = False) -> AbstractContextManager[None]:
        """The same numbers as ever, for one evaluation in a ``with`` block; what is evaluated within it goes on drawing.

        At the first of its kind it is seen from which generators it draws.
        """
        if self.at_work:
            return nullcontext()
        return _Seeded(self, first) if first or self.drawn else _Watched(self)

    def has_moved(self) -> bool:
        """Whether PyTorch's generator is not where it was: a look at it takes a microsecond, at NumPy's fifty."""
        return TORCH.state() != self._before["torch"]


class _Seeded(Kept[None]):
    """An evaluation that draws, or may."""

    def __init__(self, draws: Draws, first: bool) -> None:
        self._draws, self._first, self._turn = draws, first, TURNS.of(ALL)
        self._generators = {name: each for name, each in generators().items() if first or name in draws.drawn}
        self._found: dict[str, Any] = {}

    def take(self) -> None:
        """From the seed."""
        self._turn.__enter__()
        self._found = states(self._generators)
        for each in self._generators.values():
            each.seed(self._draws.seed)
        self._begun = states(self._generators) if self._first else {}
        self._draws.at_work = True

    def put_back(self) -> None:
        """As if nobody had drawn."""
        if self._draws.at_work and self._first:
            now = states(self._generators)
            self._draws.drawn |= {name for name, begun in self._begun.items() if now[name] != begun}
        self._draws.at_work = False
        for name, state in self._found.items():
            self._generators[name].put(state)
        self._turn.__exit__(None, None, None)


class _Watched(Kept[None]):
    """An evaluation of a function that has never drawn."""

    def __init__(self, draws: Draws) -> None:
        self._draws = draws

    def take(self) -> None:
        """Nothing."""

    def put_back(self) -> None:
        """Where it has drawn now, or another one is just drawing."""
        if self._draws.has_moved():
            self._draws.restore({"torch": TORCH})
