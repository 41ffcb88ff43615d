"""In a network a cause is named with its layer: planted in code that shares nothing with the library of mistakes."""

from functools import partial

import backprop
import numpy as np
import pytest
from gradcheck_backends.manual import mistakes

import gradcheck
from gradcheck import Arctan, Case, CrossEntropy, Dense, Logistic, Network, SiLU, Softplus, Tanh, Verdict
from gradcheck.builds import registry
from gradcheck.diagnosis.library import MistakeLibrary
from gradcheck.network.batch import Batch
from gradcheck.verification import evidence

DEEP = (Dense(5), Tanh(), Dense(5), Softplus(), Dense(5), Arctan())
SIGNS = Case(Network((5,), (*DEEP, Dense(1)), Logistic()), samples=24, seed=3)
CLASSES = Case(Network((5,), (*DEEP, Dense(4)), CrossEntropy()), samples=24, seed=4)
N = 24


def hooked(**hooks):
    """By ``top``, or by ``at`` a number and what is done there."""
    named = {int(key[2:]) if key.startswith("at") else key: hook for key, hook in hooks.items()}

    def mine(network, parameters, batch):
        return backprop.loss_and_gradients(network, parameters, batch, named)

    return mine


def spoiled(**spoil):
    """Single blocks, or all of them, changed at the end."""

    def mine(network, parameters, batch):
        loss, gradients = backprop.loss_and_gradients(network, parameters, batch)
        names = {"w0": "0.weight", "w2": "2.weight", "w4": "4.weight", "b2": "2.bias"}
        changes = {names.get(key, key): change for key, change in spoil.items()}
        changes = dict.fromkeys(gradients, changes["all"]) if "all" in changes else changes
        return loss, {name: changes.get(name, lambda g: g)(g) for name, g in gradients.items()}

    return mine


def of_samples(keep, over):
    """The mean over ``over`` samples of those that are kept."""

    def mine(network, parameters, batch):
        loss, _ = backprop.loss_and_gradients(network, parameters, batch)
        kept = np.flatnonzero(keep(np.arange(N)))
        _, gradients = backprop.loss_and_gradients(network, parameters, Batch(batch.inputs[kept], batch.targets[kept]))
        return loss, {name: g * len(kept) / (over or len(kept)) for name, g in gradients.items()}

    return mine


def bfloat16(g):
    return (g.astype(np.float32).view(np.uint32) & 0xFFFF0000).view(np.float32).astype(float)


def own(change):
    return lambda own, g, xs, weight: ({**own, **change(g, xs)}, g @ weight)


def unstable(g, z, _a, _xs):
    return g * (((1e7 + np.exp(z)) - 1e7) / (1 + np.exp(z)))


# Cause, case, backend, what the evidence says.
PLANTED = {
    "missing-mean": (SIGNS, spoiled(all=lambda g: N * g), {"n": N}),
    "extra-mean": (SIGNS, spoiled(all=lambda g: g / N), {"n": N}),
    "factor": (CLASSES, spoiled(all=lambda g: 2 * g), {"factor": pytest.approx(2)}),
    "sign": (SIGNS, hooked(at4=lambda own, g, xs, weight: (own, -(g @ weight))), {}),
    "zero": (SIGNS, spoiled(w2=lambda g: 0 * g), {}),
    "transposed": (SIGNS, spoiled(w2=np.transpose), {}),
    "transposed, handed down": (SIGNS, hooked(at4=lambda own, g, xs, w: (own, g @ w.T)), {"layer": "layers[4] (Dense)"}),
    "permuted": (SIGNS, spoiled(w2=lambda g: np.roll(g, 1, axis=0)), {"rolled": 1, "axis": 0}),
    "wrong-axis": (CLASSES, hooked(at4=own(lambda g, xs: {"bias": np.full(5, g.sum())})), {"layer": "layers[4] (Dense)"}),
    "wrong-axis, softmax": (
        CLASSES,
        hooked(top=lambda g, z, y: (np.exp(z) / np.exp(z).sum(axis=0) - np.eye(4)[y]) / N),
        {"layer": "the loss (CrossEntropy)"},
    ),
    "mean-for-sum": (SIGNS, hooked(at2=own(lambda g, xs: {"bias": g.mean(axis=0)})), {"n": N, "layer": "layers[2] (Dense)"}),
    "sample-dropped": (SIGNS, of_samples(lambda i: i != 7, N), {"sample": 7}),
    "sample-dropped, the last": (CLASSES, of_samples(lambda i: i < N - 1, None), {"sample": N - 1}),
    "sample-dropped, a batch": (CLASSES, of_samples(lambda i: i < 16, None), {"samples": [16, N - 1]}),
    "sample-subset": (
        SIGNS,
        hooked(top=lambda g, z, y: np.where(y > 0, g, -g)),
        {"label": -1.0, "factor": pytest.approx(-1)},
    ),
    "activation-derivative, omitted": (SIGNS, hooked(at3=lambda g, z, a, xs: g), {"layer": "layers[3] (Softplus)"}),
    "activation-derivative, at the output": (
        CLASSES,
        hooked(at5=lambda g, z, a, xs: g / (1 + a * a)),
        {"how": "taken at its output", "layer": "layers[5] (Arctan)"},
    ),
    "activation-derivative, another's": (
        SIGNS,
        hooked(at3=lambda g, z, a, xs: g * a * (1 - a)),
        {"how": "that of Sigmoid in terms of its output"},
    ),
    "activation-derivative, of the softmax": (CLASSES, hooked(top=lambda g, z, y: g * softmax(z) * (1 - softmax(z))), {}),
    "stale-activation": (
        SIGNS,
        hooked(at4=own(lambda g, xs: {"weight": g.T @ xs[2]})),
        {"uses": "the input of layers[2] (Dense)"},
    ),
    "stale-activation, in a derivative": (
        SIGNS,
        hooked(at3=lambda g, z, a, xs: g * backprop.sigmoid(xs[1])),
        {"uses": "the input of layers[1] (Tanh)"},
    ),
    "path-lost": (
        SIGNS,
        hooked(at4=lambda own, g, xs, w: (own, np.delete(g, 2, 1) @ np.delete(w, 2, 0))),
        {"layer": "layers[4] (Dense)"},
    ),
    "path-lost, of a loss": (CLASSES, hooked(top=lambda g, z, y: softmax(z) / N), {"lost": "-onehot(y)"}),
    "stops-below": (SIGNS, hooked(at4=lambda own, g, xs, w: (own, 0 * (g @ w))), {"above": "4.weight"}),
    "stops-below, wrong": (
        CLASSES,
        hooked(at4=lambda own, g, xs, w: (own, g @ w + np.outer(g[:, 0], xs[4][0]))),
        {"above": "4.weight"},
    ),
    "regularisation": (SIGNS, lambda n, p, b: with_penalty(n, p, b), {"multiple": pytest.approx(0.01)}),
    "clipped": (SIGNS, spoiled(w2=lambda g: np.clip(g, -0.1, 0.1)), {"limit": 0.1}),
    "clipped, by its norm": (SIGNS, spoiled(w2=lambda g: 0.002 * g / np.linalg.norm(g)), {"norm": 0.002}),
    **{
        f"low-precision, {f}": (SIGNS, spoiled(all=lambda g, f=f: g.astype(f).astype(float)), {"format": f})
        for f in ("float32", "float16")
    },
    "low-precision, bfloat16": (SIGNS, spoiled(all=bfloat16), {"format": "bfloat16"}),
    "single-entry": (SIGNS, spoiled(w2=lambda g: g + 0.1 * (np.arange(25).reshape(5, 5) == 13)), {"index": [2, 3]}),
    "overwritten": (
        SIGNS,
        hooked(at4=own(lambda g, xs: {"weight": np.outer(g[-1], xs[4][-1]), "bias": g[-1]})),
        {"kept": N - 1},
    ),
    "overwritten, all of it": (CLASSES, of_samples(lambda i: i == N - 1, N), {"kept": N - 1}),
    "constants": (SIGNS, spoiled(all=lambda g: g * (1 + 3e-8 * np.cos(np.arange(g.size).reshape(g.shape)))), {}),
    "unstable": (SIGNS, hooked(at3=unstable), {"precision": "long double"}),
}


def softmax(z):
    return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)


def with_penalty(network, parameters, batch):
    loss, gradients = backprop.loss_and_gradients(network, parameters, batch)
    return loss, {name: g + 0.01 * parameters[name] * name.endswith("weight") for name, g in gradients.items()}


def first_causes(report):
    found = {}
    for diagnosis in report.diagnoses:
        found.setdefault(diagnosis.name, diagnosis)
    return found


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_mistake_is_named_first_in_every_block_that_it_spoils(planted):
    case, backend, evidence = PLANTED[planted]
    report = gradcheck.verify(case, [backend])
    found = first_causes(report)
    assert report.wrong
    assert set(found) == report.wrong
    assert {diagnosis.cause for diagnosis in found.values()} == {planted.split(",")[0]}
    assert all(evidence.items() <= diagnosis.evidence.items() for diagnosis in found.values())
    assert str(report)


@pytest.mark.parametrize("case", [SIGNS, CLASSES], ids=["signs", "classes"])
def test_the_twin_without_a_mistake_is_correct_and_has_no_cause(case):
    report = gradcheck.verify(case, [backprop.loss_and_gradients, "manual"])
    assert report.verdict is Verdict.CORRECT
    assert report.diagnoses == ()


def test_two_mistakes_at_once_have_each_its_own_cause():
    report = gradcheck.verify(SIGNS, [spoiled(w2=np.negative, w0=lambda g: 1.7 * g)])
    assert {name: d.cause for name, d in first_causes(report).items()} == {"0.weight": "factor", "2.weight": "sign"}


def test_a_mistake_on_top_of_another_is_named_beside_it():
    def both(network, parameters, batch):
        loss, gradients = hooked(at3=lambda g, z, a, xs: g)(network, parameters, batch)
        return loss, {**gradients, "0.weight": 1.7 * gradients["0.weight"]}

    found = first_causes(gradcheck.verify(SIGNS, [both]))
    assert found["0.weight"].cause == "factor"
    assert found["0.weight"].evidence["besides"] == "the derivative of layers[3] (Softplus) is omitted"
    assert found["2.weight"].cause == "activation-derivative"


def test_what_no_cause_explains_has_none():
    noise = np.random.default_rng(0).uniform(0.5, 1.5, (5, 5))
    report = gradcheck.verify(SIGNS, [spoiled(w2=lambda g: g * noise)])
    assert report.wrong == {"2.weight"}
    assert report.diagnoses == ()


@pytest.mark.parametrize(
    ("returned", "cause"),
    [
        (lambda loss, g: (loss, {**g, "0.bias": g["0.bias"] * np.nan}), "non-finite"),
        (lambda loss, g: (loss, {**g, "0.bias": g["0.bias"][:2]}), "wrong-structure"),
        (lambda loss, g: (loss, {**g, "0.bias": g["0.bias"] * np.random.uniform(0.5, 1)}), "nondeterministic"),
        (lambda loss, g: 1 / 0, "raised"),
    ],
)
def test_what_needs_no_comparison_has_its_cause_too(returned, cause):
    def mine(network, parameters, batch):
        return returned(*backprop.loss_and_gradients(network, parameters, batch))

    assert {d.cause for d in gradcheck.verify(SIGNS, [mine]).diagnoses} == {cause}


def test_a_changed_parameter_has_its_cause():
    def mine(network, parameters, batch):
        answer = backprop.loss_and_gradients(network, parameters, batch)
        parameters["0.weight"] += 1
        return answer

    assert ("0.weight", "mutates-input") in {(d.name, d.cause) for d in gradcheck.verify(SIGNS, [mine]).diagnoses}


LIBRARY = Case(
    Network((5,), (Dense(5), SiLU(), Dense(5), Tanh(), Dense(3)), CrossEntropy(), weight_decay=0.01), samples=9, seed=8
)
LIBRARY_TRACE = registry.mistakes(LIBRARY.network, LIBRARY.parameters, LIBRARY.batch)
MISTAKES = list(LIBRARY_TRACE.mistakes())


def test_the_library_answers_all_that_a_diagnosis_asks_and_what_lacks_an_answer_is_none():
    assert isinstance(LIBRARY_TRACE, MistakeLibrary)
    assert not isinstance(LIBRARY_TRACE.trace, MistakeLibrary)
    for (mistake, changed), expected in zip(LIBRARY_TRACE.singly(), MISTAKES, strict=True):
        assert (mistake.cause, mistake.layer, mistake.why) == (expected.cause, expected.layer, expected.why)
        assert LIBRARY.parameters.keys() >= dict(changed).keys()


def test_contributions_of_samples_are_a_row_each_whose_mean_is_the_gradient_without_weight_decay(monkeypatch):
    rows = LIBRARY_TRACE.contributions()
    for name, gradient in LIBRARY_TRACE.gradients.items():
        decay = 0.01 * LIBRARY.parameters[name] if name.endswith("weight") else 0
        assert rows[name].shape == (9, gradient.size)
        assert np.allclose(rows[name].mean(axis=0), (gradient - decay).ravel(), rtol=1e-12)
    monkeypatch.setattr(mistakes, "MANY", 9 * 24)  # one less than the largest block has
    assert LIBRARY_TRACE.contributions() == {}


def made(mistake):
    """All gradients, with this mistake."""
    return {**LIBRARY_TRACE.gradients, **dict(LIBRARY_TRACE.with_mistake(mistake))}


@pytest.mark.parametrize("cause", sorted({mistake.cause for mistake in MISTAKES}))
def test_every_mistake_of_the_library_is_recognised_as_itself_or_as_one_with_the_same_gradient(cause):
    for mistake in (mistake for mistake in MISTAKES if mistake.cause == cause):
        gradients = made(mistake)
        report = gradcheck.verify(LIBRARY, [partial(answered, gradients)])
        for name in report.wrong:
            causes = {d.cause for d in report.diagnoses if d.name == name}
            alike = {m.cause for m in MISTAKES if np.allclose(made(m)[name], gradients[name], rtol=1e-12)}
            assert causes & alike or cause == "mean-for-sum", mistake.why


def answered(gradients, network, parameters, batch):
    return gradcheck.backend("manual").build(network).loss(parameters, batch), gradients


@pytest.mark.parametrize("standing", [True, False])
def test_in_a_large_network_a_cause_is_held_against_the_library_where_no_claim_stands(standing, monkeypatch):
    """The twin: a library that is wrong itself is no reference, and names nothing."""
    layers = tuple(layer for _ in range(4) for layer in (Dense(60), Tanh()))
    case = Case(Network((60,), (*layers, Dense(3)), CrossEntropy()), "random", samples=24, init="he")

    def library(network, parameters, batch):
        found = registry.mistakes(network, parameters, batch)
        found.gradients = {name: gradient * (1 if standing else 1 + 1e-6) for name, gradient in found.gradients.items()}
        return found

    monkeypatch.setattr(evidence, "library_of", library)
    report = gradcheck.verify(case, [spoiled(w2=lambda g: 1.7 * g)])
    assert report.wrong == {"2.weight"}
    assert [diagnosis.cause for diagnosis in report.diagnoses] == (["factor"] if standing else [])
