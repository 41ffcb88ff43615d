"""Calls of other shapes, where a reference says which are legitimate and what is right: and the first shape once more.

What is kept from another call shows there: buffers, grids, strides, a configuration that was chosen once; and what is right
for whole blocks only. Each axis is shorter by one or has one element; the first one has none as well, as an empty batch has.
What the reference refuses, or has no finite answer to, nobody is asked; a kernel may refuse a shape, and that is a note.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import partial

import numpy as np
import torch

from gradcheck.adapters.contract.breaches import Breach, Told, origin, shortly
from gradcheck.adapters.pytorch.contract.answers import Beside, Examined, arrays_of
from gradcheck.adapters.pytorch.contract.sizes import Sizes, cut, first_axis, free, masked, reads_beyond, shapes
from gradcheck.adapters.pytorch.function import TorchFunction
from gradcheck.adapters.pytorch.holdings import Tensors
from gradcheck.comparison.judging import BOUND
from gradcheck.comparison.measured import Measured, off
from gradcheck.comparison.pair import Pair
from gradcheck.comparison.scales import even, stored
from gradcheck.comparison.stated import stated
from gradcheck.foundation.arrays import Array
from gradcheck.verdict.causes import Cause
from gradcheck.verdict.findings import Verdict

MOST = 4  # sizes, each of which is cut alone where not all can be at once
FEW = 2  # noise runs that clear an honest kernel; an accusation takes all of them, and the second look
# What nobody raises who means to refuse a shape.
CRASHES = (ArithmeticError, LookupError, NameError, AttributeError)


def others(examined: Examined) -> Told:
    """At shapes that the reference is made for the kernel is as right as at the first one, and then at that one again.

    A kernel in C++ may read wherever it was told, and who draws numbers may draw others for another shape: neither is asked.
    """
    beside = examined.beside
    if beside is None or None in examined.classes or examined.function.random or beside.reference.random:
        return
    known = free((examined.function, beside.reference))[:MOST]
    few = [n for n in known if n not in masked(examined.function)]
    less = _allowed(examined, {n: n - 1 for n in known})
    one = _allowed(examined, dict.fromkeys(few, 1))
    none = _allowed(examined, {n: 0 for n in few if n in first_axis(examined.function)})
    yield from _some(examined, beside, [less, *_each(less)])
    yield from _some(examined, beside, [one, *_each(one)] if one != less else [])
    yield from _some(examined, beside, [none])


def _allowed(examined: Examined, sizes: Sizes) -> Sizes:
    return {n: size for n, size in sizes.items() if not reads_beyond(examined.function, n, size)}


def _each(sizes: Sizes) -> list[Sizes]:
    return [{n: size} for n, size in sizes.items()]


def _some(examined: Examined, beside: Beside, several: list[Sizes]) -> Told:
    """The first alone where it is answered, else all that are."""
    for place, sizes in enumerate(several):
        if not sizes or (place and sizes == several[0]):
            continue
        found = _at(examined, beside, sizes)
        if found is None:
            continue
        yield from found
        yield from _first_again(examined, sizes)
        if not place and not any(isinstance(each, str) for each in found):
            return


def _at(examined: Examined, beside: Beside, sizes: Sizes) -> list[Breach | str] | None:
    """What is found at one shape; None where the reference is not made for it."""
    for function in (examined.function, beside.reference):
        _put_back(function)
    args, kwargs = cut(examined.function, sizes)
    when = f"with {shapes(examined.function, sizes)}"
    cause = Cause.ANOTHER_SHAPE if all(sizes.values()) else Cause.EMPTY_INPUT
    with ExitStack() as stack:
        try:
            reference = stack.enter_context(beside.reference_at(args, kwargs))
            expected = _finite(reference)
            _put_back(reference)
        except Exception:
            return None
        if expected is None:
            return None
        try:
            kernel = stack.enter_context(beside.kernel_at(args, kwargs))
            outputs = kernel.call(kernel.point()).outputs
            if other := _other_forms(outputs, expected):
                return [Breach(cause, frozenset({name}), f"{when} {said}") for name, said in other.items()]
            pair = beside.paired(kernel, reference)
            return [Breach(cause, frozenset({name}), f"{when} it {said}") for name, said in _wrong(pair, beside, examined)]
        except Exception as error:
            if cause is Cause.ANOTHER_SHAPE and isinstance(origin(error), CRASHES):
                return [Breach(cause, frozenset(examined.gradients), f"{when} the kernel {shortly(error)}")]
            return [f"{when} it is refused: it {shortly(error)}"]


def _put_back(function: TorchFunction) -> None:
    """What it has moved is as it was given: another function of the same tensors takes them as it finds them."""
    for tensor, value in function.state.values():
        tensor.data = value


def _finite(reference: TorchFunction) -> Tensors | None:
    """Its outputs, if they and its gradients are finite."""
    call = reference.call(reference.point())
    ones = {name: np.ones(output.shape) for name, output in call.outputs.items() if output.requires_grad}
    found = (*call.outputs.values(), *reference.backward(call, ones).values())
    return call.outputs if all(each is None or bool(torch.isfinite(each).all()) for each in found) else None


def _other_forms(outputs: Tensors, expected: Tensors) -> dict[str, str]:
    """Outputs of another shape than the reference's of the same name, or else of the same place."""
    places = dict(zip(outputs, expected, strict=False))
    pairs = {name: expected[name if name in expected else place] for name, place in places.items()}
    return {
        name: f"it has shape {tuple(outputs[name].shape)}, and in the reference {tuple(each.shape)}"
        for name, each in pairs.items()
        if outputs[name].shape != each.shape
    }


def _wrong(pair: Pair, beside: Beside, examined: Examined) -> Iterator[tuple[str, str]]:
    """Blocks that are wrong as the procedure has it, and what is to be said of each; none where a look clears them all."""
    measured = Measured(pair, examined.function.seed)
    held = [name for name, array in measured.centre.items() if array.size]
    if all(map(measured.comparable, held)) and (_is_stored(measured, held) or _is_noise(measured, held)):
        return
    for name in held:
        finding = stated(measured, name, beside.accuracy).finding
        if finding.verdict is Verdict.WRONG:
            yield name, f"is wrong: {finding.reason}"


def _is_stored(measured: Measured, names: list[str]) -> bool:
    """Whether being stored explains all errors, which no scale is smaller than."""
    formats, centre = measured.pair.formats, measured.centre
    return _within(measured, {name: even(stored(centre[name], formats[name])) for name in names})


def _is_noise(measured: Measured, names: list[str]) -> bool:
    """Whether a few runs explain them."""
    if measured.exact is None:
        return False
    quick = Measured(measured.pair, measured.seed, runs=FEW)
    scales = quick.scales(quick.best)
    return _within(measured, {name: scales[name] for name in names})


def _within(measured: Measured, scales: Mapping[str, Array]) -> bool:
    errors = {name: off(measured.furthest(name), measured.centre[name]) for name in scales}
    return all(bool((error <= BOUND * scales[name]).all()) for name, error in errors.items())


def _first_again(examined: Examined, sizes: Sizes) -> Told:
    """At the first shape everything is as it was."""
    when = f"after a call with {shapes(examined.function, sizes)}"
    try:
        call = examined.call()
    except Exception as error:
        yield Breach(Cause.ANOTHER_SHAPE, frozenset(examined.gradients), f"{when} the first one again {shortly(error)}")
        return
    if not examined.same_outputs(arrays_of(call.outputs)):
        yield Breach(Cause.ANOTHER_SHAPE, examined.judged, f"{when} the output at the first shapes is another")
        return
    yield from examined.answers(Cause.ANOTHER_SHAPE, when, partial(examined.backward, call, retain=False))
