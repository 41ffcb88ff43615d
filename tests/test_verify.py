"""The report of `verify`: its shape, who is the odd one out, what it says where it cannot tell, and which oracle decides."""

import json
import tracemalloc

import numpy as np
import pytest

import gradcheck
from gradcheck import MSE, Activation, Case, Dense, Given, Network, ReLU, Tanh, Verdict
from gradcheck.network import reference
from gradcheck.network.reference import copies
from gradcheck.oracles.directions import scales
from gradcheck.verdict.localize import Located
from gradcheck.verification import arbiter
from gradcheck.verification.problem import posed

CASE = Case(Network((3,), (Dense(4), Tanh(), Dense(2)), MSE()), samples=5)


def manual(network, parameters, batch):
    return gradcheck.backend("manual").build(network).loss_and_gradients(parameters, batch)


def test_a_report_has_one_finding_for_the_loss_and_each_parameter_of_each_backend():
    report = gradcheck.verify(CASE)
    expected = [(name, backend) for name in ("loss", *CASE.parameters) for backend in ("manual", "autograd", "torch")]
    assert [(finding.name, finding.backend) for finding in report.findings] == expected
    assert report.verdict is Verdict.CORRECT
    assert report.wrong == frozenset()
    assert report.evaluations > sum(layer.units for layer in CASE.network.layers if isinstance(layer, Dense))
    report.require()


def test_json_keys_are_the_attribute_names():
    report = gradcheck.verify(CASE)
    table = json.loads(report.to_json())
    assert table["format"] == 1
    assert table["verdict"] == "correct"
    assert table["evaluations"] == report.evaluations
    assert table["diagnoses"] == []
    first = table["findings"][3]
    assert {"name", "backend", "verdict", "error", "bound", "resolution", "worst_index"} <= set(first)
    assert first["name"] == "0.weight"
    assert first["error"] == report.findings[3].error


def test_require_raises_an_assertion_that_carries_the_report():
    def zeros(network, parameters, batch):
        loss, gradients = manual(network, parameters, batch)
        return loss, {name: 0 * gradient for name, gradient in gradients.items()}

    report = gradcheck.verify(CASE, ["torch", zeros])
    with pytest.raises(gradcheck.GradientMismatch, match=r"0\.weight of zeros"):
        report.require()
    assert issubclass(gradcheck.GradientMismatch, AssertionError)
    assert "0.weight: zeros against torch and the reference" in report.notes


def test_a_wrong_loss_is_found_and_the_gradients_beside_it_are_judged_by_themselves():
    def off(network, parameters, batch):
        loss, gradients = manual(network, parameters, batch)
        return loss * (1 + 1e-12), gradients

    report = gradcheck.verify(CASE, [off])
    assert report.wrong == {"loss"}
    assert report.verdict is Verdict.WRONG


def test_every_point_that_is_evaluated_is_counted_however_many_are_asked_for_at_once(monkeypatch):
    counted = []
    losses, loss = copies.losses, reference.loss

    def many(network, parameters, inputs, targets, stacks, coupled):
        counted.append(len(next(iter(stacks.values()))))
        return losses(network, parameters, inputs, targets, stacks, coupled)

    def one(network, parameters, inputs, targets):
        counted.append(1)
        return loss(network, parameters, inputs, targets)

    monkeypatch.setattr(copies, "losses", many)
    monkeypatch.setattr(reference, "loss", one)
    report = gradcheck.verify(CASE)
    tangents = 4 + 2  # one a unit
    assert report.evaluations == sum(counted) + tangents  # the loss itself is that of the tangents' forward pass
    assert max(counted) == 8  # both sides of four steps


def test_the_callers_arrays_and_global_state_are_left_alone():
    before = np.random.get_state()[1].copy()
    settings = np.geterr()
    gradcheck.verify(CASE)
    assert np.array_equal(np.random.get_state()[1], before)
    assert np.geterr() == settings


def test_a_report_is_the_same_every_time():
    assert gradcheck.verify(CASE).to_json() == gradcheck.verify(CASE).to_json()


def test_a_network_without_parameters_has_nothing_to_check_and_says_so():
    report = gradcheck.verify(Case(Network((2,), (Tanh(),), MSE()), samples=3))
    assert report.verdict is Verdict.UNRESOLVED


def test_a_dead_layer_is_correct_with_an_absolute_resolution():
    parameters = CASE.parameters | {"2.weight": np.zeros((2, 4))}
    case = Case(CASE.network, samples=5, init=Given.of(parameters))
    report = gradcheck.verify(case)
    assert report.verdict is Verdict.CORRECT
    dead = next(finding for finding in report.findings if finding.name == "0.weight")
    assert dead.error == 0
    assert dead.resolution < 1e-100

    def alive(network, parameters, batch):
        loss, gradients = manual(network, parameters, batch)
        gradients["0.weight"][0, 0] = 1e-30
        return loss, gradients

    assert gradcheck.verify(case, [alive]).wrong == {"0.weight"}


def test_where_float32_may_overflow_the_answer_is_unresolved_and_in_float64_correct():
    data = Given.of({"inputs": [[1e30]], "targets": [[0.0]]})
    init = Given.of({"0.weight": [[2.0]], "0.bias": [0.0]})
    network = Network((1,), (Dense(1),), MSE())
    assert gradcheck.verify(Case(network, data=data, init=init, dtype="float32")).verdict is Verdict.UNRESOLVED
    assert gradcheck.verify(Case(network, data=data, init=init)).verdict is Verdict.CORRECT


class Bent(Activation, frozen=True):
    """z + |z|^3 / 3, written with abs: smooth, and not to be had by complex step."""


@reference.apply.register
def _(_layer: Bent, _parameters, z):
    return z + np.abs(z) ** 3 / 3


def bent_network(network, parameters, batch, factor=1.0):
    x, y, w = batch.inputs, batch.targets, parameters["0.weight"]
    z = x @ w.T
    d = z + np.abs(z) ** 3 / 3 - y
    return np.mean(d**2), {"0.weight": factor * (2 * d / d.size * (1 + z * np.abs(z))).T @ x}


def test_where_the_complex_step_fails_real_differences_decide():
    case = Case(Network((3,), (Dense(2, bias=False), Bent()), MSE()), samples=4)
    report = gradcheck.verify(case, [bent_network])
    assert report.verdict is Verdict.CORRECT
    assert any("rests on real differences" in note for note in report.notes)
    assert report.findings[1].resolution < 1e-6

    def wrong(network, parameters, batch):
        return bent_network(network, parameters, batch, factor=1 + 1e-5)

    assert gradcheck.verify(case, [wrong]).wrong == {"0.weight"}


def test_units_on_a_kink_are_named():
    case = Case(
        Network((1,), (Dense(2), ReLU(), Dense(1)), MSE()),
        data=Given.of({"inputs": [[0.0], [1.0]], "targets": [[3.0], [2.0]]}),
        init=Given.of({"0.weight": [[1.0], [1.0]], "0.bias": [0.0, 1.0], "2.weight": [[1.0, 1.0]], "2.bias": [0.0]}),
    )
    report = gradcheck.verify(case)
    assert "on a kink, or within rounding of one: layer 1, sample 0, unit 0" in report.notes
    verdicts = {finding.name: finding.verdict for finding in report.findings}
    assert verdicts["0.bias"] is Verdict.NONSMOOTH
    assert json.loads(report.to_json())["findings"][6]["slopes"] == list(report.findings[6].slopes)
    assert gradcheck.verify(case, ["manual"]).evaluations == report.evaluations  # each side is asked once
    assert verdicts["2.weight"] is Verdict.CORRECT  # its own derivative exists: relu(0) = 0 is continuous

    def wrong_elsewhere(network, parameters, batch):
        loss, gradients = manual(network, parameters, batch)
        gradients["0.bias"][1] *= 1 + 1e-9
        return loss, gradients

    report = gradcheck.verify(case, [wrong_elsewhere])
    assert report.wrong == {"0.bias"}
    assert report.findings[2].worst_index == (1,)


def test_the_text_shows_what_is_wrong_and_folds_nothing_else():
    def off(network, parameters, batch):
        loss, gradients = manual(network, parameters, batch)
        gradients["0.weight"][3, 1] *= 2
        return loss, gradients

    text = str(gradcheck.verify(CASE, ["torch", off]))
    assert "0.weight of off:" in text
    assert "[3, 1]" in text
    assert "verdict: wrong" in text
    assert all(len(line) <= 110 for line in text.splitlines())


@pytest.mark.parametrize(
    ("argument", "value"), [("accuracy", -1.0), ("accuracy", float("nan")), ("seed", -1), ("seed", 0.5)]
)
def test_a_bad_argument_is_named_with_its_value(argument, value):
    with pytest.raises(gradcheck.DescriptionError, match=f"{argument}: expected .*, got {value}"):
        gradcheck.verify(CASE, **{argument: value})


@pytest.mark.parametrize("wrong_by", [0.0, 1e-100])
def test_a_gradient_that_is_exactly_0_is_0_however_the_loss_bends(wrong_by):
    """Where the first derivative vanishes and the third does not, a complex step of h sees h^2."""
    network = gradcheck.Network((1,), (gradcheck.Dense(1), gradcheck.SiLU(), gradcheck.SiLU()), gradcheck.Huber())
    point = {"0.weight": [[0.0]], "0.bias": [0.0]}
    data = {"inputs": [[-2.0]], "targets": [[0.0]]}
    case = gradcheck.Case(network, data=gradcheck.Given.of(data), init=gradcheck.Given.of(point))

    def mine(network, parameters, batch):
        loss, gradients = gradcheck.backend("manual").build(network).loss_and_gradients(parameters, batch)
        return loss, {name: gradient + wrong_by for name, gradient in gradients.items()}

    report = gradcheck.verify(case, ["manual", mine])
    assert report.wrong == (set() if not wrong_by else {"0.weight", "0.bias"})
    assert report.verdict is (Verdict.WRONG if wrong_by else Verdict.CORRECT)


def test_a_build_on_one_side_of_a_kink_is_not_accused_of_the_other_side_s_rounding():
    """The reference's complex step may stand on the other side of a kink; there the convention's own rounding is 0."""
    layers = (gradcheck.Dense(1, bias=False), gradcheck.GELU(), gradcheck.ReLU(), gradcheck.Dense(5))
    last = (gradcheck.GELU(approximate="tanh"), gradcheck.Dense(1, bias=False), gradcheck.GELU(), gradcheck.ReLU())
    network = gradcheck.Network((1,), (*layers, *last), gradcheck.Logistic())
    point = {"0.weight": [[0.0]], "3.weight": [[0.0]] * 5, "3.bias": [0.0] * 5, "5.weight": [[0.0, 0.0, 1.0, -1.0, 2.0]]}
    data = {"inputs": [[0.5]], "targets": [[-1.0]]}
    case = gradcheck.Case(network, data=gradcheck.Given.of(data), init=gradcheck.Given.of(point))
    assert gradcheck.verify(case, ["manual"]).verdict is Verdict.NONSMOOTH

    def beyond(network, parameters, batch):
        loss, gradients = gradcheck.backend("manual").build(network).loss_and_gradients(parameters, batch)
        return loss, {**gradients, "3.bias": gradients["3.bias"] + np.array([0, 0, 0, 1e-9, 0])}

    assert gradcheck.verify(case, [beyond]).wrong == {"3.bias"}


def test_real_differences_refute_nothing_that_is_narrower_than_their_steps():
    """Found by a campaign: a sigmoid of terms of 1e12 that cancel; every step leaves it flat."""
    network = gradcheck.Network(
        (3,), (gradcheck.Dense(7), gradcheck.Dense(3), gradcheck.Sigmoid()), gradcheck.BinaryCrossEntropy()
    )
    first = [[1.0, 1.7, 0.7], [0.4, 1.6, 1.5], [0.9, 0.7, 1.7], [0.0, 2.0, -2.0], [2.0, -1.0, -0.4], [0.1, 1.0, -0.3]]
    second = [
        [-1.1, -1.9, 1.4, -2, 1.6, 0.2, 1],
        [-0.8, -1, -0.4, 1.3, -0.3, -2e12, -0.4],
        [1.8, -1, -2, -1.8, 1.2, -2, -0.7],
    ]
    init = {
        "0.weight": [*first, [-2.0, -0.6, -1.2]],
        "0.bias": [1.0, -0.7, -2.0, 1.5, -0.1, -0.6, -1.6],
        "1.weight": second,
        "1.bias": [1.2, 2779999999985.386, -1.0],
    }
    data = {"inputs": [[-1.5, -1.0, -0.2], [-1.8, 1.6, -1.9]], "targets": [[1.0, 0.6, 0.6], [0.2, 0.5, 0.1]]}
    case = gradcheck.Case(network, data=gradcheck.Given.of(data), init=gradcheck.Given.of(init))
    assert gradcheck.verify(case, ["manual", "torch"]).verdict is Verdict.UNRESOLVED


@pytest.mark.parametrize("layer", [ReLU(), Tanh()])
def test_a_large_network_takes_a_few_copies_of_its_parameters(layer):
    network = Network(inputs=(500,), layers=(Dense(500), layer, Dense(500), layer, Dense(10)), loss=MSE())
    case = Case(network, samples=4, init="glorot")
    gradcheck.verify(case, ["manual"])
    tracemalloc.start()
    assert gradcheck.verify(case, ["manual"]).verdict is Verdict.CORRECT
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 * 8 * sum(np.prod(shape) for shape in network.parameter_shapes.values())


@pytest.mark.parametrize("size", [0.0, 1e-3, 1.0, 70.0])
def test_the_slopes_to_either_side_of_a_kink_are_per_unit_of_the_parameter_whatever_its_size(size):
    """And where the parameter and its gradient are zero, so that nothing says how far to go."""
    init = {"0.weight": [[size]], "0.bias": [-size], "2.weight": [[3.0]], "2.bias": [0.5]}
    data = Given.of({"inputs": [[1.0]], "targets": [[2.5]]})
    case = Case(Network((1,), (Dense(1), ReLU(), Dense(1)), MSE()), data=data, init=Given.of(init))
    report = gradcheck.verify(case, ["manual"])
    assert {finding.name for finding in report.findings if finding.verdict is Verdict.NONSMOOTH} == {"0.weight", "0.bias"}
    for finding in report.findings[1:3]:
        assert finding.slopes == pytest.approx((0.0, 2 * (0.5 - 2.5) * 3.0), abs=1e-6)

    def beyond(network, parameters, batch):
        loss, gradients = manual(network, parameters, batch)
        return loss, gradients | {"0.bias": gradients["0.bias"] + 1e-6}

    assert gradcheck.verify(case, [beyond]).wrong == {"0.bias"}


@pytest.mark.parametrize(("dtype", "part"), [("float64", 1.0), ("float32", 2.0**-29)])
def test_what_goes_unseen_where_every_entry_is_known_is_the_references_own_rounding_and_what_kinks_leave_open(dtype, part):
    init = {"0.weight": [[1.0], [2.0]], "0.bias": [-1.0, 3.0], "2.weight": [[3.0, 1.0]], "2.bias": [0.5]}
    data = Given.of({"inputs": [[1.0], [0.5]], "targets": [[2.5], [1.0]]})
    case = Case(Network((1,), (Dense(2), ReLU(), Dense(1)), MSE()), data=data, init=Given.of(init), dtype=dtype)
    problem = posed(case, 0.0, 0, dtype)
    settled = arbiter.settle(problem, {}, every_entry=False)
    kinked = 0
    for name, allowed in problem.allowed.items():
        kinks = allowed.high - allowed.low
        kinked += kinks.any()
        np.testing.assert_allclose(settled.gradients[name].unseen, part * (allowed.rounding + kinks), rtol=1e-12)
    assert kinked == 2


def test_a_claim_of_zero_is_measured_by_the_reference():
    """The twin: the right claim of the same block, and two zeros, which no ratio divides by."""

    def zero(network, parameters, batch):
        loss, gradients = manual(network, parameters, batch)
        return loss, gradients | {"0.weight": 0 * gradients["0.weight"]}

    def of(case, backend):
        return next(each for each in gradcheck.verify(case, [backend]).findings if each.name == "0.weight")

    reference = manual(CASE.network, CASE.parameters, CASE.batch)[1]["0.weight"]
    finding = of(CASE, zero)
    size = np.abs(reference[finding.worst_index])
    assert finding.verdict is Verdict.WRONG
    assert finding.error == pytest.approx(size / max(size, np.sqrt(np.mean(reference**2))))
    assert finding.ratio == pytest.approx(finding.error / finding.bound)
    assert finding.block_resolution < 1e-9
    assert 0 <= of(CASE, manual).ratio < 1
    dead = of(Case(CASE.network, samples=5, init=Given.of(CASE.parameters | {"2.weight": np.zeros((2, 4))})), manual)
    assert (dead.verdict, dead.error, dead.ratio) == (Verdict.CORRECT, 0.0, 0.0)


@pytest.mark.parametrize(("error", "bound", "ratio"), [(0, 0, 0), (0, 2, 0), (3, 1.5, 2), (1, 0, np.inf)])
def test_an_error_of_zero_has_a_ratio_of_zero_and_any_other_beyond_a_bound_of_zero_an_infinite_one(error, bound, ratio):
    assert gradcheck.Finding(name="x", backend="-", verdict=Verdict.WRONG, error=error, bound=bound).ratio == ratio


def test_who_dissents_is_noted_only_where_some_are_right():
    def off(network, parameters, batch):
        loss, gradients = manual(network, parameters, batch)
        return loss, gradients | {"0.bias": 1.5 * gradients["0.bias"]}

    for backends, noted in (
        (["manual", "torch"], []),
        ([off], []),
        ([off, "manual"], ["0.bias: off against manual and the reference"]),
    ):
        report = gradcheck.verify(CASE, backends)
        assert [note for note in report.notes if " against " in note] == noted


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_what_real_differences_confirm_is_relative_to_what_each_block_contributes(scale, monkeypatch):
    """However large its entries are, and when every block is looked at by itself."""
    network = Network((6,), (Dense(8), ReLU(), Dense(2)), MSE())
    rng = np.random.default_rng(0)
    drawn = {name: rng.standard_normal(shape) for name, shape in network.parameter_shapes.items()}
    init = {name: value * (scale if name.startswith("0") else 1 / scale) for name, value in drawn.items()}
    case = Case(network, "random", samples=20, init=Given.of(init))
    first = gradcheck.verify(case, ["manual"])
    monkeypatch.setattr(arbiter, "COARSE", 0.0)
    alone = gradcheck.verify(case, ["manual"])
    assert alone.evaluations > first.evaluations
    for report in (first, alone):
        (note,) = (note for note in report.notes if note.startswith("real differences confirm"))
        assert 1e-14 < float(note.rpartition(" ")[2]) < 1e-6


# Blocks that are zero by invariance, and bounds too coarse to accuse by


def balanced(factor=1.0):
    """Residuals that cancel: the derivative by the bias is 0, each build's is what rounding leaves."""
    rng = np.random.default_rng(0)
    half, w = rng.normal(size=(7, 3)), np.array([[0.3, 0.5, -0.7]])
    targets = np.concatenate([half, -half]) @ np.array([[1.0], [2.0], [3.0]]) * np.pi
    data = Given.of({"inputs": (factor * np.concatenate([half, -half])).tolist(), "targets": targets.tolist()})
    return Case(Network((3,), (Dense(1),), MSE()), data=data, init=Given.of({"0.weight": w.tolist(), "0.bias": [0.0]}))


def leaning(network, parameters, batch):
    loss, gradients = manual(network, parameters, batch)
    return loss, gradients | {"0.bias": gradients["0.bias"] + 0.1}


def of_bias(report):
    return {finding.backend: finding for finding in report.findings if finding.name == "0.bias"}


def test_a_block_that_is_zero_by_invariance_is_correct_beside_the_whole_gradient_as_check_says_it():
    case = balanced()
    report = gradcheck.verify(case)
    assert report.verdict is Verdict.CORRECT
    inputs, targets = case.batch

    def loss(p):
        return float(np.mean((inputs @ p["0.weight"].T + p["0.bias"] - targets) ** 2))

    checked = gradcheck.check(loss, lambda p: manual(case.network, p, case.batch)[1], case.parameters)
    said = of_bias(checked)["claimed"].reason
    for finding in of_bias(report).values():
        assert finding.reason.startswith("zero to rounding: an error of ")
        assert finding.reason.split(" of ")[-1] == said.split(" of ")[-1]
        assert finding.resolution < 1e-13
    # The resolution is what it says: a change of as much of the whole gradient is wrong, and half of it is not.
    finding = of_bias(report)["manual"]
    g, w = manual(case.network, case.parameters, case.batch)[1]["0.weight"], case.parameters["0.weight"]
    whole = np.linalg.norm(g * scales(w, g))
    for factor, verdict in ((2.5, Verdict.WRONG), (0.25, Verdict.CORRECT)):

        def moved(network, parameters, batch, by=factor * finding.resolution * whole):
            value, gradients = manual(network, parameters, batch)
            return value, gradients | {"0.bias": gradients["0.bias"] + by}

        assert of_bias(gradcheck.verify(case, [moved]))["moved"].verdict is verdict


def test_a_wrong_claim_in_such_a_block_is_wrong_and_a_bound_that_is_not_small_leaves_it_open():
    assert gradcheck.verify(balanced(), ["manual", leaning]).wrong == {"0.bias"}
    found = of_bias(gradcheck.verify(balanced(1e-14), ["manual", leaning]))  # the whole gradient is as small as rounding
    assert (found["manual"].verdict, found["leaning"].verdict) == (Verdict.UNRESOLVED, Verdict.WRONG)


def trusting(trusted, monkeypatch):
    """Bounds up to so much of an entry may accuse."""

    def limited(*arguments):
        problem = posed(*arguments)
        return problem._replace(limits=problem.limits._replace(trusted=trusted))

    monkeypatch.setattr("gradcheck.verification.verifier.posed", limited)


@pytest.mark.parametrize("alone", [True, False])
def test_beyond_a_bound_that_cannot_be_trusted_nobody_is_accused(monkeypatch, alone):
    """Held against every entry, or alone along directions, where no claim stands and the wrong entries are searched for."""

    def off(network, parameters, batch):
        loss, gradients = manual(network, parameters, batch)
        gradients["0.weight"][1, 1] *= 1 + 1e-7
        return loss, gradients

    if alone:
        monkeypatch.setattr(arbiter, "PASSES", 0)
        monkeypatch.setattr(arbiter, "CHEAP", 0)
    for trusted, verdict in ((1e-2, Verdict.WRONG), (1e-20, Verdict.UNRESOLVED)):
        trusting(trusted, monkeypatch)
        report = gradcheck.verify(CASE, [off])
        found = {finding.name: finding for finding in report.findings}["0.weight"]
        assert found.verdict is verdict
        assert ("cannot be predicted so coarsely" in found.reason) == (verdict is Verdict.UNRESOLVED)


def test_who_cannot_find_the_wrong_entries_accuses_nobody_by_a_coarse_bound(monkeypatch):
    def off(network, parameters, batch):
        loss, gradients = manual(network, parameters, batch)
        return loss, gradients | {"0.weight": gradients["0.weight"] * (1 + 1e-7)}

    monkeypatch.setattr("gradcheck.verification.verifier.localize", lambda search: Located([], [], [], False))
    monkeypatch.setattr(arbiter, "PASSES", 0)
    monkeypatch.setattr(arbiter, "CHEAP", 0)
    for trusted, verdict in ((1e-2, Verdict.WRONG), (1e-20, Verdict.UNRESOLVED)):
        trusting(trusted, monkeypatch)
        found = {finding.name: finding for finding in gradcheck.verify(CASE, [off]).findings}["0.weight"]
        assert found.verdict is verdict


def test_bounds_of_dense_networks_are_trusted_however_coarse_and_those_of_others_to_a_hundredth(monkeypatch):
    assert posed(CASE, 0.0, 0, "float64").limits.trusted == np.inf
    monkeypatch.setattr(Network, "flat", False)
    for arithmetic, trusted in (("float64", 1e-2), ("float32", 1e-2), ("tf32", np.inf), ("bfloat16", np.inf)):
        assert posed(CASE, 0.0, 0, arithmetic).limits.trusted == trusted
