"""The paper's three data sets, read from the files that their authors publish.

MNIST: LeCun, Cortes, Burges, http://yann.lecun.com/exdb/mnist (idx format). CIFAR-10: Krizhevsky,
https://www.cs.toronto.edu/~kriz/cifar.html (binary version). tiny_shakespeare: Karpathy, char-rnn.
"""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Collection, Iterable
from functools import cache
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from samedge_core.problems.data import DataError, Split, first, sequences
from samedge_core.problems.downloads import SOURCES, locate

HELD_OUT_LINES = 10_000
CIFAR_TRAIN = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
CIFAR_FILES = (*CIFAR_TRAIN, "test_batch.bin")
CIFAR_SHAPE = (3, 32, 32)  # red, green, blue planes
UNSIGNED_BYTE = 8  # the idx code of its type


def mnist(n: int, n_test: int) -> Split:
    """The first n training and n_test test images: x uint8 (n, 28, 28, 1), y uint8 (n,).

    Raises:
        DataError: a file can't be downloaded or is damaged, or n is more than there are.
    """
    files = [locate(source) for source in SOURCES["mnist"]]
    x, y, x_test, y_test = (_read_idx(str(file)) for file in files)
    for images, labels, file in ((x, y, files[0]), (x_test, y_test, files[2])):
        if images.ndim != 3 or labels.shape != images.shape[:1]:
            raise DataError(
                f"{file} must hold images (n, rows, columns) with n labels beside it, got shapes "
                f"{images.shape} and {labels.shape}"
            )
    return first(Split(x[..., None], y, x_test[..., None], y_test), n, n_test)


def cifar10(n: int, n_test: int) -> Split:
    """The first n training and n_test test images: x uint8 (n, 32, 32, 3), y uint8 (n,).

    In the order of the files; the paper takes TensorFlow Datasets' order, another one.

    Raises:
        DataError: as for `mnist`.
    """
    (source,) = SOURCES["cifar10"]
    records = _cifar_records(str(locate(source)))
    parts = [records[name] for name in CIFAR_TRAIN]
    x, y = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    return first(Split(x, y, *records["test_batch.bin"]), n, n_test)


def shakespeare(n: int, n_test: int, length: int) -> Split:
    """Sequences of ASCII codes: x, y int64 (n, length), y one character ahead of x.

    The last 10,000 lines are held out.

    Raises:
        DataError: the file can't be downloaded, or n is more than there are.
    """
    (source,) = SOURCES["shakespeare"]
    file = locate(source)
    lines = file.read_bytes().splitlines(keepends=True)
    train, held_out = (
        ascii_codes(b"".join(part), str(file))
        for part in (lines[:-HELD_OUT_LINES], lines[-HELD_OUT_LINES:])
    )
    return first(sequences(train, held_out, length), n, n_test)


def ascii_codes(text: bytes, name: str) -> NDArray[np.uint8]:
    """The codes (characters,) of a text.

    Raises:
        DataError: a byte is not ASCII; shows which, and where.
    """
    codes = np.frombuffer(text, dtype=np.uint8)
    check_ascii([codes], name)
    return codes


def check_ascii(pieces: Iterable[NDArray[np.uint8]], name: str) -> None:
    """Raise a DataError unless these codes, one piece after the other, are all ASCII."""
    wrong = at = 0
    first: tuple[int, int] | None = None  # the byte and where it is
    for codes in pieces:
        # the paper's code reserves 0 to pad with, and so masks it in the loss; without it, no mask
        bad = np.flatnonzero((codes > 127) | (codes == 0))
        if len(bad) and first is None:
            first = int(codes[bad[0]]), at + int(bad[0])
        wrong += len(bad)
        at += len(codes)
    if first:
        raise DataError(
            f"{name} must be ASCII text (bytes 1 to 127), got byte {first[0]} at position "
            f"{first[1]:,}, and {wrong:,} such bytes in all"
        )


@cache
def _read_idx(file: str) -> NDArray[np.uint8]:
    """An idx file of unsigned bytes, gzipped or not: magic number, lengths, then the data."""
    opener = gzip.open if file.endswith(".gz") else open
    with opener(file, "rb") as stream:
        raw = stream.read()
    if len(raw) < 4 or raw[:3] != bytes((0, 0, UNSIGNED_BYTE)):
        raise DataError(f"{file} must be an idx file of unsigned bytes, got one with {raw[:4]!r}")
    start = 4 + 4 * raw[3]
    shape = tuple(int(length) for length in np.frombuffer(raw[4:start], dtype=">u4"))
    expected = start + int(np.prod(shape, dtype=np.int64))
    if len(raw) != expected:
        raise DataError(f"{file} must have {expected:,} bytes for shape {shape}, got {len(raw):,}")
    return np.frombuffer(raw, dtype=np.uint8, offset=start).reshape(shape)


@cache
def _cifar_records(path: str) -> dict[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Images and labels of each file, from the archive (nothing is unpacked) or the folder."""
    if Path(path).is_dir():
        files = {file.name: file for file in Path(path).iterdir()}
        _check_names(path, files)
        return {name: _cifar_file(files[name].read_bytes(), name) for name in CIFAR_FILES}
    with tarfile.open(path) as archive:
        members = {Path(member.name).name: member for member in archive if member.isfile()}
        _check_names(path, members)
        return {name: _cifar_file(_content(archive, members[name]), name) for name in CIFAR_FILES}


def _check_names(path: str, found: Collection[str]) -> None:
    lacking = [name for name in CIFAR_FILES if name not in found]
    if lacking:
        raise DataError(f"{path} must hold {', '.join(CIFAR_FILES)}; missing: {', '.join(lacking)}")


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream: IO[bytes] | None = archive.extractfile(member)
    assert stream is not None  # it is a file
    return stream.read()


def _cifar_file(raw: bytes, name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Records of one label byte and 3,072 pixels, to x (n, 32, 32, 3) and y (n,)."""
    size = 1 + int(np.prod(CIFAR_SHAPE))
    if not raw or len(raw) % size:
        raise DataError(f"{name} must have a multiple of {size} bytes, got {len(raw):,}")
    records = np.frombuffer(raw, dtype=np.uint8).reshape(-1, size)
    images = records[:, 1:].reshape(-1, *CIFAR_SHAPE)
    return images.transpose(0, 2, 3, 1), records[:, 0]
