# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# (JAX's own annotations are partial.)
"""What a ``custom_vjp`` owes beside its numbers: the same answer traced, batched, in part, and whatever came in between."""

from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from gradcheck.adapters.contract.breaches import Breach, Kept, Told, gathered
from gradcheck.adapters.contract.first import EACH, FACTORS, Gradients, Refused, chosen, only
from gradcheck.adapters.jax.answers import Arrays, Examined, vjp, wide
from gradcheck.adapters.jax.traces import coarsest
from gradcheck.adapters.leaves import Function
from gradcheck.foundation.state.silence import Silence
from gradcheck.foundation.wording import enumerated
from gradcheck.verdict.causes import Cause

Found = TypeVar("Found")


def asked(function: Function, judged: Collection[str]) -> Kept:
    """Ask about the blocks whose gradients differences have judged, and not found wrong.

    Where a backward pass answers for another forward pass than its own, so would it to all that is asked later.
    """
    with Silence():
        examined = Examined(function, judged)
        kept = gathered((state,), examined)
        return kept if kept.breaches else gathered(QUESTIONS, examined)


def told(examined: Examined, cause: Cause, when: str, backward: Callable[[], Gradients], expected: Gradients | None) -> Told:
    """Breaches, or the note that the forward pass is not made for it."""
    try:
        yield from examined.answers(cause, when, backward, expected)
    except Refused as refused:
        yield f"{when} {refused}"


def state(examined: Examined) -> Told:
    """A backward pass answers for its own forward pass, whatever others came in between."""
    _, pull = vjp(examined.call, examined.given)
    with suppress(Refused):
        vjp(examined.call, examined.typed(examined.elsewhere(examined.function.seed)))
    when = "after a forward pass at another point"
    yield from examined.answers(Cause.SHARED_STATE, when, lambda: wide(pull(examined.cotangents)[0]))


def traced(examined: Examined) -> Told:
    """Under ``jax.jit`` it is the same; the last forward pass before was at another point, which a trace may not keep.

    What is not is not asked to be batched, which is a kind of trace, too.
    """
    for each in told(examined, Cause.UNDER_JIT, "under jax.jit", partial(_compiled, examined), None):
        examined.breaks_when_traced |= isinstance(each, Breach)
        yield each


def _compiled(examined: Examined) -> Gradients:
    trace = jax.jit(examined.both).trace(examined.given, examined.cotangents)
    examined.eps = max(examined.eps, coarsest(trace.jaxpr.jaxpr))
    found = trace.lower().compile()(examined.given, examined.cotangents)
    gradients = _with_the_outputs_of_the_first(examined, found.outputs, found.gradients)
    examined.compiled = True
    return gradients


def _with_the_outputs_of_the_first(examined: Examined, outputs: Arrays, gradients: Arrays) -> Gradients:
    if not examined.same_outputs(wide(outputs)):
        raise Refused("the output is another")
    return wide(gradients)


def subsets(examined: Examined) -> Told:
    """The gradients of some blocks are the same where the others are constants."""
    names = list(examined.given)
    for subset in chosen(names, examined.function.seed):
        moved = {name: examined.given[name] for name in names if name in subset}
        expected = {name: examined.gradients[name] for name in moved}
        backward = partial(_gradients, examined, moved, examined.cotangents)
        yield from told(examined, Cause.NEEDS_INPUT_GRAD, f"where {only(subset, names)}", backward, expected)


def _gradients(examined: Examined, moved: Arrays, cotangents: Arrays) -> Gradients:
    return wide(examined.both(moved, cotangents).gradients)


def outputs(examined: Examined) -> Told:
    """Where some outputs are not used, that is as good as cotangents of zeros; and the parts add up to the whole."""
    names = list(examined.cotangents)
    parts: list[Gradients] = []
    for group in [names[place::EACH] for place in range(min(EACH, len(names)))] if len(names) > 1 else []:
        used = {name: examined.cotangents[name] for name in group}
        expected = examined.backward({**_zeros(examined), **used})
        when = f"where {enumerated(group)} of the outputs {'is' if len(group) == 1 else 'are'} used alone"
        backward = partial(_gradients, examined, examined.given, used)
        yield from told(examined, Cause.SYMBOLIC_ZEROS, when, backward, expected)
        parts.append(expected)
    if parts:
        whole = {name: np.sum([part[name] for part in parts], axis=0) for name in examined.gradients}
        yield from examined.differing(Cause.COTANGENT_LAYOUT, "added up over the outputs", whole, examined.gradients)


def _zeros(examined: Examined) -> Arrays:
    return {name: jnp.zeros_like(cotangent) for name, cotangent in examined.cotangents.items()}


def nothing(examined: Examined) -> Told:
    """Of a cotangent of zeros, the gradient is zero."""
    expected = {name: np.zeros_like(gradient) for name, gradient in examined.gradients.items()}
    backward = partial(examined.backward, _zeros(examined))
    yield from examined.answers(Cause.COTANGENT_LAYOUT, "with a cotangent of zeros", backward, expected)


def batched(examined: Examined) -> Told:
    """Through ``vmap``; where a forward pass is not made for it, or for ``jit``, the backward pass may raise as well."""
    if examined.breaks_when_traced:
        return
    found = list(_of_points(examined))
    found += _of_cotangents(examined)
    made_for_it = examined.compiled and not any(isinstance(each, str) for each in found)
    yield from (each for each in found if made_for_it or isinstance(each, str) or not each.raised)


def _of_points(examined: Examined) -> Told:
    """The point, the point with a cotangent of zeros, and another one."""
    there = examined.typed(examined.elsewhere(examined.function.seed))
    twice, zeros = examined.times(2.0), _zeros(examined)
    try:
        other = wide(examined.both(there, twice).gradients)
    except Exception:  # out of its domain
        return
    if not all(np.isfinite(each).all() for each in other.values()):
        return
    points = {name: jnp.stack([here, here, there[name]]) for name, here in examined.given.items()}
    cotangents = {name: jnp.stack([c, zeros[name], twice[name]]) for name, c in examined.cotangents.items()}
    none = examined.backward(zeros)
    expected = {name: np.stack([g, none[name], other[name]]) for name, g in examined.gradients.items()}
    backward = partial(_through_vmap, examined, points, cotangents)
    yield from told(examined, Cause.VMAP, "for several points at once, through jax.vmap,", backward, expected)


def _through_vmap(examined: Examined, points: Arrays, cotangents: Arrays) -> Gradients:
    found = _quick(examined, examined.batched)(points, cotangents)
    return _with_the_outputs_of_the_first(examined, {name: out[0] for name, out in found.outputs.items()}, found.gradients)


def _of_cotangents(examined: Examined) -> Told:
    """Several through one backward pass, as ``jax.jacrev`` hands them in, against each alone."""
    alone = [examined.backward(examined.times(factor)) for factor in FACTORS]
    expected = {name: np.stack([each[name] for each in alone]) for name in examined.gradients}
    several = {name: jnp.stack([factor * c for factor in FACTORS]) for name, c in examined.cotangents.items()}
    when = f"for {len(FACTORS)} cotangents at once, through jax.vmap,"
    yield from told(examined, Cause.VMAP, when, partial(_pulled, examined, several), expected)


def _pulled(examined: Examined, several: Arrays) -> Gradients:
    def pulled(point: Arrays, several: Arrays) -> Arrays:
        return jax.vmap(vjp(examined.call, point)[1])(several)[0]

    return wide(_quick(examined, pulled)(examined.given, several))


def _quick(examined: Examined, f: Callable[..., Found]) -> Callable[..., Found]:
    """One compilation in place of one for each operation and shape, where that is known to change nothing."""
    return jax.jit(f) if examined.compiled else f


QUESTIONS: tuple[Callable[[Examined], Told], ...] = (traced, subsets, outputs, nothing, batched)
