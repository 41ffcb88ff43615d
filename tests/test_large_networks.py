"""Networks too large for every entry to be known: claims are examined along directions, and arbitrated where they differ."""

from functools import cache

import faults
import numpy as np
import pytest

import gradcheck
from gradcheck import Arctan, Case, CrossEntropy, Dense, Huber, Network, ReLU, Tanh, Verdict
from gradcheck.network.reference import copies, meaning
from gradcheck.network.reference.tangents import Tangents
from gradcheck.oracles.directions import signs
from gradcheck.oracles.line import Estimate
from gradcheck.verdict import settle
from gradcheck.verdict.bounds import Allowance
from gradcheck.verdict.settle import by_witness, residual
from gradcheck.verification import arbiter, verifier
from gradcheck.verification.problem import posed

DTYPES = ("float64", "float32")
BLOCKS = ("0.weight", "4.weight", "8.bias")
# What is planted in a block, relative to its largest entry: several times what is resolved in a precision.
SIZES = {"float64": 1e-9, "float32": 0.1}


@cache
def tower(activation, dtype="float64"):
    """Four layers of 60 units: all entries would cost 51 forward passes of 366,000 multiply-adds."""
    layers = tuple(layer for _ in range(4) for layer in (Dense(60), activation))
    return Case(Network((60,), (*layers, Dense(10)), CrossEntropy()), "random", samples=24, init="he", dtype=dtype)


@pytest.fixture(autouse=True)
def _no_gradient_as_a_whole(monkeypatch):
    """These networks really are large: nobody asks the reference for a whole gradient. Causes are not looked for."""
    monkeypatch.setattr(Tangents, "gradient", None)
    monkeypatch.setattr(verifier, "_diagnoses", lambda *_: ())


@pytest.mark.parametrize(
    ("widths", "samples", "whole"),
    [
        ((60, 60, 60, 60), 24, False),  # 51 passes, 19 million multiply-adds
        ((12,) * 12, 24, True),  # 68 passes, 3 million
        ((12,) * 12, 400, False),  # 68 passes, 52 million
        ((400, 10), 60, True),  # 1 pass of 10 million
    ],
)
def test_every_entry_is_known_where_that_costs_few_passes_or_little_arithmetic(widths, samples, whole, monkeypatch):
    layers = tuple(layer for units in widths for layer in (Dense(units), Tanh()))
    case = Case(Network((widths[0],), (*layers, Dense(2)), CrossEntropy()), "random", samples=samples, init="glorot")
    asked: list[str] = []
    monkeypatch.setattr(Tangents, "gradient", lambda self, name: asked.append(name) or np.zeros_like(self.parameters[name]))
    monkeypatch.setattr(arbiter, "_confirm", lambda *_: arbiter._Confirmation([], {}))
    problem = posed(case, 0.0, 0, "float64")
    arbiter.settle(problem, {}, every_entry=False)
    assert bool(asked) == whole
    monkeypatch.setattr(arbiter, "CHEAP", 0)
    for passes, few in ((problem.tangents.cost, True), (0.999 * problem.tangents.cost, False)):
        asked.clear()
        monkeypatch.setattr(arbiter, "PASSES", passes)
        arbiter.settle(problem, {}, every_entry=False)
        assert bool(asked) == few


def guilty(report):
    return {(finding.backend, finding.name) for finding in report.findings if finding.verdict is Verdict.WRONG}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", [Tanh(), ReLU(), Arctan()], ids=repr)
def test_correct_builds_of_large_networks_are_correct_with_witnesses_or_alone(activation, dtype):
    """Also in float32, where rounding of the claim along a direction is all that the bound consists of."""
    for backends in (["manual"], ["torch", "manual"]):
        report = gradcheck.verify(tower(activation, dtype), backends)
        assert {finding.verdict for finding in report.findings} == {Verdict.CORRECT}
        assert not [note for note in report.notes if "rests on real differences" in note]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", [Tanh(), ReLU()], ids=repr)
@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("witnesses", [[], ["torch"], ["manual", "torch"]], ids=len)
def test_one_wrong_entry_of_a_large_network_is_found_and_named_before_and_after_its_witnesses(
    activation, block, witnesses, dtype
):
    index = (2, 3) if block.endswith("weight") else (7,)
    backend = faults.plant(faults.nudge(block, index, SIZES[dtype]))
    for backends in ([backend, *witnesses], [*witnesses, backend]):
        report = gradcheck.verify(tower(activation, dtype), backends)
        assert guilty(report) == {("faulty", block)}
        (finding,) = (finding for finding in report.findings if finding.verdict is Verdict.WRONG)
        assert finding.worst_index == index
        assert [entry.index for entry in finding.entries] == [index]


def test_the_slope_of_the_oracle_is_asked_once_a_direction_and_the_checks_notice_what_it_says(monkeypatch):
    """The twin: an oracle that is off refutes every claim."""
    case = tower(Tanh())
    counted = []
    apart = Tangents.apart
    monkeypatch.setattr(Tangents, "apart", lambda self, v: counted.extend(v) or apart(self, v))
    gradcheck.verify(case, ["manual", "torch"])
    assert sorted(counted) == sorted(settle.PROBES * list(case.parameters))
    monkeypatch.setattr(
        Tangents, "apart", lambda self, v: {name: (1 + 1e-6) * slope for name, slope in apart(self, v).items()}
    )
    assert gradcheck.verify(case, ["manual"]).wrong == set(case.parameters)


@pytest.mark.slow
def test_the_work_of_a_verification_grows_with_the_depth_and_not_with_its_square(monkeypatch):
    """Counted in layers that are applied and layers that tangents pass, not in seconds; right, wrong and silent builds."""
    spent = []
    for owner, name in ((copies, "_all_copies"), (copies, "each_copy"), (meaning, "apply"), (Tangents, "_carried")):
        monkeypatch.setattr(owner, name, counting(getattr(owner, name), spent))
    for name, limit in (("LOOKS", 4), ("PASSES", 0), ("CHEAP", 0)):
        monkeypatch.setattr(arbiter, name, limit)

    def work(depth, build):
        spent.clear()
        layers = tuple(layer for _ in range(depth) for layer in (Dense(3), Tanh()))
        report = gradcheck.verify(Case(Network((3,), (*layers, Dense(1)), Huber()), samples=60, init="glorot"), [build])
        assert bool(report.wrong) == (build != "manual")
        return len(spent)

    for build in ("manual", faults.plant(faults.scaled("10.weight", 1.5))):
        assert work(160, build) < 2.6 * work(80, build)
    monkeypatch.setattr(arbiter, "LOOKS", 1000)  # the twin: a look for each block
    assert work(160, "manual") > 3 * work(80, "manual")


def counting(function, spent):
    def counted(*args):
        spent.append(1)
        return function(*args)

    return counted


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_resolution_of_a_witness_is_that_of_its_directions(dtype):
    """A fault just above it is found, and one far below is not."""
    case, name, index = tower(Tanh(), dtype), "2.weight", (4, 5)
    finding = next(each for each in gradcheck.verify(case, ["manual"]).findings if each.name == name)
    gradient = gradcheck.backend("manual").build(case.network).loss_and_gradients(case.parameters, case.batch)[1][name]
    scale = max(abs(gradient[index]), np.sqrt(np.mean(np.square(gradient)))) / np.abs(gradient).max()
    above, below = (faults.plant(faults.nudge(name, index, part * finding.resolution * scale)) for part in (2.5, 0.01))
    assert gradcheck.verify(case, [above]).wrong == {name}
    assert gradcheck.verify(case, [below]).wrong == set()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("times", [1.4, 2.5])
def test_of_two_claims_apart_by_more_than_their_bound_the_nearer_to_the_oracle_is_believed(times, dtype):
    """One that is hardly beyond its bound passes any direction over its block, and must not become the reference."""
    case, name, index = tower(Tanh(), dtype), "2.weight", (4, 5)
    bound = posed(case, 0.0, 0, dtype).allowed[name].rounding[index]

    def faulty(network, parameters, batch):
        loss, gradients = gradcheck.backend("manual").build(network).loss_and_gradients(parameters, batch)
        gradients[name] = gradients[name].astype(float)
        gradients[name][index] += times * bound
        return loss, gradients

    for backends in ([faulty, "torch"], ["torch", faulty], [faulty, "manual", "torch"]):
        assert guilty(gradcheck.verify(case, backends)) == {("faulty", name)}


def test_two_claims_within_their_bounds_are_no_dispute():
    """The twin: what is apart by no more than a bound costs no more, and nobody is wrong."""
    claims = {"one": np.zeros(3), "other": np.array([0.0, 1.0, 0.0])}
    asked = []

    def slope(v, _claim):
        asked.append(v)
        return Estimate(0.0, 0.0, 1)

    allowed = allowance(np.ones(3))
    assert by_witness("x", claims, allowed, slope, 0).reference is claims["one"]
    assert len(asked) == 2 * settle.PROBES
    claims["other"] = np.array([0.0, 1.1, 0.0])
    by_witness("x", claims, allowed, slope, 0)
    assert len(asked) == 2 * 2 * settle.PROBES + 2


def allowance(rounding):
    nothing = np.zeros_like(rounding)
    return Allowance(rounding, nothing, nothing, nothing)


def exact(truth, bound=0.0):
    return lambda v, _claim: Estimate(float(np.sum(truth * v)), bound, 1)


@pytest.mark.parametrize("shape", [(5,), (4, 6)])
def test_a_residual_allows_what_rounding_of_the_claim_adds_up_to_and_no_more(shape):
    rng = np.random.default_rng(1)
    truth, rounding, v = rng.standard_normal(shape), rng.uniform(0.5, 1.5, shape), rng.standard_normal(shape)
    allowed = allowance(rounding)
    along = float(np.sqrt(np.sum((rounding * v) ** 2)))
    assert allowed.along(v) == pytest.approx(along)
    towards = v / np.sum(v * v)  # moves the slope by 1
    for oracle in (0.0, 0.3):
        bound = along + oracle
        for part, within in ((0.0, True), (0.999, True), (-0.999, True), (1.001, False), (-1.001, False)):
            found = residual(exact(truth, oracle), v, truth - part * bound * towards, allowed)
            assert found.bound == pytest.approx(bound)
            assert found.value == pytest.approx(part * bound, abs=1e-12)
            assert found.within == within
            assert found.seen == pytest.approx(bound * (1 + min(abs(part), 1)))


def test_a_claim_that_the_oracle_refutes_is_nobodys_witness_and_where_all_are_there_is_no_reference():
    truth, rounding = np.arange(1.0, 7.0), np.full(6, 1e-3)
    wrong = truth.copy()
    wrong[3] += 1.0
    found = by_witness("x", {"wrong": wrong, "right": truth}, allowance(rounding), exact(truth), 0)
    assert found.reference is truth
    # Of a single entry, what the better of both directions has left open.
    directions = [signs("x", (6,), 0, attempt) for attempt in range(settle.PROBES)]
    left = [1e-3 * np.sqrt(np.sum(v * v)) / np.abs(v) for v in directions]
    np.testing.assert_allclose(found.unseen, np.minimum(*left))
    assert by_witness("x", {"wrong": wrong}, allowance(rounding), exact(truth), 0) is None
