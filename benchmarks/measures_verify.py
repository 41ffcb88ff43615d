# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# (Hooks are one-line functions of arrays, as in `diagnosis.py`.)
"""What is asked of `verify`: verdicts, causes, large networks, and rounding in units of its bound."""

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import diagnosis
import numpy as np
import rounding
from measures_replies import Reply, Sizes

import gradcheck
from gradcheck import Arctan, Case, CrossEntropy, Dense, Logistic, Network, ReLU
from gradcheck.campaign import shards
from gradcheck.campaign.plan import Plan
from gradcheck.cases.files import case_from_table
from gradcheck.foundation.arithmetic import COARSE, representable
from gradcheck.verification import verifier
from gradcheck.verification.problem import SEEING

RESOLVED = dict(SEEING)  # as it is, whatever it is moved to
Claim = Callable[..., Any]


def network_causes(sizes: Sizes) -> Iterator[Reply]:
    """Mistakes of `diagnosis.py` and near misses of what the constants of causes tell apart."""
    rng = np.random.default_rng(sizes.seed)
    for number in range(sizes.networks):
        case = diagnosis.draw_case(rng)
        for place, (cause, backend) in enumerate([*diagnosis.mistakes(case, rng), *near_misses(case)]):
            yield _cause(f"{number}, {place}", cause, case, backend)
        narrow = Case(case.network, samples=case.samples, seed=case.seed, init="glorot", scale=case.scale, dtype="float32")
        for place, (cause, backend) in enumerate(in_float32(narrow)):
            yield _cause(f"{number}, {place} in float32", cause, narrow, backend)


def _cause(subject: str, cause: str, case: Case, backend: Claim) -> Reply:
    try:
        return Reply(subject, cause, diagnosis.said(case, backend))
    except Exception as error:
        return Reply(subject, cause, f"error: {type(error).__name__}")


def near_misses(case: Case) -> Iterator[tuple[str, Claim]]:
    """What is nearly another thing; "none" where no name fits."""
    n, weight = len(case.batch.inputs), next(iter(case.network.parameter_shapes))
    for near in (1e-4, 1e-7):
        yield "factor", diagnosis.of_blocks(lambda g, _, near=near: -(1 + near) * g, weight)
        yield "factor", diagnosis.of_blocks(lambda g, _, near=near: n * (1 + near) * g)
    yield "clipped", diagnosis.of_blocks(lambda g, _: _to_a_norm(g), weight)
    yield "factor", diagnosis.of_blocks(lambda g, _: _to_a_norm(g, 1.0003), weight)
    yield "constants", diagnosis.of_blocks(lambda g, _: _spoiled(g, 3e-6), weight)
    yield "none", diagnosis.of_blocks(lambda g, _: _spoiled(g, 1e-4), weight)
    for size in (1e4, 1e8):
        yield (
            "unstable",
            diagnosis.of_blocks(lambda g, _, size=size: (g * (1 + _waves(g)) + size) - size - g * _waves(g), weight),
        )


def in_float32(case: Case) -> Iterator[tuple[str, Claim]]:
    n, weight = len(case.batch.inputs), next(iter(case.network.parameter_shapes))
    yield "(correct)", diagnosis.of_blocks(lambda g, _: g)
    yield "missing-mean", diagnosis.of_blocks(lambda g, _: (n * g).astype(g.dtype))
    yield "sign", diagnosis.of_blocks(lambda g, _: -g, weight)
    yield "regularisation", diagnosis.of_blocks(lambda g, theta: (g + 0.3 * theta).astype(g.dtype), weight)
    layer = next(i for i, one in enumerate(case.network.layers) if not isinstance(one, Dense))
    yield "activation-derivative", diagnosis.with_hook(layer, lambda g, z, a, xs: g)


def _to_a_norm(g: Any, by: float = 1.0) -> Any:
    size = float(np.linalg.norm(g))
    return g * (float(f"{0.4 * size:.1e}") * by / size)


def _waves(g: Any) -> Any:
    return np.cos(1 + np.arange(g.size).reshape(g.shape))


def _spoiled(g: Any, size: float) -> Any:
    return g * (1 + size * _waves(g))


@lru_cache
def campaign_cases(count: int, seed: int) -> list[Case]:
    """The first cases of a campaign."""
    plan = Plan(seed=seed)
    tables = [table for shard in range(-(-count // plan.size)) for table in shards.draw(plan, shard)]
    return [case_from_table(table, Path()) for table in tables[:count]]


def verified(sizes: Sizes) -> Iterator[Reply]:
    """Cases of a campaign, right and with one entry off; and in bfloat16, right and one block off by half of itself."""
    for index, case in enumerate(campaign_cases(80 * sizes.networks, sizes.seed)):
        rng = np.random.default_rng([sizes.seed, index])
        yield reply_of(f"{index}, {case.dtype}", "correct", case, correct)
        size = 10.0 ** rng.uniform(-12, 0)
        yield reply_of(f"{index}, {case.dtype}, off by {size:.1e}", "wrong", case, partial(entry_off, size, index))
        if index % 4 == 0:
            for arithmetic in COARSE:
                yield reply_of(f"{index}, {arithmetic}", "correct", case, correct, arithmetic)
                yield reply_of(f"{index}, {arithmetic}, half off", "wrong", case, half_off, arithmetic)


def reply_of(subject: str, truth: str, case: Case, claim: Claim, arithmetic: str | None = None) -> Reply:
    try:
        with np.errstate(all="ignore"), patch.object(verifier, "_diagnoses", _unexplained):
            report = gradcheck.verify(case, [claim], arithmetic=arithmetic)
    except Exception as error:
        return Reply(subject, truth, f"error: {type(error).__name__}")
    notes = " (refused)" if any("rests on real differences" in note for note in report.notes) else ""
    worst = max((each.resolution for each in report.findings if each.name != "loss"), default=0.0)
    return Reply(subject, truth, f"{report.verdict}{notes}", report.evaluations, worst)


def _unexplained(*_: Any) -> tuple[()]:
    return ()


def correct(network: Network, parameters: Any, batch: Any) -> Any:
    return gradcheck.backend("manual").build(network).loss_and_gradients(parameters, batch)


def entry_off(size: float, seed: int, network: Network, parameters: Any, batch: Any) -> Any:
    loss, found = correct(network, parameters, batch)
    found = {name: g.copy() for name, g in found.items()}
    sound = [name for name, g in found.items() if np.any(g) and np.isfinite(g).all()]
    if sound:
        g, rng = found[sound[seed % len(sound)]], np.random.default_rng(seed)
        index = int(rng.integers(g.size))
        g.flat[index] += size * max(abs(float(g.flat[index])), float(np.sqrt(np.mean(g.astype(float) ** 2))))
    return loss, found


def half_off(network: Network, parameters: Any, batch: Any) -> Any:
    loss, found = correct(network, parameters, batch)
    first = next(iter(found), None)
    return loss, {name: (1.6 * g).astype(g.dtype) if name == first else g for name, g in found.items()}


def large(sizes: Sizes) -> Iterator[Reply]:
    """Networks of different widths, right and with one entry off by 1e-9: besides, how coarse the resolution is."""
    shapes = (
        ((2, 15, 1), 400),
        ((10, 50, 50, 1), 64),
        ((30, 100, 100, 3), 32),
        ((64, 128, 128, 1), 256),
        ((16, *[16] * 20, 1), 64),
    )
    for (first, *widths), samples in shapes:
        for activation, loss in ((Arctan(), Logistic()), (ReLU(), CrossEntropy())):
            widths[-1] = max(widths[-1], 3) if isinstance(loss, CrossEntropy) else 1
            hidden = [layer for units in widths[:-1] for layer in (Dense(units), activation)]
            network = Network((first,), (*hidden, Dense(widths[-1])), loss)
            case = Case(network, data="random", samples=samples, seed=sizes.seed, init="glorot")
            for size in (0.0, 1e-9):
                claim = partial(entry_off, size, 1) if size else correct
                yield reply_of(f"{first}-{widths} {samples}, off by {size}", "wrong" if size else "correct", case, claim)


def bounds(sizes: Sizes) -> Iterator[Reply]:
    """Rounding errors of a correct build in units of its bound, in four arithmetics; blocks too coarse to be "correct"."""
    for index in range(24 * sizes.networks):
        drawn = rounding.draw(np.random.default_rng([sizes.seed, index]))
        for arithmetic in ("float64", "float32", "bfloat16"):
            with np.errstate(all="ignore"):
                try:
                    yield from _bounded(f"{index}, {arithmetic}", drawn, arithmetic)
                except Exception as error:
                    yield Reply(f"{index}, {arithmetic}", "resolved", f"error: {type(error).__name__}")


def _bounded(subject: str, drawn: rounding.Example, arithmetic: str) -> Iterator[Reply]:
    dtype = "float64" if arithmetic == "float64" else "float32"
    example = drawn.astype(dtype)
    given = {name: representable(value, arithmetic) for name, value in example.parameters.items()}
    batch = type(example.batch)(*(representable(array, arithmetic) for array in example.batch))
    example = rounding.Example(example.network, given, batch)
    found, exact = rounding.bounds_of(example, arithmetic), _truth(example)
    build: Any = gradcheck.backend("torch", arithmetic="bfloat16") if arithmetic in COARSE else rounding.BACKENDS["manual"]
    worst = float(rounding.excess(build, example, found, exact).entries.max(initial=0))
    coarsest = max(rounding.resolutions(found, exact), default=0.0)
    said = "beyond" if worst > 1 else "resolved" if coarsest <= RESOLVED[arithmetic] else "too coarse"
    yield Reply(subject, "resolved", said, extra=worst)


def _truth(example: rounding.Example) -> rounding.Truth:
    return rounding.truth(example.network, example.parameters, *example.batch)
