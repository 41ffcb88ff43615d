"""Training: every way downhill does what it promises, the verifier stops what turns wrong, own data says what was done."""

import csv
import time
from itertools import chain, pairwise

import numpy as np
import pytest
from gradcheck_backends import manual

import gradcheck
from gradcheck import (
    MSE,
    Arctan,
    Armijo,
    BatchNorm,
    Case,
    Dense,
    Given,
    GradientDescent,
    Logistic,
    MiniBatch,
    Network,
    Verdict,
)
from gradcheck.errors import BackendError, CallFailed, DataError, DescriptionError, OutputError
from gradcheck.training.starts import STARTS, accuracy, at_samples, trials
from gradcheck.training.user_data import read_user_data

TOUR = Case(Network((2,), (Dense(15), Arctan(), Dense(1), Arctan()), Logistic()), data="two-moons", samples=400)
# A mean of squares of an affine function: a quadratic bowl.
BOWL = Case(Network((3,), (Dense(1),), MSE()), samples=12, seed=1)
BACKENDS = ("manual", "autograd", "torch")


def model(network, parameters, batch):
    return manual.build(network).loss_and_gradients(parameters, batch)


def bytes_of(case):
    return [array.tobytes() for array in (*case.parameters.values(), *case.batch)]


# Descent


def test_descent_of_a_quadratic_is_what_the_formula_says():
    history = gradcheck.train(BOWL, optimizer=GradientDescent(0.05), iterations=40)
    inputs, targets = BOWL.batch
    rows = np.column_stack([inputs, np.ones(len(inputs))])
    at = np.append(BOWL.parameters["0.weight"], BOWL.parameters["0.bias"])
    for record in history.records:
        assert np.isclose(record.loss, np.mean((rows @ at - targets[:, 0]) ** 2), rtol=1e-12)
        at = at - 0.05 * 2 / len(rows) * rows.T @ (rows @ at - targets[:, 0])
    assert np.all(np.diff(history.losses) < 0)


@pytest.mark.parametrize("optimizer", [GradientDescent(0.05), Armijo(), MiniBatch(0.02, 5)], ids=lambda o: type(o).__name__)
def test_every_way_leads_down_a_quadratic_to_its_minimum(optimizer):
    inputs, targets = BOWL.batch
    rows = np.column_stack([inputs, np.ones(len(inputs))])
    least = np.mean((rows @ np.linalg.lstsq(rows, targets)[0] - targets) ** 2)
    history = gradcheck.train(BOWL, optimizer=optimizer, iterations=600)
    assert history.losses[-1] < least + (0.05 if isinstance(optimizer, MiniBatch) else 1e-10) * history.losses[0]


@pytest.mark.parametrize("optimizer", [GradientDescent(0.5), Armijo(), MiniBatch(0.5, 150)], ids=lambda o: type(o).__name__)
@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_three_builds_go_the_same_way_to_rounding(optimizer, backend):
    pytest.importorskip(backend)
    one, other = (gradcheck.train(TOUR, name, optimizer, iterations=20) for name in ("manual", backend))
    assert np.allclose(one.losses, other.losses, rtol=1e-13, atol=0)
    assert [record[2:4] for record in one.records] == [record[2:4] for record in other.records]
    for name, value in one.parameters.items():
        assert np.allclose(value, other.parameters[name], rtol=1e-11, atol=1e-12)


def test_a_case_in_float32_is_trained_in_float32():
    case = Case(TOUR.network, data="two-moons", dtype="float32")
    for optimizer in (GradientDescent(0.5), Armijo(), MiniBatch(0.5, 50)):
        history = gradcheck.train(case, optimizer=optimizer, iterations=5)
        assert {value.dtype.name for value in history.parameters.values()} == {"float32"}


@pytest.mark.parametrize("backend", ["manual", model], ids=["name", "function"])
def test_the_case_stays_as_it_is_and_the_parameters_are_nobody_elses(backend):
    given = Case(BOWL.network, data=Given.of(BOWL.batch._asdict()), init=Given.of(BOWL.parameters))
    before = bytes_of(given)
    first, second = (gradcheck.train(given, backend, GradientDescent(0.05), 3) for _ in range(2))
    assert bytes_of(given) == before
    first.parameters["0.weight"][:] = 7
    assert not np.any(second.parameters["0.weight"] == 7)
    assert second.parameters["0.weight"].base is None


def test_a_backend_that_keeps_what_it_was_given_sees_no_later_change():
    kept = []

    def keeper(network, parameters, batch):
        kept.append((parameters["0.weight"], parameters["0.weight"].copy()))
        return model(network, parameters, batch)

    gradcheck.train(BOWL, keeper, GradientDescent(0.05), 4)
    assert len(kept) == 5
    assert all(np.array_equal(now, then) for now, then in kept)
    assert not np.array_equal(kept[0][0], kept[-1][0])


def test_a_backend_may_be_a_function_in_a_file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from gradcheck_backends import manual\n"
        "def mine(network, parameters, batch):\n    return manual.build(network).loss_and_gradients(parameters, batch)\n"
    )
    mine, ours = (gradcheck.train(BOWL, name, GradientDescent(0.05), 5) for name in (f"{path}:mine", "manual"))
    assert np.array_equal(mine.losses, ours.losses)


def test_ten_thousand_iterations_cost_little_beside_their_gradients():
    built, parameters, batch = manual.build(TOUR.network), TOUR.parameters, TOUR.batch

    def bare():
        start = time.perf_counter()
        for _ in range(1000):
            built.loss_and_gradients(parameters, batch)
        return time.perf_counter() - start

    def trained():
        start = time.perf_counter()
        gradcheck.train(TOUR, iterations=1000)
        return time.perf_counter() - start

    # 40 us and 62 us an iteration; other tests run beside this one.
    assert min(trained() for _ in range(3)) < 3 * min(bare() for _ in range(3)) + 0.05


# Armijo


def test_each_step_of_armijo_is_the_first_that_decreases_the_loss_enough():
    built, batch = manual.build(TOUR.network), TOUR.batch
    optimizer = Armijo(first=64.0, shrink=0.25, decrease=0.3)
    at, trial = TOUR.parameters, optimizer.first
    shrunk = 0
    for before, after in pairwise(gradcheck.train(TOUR, optimizer=optimizer, iterations=60).records):
        loss, gradients = built.loss_and_gradients(at, batch)
        squared = sum(float(np.sum(g * g)) for g in gradients.values())

        def enough(step, at=at, loss=loss, gradients=gradients, squared=squared):
            moved = {name: value - step * gradients[name] for name, value in at.items()}
            return built.loss(moved, batch) <= loss - 0.3 * step * squared

        assert before.loss == pytest.approx(loss, rel=1e-12)
        step = trial
        while not enough(step):
            step, shrunk = step * 0.25, shrunk + 1
        assert after.step == step
        at, trial = {name: value - step * gradients[name] for name, value in at.items()}, 2 * step
    assert shrunk > 10


def uphill(network, parameters, batch):
    loss, gradients = model(network, parameters, batch)
    return loss, {name: -value for name, value in gradients.items()}


def test_a_search_that_accepts_no_step_stops_and_says_so():
    history = gradcheck.train(BOWL, uphill, Armijo(first=2.0, most=3), 10, record_every=5)
    assert history.stopped == (
        "no step from 2 down to 0.5 decreases the loss by 0.0001 of what its slope promises at iteration 0"
    )
    assert [record.iteration for record in history.records] == [0]
    assert np.array_equal(history.parameters["0.weight"], BOWL.parameters["0.weight"])


def test_a_gradient_of_zero_ends_a_search_and_not_a_fixed_step():
    def flat(_network, parameters, _batch):
        return 1.0, {name: np.zeros_like(value) for name, value in parameters.items()}

    assert gradcheck.train(BOWL, flat, Armijo(), 10).stopped == "the gradient is 0 at iteration 0"
    assert gradcheck.train(BOWL, flat, GradientDescent(1.0), 10).stopped == ""


# Mini-batches


@pytest.mark.parametrize("size", [5, 4, 12, 1])
def test_mini_batches_show_every_sample_once_an_epoch(size):
    seen = []
    number = {row.tobytes(): index for index, row in enumerate(BOWL.batch.inputs)}
    label = {row.tobytes(): target for row, target in zip(*BOWL.batch, strict=True)}

    class Watching(manual.ManualModel):
        def loss_and_gradients(self, parameters, batch):
            seen.append([number[row.tobytes()] for row in batch.inputs])
            assert all(label[row.tobytes()] == target for row, target in zip(*batch, strict=True))
            return super().loss_and_gradients(parameters, batch)

    class Backend:
        build = Watching

    steps = -(-12 // size)
    gradcheck.train(BOWL, Backend(), MiniBatch(1e-3, size), 3 * steps - 1, record_every=1000)
    epochs = [list(chain(*seen[i * steps : (i + 1) * steps])) for i in range(3)]
    assert all(sorted(epoch) == list(range(12)) for epoch in epochs)
    assert epochs[0] != epochs[1]
    assert {len(part) for part in seen} == {size} | ({12 % size} if 12 % size else set())


def test_the_loss_of_the_whole_batch_is_computed_where_it_is_recorded_only():
    history = gradcheck.train(TOUR, optimizer=MiniBatch(0.5, 100, seed=3), iterations=10, record_every=4)
    assert [record.iteration for record in history.records] == [0, 4, 8, 10]
    assert history.records[-1].evaluations == 11 + 4
    assert history.losses[0] == gradcheck.backend("manual").build(TOUR.network).loss(TOUR.parameters, TOUR.batch)
    again, other = (gradcheck.train(TOUR, optimizer=MiniBatch(0.5, 100, seed), iterations=10) for seed in (3, 4))
    assert again.losses[-1] == history.losses[-1] != other.losses[-1]


# History


def test_records_are_the_start_every_so_many_iterations_and_the_end(tmp_path):
    watched = []
    history = gradcheck.train(
        BOWL, optimizer=GradientDescent(0.05), iterations=10, record_every=4, on_iteration=watched.append
    )
    assert watched == list(history.records)
    table = history.table()
    assert table["iteration"] == [0, 4, 8, 10]
    assert table["step"] == [0.0, 0.05, 0.05, 0.05]
    assert table["evaluations"] == [1, 5, 9, 11]
    assert table["loss"] == history.losses.tolist()
    assert np.all(np.diff(table["seconds"]) > 0)
    end = Case(BOWL.network, data=BOWL.data, samples=12, seed=1, init=Given.of(history.parameters))
    assert gradcheck.backend("manual").build(end.network).loss(end.parameters, end.batch) == history.losses[-1]
    history.to_csv(tmp_path / "history.csv")
    with (tmp_path / "history.csv").open(newline="") as lines:
        header, *rows = csv.reader(lines)
    assert header == list(table)
    assert [float(row[1]) for row in rows] == table["loss"]
    assert repr(history).startswith("<History: 10 iterations, loss ")
    with pytest.raises(OutputError, match="cannot be written"):
        history.to_csv(tmp_path / "no" / "history.csv")


def test_the_seconds_are_those_of_descent_alone(monkeypatch):
    def slowly(*_):
        time.sleep(0.05)
        return gradcheck.Report(title="", findings=())

    monkeypatch.setattr("gradcheck.training.descent.verify", slowly)
    history = gradcheck.train(BOWL, iterations=4, verify_every=1, on_iteration=slowly)
    assert history.records[-1].seconds < 0.2  # of 0.5


def test_no_iteration_is_the_start():
    history = gradcheck.train(BOWL, iterations=0)
    assert [record.iteration for record in history.records] == [0]
    assert np.array_equal(history.parameters["0.weight"], BOWL.parameters["0.weight"])


# What turns wrong


class Turning:
    """The manual build, whose gradient becomes wrong by 1e-6 of one entry after so many calls."""

    def __init__(self, calls):
        self.left = calls

    def __call__(self, network, parameters, batch):
        loss, gradients = model(network, parameters, batch)
        self.left -= 1
        if self.left < 0:
            gradients["0.weight"][3, 1] *= 1 + 1e-6
        return loss, gradients


def test_a_gradient_that_turns_wrong_stops_training_with_the_report():
    history = gradcheck.train(TOUR, Turning(250), iterations=1000, record_every=70, verify_every=100)
    assert history.stopped == "the gradient turned wrong at iteration 300"
    assert history.report is not None
    assert history.report.verdict is Verdict.WRONG
    assert history.report.wrong == {"0.weight"}
    finding = next(finding for finding in history.report.findings if finding.verdict is Verdict.WRONG)
    assert finding.worst_index == (3, 1)
    assert [record.iteration for record in history.records] == [0, 70, 140, 210, 280, 300]


def test_without_verification_it_goes_unnoticed():
    """The twin."""
    history = gradcheck.train(TOUR, Turning(250), iterations=400, record_every=100)
    assert (history.stopped, history.report) == ("", None)
    assert history.records[-1].iteration == 400


def test_what_is_wrong_from_the_start_makes_no_step():
    history = gradcheck.train(TOUR, Turning(0), iterations=50, verify_every=20)
    assert history.stopped == "the gradient is wrong at iteration 0"
    assert np.array_equal(history.parameters["0.weight"], TOUR.parameters["0.weight"])


def test_a_loss_that_is_wrong_is_called_a_loss():
    def off(network, parameters, batch):
        loss, gradients = model(network, parameters, batch)
        return loss * (1 + 1e-6), gradients

    assert gradcheck.train(TOUR, off, iterations=5, verify_every=5).stopped == "the loss is wrong at iteration 0"


def test_a_right_build_trains_to_the_end_and_the_last_report_is_kept():
    histories = [gradcheck.train(TOUR, iterations=60, verify_every=every) for every in (20, None)]
    assert histories[0].stopped == ""
    assert histories[0].report is not None
    assert histories[0].report.verdict is Verdict.CORRECT
    assert np.array_equal(histories[0].losses, histories[1].losses)


def test_verification_is_where_training_is_not_where_it_began():
    """A gradient that is right at the start alone is found at the first look after it."""
    start = TOUR.parameters["2.bias"]

    def right_at_the_start(network, parameters, batch):
        loss, gradients = model(network, parameters, batch)
        if not np.array_equal(parameters["2.bias"], start):
            gradients["2.bias"] *= 2
        return loss, gradients

    history = gradcheck.train(TOUR, right_at_the_start, iterations=50, verify_every=10)
    assert history.stopped == "the gradient turned wrong at iteration 10"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_stops_and_is_named(bad):
    def after(calls, spoil):
        count = iter(range(1000))
        return lambda network, parameters, batch: (
            spoil(*model(network, parameters, batch)) if next(count) >= calls else model(network, parameters, batch)
        )

    def in_gradient(loss, gradients):
        gradients["0.bias"][0] = bad
        return loss, gradients

    stopped = {
        after(17, lambda _, gradients: (bad, gradients)): f"the loss is {bad} at iteration 17",
        after(5, in_gradient): f"the gradient of 0.bias is {bad} at iteration 5",
    }
    for backend, sentence in stopped.items():
        history = gradcheck.train(BOWL, backend, GradientDescent(0.01), 100, record_every=10)
        assert history.stopped == sentence
        assert f"iteration {history.records[-1].iteration}" in sentence


def test_steps_that_are_too_long_diverge_without_a_warning_and_stop():
    history = gradcheck.train(BOWL, optimizer=GradientDescent(1e30), iterations=100)
    assert "is inf at iteration" in history.stopped or "is nan at iteration" in history.stopped
    assert gradcheck.train(BOWL, optimizer=Armijo(first=1e30, most=200), iterations=20).stopped == ""


# What cannot be


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: GradientDescent(0), "step: expected float > 0.0, got 0"),
        (lambda: GradientDescent(float("nan")), "step: expected float > 0.0, got nan"),
        (lambda: GradientDescent(float("inf")), "step: expected a finite number, got inf"),
        (lambda: GradientDescent("fast"), "step: expected float, got 'fast'"),
        (lambda: Armijo(first=-1), "first: expected float > 0.0, got -1"),
        (lambda: Armijo(shrink=1), "shrink: expected float < 1.0, got 1"),
        (lambda: Armijo(decrease=0), "decrease: expected float > 0.0, got 0"),
        (lambda: Armijo(most=0), "most: expected int >= 1, got 0"),
        (lambda: MiniBatch(0.1, 0), "size: expected int >= 1, got 0"),
        (lambda: MiniBatch(0.1, 5, -1), "seed: expected int >= 0, got -1"),
        (lambda: gradcheck.train("net.toml"), "case: expected a case, got 'net.toml'"),
        (lambda: gradcheck.train(BOWL, optimizer=0.5), "optimizer: expected GradientDescent, Armijo or MiniBatch, got 0.5"),
        (lambda: gradcheck.train(BOWL, iterations=-1), "iterations: expected int >= 0, got -1"),
        (lambda: gradcheck.train(BOWL, iterations=1e4), "iterations: expected int >= 0, got 10000.0"),
        (lambda: gradcheck.train(BOWL, record_every=0), "record_every: expected int >= 1, got 0"),
        (lambda: gradcheck.train(BOWL, verify_every=True), "verify_every: expected int >= 1, got True"),
        (lambda: gradcheck.train(BOWL, on_iteration=3), "on_iteration: expected a function, got 3"),
        (lambda: gradcheck.train(BOWL, optimizer=MiniBatch(1, 13)), "optimizer.size: the batch has 12 samples, got 13"),
        (
            lambda: gradcheck.train(Case(Network((1,), (Arctan(),), MSE()))),
            "case.network: the network has no parameters: there is nothing to train",
        ),
    ],
)
def test_arguments_that_cannot_be_are_one_line(make, sentence):
    with pytest.raises(DescriptionError) as caught:
        make()
    assert str(caught.value) == sentence


def test_a_backend_is_refused_as_everywhere_else():
    with pytest.raises(BackendError, match="unknown backend 'manuel', did you mean 'manual'"):
        gradcheck.train(BOWL, "manuel")


def raises(*_):
    raise ValueError("not today")


@pytest.mark.parametrize(
    ("backend", "error", "sentence"),
    [
        (raises, CallFailed, r"raises raised ValueError: not today \(test_training.py:\d+\)"),
        (lambda *_: 1.0, DataError, r"<lambda>: expected a pair \(value, gradient\), got float"),
        (lambda *_: (1.0, None), DataError, r"<lambda>: the gradients are None, expected a dict"),
        (
            lambda *_: ("1", {"0.weight": np.ones((1, 3)), "0.bias": np.ones(1)}),
            DataError,
            "a value of type str, expected a n",
        ),
        (lambda *_: (1.0, {"0.weight": np.ones((1, 3))}), DataError, "0.bias: no gradient was returned"),
        (
            lambda *_: (1.0, {"0.weight": np.ones(3), "0.bias": np.ones(1)}),
            DataError,
            r"has shape \(3,\), expected \(1, 3\)",
        ),
    ],
)
def test_a_backend_that_does_not_answer_is_one_line(backend, error, sentence):
    with pytest.raises(error, match=sentence) as caught:
        gradcheck.train(BOWL, backend)
    assert "\n" not in str(caught.value)


def test_gradients_of_another_dtype_and_nested_lists_are_taken():
    def lists(network, parameters, batch):
        loss, gradients = model(network, parameters, batch)
        return np.array(loss), {name: value.tolist() for name, value in gradients.items()}

    plain, other = (gradcheck.train(BOWL, backend, GradientDescent(0.05), 5) for backend in ("manual", lists))
    assert np.array_equal(plain.losses, other.losses)


# Own data


def lines(labels, features=lambda i: f"1:{i} 2:{i % 3}"):
    return "".join(f"{label} {features(i)}\n" for i, label in enumerate(labels))


def written(folder, text):
    path = folder / "own data"  # no suffix, as LIBSVM's own page has them
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        ("0", "1", "labels 0 and 1 became -1 and +1: 6 and 9 samples"),
        ("1", "2", "labels 1 and 2 became -1 and +1: 6 and 9 samples"),
        ("-1", "+1", "labels are -1 and +1: 6 and 9 samples"),
        ("3", "7", "labels 3 and 7 became -1 and +1: 6 and 9 samples"),
        ("0.25", "1e3", "labels 0.25 and 1000 became -1 and +1: 6 and 9 samples"),
    ],
)
def test_labels_of_any_two_values_become_signs_and_it_is_said(tmp_path, low, high, said):
    labels = [high if i % 5 > 1 else low for i in range(15)]
    own = read_user_data(written(tmp_path, lines(labels)))
    assert own.notes == (
        "15 samples of 2 features, standardised",
        said,
        "3 samples held out, 12 to train on (seed 0)",
    )
    assert own.features == 2
    raw = {}
    for part in (own.training, own.held_out):
        raw.update(zip(map(bytes, part.inputs), part.targets[:, 0].tolist(), strict=True))
    order = sorted(raw, key=lambda row: np.frombuffer(row)[0])  # the first feature counts the samples
    assert [raw[row] for row in order] == [1.0 if label == high else -1.0 for label in labels]
    assert np.sum(own.held_out.targets == 1) == 2


def test_features_are_standardised_on_the_training_part_and_constant_ones_are_said(tmp_path):
    text = lines(["1", "2"] * 20, lambda i: f"1:{1e300 * (i % 7)} 2:0.1 4:{1e9 + i} 5:-7")
    own = read_user_data(written(tmp_path, text))
    assert own.features == 5
    assert own.notes[0] == "40 samples of 5 features, standardised"
    assert own.notes[2] == "features 2, 3 and 5 are constant, and became 0"
    for column in (0, 3):
        assert np.isclose(own.training.inputs[:, column].mean(), 0, atol=1e-6)
        assert np.isclose(own.training.inputs[:, column].std(), 1)
        assert np.ptp(own.held_out.inputs[:, column]) > 0
    for part in (own.training, own.held_out):
        assert not part.inputs[:, [1, 2, 4]].any()


def test_a_feature_that_varies_in_the_held_out_part_only_says_nothing(tmp_path):
    labels = ["0", "1"] * 25
    plain = read_user_data(written(tmp_path, lines(labels, lambda i: f"1:{i}")))
    ranks = np.concatenate([plain.training.inputs, plain.held_out.inputs]).ravel().argsort()
    held = int(np.flatnonzero(ranks == len(plain.training.inputs))[0])
    own = read_user_data(written(tmp_path, lines(labels, lambda i: f"1:{i} 2:{int(i == held)}")))
    assert own.notes[2] == "feature 2 is constant, and became 0"
    assert not own.held_out.inputs[:, 1].any()
    other = read_user_data(written(tmp_path, lines(labels, lambda i: f"1:{i} 2:{int(i == ranks.argmin())}")))
    assert len(other.notes) == 3
    assert other.training.inputs[:, 1].any()


def test_what_is_held_out_depends_on_the_seed_alone(tmp_path):
    path = written(tmp_path, lines(["0", "1"] * 25))
    one, same, other = (read_user_data(path, seed) for seed in (0, 0, 1))
    assert (len(one.training.inputs), len(one.held_out.inputs)) == (40, 10)
    assert np.array_equal(one.held_out.inputs, same.held_out.inputs)
    assert not np.array_equal(one.held_out.inputs, other.held_out.inputs)


def test_one_feature_is_data_and_is_learnt(tmp_path):
    own = read_user_data(
        written(tmp_path, lines(["3" if i < 20 else "7" for i in range(50)], lambda i: f"1:{i + 20 * (i > 19)}"))
    )
    case = own.case(Network((own.features,), (Dense(1),), Logistic()), init="glorot")
    history = gradcheck.train(case, optimizer=Armijo(), iterations=200, record_every=200)
    assert own.features == 1
    assert accuracy(case.network, history.parameters, own.held_out) == 1


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "no samples"),
        ("# nothing\n\n", "no samples"),
        ("1\n2\n1\n", "no features: 3 labels and nothing else"),
        (lines(["4"] * 6), "one class only: all labels are 4, expected two different labels"),
        (lines(["1", "2", "3.5"]), "3 different labels, 1, 2 and 3.5: expected two"),
        (lines(map(str, range(9))), "9 different labels, 0, 1, 2, 3, 4 and 4 more: expected two"),
        (lines(["0", "1"]), "one sample of each class: none can be held out"),
        (lines(["0", "1"] * 5, lambda _: "1:3"), "nothing to learn from: the only feature is constant"),
        (lines(["0", "1"] * 5, lambda _: "1:3 3:1"), "nothing to learn from: all 3 features are constant"),
        ("1 1:1\n2 1:x\n", "line 2, feature 1: expected a number, got 'x'"),
        ("a,b\n1,2\n", "line 1, label: expected a number, got 'a,b'"),
        ("1 1:nan\n2 1:1\n", "inputs[0, 0] is nan, expected a finite float64"),
        ("nan 1:1\n2 1:1\n", "labels[0] is nan, expected a finite float64"),
        ("1 1:1\n2 2000000000:1\n", "2 samples of 2000000000 features are more than 134217728 numbers"),
    ],
)
def test_data_that_cannot_be_learnt_from_is_one_line(tmp_path, text, sentence):
    path = written(tmp_path, text)
    with pytest.raises(DataError) as caught:
        read_user_data(path)
    assert str(caught.value) == f"{path}: {sentence}"


def test_a_file_that_is_not_there_or_is_no_text_is_one_line(tmp_path):
    with pytest.raises(DataError, match="absent: No such file or directory"):
        read_user_data(tmp_path / "absent")
    (tmp_path / "binary").write_bytes(b"\x80\x81\n")
    with pytest.raises(DataError, match="binary: 'utf-8' codec can't decode"):
        read_user_data(tmp_path / "binary")


def test_accuracy_counts_signs_classes_and_probabilities():
    signs = Network((1,), (Dense(1, bias=False),), Logistic())
    inputs = np.array([[1.0], [-2.0], [0.0], [3.0]])
    batch = gradcheck.Batch(inputs, np.array([[1.0], [-1.0], [1.0], [-1.0]]))
    assert accuracy(signs, {"0.weight": np.ones((1, 1))}, batch) == 0.5  # 0 is on neither side
    probable = Network((1,), (Dense(1, bias=False),), gradcheck.BinaryCrossEntropy())
    batch = gradcheck.Batch(inputs, np.array([[1.0], [0.0], [1.0], [0.9]]))
    assert accuracy(probable, {"0.weight": np.ones((1, 1))}, batch) == 0.75
    classes = Network((1,), (Dense(2, bias=False),), gradcheck.CrossEntropy())
    batch = gradcheck.Batch(inputs, np.array([0, 1, 0, 1]))
    assert accuracy(classes, {"0.weight": np.array([[1.0], [-1.0]])}, batch) == 0.75


# Starts


def test_units_that_start_at_samples_are_zero_there():
    case = at_samples(TOUR)
    parameters, inputs = case.parameters, case.batch.inputs
    heights = inputs @ parameters["0.weight"].T + parameters["0.bias"]
    assert np.all(np.abs(heights).min(axis=0) < 1e-12)
    assert np.array_equal(parameters["2.weight"], STARTS["glorot"](TOUR).parameters["2.weight"])
    with pytest.raises(DescriptionError, match=r"layers\[0\]: expected a dense layer with a bias"):
        at_samples(Case(Network((2,), (Arctan(), Dense(1)), Logistic()), data="two-moons"))


def test_a_better_start_reaches_99_percent_where_the_tours_does_not_yet():
    """A small part of ``benchmarks/starts.py``."""
    tours, better = (trials(TOUR, start, range(6), iterations=3000) for start in ("normal", "at samples"))
    assert (tours.reaching(0.99), better.reaching(0.99)) == (0, 6)
    assert max(better.losses) < min(tours.losses)


@pytest.mark.parametrize(("size", "rest"), [(1, 1), (3, 1), (9, 1)])
def test_a_batch_of_one_is_refused_where_a_normalisation_needs_two(size, rest):
    """And the twin: sizes that leave two, which any build may be asked for, and any size without the normalisation."""
    network = Network((2,), (Dense(2), BatchNorm(), Dense(1)), MSE())

    def backend(network, parameters, batch):
        return 0.0, {name: np.zeros_like(value) for name, value in parameters.items()}

    case = Case(network, samples=10)
    with pytest.raises(
        DescriptionError, match=rf"^optimizer\.size: the last batch of an epoch has {rest} sample, .* needs 2$"
    ):
        gradcheck.train(case, backend, MiniBatch(0.1, size), 1)
    for good in (2, 4, 5, 8, 10):
        gradcheck.train(case, backend, MiniBatch(0.1, good), 1)
    gradcheck.train(Case(Network((2,), (Dense(1),), MSE()), samples=10), backend, MiniBatch(0.1, size), 1)
