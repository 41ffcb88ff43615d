"""Things that are moved in place are moved by one thread at a time: each takes all that it moves at once, or waits.

Who takes all at once never holds one thing while waiting for another, so nobody waits for ever. A thread may take again what
it has; where that makes two threads wait for each other, the second is told.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from queue import SimpleQueue
from typing import TypeVar

from gradcheck.errors import DataError
from gradcheck.foundation.state.interrupts import Kept, interruptible

R = TypeVar("R")
T = TypeVar("T")


class Turns:
    """Who has what, of things that are known by their identity; first come, first served."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queue: list[Turn] = []
        self._taken = Counter[int]()

    def of(self, things: Iterable[object]) -> "Turn":
        """A turn with some things, to be held in a ``with`` block."""
        return Turn(self, things)

    def of_everything(self) -> "Turn":
        """A turn during which no other thread has one."""
        return Turn(self, None)

    def in_turn(self, ask: Callable[[], R], things: Callable[[], Iterable[object]]) -> R:
        """The answer to what only looks at some things. Where another thread may have moved them, it is asked again."""
        seen = self.seen()
        try:
            found = ask()
        except Exception:
            if not self.moved_since(seen):
                raise
        else:
            if not self.moved_since(seen):
                return found
        with self.of(things()):
            return ask()

    def seen(self) -> int | None:
        """How many turns other threads have had; None while they have one."""
        me = threading.get_ident()
        with self._lock:
            busy = any(turn.held and turn.thread != me for turn in self._queue)
            return None if busy else self._taken.total() - self._taken[me]

    def moved_since(self, seen: int | None) -> bool:
        """Whether another thread has had a turn since then."""
        return seen is None or self.seen() != seen

    def taken(self, things: Iterable[T]) -> list[T]:
        """Those of some things that another thread has."""
        me = threading.get_ident()
        with self._lock:
            held = [turn for turn in self._queue if turn.held and turn.thread != me]
        return [thing for thing in things if any(turn.has(thing) for turn in held)]

    def enter(self, turn: "Turn") -> None:
        """Into the queue; it has its turn at once where nobody is in the way."""
        with self._lock:
            turn.nested = any(other.held and other.thread == turn.thread for other in self._queue)
            self._queue.append(turn)
            self._look(turn)

    def again(self, turn: "Turn") -> None:
        """Somebody has left: whether it is its turn now."""
        with self._lock:
            self._look(turn)

    def _look(self, turn: "Turn") -> None:
        ahead = self._ahead(turn)
        turn.held = not ahead
        self._taken[turn.thread] += turn.held
        if turn.nested and ahead and self._waits(ahead, turn.thread, set()):
            raise DataError("two checks wait for each other's tensors: each is called by a function that the other checks")

    def leave(self, turn: "Turn") -> None:
        """Out of the queue; who waits looks again."""
        with self._lock:
            self._queue = [other for other in self._queue if other is not turn]
            for other in self._queue:
                if not other.held:
                    other.bell.put(None)

    def _ahead(self, turn: "Turn") -> "list[Turn]":
        """Turns of others that must end before: all that are under way, and those that have waited longer.

        Who has something already waits for none of the second kind, which may be waiting for that.
        """
        others = [other for other in self._queue if other.thread != turn.thread and other.overlaps(turn)]
        earlier = self._queue[: self._queue.index(turn)] if others else []
        return [other for other in others if other.held or (not turn.nested and other in earlier)]

    def _waits(self, turns: "list[Turn]", thread: int, seen: set[int]) -> bool:
        """Whether one of these ends only after a turn of a thread."""
        for holder in {turn.thread for turn in turns} - seen:
            seen.add(holder)
            waiting = [turn for turn in self._queue if turn.thread == holder and not turn.held]
            blocking = [other for turn in waiting for other in self._ahead(turn)]
            if any(other.thread == thread for other in blocking) or self._waits(blocking, thread, seen):
                return True
        return False


class Turn(Kept[None]):
    """One thread's turn with some things, or with everything."""

    def __init__(self, turns: Turns, things: Iterable[object] | None) -> None:
        self._turns, self._things = turns, None if things is None else list(things)
        self._keys = frozenset(map(id, self._things or ()))
        self.thread, self.held, self.bell = threading.get_ident(), False, SimpleQueue[None]()
        self.nested = False

    def has(self, thing: object) -> bool:
        """Whether it is with that thing."""
        return self._things is None or id(thing) in self._keys

    def overlaps(self, other: "Turn") -> bool:
        """Whether both want the same thing."""
        return self._things is None or other._things is None or not self._keys.isdisjoint(other._keys)

    def take(self) -> None:
        """As soon as nobody else has any of it."""
        self._turns.enter(self)
        while not self.held:
            self._wait()
            self._turns.again(self)

    def put_back(self) -> None:
        """For the next."""
        self._turns.leave(self)

    @interruptible
    def _wait(self) -> None:
        self.bell.get()
