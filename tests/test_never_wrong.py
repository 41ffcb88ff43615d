"""What an attack on the verdicts has found, the smallest of each kind: what is right stands, and its twin is found."""

import numpy as np
import pytest

from gradcheck import Verdict, check
from gradcheck.checking import accusation

RNG = np.random.default_rng(7)
CORRECT, WRONG, UNRESOLVED, NONSMOOTH = Verdict.CORRECT, Verdict.WRONG, Verdict.UNRESOLVED, Verdict.NONSMOOTH


def bump(x):
    return 5e-8 * np.exp(-(((x - 1) / 1e-6) ** 2) / 2)


def hour(t):
    return np.exp(-(((t - 1.7e9) / 3600) ** 2) / 2)


def margin(z):
    return z.max() + np.log(np.sum(np.exp(z - z.max()))) - z[0]


def margin_slope(z):
    p = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
    return np.concatenate([[-p[1:].sum()], p[1:]])


# A loss, its gradient, a wrong one, and a point: the right one is correct, the wrong one is wrong.
TOLD = {
    "a step beside the point": (lambda x: np.sin(x) + (x > 1.0), np.cos, lambda x: 0 * x, 1.0001),
    "a narrow bump": (lambda x: np.sin(x) + bump(x), lambda x: np.cos(x) - bump(x) * (x - 1) / 1e-12, np.cos, 1 + 0.7e-6),
    "an hour in unix time": (
        lambda t: hour(t) + 1e-3 * (t - 1.7e9),
        lambda t: 1e-3 - hour(t) * (t - 1.7e9) / 3600**2,
        lambda t: 1e-3 + 0 * t,
        1.7e9 + 1800,
    ),
    "a sigmoid in unix time": (
        lambda t: np.tanh(t - 1.7e9),
        lambda t: 1 / np.cosh(t - 1.7e9) ** 2,
        lambda t: 0 * t,
        1.7e9 + 0.5,
    ),
    "a sine whose smallest step is nearly a period": (
        lambda x: np.sin(1e3 * x),
        lambda x: 1e3 * np.cos(1e3 * x),
        lambda x: 1.01e3 * np.cos(1e3 * x),
        1.759883334181752,
    ),
    "cross entropy that is right by a margin of 40": (
        margin,
        margin_slope,
        lambda z: margin_slope(z) + np.array([1e-3, 0.0, 0.0]),
        np.array([40.0, 0.0, -3.0]),
    ),
    "log cosh at its minimum": (
        lambda x: np.log(np.cosh(x)).sum(),
        np.tanh,
        lambda x: np.tanh(x) + np.array([0, 1e-2, 0]),
        np.zeros(3),
    ),
    "log cosh beside its minimum": (
        lambda x: np.log(np.cosh(x - 2)).sum(),
        lambda x: np.tanh(x - 2),
        lambda x: 2 * np.tanh(x - 2),
        np.full(3, 2 + 1e-9),
    ),
    "a line at 1e-12": (lambda a: 1 + 0.5 * a.sum(), lambda a: 0.5 + 0 * a, lambda a: 0.6 + 0 * a, np.full(3, 1e-12)),
    "a line at 1e-200": (lambda a: 1 + 0.5 * a.sum(), lambda a: 0.5 + 0 * a, lambda a: 0.6 + 0 * a, np.full(3, 1e-200)),
    "floors": (
        lambda x: (np.floor(x) * np.arange(5)).sum() + np.sin(x[0]),
        lambda x: np.eye(5)[0] * np.cos(x),
        lambda x: np.eye(5)[0] * np.cos(x) + 0.5 * np.eye(5)[3],
        np.array([0.3, 5.4, -7.7, 2.4, -3.3]),
    ),
    "a constant": (lambda x: 3.0 + 0 * x.sum(), lambda x: 0 * x, lambda x: 0.1 + 0 * x, np.ones(4)),
}


@pytest.mark.parametrize("name", TOLD)
def test_a_right_gradient_is_correct_and_its_twin_is_wrong(name):
    loss, right, wrong, at = TOLD[name]
    report = check(loss, right, at)
    assert report.verdict is CORRECT, report
    assert max(finding.resolution for finding in report.findings) <= 1e-3
    assert check(loss, wrong, at).verdict is WRONG


def test_a_wrong_entry_where_the_parameter_is_zero_is_not_hidden_by_how_steep_it_claims_to_be():
    report = check(margin, lambda z: margin_slope(z) + np.array([0.0, 1e-3, 0.0]), np.array([40.0, 0.0, -3.0]))
    assert report.verdict in (WRONG, UNRESOLVED)


def test_where_nothing_ever_moves_from_zero_nobody_is_accused():
    """A loss of exact zeros: what rounds to them is not known."""
    assert check(lambda x: 0 * x.sum(), lambda x: 1e-17 + 0 * x, np.ones(3)).verdict is UNRESOLVED


class TestKinksAndJumps:
    def test_under_a_steep_root_a_kink_is_told_as_what_it_is(self):
        def loss(w):
            return np.sqrt(np.clip(2 * w, 0, None) + 1e-8).sum()

        def claimed(w, factor=1.0):
            return factor * (w > 0) / np.sqrt(np.clip(2 * w, 0, None) + 1e-8)

        report = check(loss, claimed, np.zeros(3))
        assert report.verdict is NONSMOOTH
        assert report.findings[0].slopes == pytest.approx((0, 1e4), rel=1e-3)
        beside = np.full(3, 1e-3)
        assert check(loss, claimed, beside).verdict is CORRECT
        assert check(loss, lambda w: claimed(w, 1.01), beside).verdict is WRONG

    def test_a_value_on_a_jump_has_no_derivative(self):
        def loss(x):
            return (x > 0.5) * x

        def claimed(x):
            return 1.0 * (x > 0.5)

        assert check(loss, claimed, 0.5).verdict is NONSMOOTH
        assert check(loss, claimed, 0.5001).verdict is CORRECT
        assert check(loss, lambda x: 0 * x, 0.5001).verdict is WRONG

    def test_no_block_is_correct_with_an_error_above_its_bound_and_none_names_an_absurd_size(self):
        for at in (np.zeros(2), np.array([0.5, 0.0]), np.array([1e-300, 1.0])):
            for loss in (lambda x: np.abs(x).sum(), lambda x: np.sqrt(np.abs(x)).sum(), lambda x: ((x > 0.5) * x).sum()):
                for finding in check(loss, lambda x: np.sign(x) / 2, at).findings:
                    assert finding.verdict is not CORRECT or finding.error <= finding.bound
                    assert "e+" not in finding.reason


class TestEntries:
    def test_one_entry_of_a_hundred_thousand_is_no_inexact_block(self):
        x = RNG.standard_normal(100_000)

        def claimed(x, off=3e-5):
            g = (x > 0) * 1.0
            g[777] += off
            return g

        report = check(lambda x: np.maximum(x, 0).sum(), claimed, x)
        assert report.verdict is WRONG
        assert report.findings[0].worst_index == (777,)
        assert check(lambda x: np.maximum(x, 0).sum(), lambda x: claimed(x, 0.0), x).verdict is CORRECT

    def test_what_is_refuted_and_found_nowhere_is_not_called_inexact(self, monkeypatch):
        found = accusation.Located([], [], [], complete=False)
        monkeypatch.setattr(accusation, "localize", lambda *_: found)
        x = RNG.standard_normal(100_000)

        def claimed(x):
            g = np.cos(x)
            g[777] += 3e-5
            return g

        (finding,) = check(lambda x: np.sin(x).sum(), claimed, x).findings
        assert finding.verdict is UNRESOLVED
        assert "none was found" in finding.reason

    def test_the_worst_entry_is_the_worst(self):
        def claimed(x):
            g = np.cos(x) * 1.001
            g[17, 23] = 50
            return g

        report = check(lambda x: np.sin(x).sum(), claimed, RNG.standard_normal((40, 40)))
        assert report.findings[0].worst_index == (17, 23)
        assert report.findings[0].entries[0].claimed == 50

    @pytest.mark.parametrize("size", [1000, 100_000])
    def test_a_single_wrong_entry_takes_at_most_80_evaluations(self, size):
        def claimed(x):
            g = np.cos(x)
            g[size // 3] += 1e-3
            return g

        report = check(lambda x: np.sin(x).sum(), claimed, RNG.standard_normal(size), diagnose=False)
        assert report.findings[0].worst_index == (size // 3,)
        assert report.evaluations <= 80


def test_one_wrong_block_does_not_spoil_another():
    def loss(p):
        return (p["a"] % 0.37).sum() + np.abs((p["b"] * 5) % 1 - 0.5).sum()

    def claimed(p, factor):
        return {"a": np.ones_like(p["a"]), "b": factor * 5 * np.sign((p["b"] * 5) % 1 - 0.5)}

    at = {"a": RNG.random(20) + 0.1, "b": RNG.random(30)}
    assert check(loss, lambda p: claimed(p, 1.1), at).wrong == {"b"}
    assert check(loss, lambda p: claimed(p, 1.0), at).wrong == set()


class TestMixedPrecision:
    """One layer that rounds to float32 inside float64: the noise of that is no error of the gradient."""

    W, X, V = (RNG.standard_normal(shape) for shape in ((8, 6), (20, 6), 8))

    def loss(self, p):
        h = np.tanh(self.X @ p["w"].T).astype(np.float32).astype(float)
        return float((h @ p["v"]).sum() ** 2 / 100)

    def gradient(self, p):
        h = np.tanh(self.X @ p["w"].T)
        d = (h @ p["v"]).sum() / 50
        dv = d * h.astype(np.float32).astype(float).sum(0)
        return {"w": ((1 - h**2) * d * p["v"]).T @ self.X, "v": dv}

    def test_a_right_gradient_is_correct_and_a_wrong_entry_is_found(self):
        at = {"w": self.W, "v": self.V}
        report = check(self.loss, self.gradient, at)
        assert report.verdict in (CORRECT, Verdict.INEXACT)
        spoiled = self.gradient(at)
        spoiled["w"][3, 2] += 0.5 * np.abs(spoiled["w"]).max()
        assert check(self.loss, lambda _: spoiled, at).wrong == {"w"}


AT = {"w": RNG.standard_normal((4, 5)), "b": RNG.standard_normal(5)}


class TestZeroToRounding:
    """A bias before batch normalisation."""

    X, S = RNG.standard_normal((16, 4)), RNG.standard_normal((16, 5))

    def loss(self, p):
        z = self.X @ p["w"] + p["b"]
        return (np.tanh((z - z.mean(0)) / np.sqrt(z.var(0) + 1e-5)) * self.S).sum()

    def gradient(self, p):
        z = self.X @ p["w"] + p["b"]
        deviation = np.sqrt(z.var(0) + 1e-5)
        y = (z - z.mean(0)) / deviation
        d = self.S * (1 - np.tanh(y) ** 2)
        dz = (d - d.mean(0) - y * (d * y).mean(0)) / deviation
        return {"w": self.X.T @ dz, "b": dz.sum(0)}

    def test_it_is_correct_in_no_more_evaluations_than_any_block_and_says_to_what(self):
        report = check(self.loss, self.gradient, AT)
        assert report.verdict is CORRECT
        assert report.evaluations <= 60
        (bias,) = (finding for finding in report.findings if finding.name == "b")
        assert bias.reason.startswith("zero to rounding")
        assert bias.resolution < 1e-8

    def test_an_error_above_the_resolution_is_found_and_exact_zeros_get_no_other_treatment(self):
        zero = check(self.loss, lambda p: self.gradient(p) | {"b": np.zeros(5)}, AT)
        assert zero.verdict is CORRECT
        assert zero.findings[1].reason.startswith("zero to rounding")
        off = check(self.loss, lambda p: self.gradient(p) | {"b": 1e-6 + np.zeros(5)}, AT)
        assert off.wrong == {"b"}

    def test_it_is_no_licence_where_the_bound_is_not_that_small(self):
        report = check(lambda p: self.loss(p) + 1e15, self.gradient, AT)
        (weight,) = (finding for finding in report.findings if finding.name == "w")
        assert weight.verdict is UNRESOLVED
        hidden = check(lambda p: self.loss({**p, "w": AT["w"]}) + 1e15, lambda p: self.gradient(p) | {"w": 0 * p["w"]}, AT)
        assert hidden.verdict is not WRONG

    def test_a_block_of_zeros_on_which_the_loss_depends_is_wrong(self):
        report = check(self.loss, lambda p: self.gradient(p) | {"w": np.zeros((4, 5))}, AT)
        assert report.wrong == {"w"}


def test_correct_says_to_what():
    report = check(lambda x: np.sin(x).sum(), np.cos, np.linspace(0.1, 1, 5))
    assert report.words.startswith("correct to ")
    assert float(report.words.split()[-1]) >= max(finding.resolution for finding in report.findings)
    assert f"verdict: {report.words}" in str(report)
    assert check(lambda x: np.sin(x).sum(), np.sin, np.linspace(0.1, 1, 5)).words == "wrong"


def test_what_must_be_resolved_is_what_is_asked_for():
    def loss(x):
        return np.sin(x).sum() + 1e9

    at = np.linspace(0.1, 1, 5)
    (finding,) = check(loss, np.cos, at).findings
    assert 1e-8 < finding.resolution < 1e-3
    assert check(loss, np.cos, at, resolve=finding.resolution / 2).verdict is UNRESOLVED
    assert check(loss, np.cos, at, resolve=2 * finding.resolution).verdict is CORRECT


@pytest.mark.parametrize("seed", range(8))
def test_an_entry_off_by_twice_the_stated_resolution_is_not_correct(seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(12)
    for loss, gradient in (
        (lambda x: np.sin(3 * x).sum(), lambda x: 3 * np.cos(3 * x)),
        (lambda x: np.maximum(x, 0.1).sum() + x[0] ** 3, lambda x: (x > 0.1) + 3 * np.eye(12)[0] * x**2),
    ):
        (finding,) = check(loss, gradient, x).findings
        assert finding.verdict is CORRECT
        right, index = gradient(x), rng.integers(12)
        spoiled = right + 2 * finding.resolution * np.eye(12)[index] * max(abs(right[index]), np.sqrt(np.mean(right**2)))
        assert check(loss, lambda x, g=spoiled: g, x).verdict is not CORRECT
