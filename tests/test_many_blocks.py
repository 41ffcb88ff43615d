"""Where very many blocks are wrong: each is accused only when that is confirmed, and the cost of all is bounded."""

import numpy as np
import pytest

from gradcheck import check

BLOCKS, WIDTH = 60, 6


def _chain(wrong_from: int | None, factor: float = 0.7):
    """x <- x + 0.1 tanh(W_i x + b_i), whose backward pass has one wrong slope, in layer ``wrong_from``."""
    rng = np.random.default_rng(3)
    layers = BLOCKS // 2
    point = {
        f"{i:02d}.{k}": rng.standard_normal(s) / 2 for i in range(layers) for k, s in (("w", (WIDTH, WIDTH)), ("b", WIDTH))
    }
    data, target, spent = rng.standard_normal((3, WIDTH)), rng.standard_normal((3, WIDTH)), [0]

    def forward(p):
        x, seen = data, []
        for i in range(layers):
            seen.append((x, np.tanh(x @ p[f"{i:02d}.w"].T + p[f"{i:02d}.b"])))
            x = x + 0.1 * seen[-1][1]
        return x, seen

    def loss(p):
        spent[0] += 1
        return float(np.mean((forward(p)[0] - target) ** 2))

    def gradient(p):
        x, seen = forward(p)
        back, g = 2 * (x - target) / x.size, {}
        for i in reversed(range(layers)):
            x, y = seen[i]
            inner = 0.1 * back * (1 - y**2) * (factor if i == wrong_from else 1)
            g[f"{i:02d}.w"], g[f"{i:02d}.b"] = inner.T @ x, inner.sum(0)
            back = back + inner @ p[f"{i:02d}.w"]
        return {name: g[name] for name in p}

    return loss, gradient, point, spent


def test_a_right_chain_costs_as_little_as_ever():
    loss, gradient, point, spent = _chain(None)
    assert check(loss, gradient, point).verdict == "correct"
    assert spent[0] < 40


@pytest.mark.parametrize("layer", [BLOCKS // 2 - 1, BLOCKS // 4])
def test_all_below_a_wrong_slope_and_nothing_else_is_wrong_at_few_evaluations_a_block(layer):
    loss, gradient, point, _ = _chain(layer)
    report = check(loss, gradient, point, diagnose=False)
    off = {name for name in point if int(name[:2]) <= layer}
    assert {f.name for f in report.findings if f.verdict == "wrong"} == off
    assert {f.name for f in report.findings if f.verdict == "correct"} == set(point) - off
    named = [f.name for f in report.findings if f.entries]
    assert named == [name for name in point if name in off][-len(named) :]  # those beside the mistake
    assert report.evaluations < 11 * BLOCKS + 1200
    others = len(off) - len(named)
    assert f"entries and causes of {others} more wrong blocks were not looked for: max_evaluations=400" in report.notes
    assert all(f.error > f.bound > 0 for f in report.findings if f.verdict == "wrong")


def test_the_budget_is_what_was_asked_for():
    loss, gradient, point, _ = _chain(BLOCKS // 2 - 1)
    few = check(loss, gradient, point, max_evaluations=50)
    assert few.verdict == "wrong"
    assert sum(bool(f.entries) for f in few.findings) == 1
    assert few.evaluations + few.diagnosis_evaluations < 11 * BLOCKS + 600
    many = check(loss, gradient, point, max_evaluations=1000, diagnose=False)
    assert sum(bool(f.entries) for f in many.findings) > 5


def test_of_few_wrong_blocks_all_are_looked_into():
    point = {name: np.array([0.3, 1.2, -0.7]) for name in "abc"}
    report = check(
        lambda p: float(sum(np.sum(np.sin(x)) for x in p.values())),
        lambda p: {name: -np.cos(x) for name, x in p.items()},
        point,
    )
    assert all(f.entries for f in report.findings)
    assert [d.cause for d in report.diagnoses] == ["sign"] * 3
    assert not any("not looked for" in note for note in report.notes)


def _fast(x):
    return np.sum(np.sin(1e6 * x)) / 1e6


ROUGH = {
    "kink": (lambda x: np.sum(np.abs(x)), np.sign, np.zeros(3)),
    "kinks of both signs": (lambda x: np.sum([1, -1, 1] * np.maximum(x, 0)), lambda x: [1, -1, 1] * (x > 0), np.zeros(3)),
    "kink beside": (lambda x: np.sum(np.abs(x - 1)), lambda x: np.sign(x - 1), 1 + np.array([1e-5, -1e-5, 3e-5])),
    "fast": (_fast, lambda x: np.cos(1e6 * x), np.array([1.1, 0.7, -0.3])),
    "rounded": (lambda x: np.sum(np.round(4096 * x)) / 4096, np.ones_like, np.array([0.3, 0.7])),
    "float32": (lambda x: float(np.sum(np.sin(x.astype(np.float32)))), np.cos, np.array([0.3, 0.7, 1.9])),
    "jump": (lambda x: np.sum(x) + float(x[0] >= 0.5), np.ones_like, np.array([0.5, 0.7])),
    "pole": (lambda x: np.sum(1 / x), lambda x: -1 / x**2, np.array([1e-4, 1.0, 0.3])),
    "steep": (lambda x: np.sum(np.tanh(1e4 * x)), lambda x: 1e4 / np.cosh(1e4 * x) ** 2, np.array([1e-4, -2e-4, 5e-5])),
}


@pytest.mark.parametrize("kind", ROUGH)
@pytest.mark.parametrize("factor", [1.0, 1.3])
def test_after_many_wrong_blocks_a_rough_one_is_judged_as_well_as_alone(kind, factor):
    function, slope, at = ROUGH[kind]
    point = {f"{i:02d}": np.random.default_rng(i).standard_normal(4) for i in range(9)} | {"rough": at}

    def loss(p):
        return float(sum(np.sum(np.sin(p[name])) for name in list(point)[:-1]) + function(p["rough"]))

    def gradient(p):
        g = {name: (1.1 + 0.1 * i) * np.cos(p[name]) for i, name in enumerate(point)}
        return g | {"rough": factor * np.asarray(slope(p["rough"]), float)}

    *smooth, rough = check(loss, gradient, point, diagnose=False).findings
    assert all(f.verdict == "wrong" for f in smooth)
    assert rough.verdict != ("wrong" if factor == 1.0 else "correct")


@pytest.mark.parametrize("factor", [1.0, 1.3])
def test_an_entry_that_is_moved_to_where_the_function_is_flat_is_no_reference(factor):
    size = np.array([6e-8, *(5.8e6 * np.linspace(0.2, 1, 9))])
    weights, at = np.linspace(0.4, 1.2, 10), size * np.linspace(0.3, 0.9, 10)

    def loss(x):
        return float(1 / (1 + np.arctan(weights @ (x / size)) ** 2))

    def gradient(x):
        z = weights @ (x / size)
        g = -2 * np.arctan(z) / ((1 + np.arctan(z) ** 2) ** 2 * (1 + z**2)) * weights / size
        g[0] *= factor
        return g

    found = check(loss, gradient, at, diagnose=False).findings[0]
    assert [e.index for e in found.entries] == ([(0,)] if factor != 1.0 else [])
    assert found.verdict != ("wrong" if factor == 1.0 else "correct")
