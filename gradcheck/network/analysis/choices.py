"""Choices that a forward pass makes: on which side of a kink each entry lies, or which of several is the largest."""

from typing import NamedTuple

import numpy as np

from gradcheck.foundation.arithmetic import UNIT
from gradcheck.foundation.arrays import Array


class Choice(NamedTuple):
    """One operation that chooses, entry by entry.

    Attributes
    ----------
    at : array
        What is compared: an activation's input, a difference with 0; or the candidates along the last axis.
    tolerance : array
        How far rounding may move each entry, in units of u.
    near : array of bool
        Entries that rounding may put on the other side, or make the largest.
    path : str
        The layer, by the names of the blocks that it lies in.
    joints : tuple of float, optional
        Where two formulas meet; None where the largest is chosen.
    """

    at: Array
    tolerance: Array
    near: Array
    path: str
    joints: tuple[float, ...] | None

    @property
    def winner(self) -> Array:
        """Index of the largest, the first of equals."""
        return np.argmax(self.at, axis=-1)[..., None]

    @property
    def ahead(self) -> Array:
        """How far the largest is ahead of each."""
        return np.take_along_axis(self.at, self.winner, axis=-1) - self.at

    @property
    def distances(self) -> list[Array]:
        """Signed: from each joint; of candidates, how far each is ahead of all others."""
        if self.joints is not None:
            return [self.at - joint for joint in self.joints]
        if self.at.shape[-1] == 1:
            return []
        second, first = np.moveaxis(np.partition(self.at, -2, axis=-1)[..., -2:], -1, 0)
        return [self.at - np.where(self.taken, second[..., None], first[..., None])]

    @property
    def taken(self) -> Array:
        """Of candidates the largest alone."""
        lead = np.zeros(self.at.shape, bool)
        np.put_along_axis(lead, self.winner, True, axis=-1)
        return lead

    @property
    def exact(self) -> Array:
        """Near entries that lie on a joint, or are equal to the largest."""
        if self.joints is not None:
            return self.near & np.any([self.at == joint for joint in self.joints], axis=0)
        equal = self.near & (self.ahead == 0)
        return equal & (equal.sum(axis=-1, keepdims=True) > 1)

    def close(self, u: float) -> Array:
        """Entries that rounding may put on the other side of a joint, or make the largest, and the largest beside one."""
        tolerance = u * self.tolerance
        if self.joints is not None:
            return np.any([np.abs(self.at - joint) <= tolerance for joint in self.joints], axis=0)
        rivals = (self.ahead <= tolerance) & ~self.taken
        return rivals | (self.taken & np.any(rivals, axis=-1, keepdims=True))

    def stays(self, moved: "Choice") -> Array:
        """Entries that lie as they did after all parameters have moved: whichever side is taken, gradients are the same.

        The largest does where all do that are near it.
        """
        with np.errstate(invalid="ignore"):
            if self.joints is not None:
                return np.abs(moved.at - self.at) <= UNIT * self.tolerance
            ahead = np.take_along_axis(moved.at, self.winner, axis=-1) - moved.at
            steady = np.abs(ahead - self.ahead) <= UNIT * self.tolerance
            return np.where(self.taken, np.all(steady | ~self.near, axis=-1, keepdims=True), steady)

    @property
    def places(self) -> list[str]:
        """Names of the entries that are near: ``"layer 3, sample 0, channel 2, window (4, 1)"``."""
        if not self.near.any():
            return []
        near = self.near if self.joints is not None else self.near.any(axis=-1)
        what = "unit" if self.joints is not None else "window"
        return [f"layer {self.path}, {_place(index, what)}" for index in np.argwhere(near).tolist()]


def _place(index: list[int], what: str) -> str:
    sample, *rest = index
    if len(rest) == 3:
        channel, *where = rest
        return f"sample {sample}, channel {channel}, {'place' if what == 'unit' else what} {tuple(where)}"
    if len(rest) == 2:
        return f"sample {sample}, place {rest[0]}, {what} {rest[1]}"
    return f"sample {sample}, {what} {', '.join(map(str, rest))}"
