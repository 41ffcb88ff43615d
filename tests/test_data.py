"""Where parameters and batches come from: their distributions, the files, and everything that a file can get wrong."""

import io
import zipfile

import numpy as np
import pytest
from scipy import stats

from gradcheck import MSE, Arctan, BinaryCrossEntropy, Case, CrossEntropy, Dense, Given, Logistic, Network
from gradcheck.errors import DataError

BINARY = Network((2,), (Dense(1),), Logistic())
TEN = Network((2,), (Dense(10),), CrossEntropy())


def moons(samples=4000, seed=0):
    """Two moons as they were before rescaling: points, and whether they belong to the first half circle."""
    batch = Case(BINARY, data="two-moons", samples=samples, seed=seed).batch
    x, y = ((batch.inputs - 0.2) / 0.6 * [3, 1.6] - 1).T
    return x, y, batch.targets[:, 0] == 1


def test_the_two_moons_are_half_circles_of_radius_1_to_1_1_one_turned_over():
    x, y, first = moons()
    # Turned back: the second was moved to (x + 1, -0.7 - y).
    x, y = np.where(first, x, x - 1), np.where(first, y, -0.7 - y)
    radius = np.hypot(x, y)
    assert np.all((radius > 1 - 1e-12) & (radius < 1.1 + 1e-12))
    assert np.all(y <= 1e-12)
    # Radius and angle are uniform, in either moon.
    for moon in (first, ~first):
        assert stats.kstest((radius[moon] - 1) / 0.1, "uniform").pvalue > 1e-4
        assert stats.kstest(np.arctan2(x, -y)[moon] / np.pi + 0.5, "uniform").pvalue > 1e-4


def test_the_two_moons_lie_in_the_rescaled_box_but_for_the_excess_of_their_radius():
    inputs = Case(BINARY, data="two-moons", samples=4000).batch.inputs
    assert inputs.min() >= 0.2 - 0.6 * 0.1 / 1.6
    assert inputs.max() <= 0.8 + 0.6 * 0.1 / 3
    assert np.all(np.quantile(inputs, 0.1, axis=0) > 0.2)
    assert np.all(np.quantile(inputs, 0.9, axis=0) < 0.8)
    assert np.ptp(inputs, axis=0).min() > 0.55


def test_the_labels_of_two_moons_are_signs_of_either_kind_and_probabilities_for_another_loss():
    targets = Case(BINARY, data="two-moons").batch.targets
    assert targets.shape == (400, 1)
    assert set(targets.flat) == {-1, 1}
    assert 140 < np.sum(targets == 1) < 260
    entropy = Network((2,), (Dense(1),), BinaryCrossEntropy())
    assert np.array_equal(Case(entropy, data="two-moons").batch.targets, (targets + 1) / 2)
    classes = Network((2,), (Dense(2),), CrossEntropy())
    assert np.array_equal(Case(classes, data="two-moons").batch.targets, ((targets + 1) / 2)[:, 0])
    assert Case(classes, data="two-moons").batch.targets.dtype == np.int64


def test_breast_cancer_is_standardised_and_digits_lie_between_0_and_1():
    pytest.importorskip("sklearn")
    cancer = Case(Network((30,), (Dense(1),), Logistic()), data="breast-cancer").batch
    assert cancer.inputs.shape == (569, 30)
    assert np.allclose(cancer.inputs.mean(axis=0), 0, atol=1e-12)
    assert np.allclose(cancer.inputs.std(axis=0), 1)
    assert np.sum(cancer.targets == 1) == 357
    digits = Case(Network((64,), (Dense(10),), CrossEntropy()), data="digits").batch
    assert digits.inputs.shape == (1797, 64)
    assert (digits.inputs.min(), digits.inputs.max()) == (0, 1)
    assert set(digits.targets) == set(range(10))
    one_hot = Case(Network((64,), (Dense(10),), MSE()), data="digits").batch.targets
    assert np.array_equal(one_hot.argmax(axis=1), digits.targets)
    assert np.array_equal(one_hot.sum(axis=1), np.ones(1797))


def test_a_choice_of_samples_is_random_by_seed_and_keeps_labels_with_their_inputs():
    pytest.importorskip("sklearn")
    network = Network((64,), (Dense(10),), CrossEntropy())
    whole = Case(network, data="digits").batch
    label = {row.tobytes(): target for row, target in zip(whole.inputs, whole.targets, strict=True)}
    chosen, other = (Case(network, data="digits", samples=50, seed=seed).batch for seed in (0, 1))
    assert [label[row.tobytes()] for row in chosen.inputs] == chosen.targets.tolist()
    assert len({row.tobytes() for row in chosen.inputs}) == 50
    assert not np.array_equal(chosen.targets, other.targets)


@pytest.mark.parametrize("data", ["two-moons", "random"])
def test_the_same_seed_draws_the_same_and_another_draws_another(data):
    one, same, other = (Case(BINARY, data=data, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(one.batch.inputs, same.batch.inputs)
    assert np.array_equal(one.parameters["0.weight"], same.parameters["0.weight"])
    assert not np.array_equal(one.batch.inputs, other.batch.inputs)
    assert not np.array_equal(one.parameters["0.weight"], other.parameters["0.weight"])


@pytest.mark.parametrize("init", ["normal", "he", "glorot"])
def test_appending_a_layer_redraws_no_other(init):
    short = Case(Network((3,), (Dense(4), Arctan()), MSE()), init=init, seed=7)
    long = Case(Network((3,), (Dense(4), Arctan(), Dense(2)), MSE()), init=init, seed=7)
    for name, value in short.parameters.items():
        assert np.array_equal(value, long.parameters[name])
    assert long.parameters.keys() - short.parameters.keys() == {"2.weight", "2.bias"}


def test_parameters_of_one_shape_are_drawn_apart():
    parameters = Case(Network((5,), (Dense(5), Dense(5)), MSE())).parameters
    assert not np.array_equal(parameters["0.weight"], parameters["1.weight"])
    assert not np.array_equal(parameters["0.bias"], parameters["1.bias"])


@pytest.mark.parametrize(("init", "variance"), [("normal", 1), ("he", 2 / 300), ("glorot", 2 / 500)])
def test_each_init_has_its_variance(init, variance):
    case = Case(Network((300,), (Dense(200),), MSE()), init=init, scale=3.0)
    parameters = case.parameters
    weights = parameters["0.weight"] / np.sqrt(9 * variance)
    # The sample variance of n normal numbers has the standard deviation sqrt(2 / n).
    assert abs(weights.var() - 1) < 5 * np.sqrt(2 / weights.size)
    assert abs(weights.mean()) < 5 / np.sqrt(weights.size)
    assert np.any(parameters["0.bias"]) == (init == "normal")


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_everything_real_has_the_dtype_and_is_fresh(dtype):
    case = Case(BINARY, data="two-moons", dtype=dtype)
    assert {value.dtype.name for value in (*case.parameters.values(), *case.batch)} == {dtype}
    case.parameters["0.weight"][:] = 7
    case.batch.inputs[:] = 7
    assert not np.any(case.parameters["0.weight"] == 7)
    assert not np.any(case.batch.inputs == 7)


def test_random_targets_lie_in_the_domain_of_their_loss():
    for loss, outputs, domain in (
        (Logistic(), 1, {-1, 1}),
        (BinaryCrossEntropy(), 1, {0, 1}),
        (CrossEntropy(), 3, {0, 1, 2}),
    ):
        assert set(Case(Network((2,), (Dense(outputs),), loss), samples=200).batch.targets.flat) == domain


# Files: the same three samples in each format.

INPUTS, SIGNS = np.array([[0.5, -2.0], [0.0, 1e-3], [3.0, 0.0]]), np.array([1.0, -1.0, 1.0])
CSV = "a,b,y\n0.5,-2,1\n0,1e-3,-1\n3,0,1\n"
LIBSVM = "1 1:0.5 2:-2\n-1 2:1e-3  # a remark\n\n+1 1:3\n"


def npz(**arrays):
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


NPZ = npz(inputs=INPUTS, targets=SIGNS)


def read(folder, name, content, network=BINARY, **options):
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return Case(network, data=str(path), **options).batch


def complaint(folder, name, content, network=BINARY, **options):
    with pytest.raises(DataError) as caught:
        read(folder, name, content, network, **options)
    message = str(caught.value)
    assert message.startswith(str(folder / name))
    assert "\n" not in message
    return message.partition(f"{name}: ")[2]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.npz", NPZ),
        ("a.npz", npz(inputs=INPUTS, targets=SIGNS[:, None].astype(int), more=SIGNS)),
        ("a.csv", CSV),
        ("with space.csv", CSV.replace("\n", "\r\n")),
        ("a.csv", "\ufeff" + CSV.replace("a,b", '"a, or so",b')),
        ("a.svm", LIBSVM),
        ("a.libsvm", LIBSVM.replace("2:", "1:").replace("1 1:0.5", "1 0:0.5").replace("1:3", "0:3")),
    ],
    ids=["npz", "npz column of int", "csv", "csv with CRLF", "csv with BOM and quotes", "svm", "svm from 0"],
)
def test_each_format_is_read(tmp_path, name, content):
    batch = read(tmp_path, name, content)
    assert np.array_equal(batch.inputs, INPUTS)
    assert np.array_equal(batch.targets, SIGNS[:, None])


def test_a_file_gives_its_first_samples(tmp_path):
    batch = read(tmp_path, "a.csv", CSV, samples=2)
    assert np.array_equal(batch.inputs, INPUTS[:2])
    assert complaint(tmp_path, "a.csv", CSV, samples=4) == "3 samples, 4 were asked for"


def test_libsvm_is_read_as_scikit_learn_writes_it(tmp_path):
    datasets = pytest.importorskip("sklearn.datasets")
    rng = np.random.default_rng(0)
    inputs = np.round(rng.standard_normal((20, 5)) * (rng.random((20, 5)) < 0.4), 3)  # 16 digits are written
    inputs[0] = 1.5
    network = Network((5,), (Dense(1),), MSE())
    for zero_based in (True, False):
        stream = io.BytesIO()
        datasets.dump_svmlight_file(inputs, inputs[:, 0], stream, zero_based=zero_based, comment="a remark")
        batch = read(tmp_path, "a.svm", stream.getvalue(), network)
        assert np.array_equal(batch.inputs, inputs)
        assert np.array_equal(batch.targets[:, 0], inputs[:, 0])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "line 1: expected a header with names, got ''"),
        ("1,2,1\n3,4,1\n", "line 1: expected a header with names, got '1,2,1'"),
        ("a,b,y\n", "no rows below the header"),
        ("a,b,y\n1,2,1\n1,2\n", "line 3: 2 cells, the header has 3"),
        ("a,b,c,y\n1,2,1\n", "line 2: 3 cells, the header has 4"),
        ("a,b,y\n1,2,1\n\n1,x,1\n", "line 4, column 'b': expected a number, got 'x'"),
        ("a,b,y\n1,,1\n", "line 2, column 'b': expected a number, got ''"),
        ("a,b,y\n1,2,1 # no\n", "line 2, column 'y': expected a number, got '1 # no'"),
        ("a;b;y\n1;2;1\n", "line 2, column 'a;b;y': expected a number, got '1;2;1'"),
        ("y\n1\n", "inputs have shape (1, 0), the network expects (n, 2) with n >= 1"),
        ("a,b,c,y\n1,2,3,1\n", "inputs have shape (1, 3), the network expects (n, 2) with n >= 1"),
        ("a,b,y\n1,2,1\n1,nan,1\n", "inputs[1, 1] is nan, expected a finite float64"),
        ("a,b,y\n1,1e400,1\n", "inputs[0, 1] is inf, expected a finite float64"),
        ("a,b,y\n1,2,nan\n", "targets[0] is nan, expected a finite float64"),
        ("a,b,y\n1,2,0\n", "targets[0, 0] is 0, Logistic expects -1 or +1"),
        (b"a,b,y\n1,2,\xff\n", "'utf-8' codec can't decode byte 0xff in position 10: invalid start byte"),
        ('a,b,y\n"1,2,1\n', "unexpected end of data"),
    ],
)
def test_a_bad_csv_file_is_refused_by_line_column_and_value(tmp_path, content, sentence):
    assert complaint(tmp_path, "a.csv", content) == sentence


def test_a_number_beyond_float32_is_refused_with_its_value_and_fits_float64(tmp_path):
    content = "a,b,y\n1,1e300,1\n"
    assert complaint(tmp_path, "a.csv", content, dtype="float32") == "inputs[0, 1] is 1e+300, expected a finite float32"
    assert read(tmp_path, "a.csv", content).inputs[0, 1] == 1e300


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("hello world\n", "line 1: expected index:value with ascending indices, got 'world'"),
        ("1 1:1\nhello 1:1\n", "line 2, label: expected a number, got 'hello'"),
        ("1:1 2:1\n", "line 1, label: expected a number, got '1:1'"),
        ("1 1:1 2:\n", "line 1, feature 2: expected a number, got ''"),
        ("1 1:1 2:x\n", "line 1, feature 2: expected a number, got 'x'"),
        ("1 2:1 1:1\n", "line 1: expected index:value with ascending indices, got '1:1'"),
        ("1 1:1 1:2\n", "line 1: expected index:value with ascending indices, got '1:2'"),
        ("1 -1:1\n", "line 1: expected index:value with ascending indices, got '-1:1'"),
        ("1 1:1\n1 3:1\n", "sample 1 has a feature 3, the network expects 2 features"),
        ("1 0:1\n1 2:1\n", "sample 1 has a feature 2, the network expects 2 features"),
        ("", "inputs have shape (0, 2), the network expects (n, 2) with n >= 1"),
        ("1 1:nan\n", "inputs[0, 0] is nan, expected a finite float64"),
        ("2 1:1\n", "targets[0, 0] is 2, Logistic expects -1 or +1"),
    ],
)
def test_a_bad_libsvm_file_is_refused_by_line_and_value(tmp_path, content, sentence):
    assert complaint(tmp_path, "a.svm", content) == sentence


def nameless():
    stream = io.BytesIO()
    np.save(stream, INPUTS)
    return stream.getvalue()


def zip_of_text():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("inputs.npy", "hello")
        archive.writestr("targets.npy", "hello")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "not an NPZ file, or a truncated one"),
        (b"hello", "not an NPZ file, or a truncated one"),
        (NPZ[:-1], "not an NPZ file, or a truncated one"),
        (nameless(), "not an NPZ file, or a truncated one"),
        (zip_of_text(), "inputs: not an array of NumPy's"),
        (npz(inputs=INPUTS), "no array 'targets', the file has inputs"),
        (npz(x=INPUTS, y=SIGNS), "no array 'inputs', the file has x, y"),
        (npz(inputs=INPUTS.astype(object), targets=SIGNS), "inputs: has dtype object, expected numbers"),
        (npz(inputs=INPUTS * 1j, targets=SIGNS), "inputs has dtype complex128, expected real numbers"),
        (npz(inputs=INPUTS.astype(str), targets=SIGNS), "inputs has dtype <U32, expected real numbers"),
        (npz(inputs=INPUTS, targets=SIGNS.astype("M8[s]")), "targets has dtype datetime64[s], expected real numbers"),
        (npz(inputs=1.5, targets=SIGNS), "inputs is the single number 1.5, expected an array"),
        (npz(inputs=INPUTS, targets=SIGNS[:2]), "targets have shape (2,), expected (3, 1)"),
        (npz(inputs=INPUTS[:0], targets=SIGNS[:0]), "inputs have shape (0, 2), the network expects (n, 2) with n >= 1"),
        (npz(inputs=INPUTS * np.nan, targets=SIGNS), "inputs[0, 0] is nan, expected a finite float64"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_npz_file_is_refused_in_one_line(tmp_path, content, sentence):
    assert complaint(tmp_path, "a.npz", content) == sentence


def test_no_pickle_is_ever_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "boom"), "w"))

    complaint(tmp_path, "a.npz", npz(inputs=np.array([Bomb()]), targets=SIGNS))
    assert not (tmp_path / "boom").exists()


def test_every_damaged_byte_of_an_npz_file_is_refused_or_does_no_harm(tmp_path):
    """Whatever a reader raises becomes a `DataError`; damage outside of the arrays may go unnoticed."""
    stream = io.BytesIO()
    np.savez_compressed(stream, inputs=INPUTS, targets=SIGNS)
    content = stream.getvalue()
    refused = 0
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 0xFF
        try:
            batch = read(tmp_path, "a.npz", bytes(damaged))
        except DataError:
            refused += 1
        else:
            assert np.array_equal(batch.inputs, INPUTS)
            assert np.array_equal(batch.targets[:, 0], SIGNS)
    assert refused > len(content) / 2


@pytest.mark.parametrize("cut", range(0, len(NPZ), 37))
def test_a_truncated_npz_file_is_refused(tmp_path, cut):
    assert complaint(tmp_path, "a.npz", NPZ[:cut]) == "not an NPZ file, or a truncated one"


@pytest.mark.parametrize(
    ("last", "sentence"),
    [
        (10, "targets[2] is 10, CrossEntropy expects a class index from 0 to 9"),
        (-1, "targets[2] is -1, CrossEntropy expects a class index from 0 to 9"),
        (1.5, "targets[2] is 1.5, CrossEntropy expects a class index from 0 to 9"),
        (np.nan, "targets[2] is nan, expected a finite float64"),
    ],
)
def test_a_class_that_does_not_exist_is_refused(tmp_path, last, sentence):
    assert complaint(tmp_path, "a.npz", npz(inputs=INPUTS, targets=np.array([0, 3, last])), TEN) == sentence
    assert read(tmp_path, "a.npz", npz(inputs=INPUTS, targets=np.array([0.0, 3, 9])), TEN).targets.tolist() == [0, 3, 9]


def test_probabilities_outside_of_0_and_1_are_refused(tmp_path):
    network = Network((2,), (Dense(1),), BinaryCrossEntropy())
    sentence = "targets[1, 0] is -1, BinaryCrossEntropy expects between 0 and 1"
    assert complaint(tmp_path, "a.csv", CSV, network) == sentence
    assert read(tmp_path, "a.csv", CSV.replace("-1\n", "0.25\n"), network).targets[1, 0] == 0.25


@pytest.mark.parametrize("name", ["a.npz", "a.csv", "a.svm", "a.libsvm"])
def test_a_missing_file_and_a_folder_are_refused(tmp_path, name):
    case = Case(BINARY, data=str(tmp_path / name))
    with pytest.raises(DataError, match=rf"{name}: No such file or directory$"):
        _ = case.batch
    (tmp_path / name).mkdir()
    with pytest.raises(DataError, match=rf"{name}: \w+"):
        _ = case.batch


@pytest.mark.parametrize(
    ("network", "options", "sentence"),
    [
        (Network((3,), (Dense(1),), MSE()), {"data": "two-moons"}, "two-moons: inputs have shape (400, 2), the network"),
        (Network((64,), (Dense(1),), Logistic()), {"data": "digits"}, "digits: 10 classes, Logistic expects two"),
        (Network((64,), (Dense(9),), CrossEntropy()), {"data": "digits"}, "digits: targets[9] is 9, CrossEntropy expects"),
        (Network((64,), (Dense(3),), MSE()), {"data": "digits"}, "digits: one label a sample, the network's targets have"),
        (Network((64,), (Dense(10),), MSE()), {"data": "digits", "samples": 1798}, "digits: 1797 samples, 1798 were asked"),
    ],
)
def test_a_set_that_does_not_fit_the_network_is_refused(network, options, sentence):
    if options["data"] == "digits":
        pytest.importorskip("sklearn")
    with pytest.raises(DataError) as caught:
        _ = Case(network, **options).batch
    assert str(caught.value).startswith(sentence)


def test_without_scikit_learn_its_sets_say_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sklearn", None)
    with pytest.raises(DataError, match=r"^digits: this data needs scikit-learn: pip install 'gradcheck\[data\]'$"):
        _ = Case(TEN, data="digits").batch
    assert Case(BINARY, data="two-moons").batch.inputs.shape == (400, 2)


def test_arrays_given_are_the_batch_exactly():
    inputs = np.array([[0.1, 1e-310], [-0.0, 3.0]])
    case = Case(BINARY, data=Given.of({"inputs": inputs, "targets": [1, -1]}))
    assert case.batch.inputs.tobytes() == inputs.tobytes()
    assert case.batch.targets.tolist() == [[1], [-1]]
