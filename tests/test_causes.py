"""Every cause that a mistake can have is planted and named, first of all that fit; what nothing explains has no cause."""

import numpy as np
import pytest

import gradcheck
from gradcheck import Verdict, check
from gradcheck.verdict.causes import Cause, sentence

rng = np.random.default_rng(0)
DATA, OUT = rng.standard_normal((50, 6)), rng.standard_normal((4, 6))
AT = {"weight": rng.standard_normal((6, 6)), "bias": rng.standard_normal(6), "wide": rng.standard_normal((4, 6))}


def forward(p):
    return np.tanh(DATA @ p["weight"] + p["bias"]) + 0.1 * DATA @ np.sin(p["wide"]).T @ OUT


def loss(p):
    return np.sum(np.logaddexp(0, forward(p)))


def gradient(p):
    h = np.tanh(DATA @ p["weight"] + p["bias"])
    d = 1 / (1 + np.exp(-forward(p)))
    e = d * (1 - h * h)
    return {"weight": DATA.T @ e, "bias": e.sum(0), "wide": np.cos(p["wide"]) * (OUT @ d.T @ (0.1 * DATA))}


def planted(name, spoil):
    def claimed(p):
        found = gradient(p)
        found[name] = spoil(found[name], p)
        return found

    return claimed


def one_entry(g, _):
    g[2, 3] += 0.3
    return g


def swapped(g, _):
    return g[[0, 3, 2, 1, 4, 5]]


MISTAKES = {
    "sign": ("weight", lambda g, _: -g, {}),
    "missing-mean": ("weight", lambda g, _: 50 * g, {"n": 50}),
    "extra-mean": ("bias", lambda g, _: g / 50, {"n": 50}),
    "factor": ("wide", lambda g, _: 1.7 * g, {"factor": pytest.approx(1.7)}),
    "factor, of another sign": ("wide", lambda g, _: -2 * g, {"factor": pytest.approx(-2)}),
    "factor, small": ("weight", lambda g, _: g / 3.3, {"factor": pytest.approx(1 / 3.3)}),
    "zero": ("bias", lambda g, _: 0 * g, {}),
    "transposed": ("weight", lambda g, _: g.T, {}),
    "permuted, rolled": ("weight", lambda g, _: np.roll(g, 1, 0), {"rolled": 1, "axis": 0}),
    "permuted, flipped": ("wide", lambda g, _: g[::-1], {"flipped": True, "axis": 0}),
    "permuted, swapped": ("weight", swapped, {"swapped": [1, 3], "axis": 0}),
    "transposed, of another shape": ("wide", lambda g, _: g.T.reshape(4, 6), {"reshaped": True}),
    "regularisation": ("weight", lambda g, p: g + 0.01 * p["weight"], {"multiple": pytest.approx(0.01)}),
    "low-precision, float16": ("wide", lambda g, _: g.astype(np.float16).astype(float), {"format": "float16"}),
    "low-precision, float32": ("wide", lambda g, _: g.astype(np.float32).astype(float), {"format": "float32"}),
    "clipped": ("weight", lambda g, _: np.clip(g, -1, 1), {"limit": 1.0}),
    "single-entry": ("weight", one_entry, {"index": [2, 3]}),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_planted_mistake_is_named_first_with_its_numbers_and_in_its_block_only(mistake):
    name, spoil, evidence = MISTAKES[mistake]
    report = check(loss, planted(name, spoil), AT)
    assert {diagnosis.name for diagnosis in report.diagnoses} == {name}
    first = report.diagnoses[0]
    assert first.cause == mistake.split(",")[0]
    assert evidence.items() <= first.evidence.items()
    assert report.diagnosis_evaluations <= 400  # directions, and a map of at most 32 cells
    assert f"\n{name} of claimed: " in str(report)
    assert sentence(first)[:40] in str(report)


def test_a_correct_gradient_has_no_cause_and_costs_nothing_more():
    report = check(loss, gradient, AT)
    assert report.verdict is Verdict.CORRECT
    assert report.diagnoses == ()
    assert report.diagnosis_evaluations == 0


@pytest.mark.parametrize("seed", range(5))
def test_what_no_cause_explains_has_none(seed):
    noise = np.random.default_rng(seed).uniform(0.5, 1.5, (6, 6))
    report = check(loss, planted("weight", lambda g, _: g * noise), AT)
    assert report.wrong == {"weight"}
    assert report.diagnoses == ()


def test_another_blocks_gradient_is_recognised():
    at = {"a": AT["weight"][0], "b": AT["weight"][1]}

    def f(p):
        return np.sum(np.sin(p["a"])) + np.sum(p["b"] ** 3)

    def g(p):
        return {"a": np.cos(p["a"]), "b": 3 * p["b"] ** 2}

    assert check(f, g, at).verdict is Verdict.CORRECT
    report = check(f, lambda p: {"a": g(p)["b"], "b": g(p)["a"]}, at)
    assert [(d.name, d.cause, d.evidence) for d in report.diagnoses] == [
        ("a", "permuted", {"taken_from": "b"}),
        ("b", "permuted", {"taken_from": "a"}),
    ]


def test_a_backward_pass_that_stops_says_where():
    def claimed(p):
        return {name: g if name == "wide" else 0 * g for name, g in gradient(p).items()}

    causes = {(d.name, d.cause) for d in check(loss, claimed, AT).diagnoses}
    assert {("weight", "stops-below"), ("bias", "stops-below")} <= causes


@pytest.mark.parametrize(
    ("claimed", "cause"),
    [
        (lambda x: 2 * x * np.random.uniform(0.5, 1.5), "nondeterministic"),
        (lambda x: np.full(3, np.nan), "non-finite"),
        (lambda x: np.ones(2), "wrong-structure"),
        (lambda x: np.multiply(x, 2, out=x), "mutates-input"),
        (lambda x: 2 * x + 1e-8 * np.arange(3), "constants"),
    ],
)
def test_what_is_seen_before_any_fit_has_its_cause_too(claimed, cause):
    assert [diagnosis.cause for diagnosis in check(lambda x: x @ x, claimed, np.arange(1.0, 4.0)).diagnoses] == [cause]


def test_a_kink_says_that_any_slope_between_two_is_a_convention():
    report = check(lambda x: np.abs(x).sum(), np.sign, np.array([0.0, 1.0]))
    assert report.diagnoses[0].cause == "kink-convention"
    assert report.diagnoses[0].evidence["slopes"] == pytest.approx([-1, 1])


def test_every_cause_has_a_sentence():
    assert {mistake.split(",")[0] for mistake in MISTAKES} <= set(Cause)


def build(spoil):
    def mine(network, parameters, batch):
        value, gradients = gradcheck.backend("manual").build(network).loss_and_gradients(parameters, batch)
        return value, spoil(gradients)

    return mine


NETWORK_MISTAKES = {
    "missing-mean": (lambda g: {name: 400 * value for name, value in g.items()}, {"n": 400}),
    "factor": (lambda g: g | {"0.bias": 2 * g["0.bias"]}, {"factor": pytest.approx(2)}),
    "factor, of another sign": (lambda g: g | {"0.bias": -2 * g["0.bias"]}, {"factor": pytest.approx(-2)}),
    "sign": (lambda g: g | {"2.weight": -g["2.weight"]}, {}),
    "transposed": (lambda g: g | {"0.weight": g["0.weight"].T.reshape(15, 2)}, {"reshaped": True}),
    "low-precision": (lambda g: {name: v.astype(np.float32).astype(float) for name, v in g.items()}, {"format": "float32"}),
    "zero": (lambda g: g | {"0.weight": 0 * g["0.weight"]}, {}),
}


@pytest.mark.parametrize("mistake", NETWORK_MISTAKES)
def test_in_a_network_the_cause_is_held_against_the_reference_and_n_is_the_number_of_samples(mistake):
    (spoil, evidence), cause = NETWORK_MISTAKES[mistake], mistake.split(",")[0]
    case = gradcheck.Case(
        gradcheck.Network((2,), (gradcheck.Dense(15), gradcheck.Arctan(), gradcheck.Dense(1)), gradcheck.Logistic()),
        data="two-moons",
        samples=400,
    )
    report = gradcheck.verify(case, ["manual", build(spoil)])
    first = {diagnosis.name: diagnosis for diagnosis in reversed(report.diagnoses)}
    assert set(first) == report.wrong
    assert {diagnosis.cause for diagnosis in first.values()} == {cause}
    assert all(evidence.items() <= diagnosis.evidence.items() for diagnosis in first.values())
    assert gradcheck.verify(case, ["manual", build(lambda g: g)]).diagnoses == ()
