"""Data of more than rows of numbers: tokens, texts, images; where parameters start; and all that either can get wrong."""

import numpy as np
import pytest
from scipy import stats

from gradcheck import (
    MSE,
    Attention,
    BatchNorm,
    Case,
    Conv2d,
    CrossEntropy,
    DataError,
    Dense,
    Embedding,
    Flatten,
    Given,
    LayerNorm,
    Network,
    Residual,
    Tied,
)
from gradcheck.network.batch import Batch

TOKENS = Network((4,), (Embedding(7, 3), Dense(7)), CrossEntropy())
IMAGES = Network((1, 8, 8), (Conv2d(2, 3), Flatten(), Dense(10)), CrossEntropy())
NORMALIZED = Network((3,), (Dense(2), Residual((BatchNorm(),)), Dense(1)), MSE())
TEXT = "hello world, hello words!\n" * 3


def given(network, inputs, targets=None, **fields):
    targets = np.zeros((len(inputs), *network.target_shape)) if targets is None else targets
    return Case(network, data=Given.of({"inputs": inputs, "targets": targets}), **fields)


def refused(make):
    with pytest.raises(DataError) as caught:
        make()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("network", "inputs", "targets", "sentence"),
    [
        (TOKENS, [[0, 1, 2, 7]], None, "inputs[0, 3] is 7, the embedding has 7 symbols: expected an index from 0 to 6"),
        (TOKENS, [[0, 1, -1, 6]], None, "inputs[0, 2] is -1, the embedding has 7 symbols: expected an index from 0 to 6"),
        (TOKENS, [[0, 2.5, 1, 6]], None, "inputs[0, 1] is 2.5, the embedding has 7 symbols: expected an index from 0 to 6"),
        (TOKENS, [[]], None, "inputs have shape (1, 0), the network expects (n, 4) with n >= 1"),
        (TOKENS, [[0, 1, 2, 6]], [[0, 0, 0, 9]], "targets[0, 3] is 9, CrossEntropy expects a class index from 0 to 6"),
        (TOKENS, [[0, 1, 2, 6]], [0], "targets have shape (1,), expected (1, 4)"),
        (
            *(IMAGES, np.zeros((20, 8, 8, 1)), None),
            "inputs have shape (20, 8, 8, 1), the network expects (n, 1, 8, 8): channels first",
        ),
        (
            *(IMAGES, np.zeros((20, 8, 1, 8)), None),
            "inputs have shape (20, 8, 1, 8), the network expects (n, 1, 8, 8) with n >= 1",
        ),
        (
            *(NORMALIZED, [[1, 2, 3]], None),
            "1 sample, layers[1].layers[0] (BatchNorm) takes statistics over the samples and needs 2",
        ),
    ],
)
def test_what_is_no_batch_of_the_network_is_one_line(network, inputs, targets, sentence):
    assert refused(lambda: given(network, inputs, targets)) == f"data: {sentence}"


def test_their_neighbours_are_taken():
    """The twin. Tokens are whole numbers of any dtype, and indices from here on, whatever the dtype of the case."""
    batch = given(TOKENS, [[0, 1.0, 2, 6]], [[0, 0, 0, 6]], dtype="float32").batch
    assert [array.dtype for array in batch] == [np.int64, np.int64]
    assert batch.inputs.tolist() == [[0, 1, 2, 6]]
    assert given(IMAGES, np.zeros((20, 1, 8, 8))).batch.inputs.shape == (20, 1, 8, 8)
    assert len(given(NORMALIZED, [[1, 2, 3], [1, 2, 4]]).batch.inputs) == 2
    places = Network((3, 2), (BatchNorm(),), MSE())  # two places of a channel in one sample
    assert len(given(places, np.zeros((1, 3, 2))).batch.inputs) == 1


def test_one_random_sample_is_refused_where_two_are_needed_and_so_is_one_of_many_that_are_given():
    assert refused(lambda: Case(NORMALIZED, samples=1).batch).startswith("random: 1 sample, layers[1].layers[0]")
    assert refused(lambda: given(NORMALIZED, [[1, 2, 3], [1, 2, 4]], samples=1)).startswith("data: 1 sample, ")
    assert len(Case(NORMALIZED, samples=2).batch.inputs) == 2


def test_another_precision_leaves_indices_as_they_are():
    batch = Case(TOKENS).batch.astype(np.longdouble)
    assert [array.dtype for array in batch] == [np.int64, np.int64]
    real = Batch(np.zeros((2, 1)), np.zeros(2, np.int64)).astype(np.float32)
    assert [array.dtype for array in real] == [np.float32, np.int64]


def test_random_tokens_are_all_indices_alike():
    inputs = Case(TOKENS, samples=700).batch.inputs
    assert inputs.dtype == np.int64
    counts = np.bincount(inputs.ravel(), minlength=7)
    assert len(counts) == 7
    assert stats.chisquare(counts).pvalue > 1e-4
    assert set(Case(TOKENS, samples=100).batch.targets.flat) == set(range(7))


def test_digits_are_images_for_a_network_of_images():
    pytest.importorskip("sklearn")
    flat = Case(Network((64,), (Dense(10),), CrossEntropy()), data="digits", samples=5).batch
    images = Case(IMAGES, data="digits", samples=5).batch
    assert images.inputs.shape == (5, 1, 8, 8)
    assert np.array_equal(images.inputs.reshape(5, 64), flat.inputs)
    assert np.array_equal(images.targets, flat.targets)


def test_rows_of_a_file_are_images_where_they_have_as_many_numbers(tmp_path):
    network = Network((1, 2, 2), (Conv2d(1, 2), Flatten()), MSE())
    (tmp_path / "a.csv").write_text("a,b,c,d,y\n1,2,3,4,5\n")
    assert Case(network, data=str(tmp_path / "a.csv")).batch.inputs.tolist() == [[[[1, 2], [3, 4]]]]
    (tmp_path / "a.csv").write_text("a,b,c,y\n1,2,3,5\n")
    assert "inputs have shape (1, 3)" in refused(lambda: Case(network, data=str(tmp_path / "a.csv")).batch)


def of_text(folder, text=TEXT, length=6, symbols=20, layers=(), **fields):
    path = folder / "words.txt"
    path.write_bytes(text.encode())
    network = Network((length,), (Embedding(symbols, 3), *layers, Dense(symbols)), CrossEntropy())
    return Case(network, data=str(path), **fields)


@pytest.mark.parametrize("text", [TEXT, "ä𝄞\r\n€" * 9])
def test_a_text_is_stretches_of_characters_and_the_next_of_each(tmp_path, text):
    batch = of_text(tmp_path, text).batch
    letters = sorted(set(text))
    inputs, targets = ("".join(letters[token] for token in tokens.ravel()) for tokens in batch)
    count = (len(text) - 1) // 6 * 6
    assert inputs == text[:count]
    assert targets == text[1 : count + 1]
    assert batch.inputs.shape == batch.targets.shape == (count // 6, 6)
    assert of_text(tmp_path, text, samples=2).batch.inputs.tolist() == batch.inputs[:2].tolist()


def test_where_a_sample_has_one_target_it_is_the_character_behind_the_text(tmp_path):
    whole, last = of_text(tmp_path).batch, of_text(tmp_path, layers=(Flatten(),)).batch
    assert last.targets.tolist() == whole.targets[:, -1].tolist()
    assert np.array_equal(last.inputs, whole.inputs)


@pytest.mark.parametrize(
    ("text", "fields", "sentence"),
    [
        (TEXT, {"symbols": 11}, "12 distinct characters, the embedding has 11 symbols"),
        ("abcabc", {}, "6 characters, the network expects 6 and the one behind them"),
        ("", {}, "0 characters, the network expects 6 and the one behind them"),
        (TEXT, {"samples": 14}, "12 samples, 14 were asked for"),
    ],
)
def test_a_text_that_does_not_fit_is_one_line(tmp_path, text, fields, sentence):
    assert refused(lambda: of_text(tmp_path, text, **fields).batch) == f"{tmp_path / 'words.txt'}: {sentence}"


def test_a_text_that_just_fits_is_read(tmp_path):
    """The twin."""
    assert of_text(tmp_path, symbols=12).batch.inputs.max() == 11
    assert len(of_text(tmp_path, "abcabcd").batch.inputs) == 1


def test_a_text_is_no_data_for_real_numbers(tmp_path):
    (tmp_path / "words.txt").write_text(TEXT)
    said = refused(lambda: Case(IMAGES, data=str(tmp_path / "words.txt")).batch)
    assert said.endswith("a text is for a network of tokens (length,) and classes: an embedding first, and cross_entropy")


@pytest.mark.parametrize(("init", "per_unit"), [("he", lambda i, o: 2 / i), ("glorot", lambda i, o: 2 / (i + o))])
def test_every_parameter_starts_as_its_layer_says(init, per_unit):
    layers = {
        "conv": Conv2d(60, 3, groups=2),
        "rest": Residual((BatchNorm(), Conv2d(60, 1)), ("norm", "mix")),
        "flat": Flatten(),
        "head": Dense(40),
    }
    drawn = Case(Network((20, 5, 5), layers, MSE()), init=init, scale=3.0).parameters
    fans = {"conv.weight": (10 * 9, 60 * 9 / 2), "rest.mix.weight": (60, 60), "head.weight": (60 * 9, 40)}
    for name, pair in fans.items():
        weights = drawn[name] / (3 * np.sqrt(per_unit(*pair)))
        assert abs(weights.var() - 1) < 5 * np.sqrt(2 / weights.size)
        assert abs(weights.mean()) < 5 / np.sqrt(weights.size)
    assert np.all(drawn["rest.norm.weight"] == 1)  # where it starts, which is not drawn
    assert not any(drawn[name].any() for name in drawn if name.endswith("bias"))


def test_an_embedding_starts_with_variance_1_and_what_is_tied_to_it_is_not_drawn():
    layers = {"embedding": Embedding(100, 60), "norm": LayerNorm(), "head": Tied(Dense(100), {"weight": "embedding.weight"})}
    drawn = Case(Network((3,), layers, CrossEntropy()), init="he").parameters
    assert drawn.keys() == {"embedding.weight", "norm.weight", "norm.bias", "head.bias"}
    assert abs(drawn["embedding.weight"].var() - 1) < 5 * np.sqrt(2 / 6000)


def test_standard_normal_numbers_are_that_in_every_layer():
    network = Network((4, 200), (LayerNorm(), Attention()), MSE())
    for value in Case(network).parameters.values():
        assert abs(value.mean()) < 5 / np.sqrt(value.size)
        assert abs(value.var() - 1) < 5 * np.sqrt(2 / value.size)
