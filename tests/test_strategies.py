"""Whatever the strategies draw, all three builds agree; and they can draw what they are meant to."""

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis.errors import InvalidArgument

import gradcheck
from gradcheck import Case, Dense, Given, Verdict
from gradcheck.strategies import ACTIVATIONS, LOSSES, cases, networks

QUICK = settings(max_examples=2000, database=None, phases=[Phase.generate])


def check(case: Case) -> None:
    report = gradcheck.verify(case)
    assert report.verdict is not Verdict.WRONG, f"{case!r}\n{report}"
    if any(finding.verdict is Verdict.NONSMOOTH for finding in report.findings):
        assert any(note.startswith("on a kink") for note in report.notes)


@given(cases())
def test_no_build_of_any_case_is_wrong(case):
    check(case)


@given(cases(networks=networks(max_depth=12, max_width=3), max_samples=3))
@settings(max_examples=15)
def test_no_build_of_a_deep_case_is_wrong(case):
    check(case)


@pytest.mark.slow
@given(cases(networks=networks(max_depth=6, max_width=8)))
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


REACHABLE = {
    "one unit": lambda case: case.network.layers == (Dense(1),),
    "four dense layers": lambda case: sum(isinstance(layer, Dense) for layer in case.network.layers) == 4,
    "no bias": lambda case: Dense(1, bias=False) in case.network.layers,
    "a batch of one": lambda case: len(case.batch.inputs) == 1,
    "float32": lambda case: case.dtype == "float32",
    "weight decay": lambda case: case.network.weight_decay > 0,
    "written out": lambda case: isinstance(case.init, Given),
    "by seed": lambda case: isinstance(case.init, str),
    "all weights zero": lambda case: not any(value.any() for value in case.parameters.values()),
    "large weights": lambda case: max(np.abs(value).max() for value in case.parameters.values()) > 20,
    "inputs of zero": lambda case: not case.batch.inputs.any(),
}


@pytest.mark.parametrize("name", REACHABLE)
def test_the_strategies_can_draw(name):
    assert REACHABLE[name](find(cases(), REACHABLE[name], settings=QUICK))


@pytest.mark.parametrize("layer", ACTIVATIONS, ids=repr)
def test_every_activation_can_be_drawn(layer):
    assert layer in find(networks(), lambda network: layer in network.layers, settings=QUICK).layers


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_every_loss_can_be_drawn(loss):
    assert find(networks(), lambda network: network.loss == loss, settings=QUICK).loss == loss


def test_a_failure_shrinks_to_one_unit_and_zeros():
    smallest = find(
        cases(),
        lambda case: any(isinstance(layer, gradcheck.Tanh) for layer in case.network.layers),
        settings=settings(max_examples=500, database=None),
    )
    assert smallest.network.layers == (Dense(1), gradcheck.Tanh())
    assert smallest.network.inputs == (1,)
    assert len(smallest.batch.inputs) == 1


@pytest.mark.parametrize(
    ("strategy", "argument"),
    [
        (networks, {"max_depth": 0}),
        (networks, {"max_width": 0}),
        (networks, {"losses": ()}),
        (cases, {"max_samples": 0}),
        (cases, {"dtypes": ("float16",)}),
    ],
)
def test_a_bad_argument_is_refused_at_once_with_its_name_and_value(strategy, argument):
    (name,) = argument
    with pytest.raises(InvalidArgument, match=f"{name}="):
        strategy(**argument)
