"""Derivatives of the reference's loss, pushed forward through the layers as tangents: no backpropagation, no cancellation.

A tangent is what a small change does to a layer's output, sample by sample. On the way up an activation multiplies it by
rho'(z), a dense layer by W. rho' and the slopes of the loss are the reference's own, by complex step: one evaluation serves
all tangents. Cross entropy is written a second time, below, with the step in one exponential after the other: the
reference's would be evaluated once for every output. A third party's layer with parameters is differentiated by a complex
step of its own, one tangent after the other where its parameters are moved or it couples samples.

Tangents that start at one unit each end as the slopes of the loss by that unit. Since z = x W^T + b, the derivative by
W[i, j] is the sum over samples of the slope by z[i] times x[j]: every entry of a layer for as many tangents as it has units.
Where a layer above couples samples it takes a tangent an entry.
"""

from collections import Counter
from functools import cached_property, singledispatch
from itertools import accumulate
from math import prod

import numpy as np

from gradcheck.foundation.arithmetic import COMPLEX_STEP
from gradcheck.foundation.arrays import Array
from gradcheck.network import layers as ly
from gradcheck.network import losses as ls
from gradcheck.network.batch import Parameters
from gradcheck.network.network import Network, by_layer, is_weight
from gradcheck.network.reference import meaning
from gradcheck.network.reference.activations import log1p
from gradcheck.network.reference.copies import Stacks
from gradcheck.network.reference.coupling import coupled

LOOPED = (
    100  # times what a forward costs, a tangent of one entry does where layers are asked one by one; measured, see `PASSES`
)
ROOM = 2**17  # numbers in the tangents that go up at once: what a cache holds. Measured, not derived.
UNSEEN = 1e-170  # of a derivative by complex step: h^2 times a third derivative of 1e30 is no derivative


class Tangents:
    """Derivatives of the mean loss at one point, given as to `meaning.loss`, in float64.

    Attributes
    ----------
    evaluations : int
        How many tangents have been pushed up.
    coupled : frozenset of int
        Numbers of the layers that couple samples.
    """

    def __init__(self, network: Network, parameters: Parameters, inputs: Array, targets: Array) -> None:
        self.network, self.parameters, self.targets = network, parameters, targets
        self.by_layer = by_layer(network, parameters)
        self.evaluations = 0
        wires = enumerate(network.wiring)
        self._uses = [(name, index, own) for index, names in wires for own, name in names.items()]
        self._known: dict[int, Array] = {}
        with np.errstate(all="ignore"):
            self.states = meaning.forward(network, parameters, inputs)
            self.coupled = coupled(network, parameters, self.states)

    @cached_property
    def slopes(self) -> list[Array | None]:
        """rho'(z) of every activation, None for other layers."""
        layers = zip(self.network.layers, self.states, strict=False)
        return [
            flushed(meaning.apply(layer, {}, stepped(z))) if isinstance(layer, ly.Activation) else None
            for layer, z in layers
        ]

    @cached_property
    def top(self) -> Array:
        """Slopes of the mean loss by the network's outputs, of shape (n, *outputs)."""
        return loss_slopes(self.network.loss, self.states[-1], self.targets)

    @property
    def cost(self) -> float:
        """Multiply-adds that every entry of every gradient costs, divided by those of one forward."""
        dense = dict.fromkeys(index for index in range(len(self.network.layers)) if self._by_units(index))
        singly = sum(self.parameters[name].size for name, index, _ in self._uses if index not in dense)
        work = [prod(self.network.shapes[index]) * prod(self.network.shapes[index + 1]) for index in dense]
        units = [prod(self.network.shapes[index + 1]) for index in dense]
        above = [*reversed(list(accumulate(reversed(work), initial=0))), 0]  # the work of all layers from each one on
        pushed = sum(count * above[i + 2] for i, count in enumerate(units)) + sum(work)
        return LOOPED * singly + pushed / max(sum(work), 1)

    def along(self, directions: Stacks) -> Array:
        """Derivatives along k directions, each array of shape (k, *shape) and named for the parameter that it moves."""
        with np.errstate(all="ignore"):
            count = len(next(iter(directions.values())))
            self.evaluations += count
            moved = by_layer(self.network, directions)
            tangents: Array | None = None  # below the first layer that moves there is none
            for index, own in enumerate(moved):
                if own and tangents is None:
                    tangents = np.zeros((count, *self.states[index].shape))
                if tangents is not None:
                    tangents = self._carried(index, tangents, own)
            ends = np.zeros(count) if tangents is None else self._ends(tangents)
            return ends + self._decay(directions)

    def apart(self, directions: Parameters) -> dict[str, float]:
        """The derivative along each of these directions by itself, all pushed up in one pass through the layers."""
        found: dict[str, float] = {}
        room = max(1, ROOM // max(state.size for state in self.states))
        uses = Counter(name for name, _, _ in self._uses)
        several = [name for name in directions if uses[name] > 1]
        found |= {name: float(self.along({name: directions[name][None]})[0]) for name in several}
        # Neighbours start at neighbouring layers.
        names = [name for name in self.parameters if name in directions and name not in found]
        with np.errstate(all="ignore"):
            for start in range(0, len(names), room):
                part = {name: directions[name][None] for name in names[start : start + room]}
                self.evaluations += len(part)
                ends = self._ends(self._together(part))
                found |= {
                    name: float(end + np.sum(self._decay({name: part[name]}))) for name, end in zip(part, ends, strict=True)
                }
        return found

    def _together(self, directions: Stacks) -> Array:
        """Tangents of the output, one for each of these: each starts at its own layer, beside those from further below."""
        tangents: Array | None = None
        for index, moved in enumerate(by_layer(self.network, directions)):
            carried = [] if tangents is None else [self._carried(index, tangents, {})]
            still = np.zeros((1, *self.states[index].shape)) if moved else None
            started = [self._carried(index, still, {name: v}) for name, v in moved.items() if still is not None]
            tangents = np.concatenate([*carried, *started]) if carried or started else None
        assert tangents is not None
        return tangents

    def gradient(self, name: str) -> Array:
        """Every entry of one parameter's gradient."""
        value = self.parameters[name]
        at, *others = [(index, own) for used, index, own in self._uses if used == name]
        if others or not self._by_units(at[0]):
            return self._by_entries(name)
        index, own = at
        with np.errstate(all="ignore"):
            if index not in self._known:
                self._known[index] = self._by_unit(index)
            by_unit = self._known[index]
            entries = by_unit.T @ self.states[index] if own == "weight" else by_unit.sum(axis=0)
            return entries + self.network.weight_decay * value if self.network.weight_decay and is_weight(name) else entries

    def _by_units(self, index: int) -> bool:
        """Whether slopes by a layer's units, sample by sample, give every entry of its gradients."""
        vectors = isinstance(self.network.layers[index], ly.Dense) and len(self.network.shapes[index]) == 1
        return vectors and not any(above > index for above in self.coupled)

    def _by_entries(self, name: str) -> Array:
        """A parameter's gradient by a tangent for each entry, as many at once as there is room for."""
        value = self.parameters[name]
        room = max(1, ROOM // max(state.size for state in self.states))
        parts = np.split(np.arange(value.size), range(room, value.size, room))
        units = (np.equal.outer(part, np.arange(value.size)).astype(np.float64) for part in parts)
        return np.concatenate([self.along({name: each.reshape(-1, *value.shape)}) for each in units]).reshape(value.shape)

    def _ends(self, tangents: Array) -> Array:
        """Derivatives of the mean loss along tangents of the output: by its slopes, or where that costs less one by one."""
        z, loss = self.states[-1], self.network.loss
        if len(tangents) >= columns(loss, z, self.targets):
            return (tangents * self.top).reshape(len(tangents), -1).sum(axis=1)
        moved = (meaning.losses(loss, z + 1j * COMPLEX_STEP * tangent, self.targets) for tangent in tangents)
        return np.array([flushed(each).mean() for each in moved])

    def _by_unit(self, index: int) -> Array:
        """Slopes of the mean loss by every unit of a layer's output, of shape (n, units).

        While a layer acts on each entry, the tangents of all units are the diagonal of one array.
        """
        diagonal = np.ones_like(self.states[index + 1])
        self.evaluations += diagonal.shape[1]
        above = index + 1
        while above < len(self.network.layers) and (slopes := self.slopes[above]) is not None:
            diagonal, above = diagonal * slopes, above + 1
        if above == len(self.network.layers):
            return diagonal * self.top
        samples, units = diagonal.shape
        room = max(1, ROOM // (samples * max(map(prod, self.network.shapes[above + 1 :]))))
        parts = (np.arange(start, min(start + room, units)) for start in range(0, units, room))
        return np.concatenate([self._up(above, diagonal, part) for part in parts], axis=1)

    def _up(self, above: int, diagonal: Array, part: Array) -> Array:
        """From the tangents of some units, through the layers from ``above`` on, to their ends."""
        layer, own = self.network.layers[above], self.by_layer[above]
        if isinstance(layer, ly.Dense):  # W times a tangent of one unit is one column of W
            tangents = diagonal.T[part, :, None] * own["weight"].T[part, None, :]
        else:
            tangents = np.zeros((len(part), *diagonal.shape))
            tangents[np.arange(len(part)), :, part] = diagonal.T[part]
            tangents = push(layer, own, {}, self.states[above], tangents)
        for later in range(above + 1, len(self.network.layers)):
            tangents = self._carried(later, tangents, {})
        flat = tangents.reshape(*tangents.shape[:2], -1), self.top.reshape(len(self.top), -1)
        return np.einsum("kno,no->nk", *flat)

    def _carried(self, index: int, tangents: Array, moved: Stacks) -> Array:
        layer, own, x = self.network.layers[index], self.by_layer[index], self.states[index]
        slopes = self.slopes[index]
        if slopes is not None and not moved:
            return tangents * slopes
        if isinstance(layer, ly.Dense) or moved or index in self.coupled:
            return push(layer, own, moved, x, tangents)
        # All copies of a batch as one, where samples know nothing of each other.
        copies = (x + 1j * COMPLEX_STEP * tangents).reshape(-1, *x.shape[1:])
        outputs = flushed(meaning.apply(layer, own, copies))
        return outputs.reshape(*tangents.shape[:2], *outputs.shape[1:])

    def _decay(self, directions: Stacks) -> Array | float:
        weights = [name for name in directions if is_weight(name)] if self.network.weight_decay else []
        pairs = ((self.parameters[name], directions[name]) for name in weights)
        return self.network.weight_decay * sum((w * v).reshape(len(v), -1).sum(axis=1) for w, v in pairs)


@singledispatch
def push(layer: ly.Layer, parameters: Parameters, moved: Stacks, x: Array, tangents: Array) -> Array:
    """Tangents of a layer's output, (k, n, *outputs), from those of its input and what is moved in its parameters."""
    steps = range(len(tangents))
    points = [{name: parameters[name] + 1j * COMPLEX_STEP * stack[k] for name, stack in moved.items()} for k in steps]
    # Nobody differentiates by indices.
    inputs = [x if x.dtype.kind == "i" else x + 1j * COMPLEX_STEP * tangent for tangent in tangents]
    return np.stack([flushed(meaning.apply(layer, {**parameters, **own}, z)) for own, z in zip(points, inputs, strict=True)])


@push.register
def _(layer: ly.Dense, parameters: Parameters, moved: Stacks, x: Array, tangents: Array) -> Array:
    flat = tangents.reshape(-1, tangents.shape[-1]) @ parameters["weight"].T  # one product, not one for each tangent
    up = flat.reshape(*tangents.shape[:-1], -1)
    if "weight" in moved:
        up = up + (x.reshape(-1, x.shape[-1]) @ moved["weight"].mT).reshape(-1, *up.shape[1:])
    return up + moved["bias"].reshape(-1, *(1 for _ in x.shape[1:]), moved["bias"].shape[-1]) if "bias" in moved else up


@singledispatch
def loss_slopes(loss: ls.Loss, z: Array, y: Array) -> Array:
    """Slopes of the mean loss by every entry of ``z``: at once where each entry has a loss, else output by output."""
    with np.errstate(all="ignore"):
        each_entry, units = columns(loss, z, y) == 1, prod(z.shape[1:])
        steps = np.ones((1, *z.shape[1:])) if each_entry else np.eye(units).reshape(-1, *z.shape[1:])
        each = [flushed(meaning.losses(loss, z + 1j * COMPLEX_STEP * step, y)) for step in steps]
        return np.stack(each, axis=1).reshape(z.shape) / each[0].size


@loss_slopes.register
def _(_loss: ls.CrossEntropy, z: Array, y: Array) -> Array:
    """The complex steps of all outputs at once: each changes its own exponential only, or as the largest all others."""
    shape, z, y = z.shape, z.reshape(-1, z.shape[-1]), y.reshape(-1)
    with np.errstate(all="ignore"):
        each: Array = np.eye(z.shape[1])
        top = np.argmax(z, axis=1)
        largest, chosen = each[top], each[y]
        others = np.exp(z - np.take_along_axis(z, top[:, None], axis=1)) * (1 - largest)
        total = others.sum(axis=1, keepdims=True)
        ahead, back = np.exp(1j * COMPLEX_STEP), np.exp(-1j * COMPLEX_STEP)
        sums = largest * total * back + (1 - largest) * (total - others + others * ahead)
        return (flushed(1j * COMPLEX_STEP * (largest - chosen) + log1p(sums)) / len(z)).reshape(shape)


def columns(loss: ls.Loss, z: Array, y: Array) -> int:
    """How many evaluations the slopes of a loss take: 1 where each entry has a loss, else one for each output."""
    return 1 if np.shape(meaning.losses(loss, z[:1], y[:1])) == (1, *z.shape[1:]) else prod(z.shape[1:])


def stepped(z: Array) -> Array:
    """z + ih"""
    moved = np.full(z.shape, 1j * COMPLEX_STEP, np.result_type(z, 1j))
    moved.real = z
    return moved


def derivative(values: Array) -> Array:
    """From values where something has moved by ih."""
    return np.imag(values) / COMPLEX_STEP


def activation_slopes(layer: ly.Activation, z: Array) -> Array:
    """rho'(z)"""
    return derivative(meaning.apply(layer, {}, stepped(z)))


def flushed(values: Array) -> Array:
    """Derivatives from values by complex step, 0 where they are no more than its truncation error may be."""
    slopes = derivative(values)
    return np.where(np.abs(slopes) < UNSEEN, 0.0, slopes)
