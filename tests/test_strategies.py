"""Whatever the strategies draw, all three builds agree; and they can draw what they are meant to."""

import re
import subprocess
import sys
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import Phase, find, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

import gradcheck
from gradcheck import Case, Dense, Given, Verdict, strategies
from gradcheck.network import reference
from gradcheck.strategies import ACTIVATIONS, LOSSES, batches, cases, loss_gradient_pairs, networks, parameters, targeted


def check(case: Case) -> None:
    report = gradcheck.verify(case)
    assert report.verdict is not Verdict.WRONG, f"{case!r}\n{report}"
    if any(finding.verdict is Verdict.NONSMOOTH for finding in report.findings):
        assert any(note.startswith("on a kink") for note in report.notes)


@given(cases())
def test_no_build_of_any_case_is_wrong(case):
    check(case)


@given(cases(networks=networks(min_depth=5, max_width=3), max_samples=3))
@settings(max_examples=15)
def test_no_build_of_a_deep_case_is_wrong(case):
    check(case)


@pytest.mark.slow
@given(cases())
@settings(max_examples=10_000)
def test_no_build_of_ten_thousand_cases_is_wrong(case):
    check(case)


@given(cases())
def test_a_case_is_hashable_and_its_repr_evaluates_back(case):
    names = {name: getattr(gradcheck, name) for name in gradcheck.__all__}
    assert eval(repr(case), names) == case
    assert hash(case) == hash(eval(repr(case), names))


@pytest.mark.parametrize("layer", [layer for layer in ACTIVATIONS if layer.kinks], ids=repr)
def test_a_unit_exactly_on_a_kink_is_nonsmooth_in_every_build(layer):
    network = gradcheck.Network((1,), (Dense(1), layer), gradcheck.MSE())
    case = Case(
        network,
        data=Given.of({"inputs": [[1.0], [2.0]], "targets": [[1.0], [-0.5]]}),
        init=Given.of({"0.weight": [[1.0]], "0.bias": [-1.0]}),
    )
    report = gradcheck.verify(case)
    assert report.verdict is Verdict.NONSMOOTH
    for finding in report.findings[3:]:
        assert finding.verdict is Verdict.NONSMOOTH
        assert finding.slopes is not None
    # The first sample sits on the kink with output 0 and target 1: d loss / d bias = -1 x slope, plus the smooth sample's.
    (kink,) = layer.kinks
    bias = next(finding for finding in report.findings if finding.name == "0.bias")
    smooth = 1.5
    assert bias.slopes == pytest.approx((smooth - kink.left, smooth - kink.right), abs=1e-8)
    moved = Case(network, data=case.data, init=Given.of({"0.weight": [[1.0]], "0.bias": [-0.9]}))
    assert gradcheck.verify(moved).verdict is Verdict.CORRECT


def test_another_convention_at_a_kink_is_nonsmooth_and_not_wrong():
    """The slope 1/2 that np.maximum has under Autograd is a convention; a slope of 3 is a mistake."""
    network = gradcheck.Network((1,), (Dense(1), gradcheck.ReLU()), gradcheck.MSE())
    data = Given.of({"inputs": [[1.0]], "targets": [[1.0]]})
    case = Case(network, data=data, init=Given.of({"0.weight": [[1.0]], "0.bias": [-1.0]}))

    def with_slope(slope):
        def backend(_network, _parameters, _batch):
            return 1.0, {"0.weight": np.array([[-2.0 * slope]]), "0.bias": np.array([-2.0 * slope])}

        return gradcheck.verify(case, [backend]).verdict

    assert [with_slope(slope) for slope in (0, 0.5, 1)] == [Verdict.NONSMOOTH] * 3
    assert [with_slope(slope) for slope in (-0.5, 1.5, 3)] == [Verdict.WRONG] * 3


def drawn(strategy, count, start=0):
    """All of what a run draws."""
    found = []

    @seed(start)
    @settings(max_examples=count, database=None, phases=[Phase.generate])
    @given(strategy)
    def keep(value):
        found.append(value)

    keep()
    return found


def outputs(case):
    """Of every layer, the inputs first."""
    with np.errstate(all="ignore"):
        parameters = {name: value.astype(float) for name, value in case.parameters.items()}
        return reference.forward(case.network, parameters, case.batch.inputs.astype(float))


def depth(network):
    return sum(isinstance(layer, Dense) for layer in network.layers)


def before(states, case, kind):
    """What enters each layer of a kind."""
    return [z for z, layer in zip(states, case.network.layers, strict=False) if isinstance(layer, kind)]


def sizes(case):
    return np.concatenate([np.abs(value).ravel() for value in case.parameters.values()] or [np.zeros(0)]).astype(float)


KINKED = gradcheck.ReLU | gradcheck.LeakyReLU
REACHABLE = {
    "one unit": lambda case, _: case.network.layers == (Dense(1),),
    "no bias": lambda case, _: Dense(1, bias=False) in case.network.layers,
    "a batch of one": lambda case, _: len(case.batch.inputs) == 1,
    "repeated samples": lambda case, _: len(case.batch.inputs) > 2 and np.ptp(case.batch.inputs, axis=0).max() == 0,
    "all labels equal": lambda case, _: len(case.batch.targets) > 3 and np.ptp(case.batch.targets, axis=0).max() == 0,
    "float32": lambda case, _: case.dtype == "float32",
    "weight decay": lambda case, _: case.network.weight_decay > 0,
    "written out": lambda case, _: isinstance(case.init, Given),
    "by recipe": lambda case, _: isinstance(case.init, str),
    "all weights zero": lambda case, _: (
        depth(case.network) > 1 and not any(v.any() for k, v in case.parameters.items() if k.endswith("weight"))
    ),
    "inputs of zero": lambda case, _: not case.batch.inputs.any(),
    "a dead ReLU layer": lambda case, states: any(
        (z < 0).all() and z.size > 4 for z in before(states, case, gradcheck.ReLU)
    ),
    "a unit exactly on a kink": lambda case, states: any((z == 0).any() and z.any() for z in before(states, case, KINKED)),
    "a unit within 1e-8 of a kink": lambda case, states: any(
        ((z != 0) & (np.abs(z) <= 1.5e-8)).any() for z in before(states, case, KINKED)
    ),
    "saturated units": lambda case, states: any(
        (np.abs(z) > 20).any() for z in before(states, case, gradcheck.Tanh | gradcheck.Sigmoid)
    ),
    "logits of 1e4": lambda case, states: (
        5e3 < np.max(np.abs(states[-1])) < 2e4 and not isinstance(case.network.loss, gradcheck.MSE)
    ),
    "weights of 1e-12": lambda case, _: bool(((sizes(case) > 1e-13) & (sizes(case) < 5e-12)).any()),
    "weights of 1e12": lambda case, _: bool(((sizes(case) > 1e11) & (sizes(case) < 5e12)).any()),
    "denormals of float64": lambda case, _: bool(((sizes(case) > 0) & (sizes(case) < 2.2e-308)).any()),
    "denormals of float32": lambda case, _: (
        case.dtype == "float32" and bool(((sizes(case) > 0) & (sizes(case) < 1.1e-38)).any())
    ),
}


def test_the_strategies_draw_all_that_breaks_backprop():
    """At most 4,000 cases."""
    missing = dict(REACHABLE)
    for start in range(500):
        for case in drawn(cases(), 8, start):
            states = outputs(case)
            missing = {name: holds for name, holds in missing.items() if not holds(case, states)}
        if not missing:
            break
    assert not missing, list(missing)


@cache
def ten_networks(start):
    """Two tests look at the same ones."""
    return drawn(networks(), 10, start)


def every_time(features, wanted):
    """Draw networks until everything wanted was met, at most 16,000; in short runs, which hold more different ones."""
    for start in range(1600):
        for network in ten_networks(start):
            wanted -= features(network)
        if not wanted:
            break
    return wanted


def test_every_depth_from_0_to_12_is_drawn():
    assert not every_time(lambda network: {depth(network)}, set(range(13)))


def test_every_layer_and_every_loss_is_drawn_behind_every_layer():
    """Adjacent, in this order; all dense layers count as one kind."""
    rows = (Dense, *ACTIVATIONS)

    def neighbours(network):
        return set(pairwise([Dense if isinstance(layer, Dense) else layer for layer in network.layers] + [network.loss]))

    assert not every_time(neighbours, {(one, other) for one in rows for other in (*rows, *LOSSES)})


def test_layers_and_losses_are_drawn_from_what_is_given():
    only = networks(layers=[gradcheck.Tanh()], losses=[gradcheck.Hinge()], max_depth=2, max_width=3)
    for network in drawn(only, 100):
        assert {type(layer) for layer in network.layers} <= {Dense, gradcheck.Tanh}
        assert network.loss == gradcheck.Hinge()
        assert depth(network) <= 2
        assert max(layer.units for layer in network.layers if isinstance(layer, Dense)) <= 3 if depth(network) else True
    assert all(depth(network) == 5 for network in drawn(networks(min_depth=5, max_depth=5), 20))
    assert all(network.layers == () for network in drawn(networks(max_depth=0, layers=[]), 20))


def test_every_layer_of_the_table_is_among_the_activations():
    from gradcheck.network.layers import LAYERS, Activation

    here = {
        row
        for row in LAYERS.values()
        if issubclass(row, Activation) and row.__module__ == "gradcheck.network.layers.activations"
    }
    assert here == {type(layer) for layer in ACTIVATIONS}


@given(st.data(), networks(max_width=4), st.sampled_from(["float64", "float32"]))
def test_parameters_and_batches_fit_the_network(data, network, dtype):
    point = data.draw(parameters(network=network, dtype=dtype))
    batch = data.draw(batches(network=network, max_samples=3, dtype=dtype))
    assert {name: value.shape for name, value in point.items()} == network.parameter_shapes
    assert all(value.dtype == dtype for value in point.values())
    assert 1 <= len(batch.inputs) <= 3
    assert batch.inputs.shape[1:] == network.inputs
    assert batch.inputs.dtype == dtype
    Case(network, data=Given.of(batch._asdict()), init=Given.of(point), dtype=dtype)  # refuses what does not fit


# No explanation of the failure: nobody reads it here, and it takes longer than finding and shrinking it.
SEARCH = settings(max_examples=500, database=None, phases=[Phase.generate, Phase.shrink])


def test_a_failure_shrinks_to_one_unit_one_sample_and_integers():
    def uses_tanh(case):
        return any(isinstance(layer, gradcheck.Tanh) for layer in case.network.layers)

    smallest = find(cases(), uses_tanh, settings=SEARCH)
    assert smallest.network.layers in ((gradcheck.Tanh(),), (Dense(1, bias=False), gradcheck.Tanh()))
    assert smallest.network.inputs == (1,)
    assert len(smallest.batch.inputs) == 1
    written = [*smallest.parameters.values(), *smallest.batch]
    assert all(np.array_equal(value, np.round(value)) for value in written)


def without(layer):
    """The manual build, which forgets to multiply the last weight's gradient by the derivative of this layer behind it."""

    def mine(network, parameters, batch):
        loss, gradients = gradcheck.backend("manual").build(network).loss_and_gradients(parameters, batch)
        for index, (dense, behind) in enumerate(zip(network.layers, network.layers[1:], strict=False)):
            if isinstance(dense, Dense) and behind == layer:
                gradients[f"{index}.weight"] = 2 * gradients[f"{index}.weight"]
        return loss, gradients

    return mine


@pytest.mark.slow
def test_a_wrong_build_shrinks_to_a_network_that_a_person_can_read():
    def is_wrong(case):
        return bool(gradcheck.verify(case, [without(gradcheck.GELU())]).wrong)

    smallest = find(cases(), is_wrong, settings=settings(SEARCH, derandomize=True))
    assert smallest.network.layers == (Dense(1, bias=False), gradcheck.GELU())
    assert len(smallest.batch.inputs) == 1
    written = [*smallest.parameters.values(), *smallest.batch]
    assert all(np.array_equal(value, np.round(value)) for value in written)


def test_the_repr_of_a_failure_can_be_pasted_into_a_file_and_run(tmp_path):
    case = drawn(cases(), 60)[-1]
    file = tmp_path / "pasted.py"
    file.write_text(f"from gradcheck import *\nprint(verify({case!r}, ['manual']).verdict)\n")
    done = subprocess.run([sys.executable, "-P", file], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(gradcheck.verify(case, ["manual"]).verdict)


def test_the_search_is_told_of_the_largest_error_and_gets_nearer_to_its_bound():
    ratios = []

    @settings(max_examples=150, database=None, derandomize=True, phases=[Phase.generate, Phase.target])
    @given(st.floats(0, 1))
    def worst(size):
        finding = gradcheck.Finding(name="x", backend="-", verdict=Verdict.CORRECT, error=size**4, bound=1.0)
        ratios.append(targeted(gradcheck.Report(title="", findings=(finding,))).findings[0].ratio)

    worst()
    assert max(ratios) > 0.99


def test_outside_of_a_test_nothing_is_told():
    report = gradcheck.verify(drawn(cases(), 5)[-1], ["manual"])
    assert targeted(report) is report


@given(loss_gradient_pairs())
def test_a_pair_is_judged_as_it_was_drawn(pair):
    report = gradcheck.check(pair.loss, pair.gradient, pair.at)
    if pair.fault is not None and is_zero_all_over(pair):  # nothing that moves says how it rounds, so nobody is accused
        assert report.verdict is gradcheck.Verdict.UNRESOLVED
        return
    assert report.wrong == (frozenset() if pair.fault is None else {pair.fault.block}), report


def is_zero_all_over(pair):
    """Cross entropy of a single class is."""
    return not any(pair.loss({name: far + value for name, value in pair.at.items()}) for far in (0.0, 1.0, 10.0))


@given(loss_gradient_pairs(faults=st.just(True)))
def test_a_fault_has_the_size_that_it_says(pair):
    right, spoilt = strategies.Pair(pair.case).gradient(pair.at), pair.gradient(pair.at)
    block = right[pair.fault.block]
    rms = np.sqrt(np.mean(block**2))
    size = np.abs(spoilt[pair.fault.block] - block) / (np.maximum(np.abs(block), rms) if rms else 1)
    assert np.max(size) == pytest.approx(pair.fault.size)
    assert np.count_nonzero(size) == (block.size if pair.fault.index is None else 1)
    names = {name: getattr(strategies, name) for name in strategies.__all__} | {
        name: getattr(gradcheck, name) for name in gradcheck.__all__ if name != "strategies"
    }
    assert eval(repr(pair), names) == pair


NETWORK = gradcheck.Network((1,), (Dense(1),), gradcheck.MSE())


@pytest.mark.parametrize(
    ("strategy", "arguments"),
    [
        (networks, {"min_depth": -1}),
        (networks, {"max_depth": 1, "min_depth": 2}),
        (networks, {"max_depth": 2.0}),
        (networks, {"max_width": 0}),
        (networks, {"losses": ()}),
        (networks, {"losses": 3}),
        (networks, {"layers": ("tanh",)}),
        (cases, {"max_samples": 0}),
        (cases, {"dtypes": ("float16",)}),
        (cases, {"dtypes": ()}),
        (cases, {"networks": NETWORK}),
        (parameters, {"network": "net.toml"}),
        (parameters, {"dtype": "int8", "network": NETWORK}),
        (batches, {"max_samples": True, "network": NETWORK}),
        (loss_gradient_pairs, {"networks": 1}),
        (loss_gradient_pairs, {"faults": True}),
    ],
)
def test_a_bad_argument_is_refused_at_once_with_its_name_and_value(strategy, arguments):
    name = next(iter(arguments))
    with pytest.raises(InvalidArgument, match=f"{name}s?=.*{re.escape(str(arguments[name])[:4])}"):
        strategy(**arguments)


@pytest.mark.parametrize("strategy", [networks, cases, parameters, batches, loss_gradient_pairs])
def test_arguments_are_keyword_only(strategy):
    with pytest.raises(TypeError, match="positional"):
        strategy(1)
