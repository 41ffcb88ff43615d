"""What a backend does wrong is a finding that names it and the parameter; the others are judged all the same."""

import sys
import warnings

import numpy as np
import pytest

from gradcheck import MSE, Arctan, Case, Dense, Given, Identity, Logistic, Network, Verdict, backend, verify
from gradcheck.verification.answers import ask

NETWORK = Network((2,), (Dense(3), Arctan(), Dense(1)), Logistic())
CASE = Case(NETWORK, data="two-moons", samples=8)
MANUAL = backend("manual")


def right(network, parameters, batch):
    return MANUAL.build(network).loss_and_gradients(parameters, batch)


def returning(change):
    """A backend whose right answer is changed in place, or replaced by what ``change`` returns."""

    def faulty(network, parameters, batch):
        loss, gradients = right(network, parameters, batch)
        changed = change(loss, gradients)
        return (loss, gradients) if changed is None else changed

    return faulty


def setting(value):
    """A backend whose gradient of 0.weight is the value, or made from the right one."""

    def change(_, gradients):
        gradients["0.weight"] = value(gradients["0.weight"]) if callable(value) else value

    return returning(change)


def spoilt(gradient, value):
    gradient[1, 0] = value
    return gradient


def unconvertible():
    class Strange:
        def __array__(self, *_args, **_kwargs):
            raise RuntimeError("no\narray")

    return Strange()


def judged(faulty):
    """Findings on the faulty backend that are not correct, by name; the others must be as without it."""
    report = verify(CASE, [faulty, "manual"])
    manual = {finding.name: finding for finding in report.findings if finding.backend == "manual"}
    assert manual.keys() == {"loss", *NETWORK.parameter_shapes}
    assert {finding.verdict for finding in manual.values()} == {Verdict.CORRECT}
    return {
        finding.name: finding
        for finding in report.findings
        if finding.backend == "faulty" and finding.verdict is not Verdict.CORRECT
    }


def only(findings):
    (finding,) = findings.values()
    assert finding.verdict is Verdict.WRONG
    return finding.name, finding.reason


def test_the_backend_that_the_faulty_ones_vary_is_correct():
    assert judged(returning(lambda *_: None)) == {}


def raising(error):
    def faulty(network, parameters, batch):
        raise error

    return faulty


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (IndexError("list index\n  out of range"), "raised IndexError: list index out of range"),
        (ValueError(), "raised ValueError: without a message"),
        (SystemExit(0), "raised SystemExit: 0"),
        (MemoryError("all"), "raised MemoryError: all"),
    ],
    ids=repr,
)
def test_a_backend_that_raises_is_a_finding_with_the_line(error, sentence):
    name, reason = only(judged(raising(error)))
    assert name == "loss"
    line = raising.__code__.co_firstlineno + 2
    assert reason == f"{sentence} (test_findings_of_backends.py:{line})"


def test_an_interrupt_is_no_finding():
    with pytest.raises(KeyboardInterrupt):
        verify(CASE, [raising(KeyboardInterrupt()), "manual"])


def test_a_function_of_other_arguments_is_a_finding():
    def faulty(parameters):
        return 0.0, {}

    name, reason = only(judged(faulty))
    assert name == "loss"
    assert "raised TypeError: " in reason
    assert "takes 1 positional argument but 3 were given" in reason


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (lambda g: g.T, "the gradient has shape (2, 3), expected (3, 2)"),
        (lambda g: g.ravel(), "the gradient has shape (6,), expected (3, 2)"),
        (lambda g: spoilt(g, np.nan), "the gradient is nan at [1, 0]"),
        (lambda g: spoilt(g, -np.inf), "the gradient is -inf at [1, 0]"),
        (
            lambda g: g + 0j,
            "the gradient is a value of type ndarray and shape (3, 2) of dtype complex128, expected real numbers",
        ),
        (
            lambda g: g.astype(object),
            "the gradient is a value of type ndarray and shape (3, 2) of dtype object, expected real numbers",
        ),
        (lambda g: g > 0, "the gradient is a value of type ndarray and shape (3, 2) of dtype bool, expected real numbers"),
        (None, "the gradient is None of dtype object, expected real numbers"),
        ("text", "the gradient is a value of type str of dtype <U4, expected real numbers"),
        (unconvertible(), "the gradient is a value of type Strange and no array: no array"),
        ([[1], [1, 2]], "the gradient is a value of type list and no array: setting an array element with a sequence."),
    ],
)
def test_a_gradient_that_cannot_be_compared_is_a_finding_on_its_parameter(value, sentence):
    name, reason = only(judged(setting(value)))
    assert name == "0.weight"
    assert reason.startswith(sentence)


def test_a_gradient_in_nested_lists_or_another_real_dtype_is_judged_by_its_numbers():
    assert judged(setting(lambda g: g.tolist())) == {}
    assert judged(setting(lambda g: g.astype(np.longdouble))) == {}
    assert judged(setting(lambda g: g.astype(np.float32)))["0.weight"].verdict is Verdict.WRONG
    report = verify(CASE, [setting(lambda g: g.astype(np.float32))], accuracy=1e-6)
    assert report.verdict is Verdict.INEXACT
    assert "faulty: 0.weight: the gradient is float32, the parameter float64" in report.notes


def test_a_missing_parameter_and_one_too_many_are_findings():
    def rename(_, gradients):
        gradients["0.weights"] = gradients.pop("0.weight")

    findings = judged(returning(rename))
    assert findings.keys() == {"0.weight", "0.weights"}
    assert findings["0.weight"].reason == "no gradient was returned"
    assert findings["0.weights"].reason == "a gradient for a parameter that does not exist"
    assert {finding.verdict for finding in findings.values()} == {Verdict.WRONG}


def test_gradients_for_what_does_not_exist_come_last_and_in_order():
    strangers = [f"z{i}" for i in range(12)]
    findings = judged(returning(lambda loss, g: g.update(dict.fromkeys(reversed(strangers), 1.0))))
    assert [*findings] == sorted(strangers)


def test_a_name_that_is_no_string_is_a_finding():
    def number(_, gradients):
        gradients[7] = 1.0

    assert only(judged(returning(number))) == ("7", "a gradient for a parameter that does not exist")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda loss, g: loss, "returned a value of type float, expected a pair (loss, gradients)"),
        (lambda loss, g: (loss, g, 0), "returned a value of type tuple, expected a pair (loss, gradients)"),
        (lambda loss, g: [loss, g], "returned a value of type list, expected a pair (loss, gradients)"),
    ],
)
def test_what_is_no_pair_is_a_finding(change, sentence):
    def faulty(network, parameters, batch):
        return change(*right(network, parameters, batch))

    class Backend:
        __name__ = "faulty"

        def build(self, network):
            return type("Model", (), {"loss": MANUAL.build(network).loss, "loss_and_gradients": self.both(network)})

        def both(self, network):
            return staticmethod(lambda parameters, batch: faulty(network, parameters, batch))

    assert only(judged(Backend())) == ("loss", sentence)


@pytest.mark.parametrize("gradients", [None, [1.0], np.ones(3)], ids=["None", "list", "array"])
def test_gradients_that_are_no_dict_are_a_finding_on_every_parameter(gradients):
    findings = judged(returning(lambda loss, _: (loss, gradients)))
    assert findings.keys() == NETWORK.parameter_shapes.keys()
    assert all(finding.reason.endswith("expected a dict") for finding in findings.values())


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (None, "the loss is None, expected a number"),
        ("0.5", "the loss is a value of type str, expected a number"),
        (0.5j, "the loss is a value of type complex, expected a number"),
        (np.complex64(0.5), "the loss is a value of type complex64, expected a number"),
        (np.array(0.5 + 0j), "the loss is a value of type ndarray, expected a number"),
        (np.array([0.5]), "the loss is a value of type ndarray and shape (1,), expected a number"),
        (np.nan, "the loss is nan"),
        (-np.inf, "the loss is -inf"),
    ],
    ids=repr,
)
@pytest.mark.filterwarnings("default:Casting complex values")
def test_a_loss_that_is_no_number_is_a_finding_and_the_gradients_are_still_judged(value, sentence):
    assert only(judged(returning(lambda _, g: (value, g)))) == ("loss", sentence)

    def both(_, gradients):
        gradients["2.bias"] = gradients["2.bias"] * 2
        return value, gradients

    assert judged(returning(both)).keys() == {"loss", "2.bias"}


@pytest.mark.parametrize("kind", [float, np.float64, np.array, np.longdouble], ids=lambda kind: kind.__name__)
def test_a_loss_may_be_any_number_of_no_shape(kind):
    assert judged(returning(lambda loss, g: (kind(loss), g))) == {}


def model(loss=None, loss_and_gradients=None):
    """A backend of which one method is another's; each gets the right model first."""

    class Model:
        def __init__(self, network):
            self.right = MANUAL.build(network)

        def loss(self, parameters, batch):
            return (loss or (lambda right, *a: right.loss(*a)))(self.right, parameters, batch)

        def loss_and_gradients(self, parameters, batch):
            return (loss_and_gradients or (lambda right, *a: right.loss_and_gradients(*a)))(self.right, parameters, batch)

    return type("faulty", (), {"build": lambda self, network: Model(network)})()


def test_a_model_in_both_methods_right_is_correct():
    assert judged(model()) == {}


def test_a_loss_that_differs_between_the_two_methods_is_a_finding():
    def more(right, parameters, batch):
        loss, gradients = right.loss_and_gradients(parameters, batch)
        return loss * (1 + 1e-9), gradients

    for faulty in (model(loss=lambda *a: more(*a)[0]), model(loss_and_gradients=more)):
        finding = judged(faulty)["loss"]
        assert finding.verdict is Verdict.WRONG
        assert finding.error == pytest.approx(1e-9, rel=1e-3)


@pytest.mark.parametrize("factor", [0.5, 2.0, 0.0, -1.0])
def test_a_loss_method_that_returns_another_multiple_is_a_finding_however_right_the_pair_is(factor):
    """The twin is `test_a_model_in_both_methods_right_is_correct`."""
    findings = judged(model(loss=lambda right, *a: factor * right.loss(*a)))
    assert findings.keys() == {"loss"}
    assert findings["loss"].verdict is Verdict.WRONG
    (entry,) = findings["loss"].entries
    assert entry.claimed == pytest.approx(factor * entry.reference)


def test_a_loss_that_raises_leaves_the_gradients_to_be_judged():
    def broken(right, parameters, batch):
        raise NotImplementedError("later")

    name, reason = only(judged(model(loss=broken)))
    assert name == "loss"
    assert reason.startswith("raised NotImplementedError: later (test_findings_of_backends.py:")


def test_a_model_without_its_methods_is_a_finding():
    faulty = type("faulty", (), {"build": lambda self, network: None})()
    name, reason = only(judged(faulty))
    assert name == "loss"
    assert reason == "raised AttributeError: 'NoneType' object has no attribute 'loss_and_gradients'"


def test_a_backend_that_cannot_build_is_a_finding():
    def build(self, network):
        raise KeyError("dense")

    name, reason = only(judged(type("faulty", (), {"build": build})()))
    assert name == "loss"
    assert reason.startswith("raised KeyError: 'dense' (test_findings_of_backends.py:")


@pytest.mark.parametrize(
    ("change", "name", "sentence"),
    [
        (lambda p, b: p["0.weight"].__imul__(2), "0.weight", "the call changed this parameter"),
        (lambda p, b: p.pop("0.weight"), "0.weight", "the call changed this parameter"),
        (lambda p, b: p.update({"0.weight": None}), "0.weight", "the call changed this parameter"),
        (lambda p, b: p["0.weight"].__setattr__("shape", (2, 3)), "0.weight", "the call changed this parameter"),
        (lambda p, b: b.inputs.__isub__(b.inputs.mean()), "loss", "the call changed the batch's inputs"),
        (lambda p, b: b.targets.sort(axis=0), "loss", "the call changed the batch's targets"),
    ],
)
@pytest.mark.filterwarnings("ignore:Setting the shape")
def test_an_argument_changed_by_the_call_is_a_finding_and_the_callers_stays_as_it_was(change, name, sentence):
    def changing(right, parameters, batch):
        answer = right.loss_and_gradients(parameters, batch)
        change(parameters, batch)
        return answer

    assert only(judged(model(loss_and_gradients=changing))) == (name, sentence)
    assert only(judged(model(loss=lambda *a: changing(*a)[0]))) == (name, sentence)

    def changing_and_raising(right, parameters, batch):
        changing(right, parameters, batch)
        raise ValueError

    parameters, batch = CASE.parameters, CASE.batch
    for faulty in (model(loss_and_gradients=changing), model(loss_and_gradients=changing_and_raising)):
        answer = ask(faulty, NETWORK, parameters, batch)
        assert answer.defects[name].sentence == sentence
    assert parameters.keys() == CASE.parameters.keys()
    assert all(np.array_equal(parameters[each], value) for each, value in CASE.parameters.items())
    assert all(np.array_equal(mine, theirs) for mine, theirs in zip(batch, CASE.batch, strict=True))


def test_overflow_is_seen_in_the_numbers_and_not_in_a_warning():
    def overflowing(_, gradients):
        gradients["2.bias"] = np.float64([1e300]) * np.float64(1e300)

    assert only(judged(returning(overflowing))) == ("2.bias", "the gradient is inf at [0]")


@pytest.mark.parametrize("size", [1e19, 1.0])
def test_a_unit_that_may_overflow_excuses_what_is_not_finite_in_its_block(size):
    """The twin has none, and the same gradient is wrong."""
    network = Network((2,), (Dense(2, bias=False), Identity()), MSE())
    data = Given.of({"inputs": [[1.0, 1.0]], "targets": [[0.0, 0.0]]})
    case = Case(network, data=data, init=Given.of({"0.weight": [[size, -size], [1.0, 1.0]]}), dtype="float32")

    def infinite(network, parameters, batch):
        loss, gradients = right(network, parameters, batch)
        gradients["0.weight"][0, 0] = np.inf
        return loss, gradients

    found = next(finding for finding in verify(case, [infinite]).findings if finding.name == "0.weight")
    assert found.verdict is (Verdict.UNRESOLVED if size > 1 else Verdict.WRONG)


def test_gradients_that_add_up_from_call_to_call_are_a_finding():
    """The classic: nobody sets them to zero. They add up in place, in the arrays that the first call returned."""
    total = {}

    def accumulating(right, parameters, batch):
        loss, gradients = right.loss_and_gradients(parameters, batch)
        for name, gradient in gradients.items():
            total.setdefault(name, np.zeros_like(gradient))
            total[name] += gradient
        return loss, total

    findings = judged(model(loss_and_gradients=accumulating))
    assert findings.keys() == NETWORK.parameter_shapes.keys()
    assert all(finding.reason.startswith("a second call changed the gradient from ") for finding in findings.values())


def test_gradients_in_a_buffer_that_is_written_anew_are_correct():
    buffer = {}

    def reusing(right, parameters, batch):
        loss, gradients = right.loss_and_gradients(parameters, batch)
        for name, gradient in gradients.items():
            buffer.setdefault(name, np.empty_like(gradient))[...] = 0
            buffer[name] += gradient
        return loss, buffer

    assert judged(model(loss_and_gradients=reusing)) == {}


def test_a_last_bit_that_changes_from_call_to_call_is_a_note():
    calls = []

    def trembling(right, parameters, batch):
        loss, gradients = right.loss_and_gradients(parameters, batch)
        calls.append(loss)
        gradients["2.bias"] = gradients["2.bias"] * (1 + len(calls) * 2.0**-52)
        return loss, gradients

    report = verify(CASE, [model(loss_and_gradients=trembling)])
    assert report.verdict is Verdict.CORRECT
    assert any(note.startswith("faulty: 2.bias: the gradient changes from call to call") for note in report.notes)


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_what_changes_from_call_to_call_is_told_from_rounding_at_any_scale(scale):
    """Rounding is relative to the gradient: neither a tiny gradient's change nor a huge one's rounding is the other."""
    case = Case(NETWORK, data="random", samples=8, init=Given.of(scaled_last(scale)))
    for change, verdict in ((1e-3, Verdict.WRONG), (1e-15, Verdict.CORRECT)):
        calls = []

        def shaken(right, parameters, batch, change=change, calls=calls):
            calls.append(change)
            loss, gradients = right.loss_and_gradients(parameters, batch)
            return loss, {name: gradient * (1 + change * (len(calls) == 2)) for name, gradient in gradients.items()}

        report = verify(case, [model(loss_and_gradients=shaken)])
        (finding,) = (each for each in report.findings if each.name == "0.weight")
        assert finding.verdict is verdict
        assert ("a second call changed the gradient" in finding.reason) == (verdict is Verdict.WRONG)


@pytest.mark.parametrize("way", [1, -1])
def test_the_entry_that_changes_most_from_call_to_call_is_named_whichever_way_it_goes(way):
    calls = []

    def shaken(right, parameters, batch):
        calls.append(way)
        loss, gradients = right.loss_and_gradients(parameters, batch)
        gradients["0.weight"][1, 1] += way * len(calls)
        gradients["0.weight"][2, 0] -= way * len(calls) / 2
        return loss, gradients

    findings = judged(model(loss_and_gradients=shaken))
    assert findings.keys() == {"0.weight"}
    assert findings["0.weight"].reason.endswith(" at [1, 1]")


def scaled_last(scale):
    """Parameters whose gradients below the last layer have this scale."""
    rng = np.random.default_rng(5)
    drawn = {name: rng.standard_normal(shape) for name, shape in NETWORK.parameter_shapes.items()}
    return drawn | {"2.weight": scale * drawn["2.weight"], "2.bias": np.zeros(1)}


def test_a_nan_in_one_block_hides_no_error_in_another_and_an_error_no_nan():
    """The twin: either of them alone."""

    def both(_, gradients, nan=True, error=True):
        if nan:
            gradients["0.weight"][2, 1] = np.nan
        if error:
            gradients["0.weight"][0, 0] *= 2
            gradients["2.weight"][0, 1] *= 1 + 1e-6

    for nan, error in ((True, True), (True, False), (False, True)):
        findings = judged(returning(lambda loss, g, nan=nan, error=error: both(loss, g, nan, error)))
        assert findings.keys() == ({"0.weight", "2.weight"} if error else {"0.weight"})
        assert {finding.verdict for finding in findings.values()} == {Verdict.WRONG}
        if nan:
            assert findings["0.weight"].reason == "the gradient is nan at [2, 1]"
        else:
            assert findings["0.weight"].worst_index == (0, 0)
        if error:
            assert findings["2.weight"].worst_index == (0, 1)


def test_every_kind_of_failure_at_once_leaves_the_others_judged():
    def second(network, parameters, batch):
        sys.exit("bye")

    def third(network, parameters, batch):
        warnings.warn("this is an error in these tests", stacklevel=1)
        return right(network, parameters, batch)

    report = verify(CASE, [setting(None), second, third, "manual"])
    wrong = {(finding.backend, finding.name) for finding in report.findings if finding.verdict is Verdict.WRONG}
    assert wrong == {("faulty", "0.weight"), ("second", "loss"), ("third", "loss")}
    correct = [finding for finding in report.findings if finding.backend == "manual"]
    assert {finding.verdict for finding in correct} == {Verdict.CORRECT}
    assert report.wrong == {"0.weight", "loss"}


@pytest.mark.parametrize("shake", [1e-17, 1e-3])
def test_where_a_gradient_is_zero_to_rounding_its_last_bits_may_change_from_call_to_call(shake):
    """As sums on a GPU do, in another order each time: 0.1 - 0.1 is 1e-17 or -2e-17. The twin changes beyond rounding."""
    data = Given.of({"inputs": [[1.0], [1.0]], "targets": [[0.3], [0.1]]})
    case = Case(Network((1,), (Dense(1),), MSE()), data=data, init=Given.of({"0.weight": [[0.1]], "0.bias": [0.1]}))
    calls = []

    def shaken(right, parameters, batch):
        loss, gradients = right.loss_and_gradients(parameters, batch)
        calls.append(loss)
        return loss, gradients | {"0.bias": gradients["0.bias"] + shake * (1 - len(calls))}

    report = verify(case, [model(loss_and_gradients=shaken)])
    (finding,) = (finding for finding in report.findings if finding.name == "0.bias")
    assert ("a second call changed the gradient" in finding.reason) == (shake == 1e-3)
    assert (finding.verdict is Verdict.WRONG) == (shake == 1e-3)
    assert any("the gradient changes from call to call" in note for note in report.notes) == (shake != 1e-3)
