"""Files of NumPy's: NPY and NPZ, read within limits and never by unpickling.

What a file says of itself, in the directory of an archive and the head of each array, is checked before anything is read; it
is held to it while it is read, because both can lie.
"""

import math
import os
import zipfile
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from warnings import catch_warnings, simplefilter

import numpy as np
from numpy.lib import format as npy

from gradcheck.cases.opening import reading, regular
from gradcheck.errors import DataError
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.wording import printable, shown

# Numbers in an array whose size only a file decides: 1 GiB. A file of 389 bytes can ask for more; the largest set that is
# shipped has 115,008.
MOST = 1 << 27
BYTES = 8 * MOST  # of all arrays of a file
DIRECTORY = 1 << 20  # bytes of an archive's directory, some 10,000 arrays
DIMENSIONS = 64
CHUNK = 1 << 20
HEADS: Mapping[tuple[int, int], Callable[[IO[bytes]], tuple[tuple[int, ...], bool, Any]]] = {
    (1, 0): npy.read_array_header_1_0,
    (2, 0): npy.read_array_header_2_0,
}
PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # what NumPy writes; others grow without a limit in a single read
SHOWN = 5  # names in a sentence
ARCHIVE = b"PK"
END, LOCATED = b"PK\x05\x06", 22  # of an archive: its last record, and that record's bytes


def read_point(path: Path) -> Any:
    """The array of an ``.npy`` file; of an ``.npz`` file its only array, or a dict of its arrays by name.

    Raises
    ------
    DataError
        ``point.npz: b: 12 bytes of numbers, expected 24``
    """
    with reading(str(path)), regular(path, BYTES + CHUNK) as stream:
        kind = stream.read(len(npy.MAGIC_PREFIX))
        if kind == npy.MAGIC_PREFIX:
            stream.seek(0)
            return _array(stream, os.fstat(stream.fileno()).st_size)
        if not kind.startswith(ARCHIVE):
            raise DataError("expected an .npy or .npz file")
        arrays = _archived(stream)
    if not arrays:
        raise DataError(f"{path}: holds no array")
    return next(iter(arrays.values())) if len(arrays) == 1 else arrays


def read_named(path: Path, names: Collection[str]) -> tuple[Array, ...]:
    """The arrays of an ``.npz`` file that have these names; others are not read."""
    with regular(path, BYTES + CHUNK) as stream:
        arrays = _archived(stream, names)
    return tuple(arrays[name] for name in names)


def _archived(stream: IO[bytes], names: Collection[str] | None = None) -> dict[str, Array]:
    """The arrays of an archive by name, all or those that are asked for."""
    with _archive(stream) as archive:
        members = _members(archive)
        for name in sorted(set(names or ()) - set(members)):
            raise DataError(f"no array {name!r}, the file has {', '.join(map(printable, list(members)[:SHOWN])) or 'none'}")
        wanted = {name: info for name, info in members.items() if names is None or name in names}
        size = sum(info.file_size for info in wanted.values())
        if size > BYTES:
            raise DataError(f"{size} bytes of arrays when unpacked, more than the {BYTES} that are read")
        return {name: _member(archive, name, info) for name, info in wanted.items()}


@contextmanager
def _archive(stream: IO[bytes]) -> Generator[zipfile.ZipFile]:
    size = stream.seek(0, 2)
    stream.seek(max(0, size - LOCATED - (1 << 16)))
    _, found, record = stream.read().rpartition(END)
    if not found or len(record) < LOCATED - len(END):
        raise DataError("not an NPZ file, or a truncated one")
    directory = int.from_bytes(record[8:12], "little")
    if directory > DIRECTORY:
        raise DataError(f"a directory of {directory} bytes, more than the {DIRECTORY} that are read")
    stream.seek(0)
    with zipfile.ZipFile(stream) as archive:
        yield archive


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """By name of the array; the names are keys here and never paths."""
    members: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        name = info.filename.removesuffix(".npy")
        if name in members:
            raise DataError(f"array {shown(name)} stands there twice")
        members[name] = info
    return members


def _member(archive: zipfile.ZipFile, name: str, info: zipfile.ZipInfo) -> Array:
    with reading(printable(name)):
        if info.compress_type not in PLAIN:
            raise DataError(f"compressed by method {info.compress_type}, expected as NumPy does")
        with archive.open(info) as stream:
            return _array(stream, info.file_size)


def _array(stream: IO[bytes], size: int) -> Array:
    """What stands there if it has so many bytes, its head included, and fits it."""
    shape, fortran, dtype = _head(stream)
    if len(shape) > DIMENSIONS or any(length < 0 for length in shape):
        raise DataError(f"the shape {shown(shape)} is none of an array")
    if dtype.hasobject or dtype.kind == "V" or not dtype.itemsize:
        raise DataError(f"has dtype {printable(str(dtype))[:80]}, expected numbers")
    expected, there = math.prod(shape) * dtype.itemsize, size - stream.tell()
    if expected > BYTES:
        raise DataError(f"an array of shape {shown(shape)} is more than the {BYTES} bytes that are read")
    if expected != there:
        raise DataError(f"{there} bytes of numbers, an array of shape {shown(shape)} and dtype {dtype} has {expected}")
    content = bytearray()
    while len(content) <= expected and (chunk := stream.read(CHUNK)):  # to its end, where the checksum is compared
        content += chunk
    if len(content) != expected:
        raise DataError(f"{len(content)} bytes of numbers, expected {expected}")
    return np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C")


def _head(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, Any]:
    if stream.read(len(npy.MAGIC_PREFIX)) != npy.MAGIC_PREFIX:
        raise DataError("not an array of NumPy's")
    stream.seek(0)
    version = npy.read_magic(stream)
    if version not in HEADS:
        raise DataError(f"an array of format {version}, expected one of {', '.join(map(str, HEADS))}")
    with catch_warnings():
        simplefilter("ignore")  # of heads that Python 2 wrote, or that are no Python at all
        return HEADS[version](stream)
