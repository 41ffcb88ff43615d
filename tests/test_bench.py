"""What `gradcheck bench` computes from numbers: counts, floors, grids, medians, slopes, comparisons. No clock runs here."""

import json
import math

import msgspec
import numpy as np
import pytest

import gradcheck
from gradcheck.bench import cases
from gradcheck.bench.measuring import precise
from gradcheck.bench.measuring.environment import Environment
from gradcheck.bench.measuring.job import Facts, Settings
from gradcheck.bench.measuring.measure import FLOOR, Rounds, Series, labels
from gradcheck.bench.rendering import pictures
from gradcheck.bench.results import changes
from gradcheck.bench.results.growth import growth, informative, slope
from gradcheck.bench.results.schema import Result, read
from gradcheck.bench.results.spread import ratio, timing
from gradcheck.bench.run import measured
from gradcheck.bench.work import counts
from gradcheck.bench.work.counts import Step
from gradcheck.bench.work.floor import ACTIVATIONS, Floor
from gradcheck.errors import BackendError, DataError, DescriptionError, LibraryNotInstalled, UnknownBackend
from gradcheck.network import reference
from gradcheck.network.layers import LAYERS, Activation

KIND = cases.kind("arctan", "logistic")
HERE = Environment(processor="abacus", cores=2, platform="-", python="3.11", libraries={"numpy": "2.4"})


def points(network="4-8-8-1", **grid):
    return cases.swept([network], KIND, cases.Grid(**grid), seed=0)


def rounds(seconds, *, floor=1.0, names=("a",), lost=None, peak=1 << 20):
    """As if every backend had taken these seconds for its gradient."""
    series = {Series(FLOOR, call): [floor] * 3 for call in ("floor", "products", "activations")}
    for name in names:
        series |= {Series(name, "gradient"): list(seconds), Series(name, "loss"): [each / 4 for each in seconds]}
    facts = {name: Facts(calls=[], peak_memory=peak, threadpools=[]) for name in (FLOOR, *names)}
    return Rounds(facts, series, [Step(0, "forward", floor)], lost or {}, "no ruler")


def result(points, seconds=lambda point: 1.0, **kwargs):
    found = [measured(point, ["a"], rounds([seconds(point)] * 3, **kwargs)) for point in points]
    return Result(gradcheck="0", environment=HERE, settings=Settings(backends=("a",)), cases=found, growth=growth(found))


# Counts and the floor


def test_the_first_dense_layer_has_two_products_and_the_others_three():
    network = cases.network_of((4, 8, 8, 1), KIND)
    kinds = [(product.layer, product.kind) for product in counts.products(network, 10)]
    assert kinds == [
        *((layer, "forward") for layer in (0, 2, 4)),
        *((4, "weight"), (4, "input"), (2, "weight"), (2, "input"), (0, "weight")),
    ]
    assert counts.multiply_adds(network, 10) == 10 * (2 * 4 * 8 + 3 * 8 * 8 + 3 * 8)


def test_operations_and_bytes_are_those_counted_by_hand():
    network = cases.network_of((4, 8, 1), KIND)
    assert counts.operations(network, 10) == 10 * (2 * 32 + 3 * 8) + 10 * (2 + 3) * (8 + 1)
    assert counts.memory(network, 10, "float32") == 4 * ((32 + 8 + 8 + 1) + 10 * 2 * (8 + 1))


def test_the_floor_is_the_products_and_activations_and_nothing_else():
    (point,) = points("4-8-1", batches=(10,))
    floor = Floor(point.case)
    assert [part.what for part in floor.parts] == ["forward", "activation"] * 2 + ["weight", "input", "weight"]
    floor.run()
    parameters = {name: value * name.endswith("weight") for name, value in point.case.parameters.items()}
    outputs = reference.forward(point.case.network, parameters, point.case.batch.inputs)
    for value, output in zip(floor.values, outputs, strict=True):
        np.testing.assert_allclose(value, output, rtol=1e-13)
    assert [(step.layer, step.what) for step in floor.split(2)] == [(part.layer, part.what) for part in floor.parts]


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("kind", [kind for kind in LAYERS.values() if issubclass(kind, Activation)])
def test_every_activation_of_the_floor_is_the_reference_s(kind, dtype):
    layers = [gradcheck.GELU(approximate="tanh"), kind()] if kind is gradcheck.GELU else [kind()]
    z = np.linspace(-5, 5, 41).reshape(1, -1).astype(dtype)
    for layer in layers:
        if kind is gradcheck.Identity:
            assert kind not in ACTIVATIONS
            continue
        a = np.empty_like(z)
        ACTIVATIONS[kind](layer, z, a, np.empty_like(z))
        u = np.finfo(dtype).eps
        np.testing.assert_allclose(a, reference.apply(layer, {}, z), rtol=20 * u, atol=20 * u)


def test_a_layer_of_which_nothing_is_known_has_no_floor():
    class Odd(gradcheck.Activation, frozen=True):
        pass

    case = gradcheck.Case(gradcheck.Network((2,), (gradcheck.Dense(1), Odd()), gradcheck.MSE()), samples=2)
    with pytest.raises(DescriptionError, match=r"layers\[1\]: what Odd costs at least is not known"):
        Floor(case)


# What is measured


@pytest.mark.parametrize(
    ("inputs", "layers", "sentence"),
    [
        ((3, 2), (gradcheck.Dense(2),), "layers[0]: what Dense costs at least for samples of shape (3, 2) is not known"),
        (
            (4,),
            (gradcheck.Embedding(5, 2),),
            "layers[0]: what Embedding costs at least for samples of shape (4,) is not known",
        ),
        (
            *((2,), (gradcheck.Tanh(), gradcheck.Residual((gradcheck.GELU(),)))),
            "layers[1]: what Residual costs at least for samples of shape (2,) is not known",
        ),
    ],
)
def test_what_other_layers_cost_is_not_known_and_said_so(inputs, layers, sentence):
    case = gradcheck.Case(gradcheck.Network(inputs, layers, gradcheck.MSE()), samples=2)
    for of in (lambda: counts.operations(case.network, 2), lambda: counts.widths(case.network), lambda: Floor(case)):
        with pytest.raises(DescriptionError) as refused:
            of()
        assert str(refused.value) == sentence
    with pytest.raises(precise.NoReference, match=r"GELU has no function|nor how long it takes in extended precision"):
        precise.reference(case)


def test_names_of_layers_change_no_floor():
    layers = {"a": gradcheck.Dense(3), "b": gradcheck.Tanh(), "c": gradcheck.Dense(1)}
    named, plain = (gradcheck.Network((2,), each, gradcheck.MSE()) for each in (layers, tuple(layers.values())))
    of_each = [Floor(gradcheck.Case(network, samples=2)) for network in (named, plain)]
    assert [[part[:2] for part in floor.parts] for floor in of_each] == [[part[:2] for part in of_each[0].parts]] * 2
    assert counts.operations(named, 2) == counts.operations(plain, 2)
    for floor in of_each:
        floor.run()


def test_a_grid_is_full_and_every_point_has_its_name():
    found = points(widths=(2, 3), depths=(1 + 1, 3), batches=(5, 6), dtypes=cases.DTYPES, threads=(1, 2))
    assert len(found) == 32
    assert {point.name for point in found} == {"4-2-1", "4-3-1", "4-2-2-1", "4-3-3-1"}
    assert {(point.batch, point.case.dtype, point.threads) for point in found if point.name == "4-2-1"} == {
        (batch, dtype, threads) for batch in (5, 6) for dtype in cases.DTYPES for threads in (1, 2)
    }
    assert all(len(point.case.batch.inputs) == point.batch for point in found)


def test_the_standard_cases_are_the_four_and_each_dense_layer_has_its_activation():
    found = cases.standard(KIND, cases.Grid(), seed=0)
    assert [(point.name, point.batch) for point in found] == [
        *(("784-512-512-1", 256), ("20 x 256", 256), ("64-128-128-1", 256), ("2-15-1", 400))
    ]
    assert [len(point.case.network.layers) for point in found] == [6, 40, 6, 4]


def test_names_fold_what_repeats():
    assert cases.name_of((64, *[128] * 7, 1)) == "64-128x7-1"
    assert cases.name_of((64, 128, 128, 1)) == "64-128-128-1"


@pytest.mark.parametrize("text", ["64", "64-", "0-1", "a-1", "64--1", "1-2.5", "", "٣-1"])
def test_sizes_that_are_none_are_refused(text):
    with pytest.raises(DescriptionError, match="--network: expected sizes with dashes"):
        cases.parsed(text)


def test_a_description_has_other_samples_and_no_other_width(tmp_path):
    path = tmp_path / "net.toml"
    gradcheck.save(gradcheck.Case(cases.network_of((2, 3, 1), KIND), samples=7), path)
    assert [point.batch for point in cases.described(path, cases.Grid(batches=(3, 4)))] == [3, 4]
    assert [point.batch for point in cases.described(path, cases.Grid())] == [7]
    with pytest.raises(DescriptionError, match="widths and depths are fixed"):
        cases.described(path, cases.Grid(widths=(3,)))


def test_unknown_backends_are_refused_and_names_are_short():
    assert list(labels(["manual", "torch:nn"])) == ["manual", "nn"]
    with pytest.raises(UnknownBackend, match="did you mean 'manual'"):
        labels(["manul"])
    with pytest.raises(UnknownBackend, match=r"none\.py: no such file"):
        labels(["none.py:f"])
    with pytest.raises(BackendError, match="two backends are called 'f'"):
        labels(["a:f", "b:f"])


# Statistics


def test_medians_and_spreads():
    assert timing([1, 2, 3, 4, 100]).seconds == 3
    assert timing([1, 2, 3, 4, 100]).spread == pytest.approx(2 / 3)


def test_what_slows_a_whole_round_down_does_not_hide_a_difference():
    load = np.array([1, 5, 2, 9, 1])
    assert ratio(1.1 * load, load).distinct
    assert not ratio(load, load).distinct
    assert not ratio([1, 2, 1, 2], [2, 1, 2, 1]).distinct


def test_a_noisy_machine_is_warned_of_and_a_quiet_one_is_not():
    (point,) = points()
    noisy = measured(point, ["a", "b"], rounds([1, 1.5, 3], names=("a", "b"))).warnings
    assert any("spread by more than 10% (a" in line for line in noisy)
    assert any(line.startswith("a and b are not told apart: 1 times") for line in noisy)
    assert not measured(point, ["a"], rounds([1, 1, 1])).warnings


def test_a_row_has_the_ratios_of_its_numbers():
    (point,) = points(batches=(10,))
    case = measured(point, ["a", "b"], rounds([2.0] * 3, lost={"b": "gone"}))
    row, lost = case.rows
    assert (row.ratio, row.of_floor, row.of_products, row.samples_per_second) == (4, 2, 2, 5)
    assert row.gflops == pytest.approx(2 * case.multiply_adds / 2 / 1e9)
    assert row.accuracy_note == "no ruler"
    assert (lost.backend, lost.error, lost.gradient) == ("b", "gone", None)


# Growth


def test_slopes_of_known_powers():
    assert slope([(x, 3 * x**1.7) for x in (1, 2, 8)]) == pytest.approx(1.7)


@pytest.mark.parametrize(("against", "power"), [("width", 2.5), ("depth", 1.5), ("batch", 0.5)])
def test_growth_finds_the_power_that_was_planted(against, power):
    values = {"width": {"widths": (4, 8, 16)}, "depth": {"depths": (2, 3, 5)}, "batch": {"batches": (2, 8, 32)}}
    place = {
        "width": lambda point: point.case.network.layers[0].units,
        "depth": lambda point: len(point.case.network.layers) / 2,
        "batch": lambda point: point.batch,
    }[against]
    found = result(points(**values[against]), lambda point: place(point) ** power).growth
    (own,) = [each for each in found if (each.backend, each.of, each.against) == ("a", "time", against)]
    assert own.measured == pytest.approx(power)
    assert len(own.points) == 3
    assert {each.against for each in found} == {against} | ({"parameters"} if against != "batch" else set())


def test_the_expected_slope_is_that_of_what_is_counted():
    found = result(points("1-4-4-1", widths=(1000, 2000))).growth
    (own,) = [each for each in found if (each.backend, each.of, each.against) == ("a", "time", "width")]
    assert own.expected == pytest.approx(2, abs=0.02)
    assert own.asymptotic == 2
    assert own.measured == pytest.approx(0)


def test_cases_that_differ_in_two_things_have_no_slope():
    assert not result([*points("4-8-1", batches=(2,)), *points("5-9-9-1", batches=(3,))]).growth


def test_slopes_of_two_points_are_shown_where_there_are_no_others():
    two, three = result(points(widths=(4, 8))).growth, result(points(batches=(2, 4, 8))).growth
    assert informative([*two, *three]) == three
    assert informative(two) == two


def test_peaks_of_a_few_pages_are_no_points():
    assert any(each.of == "memory" for each in result(points(widths=(4, 8))).growth)
    assert not any(each.of == "memory" for each in result(points(widths=(4, 8)), peak=4096).growth)


# Accuracy


def test_the_error_is_relative_to_the_larger_of_entry_and_block():
    truth = {"w": np.array([3.0, 4.0, 0.0, 0.0])}  # RMS 2.5
    assert precise.error({"w": np.array([3.0, 4.4, 0, 0])}, truth) == pytest.approx(0.1)
    assert precise.error({"w": np.array([3.0, 4.0, 0.5, 0])}, truth) == pytest.approx(0.2)
    assert precise.error(truth, truth) == 0
    zero = {"w": np.zeros(2)}
    assert precise.error(zero, zero) == 0
    assert precise.error({"w": np.ones(2)}, zero) == math.inf


def test_answers_that_cannot_be_compared_say_why():
    truth = {"w": np.ones(2)}
    for gradients in ({}, {"w": np.ones(3)}, {"w": np.array([np.nan, 1])}):
        with pytest.raises(precise.NoReference, match="w: "):
            precise.error(gradients, truth)


def test_there_is_a_ruler_and_it_sees_a_planted_error():
    if np.finfo(np.longdouble).nmant == np.finfo(np.float64).nmant:
        pytest.skip("longdouble is double here")
    (point,) = points("2-3-1", batches=(5,))
    truth = precise.reference(point.case)
    model = gradcheck.backend("manual").build(point.case.network)
    _, gradients = model.loss_and_gradients(point.case.parameters, point.case.batch)
    assert 0 < precise.error(gradients, truth) < 1e-13
    gradients["2.weight"][0, 1] *= 1 + 1e-9
    assert precise.error(gradients, truth) > 1e-10


def test_what_has_no_ruler_says_why():
    kind = cases.kind("gelu", "logistic")
    (gelu,) = cases.swept(["2-3-1"], kind, cases.Grid(), 0)
    (large,) = points("2000-2000-1", batches=(1000,))
    for point, reason in ((gelu, "GELU has no function"), (large, "take too long")):
        with pytest.raises(precise.NoReference, match=reason):
            precise.reference(point.case)


# JSON and comparisons


def test_json_and_back(tmp_path):
    path, found = tmp_path / "new.json", result(points(widths=(4, 8)))
    path.write_bytes(msgspec.json.encode(found))
    assert read(path) == found
    table = json.loads(path.read_text())
    assert table["format"] == 1
    assert table["cases"][0]["rows"][0]["of_floor"] == 1


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"format": 2}', "expected a benchmark of format 1, got 2"),
        ("[]", "expected a benchmark of format 1, got None"),
        ('{"format": 1}', "not a benchmark of ours"),
        ("nonsense", "not a benchmark of ours"),
    ],
)
def test_files_that_are_no_benchmark_are_refused(tmp_path, text, sentence):
    path = tmp_path / "old.json"
    path.write_text(text)
    with pytest.raises(DataError, match=sentence):
        read(path)
    with pytest.raises(DataError, match="No such file"):
        read(tmp_path / "none.json")


def test_compare_says_how_much_slower():
    old, new = result(points(), lambda _: 2.0), result(points(), lambda _: 3.0)
    rows = changes.compare(old, new).rows
    assert [(row.backend, row.gradient) for row in rows] == [("floor", 1), ("a", 1.5)]
    assert rows[1].of_floor == (2, 3)


def test_library_versions_are_shown_and_not_refused():
    old = result(points())
    new = msgspec.structs.replace(old, environment=msgspec.structs.replace(HERE, libraries={"numpy": "3"}))
    assert changes.compare(old, new).libraries == ["numpy 2.4, now 3"]
    assert not changes.compare(old, old).libraries


@pytest.mark.parametrize(
    ("new", "sentence"),
    [
        (result(points(threads=(2,))), "measured with threads 1, here 2"),
        (result(points(dtypes=("float32",))), "measured with dtype float64, here float32"),
        (result(points(batches=(3,))), "measured with batch 256, here 3"),
        (result(points("4-9-1")), "no case in common; recorded: 4-8-8-1"),
        (
            msgspec.structs.replace(result(points()), environment=msgspec.structs.replace(HERE, processor="b")),
            "another proc",
        ),
    ],
)
def test_compare_refuses_what_is_not_comparable(new, sentence):
    with pytest.raises(changes.NotComparable, match=sentence):
        changes.compare(result(points()), new)


# Pictures


def test_pictures_are_drawn(tmp_path):
    found = result(points(widths=(4, 8), batches=(2, 4)))
    names = [path.name for path in pictures.draw(found, tmp_path / "new")]
    assert {"time-width.png", "time-width-2.png", "time-batch.png", "memory-width.png", "layers-1.png"} <= set(names)
    assert all((tmp_path / "new" / name).read_bytes().startswith(b"\x89PNG") for name in names)


def test_without_matplotlib_there_is_a_hint(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(LibraryNotInstalled, match=r"pip install 'gradcheck\[plot\]'"):
        pictures.require()
