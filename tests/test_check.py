"""`gradcheck.check`: what it finds, what it never accuses, what it cannot tell; and that a blinded one is noticed."""

import dataclasses
import math
import re
import tracemalloc

import numpy as np
import pytest

import gradcheck
from gradcheck import DataError, Report, Verdict, check
from gradcheck.checking import overview, prober
from gradcheck.verdict import reasons

rng = np.random.default_rng(0)
X, Y = rng.standard_normal((40, 6)), rng.choice([-1.0, 1.0], 40)
AT = {"hidden": {"weight": rng.standard_normal((8, 6)), "bias": rng.standard_normal(8)}, "out": rng.standard_normal(8)}


def loss(p):
    h = np.tanh(X @ p["hidden"]["weight"].T + p["hidden"]["bias"])
    return np.mean(np.logaddexp(0, -Y * (h @ p["out"])))


def gradient(p):
    h = np.tanh(X @ p["hidden"]["weight"].T + p["hidden"]["bias"])
    dz = -Y / (1 + np.exp(Y * (h @ p["out"]))) / len(Y)
    dh = dz[:, None] * p["out"] * (1 - h * h)
    return {"hidden": {"weight": dh.T @ X, "bias": dh.sum(axis=0)}, "out": h.T @ dz}


def spoiled(change):
    """The correct gradient after a change in place."""

    def claimed(p):
        g = gradient(p)
        change(g)
        return g

    return claimed


def test_a_correct_gradient_is_correct_after_a_few_dozen_evaluations():
    report = check(loss, gradient, AT)
    assert report.verdict is Verdict.CORRECT
    assert [finding.name for finding in report.findings] == ["hidden.weight", "hidden.bias", "out"]
    assert report.evaluations <= 40
    assert all(finding.resolution < 1e-6 for finding in report.findings)


def scale_weight(factor):
    def change(g):
        g["hidden"]["weight"] *= factor

    return change


@pytest.mark.parametrize("size", [1.0, 1e-1, 1e-3, 3e-6])
def test_one_wrong_entry_is_found_and_named(size):
    def change(g):
        w = g["hidden"]["weight"]
        w[3, 2] += size * max(abs(w[3, 2]), np.sqrt(np.mean(w**2)))

    report = check(loss, spoiled(change), AT)
    assert report.wrong == {"hidden.weight"}
    finding = next(finding for finding in report.findings if finding.verdict is Verdict.WRONG)
    assert finding.worst_index == (3, 2)
    assert finding.entries[0].reference == pytest.approx(gradient(AT)["hidden"]["weight"][3, 2], rel=1e-6)
    assert report.evaluations <= 310 or size < 1e-3


@pytest.mark.parametrize("factor", [0.0, -1.0, 2.0, 40.0, 1 + 3e-6])
def test_a_wrong_block_is_found(factor):
    assert check(loss, spoiled(scale_weight(factor)), AT).wrong == {"hidden.weight"}


@pytest.mark.parametrize("size", [1e-7, 1e-9])
def test_a_small_excess_is_inexact_unless_more_accuracy_is_asked_for(size):
    claimed = spoiled(scale_weight(1 + size))
    assert check(loss, claimed, AT).verdict is Verdict.INEXACT
    assert check(loss, claimed, AT, accuracy=size / 10).verdict is Verdict.WRONG


BLINDNESS = {
    "a bound multiplied by 1e6": lambda estimate, _: estimate._replace(bound=1e6 * estimate.bound + 1),
    "a reference that returns the claim": lambda estimate, line: estimate._replace(value=line.product),
}


def blinded(oracle, blindness):
    return lambda line, *rest: blindness(oracle(line, *rest), line)


@pytest.mark.parametrize("name", BLINDNESS)
def test_a_blinded_checker_no_longer_finds_the_fault(monkeypatch, name):
    """The twin: the tests above fail when the checker is made blind, and a blind check does not say correct."""
    for room, oracle in ((prober, "slope"), (overview, "second_look")):
        monkeypatch.setattr(room, oracle, blinded(getattr(room, oracle), BLINDNESS[name]))
    report = check(loss, spoiled(scale_weight(2.0)), AT)
    assert report.wrong == frozenset()
    if "bound" in name:
        assert report.verdict is not Verdict.CORRECT


CORRECT = {
    "a constant of 1e6": (lambda x: np.sin(x).sum() + 1e6, np.cos, rng.standard_normal(4)),
    "tiny": (lambda x: 1e-12 * np.sin(x).sum(), lambda x: 1e-12 * np.cos(x), rng.standard_normal(4)),
    "large arguments": (lambda x: np.sin(x * 1e-8).sum(), lambda x: 1e-8 * np.cos(x * 1e-8), 1e8 * rng.standard_normal(4)),
    "a quadratic that is its own gradient": (lambda x: x @ x / 2, lambda x: x, rng.standard_normal(4)),
    "a kink nearby": (lambda x: np.maximum(x, 0).sum(), lambda x: (x > 0) * 1.0, np.array([1e-5, -1e-4, 1.0, -2.0])),
    "a joint at the point": (lambda x: (np.maximum(x, 0) ** 2).sum(), lambda x: 2 * np.maximum(x, 0), np.array([0.0, 1.0])),
    "constant": (lambda _: 3.0, np.zeros_like, rng.standard_normal(4)),
    "a number": (lambda x: x**3, lambda x: 3 * x**2, 0.7),
    "all zeros": (lambda x: (x**2).sum() + x[0], lambda x: 2 * x + np.array([1.0, 0.0]), np.zeros(2)),
    "float32 arrays": (lambda x: (x**2).sum(), lambda x: 2 * x, np.float32([0.5, -0.3])),
    "near the edge": (lambda x: math.log(x[0]) + x[1], lambda x: np.array([1 / x[0], 1.0]), np.array([1e-3, 2.0])),
    "many entries": (lambda x: np.sin(x).sum(), np.cos, rng.standard_normal(100_000)),
}  # fmt: skip


@pytest.mark.parametrize("name", CORRECT)
def test_awkward_correct_gradients_are_correct(name):
    f, g, at = CORRECT[name]
    assert check(f, g, at).verdict is Verdict.CORRECT


@pytest.mark.parametrize("name", [name for name in CORRECT if name not in ("constant", "all zeros")])
def test_the_same_gradients_off_by_a_tenth_of_a_percent_are_wrong(name):
    f, g, at = CORRECT[name]
    assert check(f, lambda x: g(x) * (1 + 1e-3), at).verdict is Verdict.WRONG


@pytest.mark.parametrize("claimed", [0.0, 1.0, 0.5])
def test_at_a_kink_any_slope_between_the_sides_is_nonsmooth_and_both_are_given(claimed):
    def convention(x):
        return np.where(x > 0, 1.0, np.where(x < 0, 0.0, claimed))

    report = check(lambda x: np.maximum(x, 0).sum(), convention, np.array([1.0, 0.0, -2.0]))
    assert report.verdict is Verdict.NONSMOOTH
    assert report.findings[0].worst_index == (1,)
    assert report.findings[0].slopes == pytest.approx((0, 1), abs=1e-8)


def test_a_fault_beside_a_kink_is_found():
    def claimed(x):
        return (x > 0) * np.array([1.001, 1.0, 1.0])

    report = check(lambda x: np.maximum(x, 0).sum(), claimed, np.array([1.0, 0.0, -2.0]))
    assert report.wrong == {"x"}
    assert report.findings[0].worst_index == (0,)


def test_a_random_loss_is_unresolved_and_last_bits_are_not():
    noise = np.random.default_rng(1)
    assert check(lambda x: x @ x + noise.standard_normal(), lambda x: 2 * x, np.ones(3)).verdict is Verdict.UNRESOLVED
    last_bits = check(lambda x: (x @ x) * (1 + 1e-16 * noise.standard_normal()), lambda x: 2 * x, np.ones(3))
    assert last_bits.verdict is Verdict.CORRECT


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_what_changes_from_call_to_call_is_told_from_rounding_at_any_scale(scale):
    for change, verdict in ((1e-3, Verdict.UNRESOLVED), (1e-15, Verdict.CORRECT)):
        for what in ("loss", "gradient"):
            calls = {"loss": 0, "gradient": 0}

            def shaken(name, value, what=what, calls=calls, change=change):
                calls[name] += 1
                return value * (1 + change * (calls[name] % 2) * (name == what))

            report = check(
                lambda x, shaken=shaken: shaken("loss", scale * (x @ x)),
                lambda x, shaken=shaken: shaken("gradient", scale * 2 * x),
                np.array([1.0, -2.0]),
            )
            assert report.verdict is verdict, (what, change)
            if verdict is Verdict.UNRESOLVED and what == "loss":
                assert report.findings[0].reason == "the loss changes from call to call"


def test_a_nan_in_one_block_hides_no_error_in_another_and_an_error_no_nan():
    """The twin: either of them alone."""
    at = {"a": np.array([1.0, 2.0]), "b": np.array([3.0, -1.0])}
    for nan, error in ((np.nan, 1e-3), (np.nan, 0.0), (0.0, 1e-3)):
        report = check(
            lambda x: x["a"] @ x["a"] + np.sin(x["b"]).sum(),
            lambda x, nan=nan, error=error: {"a": 2 * x["a"] * (1 + error) + [0, nan], "b": np.cos(x["b"]) * (1 + error)},
            at,
        )
        assert report.wrong == ({"a", "b"} if error else {"a"})
        assert (report.findings[0].reason == "the gradient is nan at [1]") == bool(np.isnan(nan))


@pytest.mark.parametrize("second", [lambda x: None, lambda x: np.zeros(5), lambda x: 2 * x * np.nan])
def test_what_only_a_second_call_has_not_the_form_of_is_unresolved(second):
    """The twin: the same function where every call answers alike."""
    calls = []

    def claimed(x):
        calls.append(x)
        return second(x) if len(calls) == 2 else 2 * x

    report = check(lambda x: x @ x, claimed, np.ones(3))
    assert report.verdict is Verdict.UNRESOLVED
    assert report.findings[0].reason.startswith("a second call answered otherwise: ")
    assert check(lambda x: x @ x, claimed, np.ones(3)).verdict is Verdict.CORRECT


def test_a_changed_input_is_wrong_and_the_callers_array_is_left_alone():
    def claimed(x):
        g = 2 * x
        x += 1
        return g

    at = np.ones(3)
    report = check(lambda x: x @ x, claimed, at)
    assert report.verdict is Verdict.WRONG
    assert "changed this input" in report.findings[0].reason
    assert np.array_equal(at, np.ones(3))


@pytest.mark.parametrize(
    ("claimed", "reason"),
    [
        (lambda x: {"a": 2 * x["a"]}, "no gradient was returned"),
        (lambda x: {"a": 2 * x["a"], "b": 2 * x["b"][:1]}, r"shape \(1,\)"),
        (lambda x: {"a": 2 * x["a"], "b": 2 * x["b"] * np.nan}, "nan"),
        (lambda x: {"a": 2 * x["a"], "b": 2 * x["b"], "c": x["b"]}, "does not exist"),
    ],
)
def test_what_has_not_the_form_of_a_gradient_is_wrong_with_its_reason(claimed, reason):
    at = {"a": np.ones(2), "b": np.ones(3)}
    report = check(lambda x: x["a"] @ x["a"] + x["b"] @ x["b"], claimed, at)
    (finding,) = (finding for finding in report.findings if finding.verdict is Verdict.WRONG)
    assert re.search(reason, finding.reason)


def test_shared_memory_is_a_note():
    report = check(lambda x: x @ x / 2, lambda x: x, np.ones(3))
    assert report.notes == ("the gradient shares memory with its input",)


@dataclasses.dataclass
class Model:
    weight: np.ndarray
    steps: int


def test_points_of_any_structure_are_named_by_their_paths():
    at = [Model(np.array([1.0, 2.0]), 3), (4.0, {"k": np.array([[5.0]])})]

    def f(p):
        return p[0].steps * (p[0].weight ** 2).sum() + p[1][0] ** 2 * p[1][1]["k"][0, 0]

    def g(p):
        k = p[1][1]["k"]
        return [Model(2 * p[0].steps * p[0].weight, 0), (2 * p[1][0] * k[0, 0], {"k": np.array([[p[1][0] ** 2]])})]

    report = check(f, g, at)
    assert report.verdict is Verdict.CORRECT
    assert [finding.name for finding in report.findings] == ["0.weight", "1.0", "1.1.k"]


def test_two_leaves_of_one_name_are_refused():
    with pytest.raises(gradcheck.DataError, match=r"two leaves are called 'a\.b'"):
        check(lambda _: 0.0, lambda p: p, {"a": {"b": 1.0}, "a.b": 2.0})


@pytest.mark.parametrize(
    ("at", "sentence"),
    [
        ({"n": 3}, "at: nothing to check: n is int, 3, expected a floating NumPy array or number"),
        (np.arange(3), "at: nothing to check: x is ndarray of int64, expected"),
        ({}, "at: nothing to check: it holds nothing"),
        (None, "at: nothing to check: it holds nothing"),
        ("abc", "at: nothing to check: x is str"),
        ({"w": np.array([1.0, np.nan])}, r"at: w is nan at \[1\]"),
    ],
)
def test_a_point_at_which_there_is_nothing_to_check_is_one_sentence(at, sentence):
    with pytest.raises(DataError, match=sentence):
        check(lambda _: 1.0, lambda p: p, at)


def test_a_report_that_checked_nothing_is_unresolved():
    assert Report(title="nothing", findings=()).verdict is Verdict.UNRESOLVED


def analytic_loss(x):
    return np.sum(np.sin(x)) + 100.0


def test_the_complex_step_resolves_what_noise_hides_from_differences():
    at = np.arange(1.0, 5.0)

    def off(x):
        return np.cos(x) * np.array([1, 1 + 1e-11, 1, 1])

    assert check(analytic_loss, off, at).verdict is Verdict.CORRECT
    report = check(analytic_loss, off, at, complex_step=True, accuracy=1e-12)
    assert report.wrong == {"x"}
    assert report.findings[0].worst_index == (1,)
    assert check(analytic_loss, np.cos, at, complex_step=True).findings[0].resolution < 1e-12


@pytest.mark.parametrize(
    ("f", "reason"),
    [
        (lambda x: np.sum(np.abs(x) * x), "disagrees with real differences"),
        (lambda x: float(np.sum(np.real(x) * np.abs(np.real(x)))), "disagrees with real differences"),
        (lambda x: np.sum(np.logaddexp(0, x) * 0 + np.abs(x) * x), "does not take complex arguments"),
    ],
)
def test_the_complex_step_is_refused_where_it_would_mislead_and_the_verdict_is_the_same(f, reason):
    at = np.array([0.5, -0.7])
    right = check(f, lambda x: 2 * np.abs(x), at, complex_step=True)
    assert right.verdict is Verdict.CORRECT
    assert any(reason in note for note in right.notes)
    assert check(f, lambda x: 2 * x, at, complex_step=True).verdict is Verdict.WRONG


def test_a_probe_that_does_not_move_and_a_skipped_block_say_nothing(monkeypatch):
    """Two more ways to be blind: neither may end in "correct"."""
    monkeypatch.setattr(prober, "direction", lambda point, g, *_: {name: 1e-200 * np.ones_like(g[name]) for name in g})
    assert check(loss, spoiled(scale_weight(2.0)), AT).verdict is not Verdict.CORRECT
    monkeypatch.undo()
    honest = prober.direction

    def skipping(*asked):
        v = honest(*asked)
        return {name: 1e-200 * w if name == "hidden.weight" else w for name, w in v.items()}

    monkeypatch.setattr(prober, "direction", skipping)
    report = check(loss, spoiled(scale_weight(2.0)), AT)
    assert {finding.name for finding in report.findings if finding.verdict is Verdict.CORRECT} == {"hidden.bias", "out"}


def test_a_loss_in_float32_is_judged_at_its_own_precision_and_the_report_says_so():
    def narrow(x):
        return np.float32(np.sin(x).sum())

    at = np.array([0.3, 1.1, -0.4])
    report = check(narrow, np.cos, at)
    assert report.verdict is Verdict.CORRECT
    assert any("unit roundoff 6.0e-08" in note for note in report.notes)
    assert not check(lambda x: np.sin(x).sum(), np.cos, at).notes
    assert check(narrow, lambda x: 1.1 * np.cos(x), at).verdict is Verdict.WRONG


def test_a_loss_that_changes_its_input_is_judged_by_what_it_was_given():
    def careless(x):
        value = float(x @ x)
        x *= 0
        return value

    at = np.array([0.3, -1.1])
    assert check(careless, lambda x: 2 * x, at).verdict is Verdict.CORRECT
    assert check(careless, lambda x: 3 * x, at).wrong == {"x"}
    assert np.array_equal(at, [0.3, -1.1])


@pytest.mark.parametrize(
    ("f", "arguments", "sentence"),
    [
        (np.sin, {}, r"sin returned an array of shape \(3,\), expected a real number"),
        (lambda _: None, {}, "the loss returned None, expected a real number"),
        (lambda x: 1j * x[0], {}, "expected a real number"),
        (np.sum, {"accuracy": -1}, "accuracy: expected a finite float >= 0, got -1"),
        (np.sum, {"accuracy": math.nan}, "accuracy: expected a finite float >= 0, got nan"),
        (np.sum, {"seed": 1.5}, "seed: expected int >= 0, got 1.5"),
    ],
)
def test_bad_input_gets_one_clear_line(f, arguments, sentence):
    with pytest.raises(gradcheck.GradcheckError, match=sentence) as raised:
        check(f, np.ones_like, np.ones(3), **arguments)
    assert "\n" not in str(raised.value)


def cancelling(direction):
    """Errors of 1e-3 in two entries of a block that add up to nothing along a direction."""

    def claimed(x):
        g = np.cos(x)
        g[0] += 1e-3
        g[1] -= 1e-3 * direction[0] / direction[1]
        return g

    return claimed


def test_errors_that_cancel_along_one_direction_are_seen_by_the_other(monkeypatch):
    at = np.linspace(0.1, 1.3, 12)

    def f(x):
        return np.sin(x).sum()

    v = prober.direction({"x": at}, {"x": np.cos(at)}, 0)["x"]
    honest = prober.direction

    def chosen(point, g, seed, *more):
        return {"x": v} if seed == 0 else honest(point, g, seed, *more)

    monkeypatch.setattr(prober, "direction", chosen)
    assert check(f, cancelling(v), at).wrong == {"x"}
    # The twin: without the second direction the same claim passes.
    monkeypatch.setattr(overview, "second_look", lambda line, *_: prober.Estimate(line.product, math.inf, 0))
    assert check(f, cancelling(v), at).verdict is Verdict.CORRECT


@pytest.mark.parametrize("seed", range(20))
def test_a_function_in_float16_is_never_accused_and_a_wrong_sign_in_it_is_found(seed):
    draw = np.random.default_rng(seed)
    weights, at = draw.standard_normal(5), draw.standard_normal(5).astype(np.float16).astype(float)

    def f(x):
        return float((weights.astype(np.float16) * np.tanh(x.astype(np.float16))).sum(dtype=np.float16))

    def g(x):
        return weights / np.cosh(x) ** 2

    assert check(f, g, at).verdict is not Verdict.WRONG
    assert check(f, lambda x: -g(x), at).verdict is Verdict.WRONG


@pytest.mark.parametrize("claim", [np.zeros_like, lambda x: 1.0 * (x > 0)])
def test_a_claim_of_zero_at_a_kink_is_nonsmooth_and_not_correct(claim):
    report = check(lambda x: np.maximum(x, 0).sum(), claim, np.zeros(3))
    assert report.verdict is Verdict.NONSMOOTH
    assert report.findings[0].slopes == pytest.approx((0, 1), abs=1e-8)


def test_a_zero_gradient_is_correct_in_a_dead_layer_and_at_a_minimum():
    assert check(lambda x: 3.0, np.zeros_like, np.ones(3)).verdict is Verdict.CORRECT
    assert check(lambda x: x @ x, np.zeros_like, np.zeros(3)).verdict is Verdict.CORRECT
    assert check(lambda x: x @ x + 1.0, np.zeros_like, np.full(3, 1e-3)).verdict is Verdict.WRONG


@pytest.mark.parametrize("seed", range(12))
def test_staircases_are_not_accused_of_their_slope_nor_called_correct_where_it_is_hidden(seed):
    draw = np.random.default_rng(seed)
    at, c = draw.standard_normal(36), draw.standard_normal(36)

    def narrow(x):
        return float(c @ x.astype(np.float16).astype(float))

    assert check(narrow, lambda x: c, at).verdict is not Verdict.WRONG
    assert check(narrow, np.zeros_like, at).verdict is not Verdict.CORRECT
    assert check(lambda x: float(c @ np.round(x, 3)), np.zeros_like, at).verdict is not Verdict.WRONG


ROUNDINGS = {
    "float32": lambda z: z.astype(np.float32).astype(float),
    "float16": lambda z: z.astype(np.float16).astype(float),
    "six digits": np.vectorize(lambda z: float(f"{z:.6g}")),
}


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("seed", range(6))
def test_where_some_arguments_are_rounded_inside_and_others_not_only_a_fault_is_accused(rounding, seed):
    draw = np.random.default_rng(seed)
    n = int(draw.integers(2, 9))
    c, at, some = draw.standard_normal(n), draw.standard_normal(n), draw.permutation(n)[: draw.integers(1, n)]

    def mixed(x):
        z = x.copy()
        z[some] = ROUNDINGS[rounding](z[some])
        return float(c @ np.sin(z))

    def halved(x):
        return np.where(np.arange(n) == some[0], 0.5, 1) * c * np.cos(x)

    assert check(mixed, lambda x: c * np.cos(x), at).verdict in (Verdict.UNRESOLVED, Verdict.CORRECT)
    assert check(mixed, halved, at).verdict in (Verdict.WRONG, *([Verdict.UNRESOLVED] if rounding == "float16" else []))


@pytest.mark.parametrize("blocks", [1, 2])
def test_a_loss_that_raises_outside_its_domain_has_no_value_there_and_at_the_point_itself_it_has_failed(blocks):
    """The twins: the same gradient wrong, and what raises wherever it is moved."""

    def f(p):
        return math.sqrt(1 - p["a"] ** 2) + sum(p.values())

    def g(p, factor=1.0):
        return {name: 1.0 - (factor * p["a"] / math.sqrt(1 - p["a"] ** 2) if name == "a" else 0) for name in p}

    at = dict(zip("ab", [0.999, 0.5], strict=True)) if blocks == 2 else {"a": 0.999}
    assert check(f, g, at).verdict is Verdict.CORRECT
    assert check(f, lambda p: g(p, 1.001), at).wrong == {"a"}

    def indexed(p):
        return f(p) if p["a"] == at["a"] else {}["moved"]

    with pytest.raises(gradcheck.CallFailed, match="f raised ValueError"):
        check(f, lambda p: g(at), at | {"a": 2.0})
    report = check(indexed, g, at)
    assert report.verdict is Verdict.UNRESOLVED
    assert next(finding.reason for finding in report.findings if finding.name == "a") == reasons.ALONE
    assert any(note.startswith("beside the point indexed raised KeyError") for note in report.notes)


def test_a_block_may_be_called_loss():
    assert check(lambda p: p["loss"] ** 2, lambda p: {"loss": 2 * p["loss"]}, {"loss": 1.0}).verdict is Verdict.CORRECT


def test_an_infinite_claim_is_wrong_without_a_warning():
    report = check(lambda x: x @ x, lambda x: np.array([np.inf, 1.0]), np.ones(2))
    assert report.verdict is Verdict.WRONG
    assert [diagnosis.cause for diagnosis in report.diagnoses] == ["non-finite"]


def test_the_first_entries_of_a_large_block_are_found_by_halving():
    at = np.random.default_rng(0).standard_normal(20_000)

    def claimed(x):
        return np.cos(x) * np.where(np.arange(x.size) < 4, 1.01, 1)

    (finding,) = check(lambda x: np.sin(x).sum(), claimed, at).findings
    assert finding.verdict is Verdict.WRONG
    assert finding.entries
    assert all(entry.index < (4,) for entry in finding.entries)


def test_a_correct_gradient_takes_a_few_copies_of_the_point():
    def f(p):
        return sum(np.sin(x).sum() for x in p.values())

    def g(p):
        return {name: np.cos(x) for name, x in p.items()}

    at = {"a": np.random.default_rng(0).standard_normal(50_000), "b": np.ones(50_000)}
    check(f, g, {name: x[:2] for name, x in at.items()})  # what is imported on the way is no copy
    tracemalloc.start()
    report = check(f, g, at)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert report.verdict is Verdict.CORRECT
    assert peak < 9 * 8 * 100_000
