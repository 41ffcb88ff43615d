"""Damaged and hostile files: one sentence each, in bounded time and memory, whatever their bytes are."""

import io
import os
import struct
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from gradcheck import Case, Dense, Logistic, Network
from gradcheck.cases import numpy_files, opening
from gradcheck.cases.files import load
from gradcheck.cases.numpy_files import read_point
from gradcheck.errors import DataError, DescriptionError

GOOD = np.random.default_rng(0).standard_normal((4, 3))
NETWORK = Network((2,), (Dense(1),), Logistic())
LIBSVM, CSV = b"1 1:2 2:3\n-1 1:1 2:5\n", b"a,b,y\n1,2,1\n3,4,-1\n"


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def head(shape="(3,)", descr="'<f8'", order="False", body=b"", version=(1, 0), length=None):
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()
    count = struct.pack("<H" if version == (1, 0) else "<I", len(text) if length is None else length)
    return b"\x93NUMPY" + bytes(version) + count + text + body


def npz(*members, method=zipfile.ZIP_DEFLATED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return stream.getvalue()


def patched(content, at, value):
    """An archive whose directory says something else of its last member."""
    place = content.rindex(b"PK\1\2") + at
    return content[:place] + value + content[place + len(value) :]


ARRAY, ARCHIVE = npy(GOOD), npz(("a.npy", npy(GOOD)), ("b.npy", npy(np.ones(3))))
STORED = npz(("a.npy", ARRAY), method=zipfile.ZIP_STORED)
LARGE = npz(("a.npy", head("(10,)", body=bytes(10**6))))
BAD = {
    **{f"cut at {n}": ARRAY[:n] for n in (0, 1, 6, 8, 60, 100, len(ARRAY) - 1)},
    **{f"archive cut at {n}": ARCHIVE[:n] for n in (1, 4, 30, 100, len(ARCHIVE) - 22, len(ARCHIVE) - 1)},
    "trailing": ARRAY + b"x",
    "version 3": ARRAY[:6] + b"\3" + ARRAY[7:],
    "huge": head("(1000000000, 1000000000)"),
    "beyond integers": head(f"({10**30},)"),
    "that wraps round": head("(4294967296, 4294967296)"),
    "negative": head("(-1,)", body=bytes(24)),
    "negative twice": head("(-1, -3)", body=bytes(24)),
    "65 dimensions": head(f"({'1,' * 65})", body=bytes(8)),
    "shape of floats": head("(3.0,)", body=bytes(24)),
    "no shape": head("None"),
    "object": npy(np.array([1, "a", None], dtype=object)),
    "structured": npy(np.zeros(3, dtype=[("a", float)])),
    "subarray": head("(2,)", "('<f8', (1000000000,))"),
    "void": npy(np.zeros(3, dtype="V8")),
    "empty strings": head("(3,)", "'<U0'"),
    "huge strings": head("(3,)", "'|S2000000000'"),
    "no dtype": head("(3,)", "'nonsense'", body=bytes(24)),
    "a call for a dtype": head("(3,)", "open('called', 'w')"),
    "order": head(order="'maybe'", body=bytes(24)),
    "deep": head("(" * 500 + ")" * 500),
    "a head that lies": head(length=65535),
    "a longer head that lies": head(version=(2, 0), length=2**32 - 1),
    "short": head(body=bytes(23)),
    "no arrays": npz(),
    "text": npz(("readme.txt", b"hello")),
    "text beside": npz(("a.npy", ARRAY), ("readme.txt", b"hello")),
    "twice": npz(("a.npy", ARRAY), ("a", ARRAY)),
    "empty member": npz(("a.npy", b"")),
    "control characters": npz(("\x1b[31m\n.npy", b"bad")),
    "absolute": npz(("/etc/passwd.npy", b"bad")),
    "bzip2": npz(("a.npy", ARRAY), method=zipfile.ZIP_BZIP2),
    "lzma": npz(("a.npy", ARRAY), method=zipfile.ZIP_LZMA),
    "encrypted": patched(STORED, 8, b"\1"),
    "unknown method": patched(STORED, 10, b"\x63"),
    "a checksum": patched(STORED, 16, b"\0\0\0\0"),
    "less than it says": patched(STORED, 24, struct.pack("<I", 10**6)),
    "more than it says": patched(LARGE, 24, struct.pack("<I", 208)),
    "a directory that lies": STORED[:-10] + b"\xff" * 4 + STORED[-6:],
    "many members": npz(*((f"{i}.npy", b"") for i in range(20000))),
    "no archive": b"PK" + bytes(500),
    "pickle": b"\x80\x04K\x01.",
}


@pytest.mark.parametrize("content", BAD.values(), ids=BAD.keys())
def test_a_damaged_point_is_one_sentence_that_names_its_file(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    Path("point.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"\Apoint\.npz: [^\n\x1b]{3,200}\Z"):
        read_point(Path("point.npz"))
    assert os.listdir() == ["point.npz"]


@pytest.mark.parametrize("kind", [ARRAY, ARCHIVE, STORED])
def test_whatever_byte_is_changed_a_point_is_read_or_refused_in_one_sentence(tmp_path, kind):
    path, refused = tmp_path / "point.npz", list[str]()
    for place in range(0, len(kind), 3):
        path.write_bytes(kind[:place] + bytes([kind[place] ^ 0xFF]) + kind[place + 1 :])
        try:
            read_point(path)
        except DataError as error:
            refused.append(str(error))
    assert len(refused) > 20
    assert not [sentence for sentence in refused if "\n" in sentence]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (ARRAY, GOOD),
        (npy(np.asfortranarray(GOOD)), GOOD),
        (npy(GOOD.astype(">f4")), GOOD.astype(">f4")),
        (npy(np.array(3.0)), np.array(3.0)),
        (npy(np.arange(3)), np.arange(3)),
        (head("(3L,)", body=bytes(24)), np.zeros(3)),
        (head(version=(2, 0), body=bytes(24)), np.zeros(3)),
        (STORED, GOOD),
        (npz(("/etc/passwd.npy", ARRAY)), GOOD),
        (npz(("\n.npy", ARRAY)), GOOD),
    ],
)
def test_the_harmless_neighbours_are_read(tmp_path, content, expected):
    (tmp_path / "point.npz").write_bytes(content)
    found = read_point(tmp_path / "point.npz")
    assert found.dtype == expected.dtype
    assert np.array_equal(found, expected)
    found[...] = 0  # it is the reader's own


def test_an_archive_is_a_dict_of_its_arrays(tmp_path):
    (tmp_path / "point.npz").write_bytes(ARCHIVE)
    assert {name: array.shape for name, array in read_point(tmp_path / "point.npz").items()} == {"a": (4, 3), "b": (3,)}


@pytest.mark.parametrize("small", [False, True])
def test_what_unpacks_to_more_than_the_limit_is_refused_before_it_is_unpacked(tmp_path, monkeypatch, small):
    monkeypatch.setattr(numpy_files, "BYTES", 10**5 if small else 10**7)
    (tmp_path / "point.npz").write_bytes(npz(*((f"{i}.npy", head("(5000,)", body=bytes(40000))) for i in range(5))))
    if small:
        with pytest.raises(DataError, match=r"bytes of arrays when unpacked, more than the 100000 that are read"):
            read_point(tmp_path / "point.npz")
    else:
        assert len(read_point(tmp_path / "point.npz")) == 5


DATA = {
    "nul.csv": b"a,b,y\n1,\0,1\n",
    "header.csv": b"a,b,y",
    "wide.csv": b"a" + b",b" * 10**5 + b"\n" + b"1" + b",1" * 10**5,
    "numbers.csv": b"1" + b",1" * 10**5 + b"\n",
    "field.csv": b"a" * 10**6,
    "quote.csv": b'a,b,y\n"1,2,1\n',
    "utf16.csv": "a,b,y\n1,2,1\n".encode("utf-16"),
    "word.csv": b"a,b,y\n1,2," + b"w" * 10**5 + b"\n",
    "infinite.csv": b"a,b,y\n1e999,2,1\n",
    "index.svm": b"1 1000000000000000000000000000000:1\n",
    "far.svm": b"1 999999999999999999:1\n",
    "digits.svm": b"1 " + b"9" * 5000 + b":1\n",
    "other.svm": "1 ٣:1\n".encode(),
    "negative.svm": b"1 -1:1\n",
    "words.svm": b"1 " + b"x" * 10**6,
    "bytes.libsvm": bytes(range(256)),
    "empty.libsvm": b"",
}


@pytest.mark.parametrize("name", DATA)
def test_damaged_data_is_one_short_sentence(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(DATA[name])
    with pytest.raises(DataError) as caught:
        _ = Case(NETWORK, data=str(path)).batch
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250 + len(str(path))


@pytest.mark.parametrize(("name", "content"), [("good.csv", CSV), ("good.libsvm", LIBSVM)])
def test_text_is_read_up_to_a_size(tmp_path, monkeypatch, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    assert len(Case(NETWORK, data=str(path)).batch.inputs) == 2
    monkeypatch.setattr(opening, "TEXT", len(content) - 1)
    with pytest.raises(DataError, match=f"{len(content)} bytes, more than the {len(content) - 1} that are read"):
        _ = Case(NETWORK, data=str(path)).batch


DESCRIPTIONS = {
    "deep.json": b"[" * 10**5,
    "deep tables.json": b'{"a":' * 10**5,
    "deep.toml": b"a = " + b"[" * 10**5,
    "deep tables.toml": b"a = " + b"{b = " * 10**4,
    "empty.json": b"",
    "nul.json": b"\0" * 100,
    "digits.json": b'{"inputs": [' + b"9" * 5000 + b"]}",
    "bytes.toml": bytes(range(256)),
}


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_a_damaged_description_is_one_sentence(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(DESCRIPTIONS[name])
    with pytest.raises(DescriptionError) as caught:
        load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no such pipes")
def test_nobody_waits_for_a_pipe(tmp_path):
    began = time.monotonic()
    for name in ("pipe.npy", "pipe.csv", "pipe.toml"):
        os.mkfifo(tmp_path / name)
    with pytest.raises(DataError, match="not a regular file"):
        read_point(tmp_path / "pipe.npy")
    with pytest.raises(DataError, match="not a regular file"):
        _ = Case(NETWORK, data=str(tmp_path / "pipe.csv")).batch
    with pytest.raises((DataError, DescriptionError), match="not a regular file"):
        load(tmp_path / "pipe.toml")
    with pytest.raises(DataError, match="not a regular file"):
        read_point(Path(os.devnull))
    assert time.monotonic() - began < 30
